"""The small residual network that ships with the package, trained from scratch by `regraft pretrain`.

A plain pre-2016 residual design (He et al. 2015, arXiv:1512.03385, section 4.2), widened and shortened so that an
epoch of 50,000 images of 32x32 takes about a minute on two cores and the weights stay below 2 MB.
"""

from __future__ import annotations

import keras
from keras import layers

WIDTHS = (32, 48, 96, 160)


def build_tiny(input_shape: tuple[int, int, int]) -> keras.Model:
    """Float [N, H, W, 3] in [-1, 1] -> float [N, H/8, W/8, 160]; about 0.4 million weights."""
    inputs = keras.Input(input_shape)
    x = _convolution(inputs, WIDTHS[0], stride=1, name="stem")
    for stage, width in enumerate(WIDTHS[1:], start=1):
        x = _convolution(x, width, stride=2, name=f"stage{stage}_down")
        if stage < 3:
            x = _residual(x, width, name=f"stage{stage}_residual")
    return keras.Model(inputs, x, name="tiny")


def _convolution(x: keras.KerasTensor, width: int, *, stride: int, name: str) -> keras.KerasTensor:
    x = layers.Conv2D(width, 3, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(momentum=0.95, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _residual(x: keras.KerasTensor, width: int, *, name: str) -> keras.KerasTensor:
    branch = _convolution(x, width, stride=1, name=f"{name}_1")
    branch = _convolution(branch, width, stride=1, name=f"{name}_2")
    return layers.Add(name=f"{name}_add")([x, branch])
