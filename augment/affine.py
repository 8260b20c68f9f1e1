"""Turning, shearing, zooming and moving an image: any of them together are one warp of the pixels.

A matrix here (float32 [3, 3]) says where each place of the *result* is found in the image: (x, y, 1) in pixels from the
image's centre, x to the right, y down. Matrices are chained in the order in which they change the picture:
`rotation(30.0) @ translation(5.0, 0.0)` turns it, then moves the turned picture to the right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import tensorflow as tf

Number: TypeAlias = tf.Tensor | float


def warp(image: tf.Tensor, matrix: tf.Tensor, *, fill: float | None = None) -> tf.Tensor:
    """float32 [H, W, C]: `image` (float32 [H, W, C]) seen through `matrix`, interpolated bilinearly.

    Args:
        image: any range of values.
        matrix: float32 [3, 3], affine (its last row is 0, 0, 1), from the functions below.
        fill: the value of every channel where the result looks beyond the image's border. None mirrors the image
            there, which keeps its brightness and texture and draws no black corners that would give a turn away.
    """
    sides = tf.shape(image)[:2]
    center = (tf.cast(sides, tf.float32) - 1.0) / 2.0
    centered = _translate(center[1], center[0]) @ matrix @ _translate(-center[1], -center[0])
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=tf.reshape(centered, [1, 9])[:, :8],
        output_shape=sides,
        fill_value=fill or 0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT" if fill is None else "CONSTANT",
    )
    return tf.ensure_shape(warped[0], image.shape)


def rotation(degrees: Number) -> tf.Tensor:
    """The matrix that turns the picture by `degrees` counter-clockwise."""
    turn = tf.convert_to_tensor(degrees, tf.float32) * (np.pi / 180.0)
    cos, sin = tf.cos(turn), tf.sin(turn)
    return _matrix(cos, -sin, 0.0, sin, cos, 0.0)


def shear(x: Number, y: Number) -> tf.Tensor:
    """The matrix that moves rows right by `x` pixels for each pixel up, and columns down by `y` for each to the left.

    Both are one step, not one after the other; `x * y` must not be 1.
    """
    return _matrix(1.0, x, 0.0, y, 1.0, 0.0)


def translation(x: Number, y: Number) -> tf.Tensor:
    """The matrix that moves the picture by `x` pixels to the right and `y` down."""
    return _translate(-tf.convert_to_tensor(x, tf.float32), -tf.convert_to_tensor(y, tf.float32))


def zoom(factor: Number) -> tf.Tensor:
    """The matrix that makes the picture `factor` (above 0) times as large."""
    inverse = 1.0 / tf.convert_to_tensor(factor, tf.float32)
    return _matrix(inverse, 0.0, 0.0, 0.0, inverse, 0.0)


def make_random_affine(
    *, rotate: float = 0.0, translate: float = 0.0, zoom: float = 0.0, shear: float = 0.0
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A function of (image, seed) that zooms, shears, turns and moves a float32 image [H, W, 3], in this order.

    All four are one warp, so the image is interpolated once. What comes in from beyond the border is the image's
    mirror image.

    Args:
        rotate: the turn is drawn from [-rotate, rotate], in degrees.
        translate: the moves, from [-translate, translate] of the width and of the height.
        zoom: the factor is 1 + zoom to a power drawn from [-1, 1]: as often larger as smaller.
        shear: the shear of the rows, in pixels for each pixel, is drawn from [-shear, shear].
    """
    build = {"zoom": zoom, "shear": shear, "rotate": rotate, "translate": translate}

    def transform(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        draws = tf.unstack(tf.random.stateless_uniform([5], seed, -1.0, 1.0))
        return warp(image, _chain(image, draws, build))

    return transform


def _chain(image: tf.Tensor, draws: list[tf.Tensor], most: dict[str, float]) -> tf.Tensor:
    """The matrix of all four for these five `draws` from [-1, 1] and the largest change of each."""
    sides = tf.cast(tf.shape(image)[:2], tf.float32)
    matrix = zoom(tf.pow(1.0 + most["zoom"], draws[0])) @ shear(most["shear"] * draws[1], 0.0)
    matrix = matrix @ rotation(most["rotate"] * draws[2])
    return matrix @ translation(most["translate"] * draws[3] * sides[1], most["translate"] * draws[4] * sides[0])


def _translate(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return _matrix(1.0, 0.0, x, 0.0, 1.0, y)


def _matrix(*rows: Number) -> tf.Tensor:
    """float32 [3, 3] of its first two rows."""
    return tf.reshape(tf.stack([*(tf.convert_to_tensor(value, tf.float32) for value in rows), 0.0, 0.0, 1.0]), [3, 3])
