"""The elementary changes that RandAugment and TrivialAugment draw from, as Pillow defines them.

Each takes a float32 image [S, S, 3] in [0, 255] and a strength in [-1, 1]: its size says how much, its sign which way,
where there is one.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from regraft.augment import affine
from regraft.augment.color import LUMA

Elementary = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
_SMOOTH = [[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]  # Pillow's ImageFilter.SMOOTH, divided by 13


def identity(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """`image`."""
    return image


def autocontrast(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Each channel stretched to [0, 255]; a channel of one value stays."""
    low, high = tf.reduce_min(image, axis=[0, 1]), tf.reduce_max(image, axis=[0, 1])
    scale = tf.math.divide_no_nan(255.0, high - low)
    return tf.where(high > low, (image - low) * scale, image)


def equalize(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Each channel with its values spread so that their histogram is flat, as `PIL.ImageOps.equalize` does."""
    values = tf.cast(tf.round(image), tf.int32)
    channels = [_equalize_channel(values[..., channel]) for channel in range(3)]
    return tf.cast(tf.stack(channels, axis=-1), tf.float32)


def solarize(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Values from 256 * (1 - |strength|) on are inverted."""
    return tf.where(image >= 256.0 * (1.0 - tf.abs(strength)), 255.0 - image, image)


def make_posterize(most_bits: int) -> Elementary:
    """An op that drops up to `most_bits` of the 8 bits of each value."""

    def posterize(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
        step = tf.pow(2.0, tf.round(most_bits * tf.abs(strength)))
        return tf.floor(tf.round(image) / step) * step

    return posterize


def make_brightness(most: float) -> Elementary:
    """An op that multiplies by 1 + `most` * strength."""
    return lambda image, strength: _clip(image * (1.0 + most * strength))


def make_color(most: float) -> Elementary:
    """An op that moves each pixel from its grey by the factor 1 + `most` * strength."""
    return lambda image, strength: _blend(_grey(image), image, 1.0 + most * strength)


def make_contrast(most: float) -> Elementary:
    """An op that moves each pixel from the mean grey by the factor 1 + `most` * strength."""
    return lambda image, strength: _blend(tf.round(tf.reduce_mean(_grey(image))), image, 1.0 + most * strength)


def make_sharpness(most: float) -> Elementary:
    """An op that moves each pixel from a smoothed image by the factor 1 + `most` * strength; the border stays."""

    def sharpness(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
        kernel = tf.tile(tf.reshape(tf.constant(_SMOOTH) / 13.0, [3, 3, 1, 1]), [1, 1, 3, 1])
        inner = tf.nn.depthwise_conv2d(image[None], kernel, [1, 1, 1, 1], "VALID")[0]
        mask = tf.pad(tf.ones_like(inner), [[1, 1], [1, 1], [0, 0]])
        smooth = tf.where(mask > 0, tf.pad(inner, [[1, 1], [1, 1], [0, 0]]), image)
        return _blend(smooth, image, 1.0 + most * strength)

    return sharpness


def make_rotate(most_degrees: float) -> Elementary:
    """An op that turns by `most_degrees` * strength, counter-clockwise."""
    return lambda image, strength: affine.warp(image, affine.rotation(most_degrees * strength))


def make_shear(most: float, *, rows: bool) -> Elementary:
    """An op that shears rows (or else columns) by `most` * strength pixels per pixel."""
    return lambda image, strength: affine.warp(
        image, affine.shear(most * strength, 0.0) if rows else affine.shear(0.0, most * strength)
    )


def make_translate(most: float, *, sideways: bool) -> Elementary:
    """An op that moves by `most` * strength of the side, to the right or down."""

    def translate(image: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
        distance = most * strength * tf.cast(tf.shape(image)[1 if sideways else 0], tf.float32)
        return affine.warp(image, affine.translation(distance, 0.0) if sideways else affine.translation(0.0, distance))

    return translate


def apply_drawn(ops: list[Elementary], image: tf.Tensor, index: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """`image` changed by op number `index` alone."""
    return tf.switch_case(index, [lambda op=op: op(image, strength) for op in ops])


def _equalize_channel(values: tf.Tensor) -> tf.Tensor:
    counts = tf.math.bincount(tf.reshape(values, [-1]), minlength=256, maxlength=256)
    last = tf.gather(counts, tf.reduce_max(values))
    step = (tf.size(values) - last) // 255
    before = tf.cumsum(counts, exclusive=True)
    table = tf.clip_by_value((before + step // 2) // tf.maximum(step, 1), 0, 255)
    return tf.where(step > 0, tf.gather(table, values), values)


def _blend(start: tf.Tensor, image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    return _clip(start + factor * (image - start))


def _grey(image: tf.Tensor) -> tf.Tensor:
    return tf.tensordot(image, tf.constant(LUMA), 1)[..., None]


def _clip(image: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(image, 0.0, 255.0)
