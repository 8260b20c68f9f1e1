"""The deterministic view of a photo: what evaluation, prediction and the export show to the model."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from regraft.augment.fits import FITS, MARGIN, Fit


def make_view(image_size: int, crop_fraction: float, fit: Fit = "crop") -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from an upright image [H, W, 3] to float32 [image_size, image_size, 3] in [0, 255].

    Args:
        image_size: pixels a side.
        crop_fraction: the part of the short side, where `fit` is not "crop" of each side, that is kept of the centre.
        fit: how it becomes a square, see `Fit`. "crop" is the usual "resize the short side to `image_size /
            crop_fraction`, then centre-crop" with a single resize of the pixels that are kept.

    Raises:
        ValueError: there is no such fit.
    """
    if fit not in FITS:
        raise ValueError(f'fit must be one of {", ".join(FITS)}; received "{fit}".')

    def view(image: tf.Tensor) -> tf.Tensor:
        return show_part(center_part(image, crop_fraction, fit), tf.shape(image)[:2], image_size, fit)

    return view


def center_part(image: tf.Tensor, crop_fraction: float, fit: Fit = "crop") -> tf.Tensor:
    """The centre of `image` [H, W, 3] that its view keeps; see `center_box`."""
    box = center_box(tf.shape(image)[:2], crop_fraction, fit)
    return tf.slice(image, tf.concat([box[:2], [0]], 0), tf.concat([box[2:], [3]], 0))


def center_box(sides: tf.Tensor, crop_fraction: float, fit: Fit = "crop") -> tf.Tensor:
    """int32 [4]: top, left, height, width of the centre of an image with these `sides` (int32 [2]); see `part_sides`.

    A side is made one pixel longer where the rest could not be shared equally between both margins, so that a
    mirrored or turned photo gives exactly the mirrored or turned crop.
    """
    size = part_sides(sides, crop_fraction, fit)
    size = size + (sides - size) % 2
    return tf.concat([(sides - size) // 2, size], 0)


def part_sides(sides: tf.Tensor, fraction: float, fit: Fit = "crop") -> tf.Tensor:
    """int32 [2]: `fraction` of each of `sides` (int32 [2]), at least 1; for "crop" both of the shorter one."""
    whole = tf.fill([2], tf.reduce_min(sides)) if fit == "crop" else sides
    return tf.maximum(tf.cast(tf.round(tf.cast(whole, tf.float32) * fraction), tf.int32), 1)


def show_part(part: tf.Tensor, sides: tf.Tensor, image_size: int, fit: Fit = "crop") -> tf.Tensor:
    """float32 [image_size, image_size, 3]: `part` [h, w, 3] of an image with these `sides` (int32 [2]), as a view.

    It takes the place that the whole image has in its own view: the square, or for "pad" the square without margins.
    """
    if fit == "crop":
        return resize_to(part, image_size)
    shown = _sides_in_square(sides, image_size) if fit == "pad" else tf.fill([2], image_size)
    view = _resize_each(part, shown)
    if fit == "pad":
        margins = tf.tile(((image_size - shown) // 2)[:, None], [1, 2])
        view = tf.stack([tf.pad(view[..., each], margins, constant_values=MARGIN[each]) for each in range(3)], -1)
    return tf.ensure_shape(view, [image_size, image_size, 3])


def _sides_in_square(sides: tf.Tensor, image_size: int) -> tf.Tensor:
    """int32 [2]: those of `regraft.augment.fits.sides_in_square`."""
    sides = tf.cast(sides, tf.int64)
    longest = tf.reduce_max(sides)
    shown = tf.maximum((2 * image_size * sides + longest) // (2 * longest), 1)
    return tf.cast(shown + (image_size - shown) % 2, tf.int32)


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


def _resize_each(image: tf.Tensor, shown: tf.Tensor) -> tf.Tensor:
    """float32 [*shown, 3]: `image` scaled as by `resize_to`, where each side is antialiased by its own length.

    First its height, which leaves the fewest numbers, unless that grows: a strip would then fill the memory.
    """
    sides = tf.shape(image)[:2]
    grows = sides[0] < shown[0]
    one_side = tf.where(grows, tf.stack([sides[0], shown[1]]), tf.stack([shown[0], sides[1]]))
    return _resize_one(_resize_one(image, one_side), shown)


def _resize_one(image: tf.Tensor, shown: tf.Tensor) -> tf.Tensor:
    """float32 [*shown, 3] of an image of which one side at most changes."""
    is_large = tf.reduce_any(tf.shape(image)[:2] >= 2 * shown)
    return tf.cond(
        is_large,
        lambda: tf.cast(tf.image.resize(image, shown, antialias=True), tf.float32),
        lambda: tf.cast(tf.image.resize(image, shown, antialias=False), tf.float32),
    )
