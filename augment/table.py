"""Every augmentation, in one table. Adding one is adding a row and the file it names.

The table needs no TensorFlow, so a recipe can be checked in milliseconds; a row's code is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, NamedTuple

Stage = Literal["crop", "image", "batch"]


class Option(NamedTuple):
    """One recipe key's default, which tells its type, and what is allowed in words ("" for true and false)."""

    default: Any
    allowed: str


@dataclass(frozen=True)
class Augmentation:
    """One row of the table.

    Attributes:
        options: recipe keys under [augment], which are also the maker's arguments.
        make: module and function in `regraft.augment`; called with the options, it returns the op. That of a crop is
            told the `fit`, too, as `make_crop` says.
        stage: what the op takes and returns. "crop": (encoded, height, width, plain_jpeg, seed), as `make_crop` says,
            and returns uint8 [h, w, 3]; "image": (image, seed), float32 [S, S, 3] in [0, 255]; "batch": (images,
            labels, seed), float32 [B, S, S, 3] and [B, classes], and returns both.
        number: the part of the seed that the op draws from. No other row has it, so that whatever else is turned on,
            or added to the table, leaves its draws alone.
        switches: the options that turn it on: it is off while all of them are 0 or false. Left out: all options.
    """

    options: Mapping[str, Option]
    make: str
    stage: Stage
    number: int
    switches: tuple[str, ...] = ()

    def is_on(self, values: Mapping[str, Any]) -> bool:
        """Whether these values of all options ask for it."""
        return any(values[key] for key in self.switches or self.options)

    def build(self, values: Mapping[str, Any], **more: Any) -> Any:
        """The op for these values of all options; `more` goes to its maker as it is."""
        module, _, function = self.make.partition(":")
        arguments = {key: values[key] for key in self.options}
        return getattr(import_module(f"regraft.augment.{module}"), function)(**arguments, **more)


AUGMENTATIONS: dict[str, Augmentation] = {
    "crop": Augmentation(
        {
            "crop": Option("resized", "resized|random|center"),
            "crop_area_min": Option(0.35, "(0, 1]"),
            "crop_scale": Option(1.15, "[1, 10]"),
        },
        make="crop:make_crop",
        stage="crop",
        number=0,
    ),
    "flip": Augmentation({"flip": Option(True, "")}, make="flip:make_flip", stage="image", number=1),
    "flip_vertical": Augmentation(
        {"flip_vertical": Option(False, "")}, make="flip:make_vertical_flip", stage="image", number=3
    ),
    "affine": Augmentation(
        {
            "rotate": Option(0.0, "[0, 180]"),
            "translate": Option(0.0, "[0, 1]"),
            "zoom": Option(0.0, "[0, 1]"),
            "shear": Option(0.0, "[0, 1]"),
        },
        make="affine:make_random_affine",
        stage="image",
        number=4,
    ),
    "randaugment": Augmentation(
        {"randaugment": Option(0.0, "[0, 10]"), "randaugment_ops": Option(2, "[1, 10]")},
        make="rand_augment:make_rand_augment",
        stage="image",
        number=5,
        switches=("randaugment",),
    ),
    "trivial_augment": Augmentation(
        {"trivial_augment": Option(False, "")},
        make="trivial_augment:make_trivial_augment",
        stage="image",
        number=6,
    ),
    "color": Augmentation(
        {
            "brightness": Option(0.2, "[0, 1]"),
            "contrast": Option(0.2, "[0, 1]"),
            "saturation": Option(0.2, "[0, 1]"),
            "hue": Option(0.02, "[0, 0.5]"),
        },
        make="color:make_color_jitter",
        stage="image",
        number=2,
    ),
    "pca": Augmentation({"pca": Option(0.0, "[0, 10]")}, make="pca:make_pca_shift", stage="image", number=7),
    "erase": Augmentation({"erase": Option(0.0, "[0, 1]")}, make="erase:make_random_erasing", stage="image", number=8),
    "mixing": Augmentation(
        {"mixup": Option(0.0, "[0, 100]"), "cutmix": Option(0.0, "[0, 100]")},
        make="mixing:make_mixing",
        stage="batch",
        number=9,
    ),
}
"""Every augmentation, in the order in which they are applied."""


def defaults() -> dict[str, Any]:
    """The default of every option of the table."""
    return {key: option.default for row in AUGMENTATIONS.values() for key, option in row.options.items()}


def active(values: Mapping[str, Any], stage: Stage) -> list[Augmentation]:
    """The augmentations of one stage that these values of all options ask for, in order."""
    return [row for row in AUGMENTATIONS.values() if row.stage == stage and row.is_on(values)]
