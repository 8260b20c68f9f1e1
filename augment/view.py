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
    """The centre of `image` [H, W, 3]: a square with `crop_fraction` of the short side; see `center_box`."""
    box = center_box(tf.shape(image)[:2], crop_fraction)
    return tf.slice(image, tf.concat([box[:2], [0]], 0), tf.concat([box[2:], [3]], 0))


def center_box(sides: tf.Tensor, crop_fraction: float) -> tf.Tensor:
    """int32 [4]: top, left, height, width of the centre square of an image with these `sides` (int32 [2]).

    A side is made one pixel longer where the rest could not be shared equally between both margins, so that a
    mirrored or turned photo gives exactly the mirrored or turned crop.
    """
    size = square_side(sides, crop_fraction)
    size = size + (sides - size) % 2
    return tf.concat([(sides - size) // 2, size], 0)


def square_side(sides: tf.Tensor, crop_fraction: float) -> tf.Tensor:
    """int32 scalar: `crop_fraction` of the shorter of `sides` (int32 [2]), at least 1."""
    short = tf.cast(tf.reduce_min(sides), tf.float32)
    return tf.maximum(tf.cast(tf.round(short * crop_fraction), tf.int32), 1)


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
