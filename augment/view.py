"""The deterministic view of a photo: what evaluation, prediction and the export show to the model."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def make_view(image_size: int, crop_fraction: float) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from an upright image [H, W, 3] to float32 [image_size, image_size, 3] in [0, 255].

    It takes the centre square whose side is `crop_fraction` of the short side and scales it with
    `resize_to`: the aspect ratio is kept. This is the usual "resize the short side to
    `image_size / crop_fraction`, then centre-crop" with a single resize of the pixels that are kept.
    """

    def view(image: tf.Tensor) -> tf.Tensor:
        return resize_to(center_square(image, crop_fraction), image_size)

    return view


def center_square(image: tf.Tensor, crop_fraction: float) -> tf.Tensor:
    """The centre of `image` [H, W, 3]: a square with `crop_fraction` of the short side.

    A side is made one pixel longer where the rest could not be shared equally between both margins, so that a
    mirrored or turned photo gives exactly the mirrored or turned crop.
    """
    sides = tf.shape(image)[:2]
    short = tf.cast(tf.reduce_min(sides), tf.float32)
    wanted = tf.maximum(tf.cast(tf.round(short * crop_fraction), tf.int32), 1)
    size = wanted + (sides - wanted) % 2
    begin = (sides - size) // 2
    return tf.slice(image, tf.concat([begin, [0]], 0), tf.concat([size, [3]], 0))


def resize_to(image: tf.Tensor, image_size: int) -> tf.Tensor:
    """float32 [image_size, image_size, 3]: `image` scaled bilinearly, antialiased from twice the size on.

    Below twice the size a plain bilinear filter reaches every pixel. It is faster and keeps more detail, and no worse
    for a pretrained backbone (benchmarks/views.py).
    """

    def resized(antialias: bool) -> tf.Tensor:
        return tf.image.resize(image, [image_size, image_size], antialias=antialias)

    is_large = tf.reduce_min(tf.shape(image)[:2]) >= 2 * image_size
    return tf.ensure_shape(
        tf.cond(is_large, lambda: resized(antialias=True), lambda: resized(antialias=False)),
        [image_size, image_size, 3],
    )
