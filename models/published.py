"""What is published of each backbone: how large it is, how good on ImageNet, and under which licence its weights are.

Figures are those of whole networks, with the top of 1,000 classes that Regraft leaves out. Sources:

- sizes and accuracies of `keras.applications`: the table on https://keras.io/api/applications, and for MobileNetV3 the
  one in Keras's own docstring; of ConvNeXt, the accuracies found by who converted its weights for Keras (the card of
  "convnext" on Kaggle Models), and parameters counted from the paper's widths and depths;
- EfficientNet-Lite: the README of models/official/efficientnet/lite in https://github.com/tensorflow/tpu;
- KerasHub: parameters without a top, counted (of SigLIP 2, of the vision encoder); accuracies of those trained on
  ImageNet's 1,000 classes: Swin-T, the paper's table 1 (arXiv:2103.14030); HGNetV2-B4, PaddleClas's table;
  EfficientNetV2-RW-S, the one that timm's author publishes, at 384 pixels. Licences: those of whoever trained the
  weights (facebookresearch/dinov2 and dinov3, google-research/big_vision, google-research/vision_transformer,
  microsoft/Swin-Transformer, PaddlePaddle/PaddleClas, huggingface/pytorch-image-models, Alibaba-MIIL/ImageNet21K);
- licences: Keras's documentation of 2018 and 2019 (docs/templates/applications.md), which has a section for each family
  that there was; later families are unknown. EfficientNet-Lite: the LICENSE in its packages.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_MEGABYTE = 1 << 20  # as Keras's table counts


@dataclass(frozen=True)
class Published:
    """What is known of a backbone and its pretrained weights.

    Attributes:
        millions: of parameters; of KerasHub's networks, without a top.
        top1: percent of ImageNet's validation photos whose class it names; None where it was trained on other photos.
        license: of the weights; None where nobody says.
        file: the weights without their top, as Keras calls them in its folder; "" for those that Keras has not.
        size: of the weights in megabytes of 2^20 bytes; None where only `millions` are known.
    """

    millions: float
    top1: float | None
    license: str | None = None
    file: str = ""
    size: float | None = None

    @property
    def megabytes(self) -> float:
        """`size`, or four bytes for each parameter."""
        return self.size if self.size is not None else self.millions * 4e6 / _MEGABYTE


def keras_folder() -> Path:
    """Where Keras keeps the weights that it downloads."""
    home = os.path.expanduser(os.environ.get("KERAS_HOME", "~/.keras"))  # noqa: PTH111  # Path raises for no such user
    return Path(home, "models")


_MIT, _BSD, _APACHE, _CC = "MIT", "BSD", "Apache-2.0", "CC-BY-4.0"
_KERNELS = "weights_tf_dim_ordering_tf_kernels"

PUBLISHED: dict[str, Published] = {
    "tiny": Published(0.404256, None, _APACHE),
    "convnext_tiny": Published(28.6, 81.3, file="convnext_tiny_notop.h5"),
    "convnext_small": Published(50.2, 82.4, file="convnext_small_notop.h5"),
    "convnext_base": Published(88.6, 85.4, file="convnext_base_notop.h5"),
    "convnext_large": Published(197.8, 86.4, file="convnext_large_notop.h5"),
    "convnext_xlarge": Published(350.2, 86.7, file="convnext_xlarge_notop.h5"),
    "densenet121": Published(8.1, 75.0, "BSD-3-Clause", f"densenet121_{_KERNELS}_notop.h5", 33),
    "densenet169": Published(14.3, 76.2, "BSD-3-Clause", f"densenet169_{_KERNELS}_notop.h5", 57),
    "densenet201": Published(20.2, 77.3, "BSD-3-Clause", f"densenet201_{_KERNELS}_notop.h5", 80),
    "efficientnet_b0": Published(5.3, 77.1, None, "efficientnetb0_notop.h5", 29),
    "efficientnet_b1": Published(7.9, 79.1, None, "efficientnetb1_notop.h5", 31),
    "efficientnet_b2": Published(9.2, 80.1, None, "efficientnetb2_notop.h5", 36),
    "efficientnet_b3": Published(12.3, 81.6, None, "efficientnetb3_notop.h5", 48),
    "efficientnet_b4": Published(19.5, 82.9, None, "efficientnetb4_notop.h5", 75),
    "efficientnet_b5": Published(30.6, 83.6, None, "efficientnetb5_notop.h5", 118),
    "efficientnet_b6": Published(43.3, 84.0, None, "efficientnetb6_notop.h5", 166),
    "efficientnet_b7": Published(66.7, 84.3, None, "efficientnetb7_notop.h5", 256),
    "efficientnet_v2_b0": Published(7.2, 78.7, None, "efficientnetv2-b0_notop.h5", 29),
    "efficientnet_v2_b1": Published(8.2, 79.8, None, "efficientnetv2-b1_notop.h5", 34),
    "efficientnet_v2_b2": Published(10.2, 80.5, None, "efficientnetv2-b2_notop.h5", 42),
    "efficientnet_v2_b3": Published(14.5, 82.0, None, "efficientnetv2-b3_notop.h5", 59),
    "efficientnet_v2_s": Published(21.6, 83.9, None, "efficientnetv2-s_notop.h5", 88),
    "efficientnet_v2_m": Published(54.4, 85.3, None, "efficientnetv2-m_notop.h5", 220),
    "efficientnet_v2_l": Published(119.0, 85.7, None, "efficientnetv2-l_notop.h5", 479),
    "efficientnet_lite0": Published(4.7, 75.1, _APACHE),
    "efficientnet_lite1": Published(5.4, 76.7, _APACHE),
    "efficientnet_lite2": Published(6.1, 77.6, _APACHE),
    "inception_resnet_v2": Published(55.9, 80.3, _APACHE, f"inception_resnet_v2_{_KERNELS}_notop.h5", 215),
    "inception_v3": Published(23.9, 77.9, _APACHE, f"inception_v3_{_KERNELS}_notop.h5", 92),
    "mobilenet": Published(4.3, 70.4, _APACHE, "mobilenet_1_0_224_tf_no_top.h5", 16),
    "mobilenet_v2": Published(3.5, 71.3, _APACHE, f"mobilenet_v2_{_KERNELS}_1.0_224_no_top.h5", 14),
    "mobilenet_v3_small": Published(2.9, 68.1, None, "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5"),
    "mobilenet_v3_large": Published(5.4, 75.6, None, "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5"),
    "nasnet_mobile": Published(5.3, 74.4, _APACHE, "nasnet_mobile_no_top.h5", 23),
    "nasnet_large": Published(88.9, 82.5, _APACHE, "nasnet_large_no_top.h5", 343),
    "resnet50": Published(25.6, 74.9, _MIT, f"resnet50_{_KERNELS}_notop.h5", 98),
    "resnet101": Published(44.7, 76.4, _MIT, f"resnet101_{_KERNELS}_notop.h5", 171),
    "resnet152": Published(60.4, 76.6, _MIT, f"resnet152_{_KERNELS}_notop.h5", 232),
    "resnet50_v2": Published(25.6, 76.0, _BSD, f"resnet50v2_{_KERNELS}_notop.h5", 98),
    "resnet101_v2": Published(44.7, 77.2, _BSD, f"resnet101v2_{_KERNELS}_notop.h5", 171),
    "resnet152_v2": Published(60.4, 78.0, _BSD, f"resnet152v2_{_KERNELS}_notop.h5", 232),
    "vgg16": Published(138.4, 71.3, _CC, f"vgg16_{_KERNELS}_notop.h5", 528),
    "vgg19": Published(143.7, 71.3, _CC, f"vgg19_{_KERNELS}_notop.h5", 549),
    "xception": Published(22.9, 79.0, _MIT, f"xception_{_KERNELS}_notop.h5", 88),
    "dinov2_small": Published(21.6, None, _APACHE),
    "dinov2_base": Published(85.7, None, _APACHE),
    "dinov3_small": Published(21.6, None, "DINOv3"),
    "efficientnet_v2_rw_s": Published(22.3, 83.8, _APACHE),
    "hgnet_v2_b4": Published(13.6, 83.6, _APACHE),
    "mobilenet_v3_large_21k": Published(3.0, None, _MIT),
    "siglip2_base": Published(92.9, None, _APACHE),
    "swin_tiny": Published(27.5, 81.3, _MIT),
    "vit_base": Published(85.8, None, _APACHE),
}
"""By the name of the backbone; one that is not here is one of which nothing is known."""
