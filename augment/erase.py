"""Random erasing: a rectangle of noise hides a part of the image."""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

AREAS = (0.02, 0.4)
ASPECT_RATIOS = (0.3, 1 / 0.3)
_ATTEMPTS = 10


def make_random_erasing(*, erase: float) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A function of (image, seed) that hides a random part of a float32 image [H, W, 3] in [0, 255] behind noise.

    Args:
        erase: the share of images that lose a part; 0.5 in the paper.

    Source: Zhong et al. 2020, "Random erasing data augmentation", algorithm 1, with its areas (0.02 to 0.4 of the
    image) and aspect ratios (height by width, 0.3 to 1 / 0.3) and a random value for every pixel and channel. It
    differs in drawing the ratio's logarithm uniformly, so that wide and tall parts are as frequent, and the place among
    those where the part lies inside; the paper draws a place anywhere, and area and ratio anew until the part fits.
    """

    def erase_part(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        hit = tf.random.stateless_uniform([], seed) < erase
        return tf.cond(hit, lambda: _hide(image, random_part(tf.shape(image)[:2], seed), seed), lambda: image)

    return erase_part


def random_part(sides: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """int32 [4]: top, left, height, width in pixels of a random part of an image with these `sides` (int32 [2])."""
    area, turn = tf.unstack(tf.random.stateless_uniform([2, _ATTEMPTS], tf.random.fold_in(seed, 1)))
    pixels = tf.cast(tf.reduce_prod(sides), tf.float32) * (AREAS[0] + (AREAS[1] - AREAS[0]) * area)
    ratio = tf.exp(math.log(ASPECT_RATIOS[0]) + math.log(ASPECT_RATIOS[1] / ASPECT_RATIOS[0]) * turn)
    sizes = tf.cast(tf.round(tf.sqrt(tf.stack([pixels * ratio, pixels / ratio], axis=1))), tf.int32)
    first_that_fits = tf.argmax(tf.reduce_all(sizes <= sides, axis=1))
    size = tf.clip_by_value(sizes[first_that_fits], 1, sides)  # if none of ten fits, at least inside
    room = tf.cast(sides - size + 1, tf.float32)
    begin = tf.cast(room * tf.random.stateless_uniform([2], tf.random.fold_in(seed, 2)), tf.int32)
    return tf.concat([begin, size], 0)


def _hide(image: tf.Tensor, part: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Rows and columns are put together anew: drawing noise for the part alone is a fraction of drawing it for all."""
    top, left, height, width = tf.unstack(part)
    noise = tf.random.stateless_uniform([height, width, image.shape[-1]], tf.random.fold_in(seed, 3), 0.0, 255.0)
    band = image[top : top + height]
    middle = tf.concat([band[:, :left], noise, band[:, left + width :]], axis=1)
    return tf.ensure_shape(tf.concat([image[:top], middle, image[top + height :]], axis=0), image.shape)
