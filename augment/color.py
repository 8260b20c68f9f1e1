"""Colour jitter as one affine map of the RGB values.

Brightness, saturation and hue are linear in RGB and contrast is affine, so a whole jitter is one 3x3 matrix and
one offset for an image: one pass over the pixels instead of four, and no detour over HSV.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_RGB_TO_YIQ = np.array([LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], np.float32)
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ).astype(np.float32)


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
    chroma = tf.matmul(_saturate(saturation), _turn_hue(hue))
    mean_grey = tf.tensordot(tf.linalg.matvec(chroma, tf.reduce_mean(image, axis=[0, 1])), LUMA, 1)
    matrix = brightness * contrast * chroma
    offset = brightness * (1.0 - contrast) * mean_grey
    return tf.clip_by_value(tf.tensordot(image, matrix, [[2], [1]]) + offset, 0.0, 255.0)


def _saturate(factor: tf.Tensor) -> tf.Tensor:
    return factor * tf.eye(3) + (1.0 - factor) * tf.tile(LUMA[None, :], [3, 1])


def _turn_hue(turn: tf.Tensor) -> tf.Tensor:
    cos, sin = tf.cos(2.0 * np.pi * turn), tf.sin(2.0 * np.pi * turn)
    rotation = tf.reshape(tf.stack([1.0, 0.0, 0.0, 0.0, cos, -sin, 0.0, sin, cos]), [3, 3])
    return tf.matmul(_YIQ_TO_RGB, tf.matmul(rotation, _RGB_TO_YIQ))
