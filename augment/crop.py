"""Crops of a photo: a part of any size and shape, a square of one size, or the middle."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from regraft.augment.decode import JPEG_TRANSFORM, decode_upright
from regraft.augment.fits import Fit
from regraft.augment.view import center_box, part_sides

ASPECT_RATIOS = (3 / 4, 4 / 3)

_GRID = 10_000  # places along a side of a square that stands for a photo; its area has to fit into int32

Box = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


def make_crop(*, crop: str, crop_area_min: float, crop_scale: float, fit: Fit = "crop") -> Callable[..., tf.Tensor]:
    """A function (encoded, height, width, plain_jpeg, seed) -> uint8 [h, w, 3]: a part of the upright photo.

    The function's arguments are those of `decode_box`, the pixels of the upright photo as int32 scalars, and an
    int32 [2]. What it returns is scaled to the input size by the caller.

    Args:
        crop: "resized": a random-resized crop, `random_box`; "random": a random crop of a photo whose short side is
            `crop_scale` times the input size (Krizhevsky et al. 2012, section 4.1, cut 224 pixels out of 256),
            `random_square`; "center": the centre square, as at evaluation, and no randomness.
        crop_area_min: smallest part of the area of a random-resized crop, in (0, 1].
        crop_scale: at least 1.
        fit: how the part becomes a square. Where it is not "crop", the view of a photo shows all of it in a rectangle,
            and the part takes its place there: so it is drawn as above from that rectangle as if it were a square,
            and "center" is the whole photo.

    Raises:
        ValueError: `crop` is none of the three.
    """
    boxes: dict[str, Box] = {
        "resized": lambda height, width, seed: random_box(height, width, seed, crop_area_min, fit),
        "random": lambda height, width, seed: random_square(height, width, seed, crop_scale, fit),
        "center": lambda height, width, seed: center_box(tf.stack([height, width]), 1.0, fit),
    }
    if crop not in boxes:
        raise ValueError(f"crop must be one of {', '.join(boxes)}; received {crop!r}.")
    box = boxes[crop]

    def decode_part(
        encoded: tf.Tensor, height: tf.Tensor, width: tf.Tensor, plain_jpeg: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        return decode_box(encoded, box(height, width, seed), plain_jpeg)

    return decode_part


def random_box(height: tf.Tensor, width: tf.Tensor, seed: tf.Tensor, min_area: float, fit: Fit = "crop") -> tf.Tensor:
    """int32 [4]: top, left, height, width in pixels of a random part of an image.

    It covers between `min_area` and all of the image's area at an aspect ratio between 3:4 and 4:3, or the whole
    image where ten draws do not fit. Source: Szegedy et al. 2015, "Going deeper with convolutions", section 6. Where
    `fit` is not "crop", the aspect ratio is that of the image times a number between 3:4 and 4:3.
    """
    drawn_on = tf.stack([height, width]) if fit == "crop" else tf.fill([2], _GRID)
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.concat([drawn_on, [3]], 0),
        tf.zeros([1, 0, 4], tf.float32),
        seed,
        min_object_covered=0.0,
        aspect_ratio_range=ASPECT_RATIOS,
        area_range=(min_area, 1.0),
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    begin, size = begin[:2], size[:2]
    if fit != "crop":
        sides = tf.cast(tf.stack([height, width]), tf.int64)
        edges = tf.cast(tf.stack([begin, begin + size]), tf.int64) * sides // _GRID  # [[top, left], [bottom, right]]
        begin, size = tf.unstack(tf.cast(tf.stack([edges[0], tf.maximum(edges[1] - edges[0], 1)]), tf.int32))
    return tf.concat([begin, size], 0)


def random_square(height: tf.Tensor, width: tf.Tensor, seed: tf.Tensor, scale: float, fit: Fit = "crop") -> tf.Tensor:
    """int32 [4]: top, left, height, width of a square anywhere in an image; its side is the short side / `scale`.

    Where `fit` is not "crop", it has each side of the image / `scale`.
    """
    sides = tf.stack([height, width])
    part = part_sides(sides, 1.0 / scale, fit)
    room = tf.cast(sides - part + 1, tf.float32)
    begin = tf.cast(room * tf.random.stateless_uniform([2], seed), tf.int32)
    return tf.concat([begin, part], 0)


def decode_box(encoded: tf.Tensor, box: tf.Tensor, plain_jpeg: tf.Tensor) -> tf.Tensor:
    """uint8 [h, w, 3]: the pixels in `box` of the upright photo in `encoded`.

    Args:
        encoded: string scalar, a format that `decode_upright` reads.
        box: int32 [4]: top, left, height and width, inside the photo.
        plain_jpeg: bool scalar, True where the bytes are a JPEG of orientation 1: only the wanted part is then
            decoded, which is faster.
    """

    def decode_part() -> tf.Tensor:
        return tf.io.decode_and_crop_jpeg(encoded, box, channels=3, dct_method=JPEG_TRANSFORM)

    def decode_whole() -> tf.Tensor:
        return tf.slice(decode_upright(encoded), tf.concat([box[:2], [0]], 0), tf.concat([box[2:], [3]], 0))

    return tf.ensure_shape(tf.cond(plain_jpeg, decode_part, decode_whole), [None, None, 3])
