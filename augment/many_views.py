"""Several views of a photo, whose answers are averaged: what is sometimes called test-time augmentation."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from regraft.augment.fits import Fit
from regraft.augment.view import make_view, part_sides, show_part
from regraft.augment.view_names import VIEWS

CROP_PART = 0.875  # of a side, so 224 of 256 pixels
SCALES = (1.0, 0.875, 0.75)


def make_test_views(
    image_size: int, crop_fraction: float, views: str, fit: Fit = "crop"
) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from an upright image [H, W, 3] to float32 [V, image_size, image_size, 3] in [0, 255].

    Args:
        image_size: pixels a side.
        crop_fraction: part of the short side that the centre view keeps; see `make_view`.
        views: a name in `VIEWS`. "one": the centre view alone. "flip": it and its mirror image. "five": the corners and
            the centre, squares of 0.875 of the short side; "ten": these and their mirror images (Krizhevsky et al.
            2012, section 4.1). "scales": centre squares of 1, 0.875 and 0.75 of `crop_fraction`, and their mirror
            images.
        fit: how a part of the photo becomes a square. Where it is not "crop", all parts have the photo's own aspect
            ratio instead: 0.875 of each side, and what the centre view keeps for these fractions.

    Raises:
        ValueError: there is no such name.
    """
    if views not in VIEWS:
        raise ValueError(f'views must be one of {", ".join(VIEWS)}; received "{views}".')
    if views in ("five", "ten"):
        return _maybe_mirrored(lambda image: _five_crops(image, image_size, fit), views == "ten")
    scales = SCALES if views == "scales" else (1.0,)
    centers = [make_view(image_size, crop_fraction * scale, fit) for scale in scales]
    return _maybe_mirrored(lambda image: tf.stack([view(image) for view in centers]), views != "one")


def _maybe_mirrored(look: Callable[[tf.Tensor], tf.Tensor], mirrored: bool) -> Callable[[tf.Tensor], tf.Tensor]:
    def views(image: tf.Tensor) -> tf.Tensor:
        plain = look(image)
        return tf.concat([plain, tf.reverse(plain, [2])], 0) if mirrored else plain

    return views


def _five_crops(image: tf.Tensor, image_size: int, fit: Fit) -> tf.Tensor:
    """Top left, top right, bottom left, bottom right and centre."""
    sides = tf.shape(image)[:2]
    part = part_sides(sides, CROP_PART, fit)
    room = sides - part
    corners = [[0, 0], [0, 1], [1, 0], [1, 1]]
    places = [room * corner for corner in corners] + [room // 2]
    crops = [tf.slice(image, tf.concat([place, [0]], 0), tf.concat([part, [3]], 0)) for place in places]
    return tf.stack([show_part(crop, sides, image_size, fit) for crop in crops])
