"""EfficientNet-Lite 0 to 2: EfficientNet (Tan and Le 2019, arXiv:1905.11946) made for small devices.

Without squeeze-and-excitation, with ReLU6 in place of swish, and with stem, head and the repeats of the first and the
last stage as they are at every size (github.com/tensorflow/tpu, models/official/efficientnet/lite). No weights of
these networks come with Keras; those of the packages in `regraft.models.backbones` are named after PyTorch's modules.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from regraft.models.errors import WeightsError


class Stage(NamedTuple):
    """Inverted residual blocks in a row; all but the first keep the size of their maps."""

    repeats: int
    kernel_px: int
    stride: int
    expansion: int
    width: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM_WIDTH, HEAD_WIDTH = 32, 1280
_STEM, _TOP = "stem", "top"
_EPSILON, _MOMENTUM = 1e-3, 0.99


def build_lite0(input_shape: tuple[int, int, int]) -> keras.Model:
    """Float [N, H, W, 3], (x - 127) / 128 -> float [N, ceil(H/32), ceil(W/32), 1280]; 3.4 million weights."""
    return _build(input_shape, width=1.0, depth=1.0, name="efficientnet_lite0")


def build_lite1(input_shape: tuple[int, int, int]) -> keras.Model:
    """As lite0, deeper: 4.2 million weights."""
    return _build(input_shape, width=1.0, depth=1.1, name="efficientnet_lite1")


def build_lite2(input_shape: tuple[int, int, int]) -> keras.Model:
    """As lite0, deeper and wider: 4.9 million weights."""
    return _build(input_shape, width=1.1, depth=1.2, name="efficientnet_lite2")


def _build(input_shape: tuple[int, int, int], *, width: float, depth: float, name: str) -> keras.Model:
    inputs = keras.Input(input_shape)
    convolution = layers.Conv2D(STEM_WIDTH, 3, strides=2, padding="same", use_bias=False, name=f"{_STEM}_conv")
    x = _normalized(convolution(inputs), _STEM)
    for number, block in enumerate(_blocks(width, depth)):
        x = _block(x, block, f"block{number}")
    x = layers.Conv2D(HEAD_WIDTH, 1, use_bias=False, name=f"{_TOP}_conv")(x)
    return keras.Model(inputs, _normalized(x, _TOP), name=name)


def _blocks(width: float, depth: float) -> Iterator[Stage]:
    """Each block of the network as a stage of one, in order."""
    for position, stage in enumerate(STAGES):
        is_scaled = 0 < position < len(STAGES) - 1
        repeats = math.ceil(depth * stage.repeats) if is_scaled else stage.repeats
        for repeat in range(repeats):
            yield stage._replace(repeats=1, stride=1 if repeat else stage.stride, width=rounded(width * stage.width))


def rounded(width: float) -> int:
    """The multiple of 8 nearest to `width`, unless that is under 90 % of it: then the next (section 4 of MnasNet)."""
    nearest = max(8, int(width + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * width else nearest + 8


def _block(x: keras.KerasTensor, block: Stage, name: str) -> keras.KerasTensor:
    """An inverted residual block: expand, filter each channel, project; nothing after the projection."""
    inputs, width = x, x.shape[-1]
    if block.expansion > 1:
        x = layers.Conv2D(width * block.expansion, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = _normalized(x, f"{name}_expand")
    x = layers.DepthwiseConv2D(
        block.kernel_px, strides=block.stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _normalized(x, f"{name}_depthwise")
    x = layers.Conv2D(block.width, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = layers.BatchNormalization(epsilon=_EPSILON, momentum=_MOMENTUM, name=f"{name}_project_bn")(x)
    if block.stride > 1 or width != block.width:
        return x
    return layers.Add(name=f"{name}_add")([inputs, x])


def _normalized(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = layers.BatchNormalization(epsilon=_EPSILON, momentum=_MOMENTUM, name=f"{name}_bn")(x)
    return layers.ReLU(max_value=6.0, name=f"{name}_relu")(x)


def set_torch_weights(model: keras.Model, tensors: Mapping[str, np.ndarray]) -> None:
    """Gives `model` the `tensors` of the same network in PyTorch, by the names of its modules; `_fc` is its top.

    Raises:
        WeightsError: a tensor is missing or has another shape, so they are of another network.
    """
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([_tensor(tensors, name, layer, place) for place, name in enumerate(_names(layer))])


def _names(layer: keras.Layer) -> list[str]:
    """What PyTorch calls the weights of `layer`, in the order in which Keras keeps them."""
    part, _, kind = layer.name.rpartition("_")
    block, _, role = part.partition("_")
    inside = {"expand": "0", "depthwise": "1", "project": "2"}
    if not role:
        prefix = ""
        convolution, norm = {_STEM: ("_conv_stem", "_bn0"), _TOP: ("_conv_head", "_bn1")}[block]
    else:
        prefix = f"_blocks.{block.removeprefix('block')}."
        convolution, norm = f"_{role}_conv", f"_bn{inside[role]}"
    if kind == "conv":
        return [f"{prefix}{convolution}.weight"]
    return [f"{prefix}{norm}.{name}" for name in ("weight", "bias", "running_mean", "running_var")]


def _tensor(tensors: Mapping[str, np.ndarray], name: str, layer: keras.Layer, place: int) -> np.ndarray:
    """The tensor `name` with its axes as Keras has them: [height, width, in, out]."""
    if name not in tensors:
        raise WeightsError(f"it lacks {name}, so it is of another network")
    array, shape = tensors[name], tuple(layer.weights[place].shape)
    if array.ndim == 4:
        array = (
            array.transpose(2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else array.transpose(2, 3, 1, 0)
        )
    if array.shape != shape:
        raise WeightsError(f"its {name} has the shape {array.shape}, not {shape}, so it is of another network")
    return array
