"""Colour jitter as one affine map of the RGB values.

Brightness, saturation and hue are linear in RGB and contrast is affine, so a whole jitter is one 3x3 matrix and
one offset for an image: one pass over the pixels instead of four, and no detour over HSV.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_RGB_TO_YIQ = np.array([LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ)


def _in_rgb(yiq: list[list[float]]) -> np.ndarray:
    """What a matrix on YIQ values is on RGB values, flat [9]."""
    return (_YIQ_TO_RGB @ np.array(yiq) @ _RGB_TO_YIQ).ravel()


# Added up with the weights 1, saturation * cos and saturation * sin of the hue's turn, they keep the grey and scale and
# turn the IQ plane.
_GREY = _in_rgb([[1, 0, 0], [0, 0, 0], [0, 0, 0]])
_CHROMA = _in_rgb([[0, 0, 0], [0, 1, 0], [0, 0, 1]])
_TURNED_CHROMA = _in_rgb([[0, 0, 0], [0, 0, -1], [0, 1, 0]])
_COLOR_MAPS = np.array([_GREY, _CHROMA, _TURNED_CHROMA], np.float32)
_PIXELS_AT_ONCE = 16


def make_color_jitter(
    *, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, hue: float = 0.0
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A function of (image, seed) that varies the colours of a float32 image [H, W, 3] in [0, 255].

    Args:
        brightness: the pixels are multiplied by a factor drawn from [1 - brightness, 1 + brightness].
        contrast: distances to the image's mean grey are multiplied by such a factor.
        saturation: distances of each pixel to its own grey are multiplied by such a factor.
        hue: the colour circle (the IQ plane of YIQ) is turned by up to `hue` of a full turn, both ways.

    The ranges are those of torchvision's `ColorJitter`. It differs in applying the four always in the order
    hue, saturation, contrast, brightness, and in clipping to [0, 255] once, at the end.
    """
    spread = tf.constant([brightness, contrast, saturation, hue], tf.float32)
    center = tf.constant([1.0, 1.0, 1.0, 0.0], tf.float32)

    def jitter(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        draws = center + spread * tf.random.stateless_uniform([4], seed, -1.0, 1.0)
        return adjust_colors(image, draws[0], draws[1], draws[2], draws[3])

    return jitter


def adjust_colors(
    image: tf.Tensor, brightness: tf.Tensor, contrast: tf.Tensor, saturation: tf.Tensor, hue: tf.Tensor
) -> tf.Tensor:
    """`image` (float32 [H, W, 3] in [0, 255]) with the given factors (1 changes nothing) and hue turn (0 to 1)."""
    turn = 2.0 * np.pi * hue
    weights = tf.stack([1.0, saturation * tf.cos(turn), saturation * tf.sin(turn)])
    matrix = tf.reshape(tf.linalg.matvec(_COLOR_MAPS, brightness * contrast * weights, transpose_a=True), [3, 3])
    mean_color = tf.reduce_mean(tf.reduce_mean(image, axis=0), axis=0)  # rows first: that is vectorized
    mean_grey = tf.reduce_sum(mean_color * LUMA)  # hue and saturation leave it as it is
    return map_colors(image, matrix, tf.fill([3], brightness * (1.0 - contrast) * mean_grey))


def map_colors(image: tf.Tensor, matrix: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """float32 [H, W, 3]: `matrix` [3, 3] times each pixel of `image`, plus `offset` [3], clipped to [0, 255].

    Several pixels are one row, and the matrix is repeated along the diagonal: three columns alone would leave most of
    a processor's vector unit idle, at three times the time.
    """
    at_once = _pixels_at_once(image.shape)
    repeated = tf.eye(at_once)[:, None, :, None] * tf.transpose(matrix)[None, :, None, :]
    rows = tf.reshape(image, [-1, 3 * at_once])
    mapped = tf.nn.bias_add(tf.matmul(rows, tf.reshape(repeated, [3 * at_once] * 2)), tf.tile(offset, [at_once]))
    return clip_to_pixels(tf.reshape(mapped, tf.shape(image)), image.shape)


def clip_to_pixels(image: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    """`image` with its values clipped to [0, 255], of this static shape; in one pass, unlike `tf.clip_by_value`."""
    return tf.ensure_shape(tf.raw_ops.ClipByValue(t=image, clip_value_min=0.0, clip_value_max=255.0), shape)


def _pixels_at_once(shape: tf.TensorShape) -> int:
    """The largest number up to `_PIXELS_AT_ONCE` that divides the number of pixels; 1 where that is not known yet."""
    values = shape.num_elements()
    return 1 if values is None else math.gcd(values // 3, _PIXELS_AT_ONCE)
