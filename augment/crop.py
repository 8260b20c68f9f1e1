"""Random-resized crop: a random part of the photo, scaled to the input size."""

from __future__ import annotations

import tensorflow as tf

from regraft.augment.decode import decode_upright

ASPECT_RATIOS = (3 / 4, 4 / 3)


def random_box(height: tf.Tensor, width: tf.Tensor, seed: tf.Tensor, min_area: float) -> tf.Tensor:
    """int32 [4]: top, left, height, width in pixels of a random part of an image.

    It covers between `min_area` and all of the image's area at an aspect ratio between 3:4 and 4:3, or the whole
    image where ten draws do not fit. Source: Szegedy et al. 2015, "Going deeper with convolutions", section 6.
    """
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.stack([height, width, 3]),
        tf.zeros([1, 0, 4], tf.float32),
        seed,
        min_object_covered=0.0,
        aspect_ratio_range=ASPECT_RATIOS,
        area_range=(min_area, 1.0),
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.concat([begin[:2], size[:2]], 0)


def decode_crop(
    encoded: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    plain_jpeg: tf.Tensor,
    seed: tf.Tensor,
    min_area: float,
) -> tf.Tensor:
    """uint8 [h, w, 3]: a random part of the upright photo in `encoded`.

    Args:
        encoded: string scalar, a format that `decode_upright` reads.
        height, width: int32 scalars, pixels of the upright photo.
        plain_jpeg: bool scalar, True where the bytes are a JPEG of orientation 1: only the wanted part is then
            decoded, which is faster.
        seed: int32 [2].
        min_area: smallest part of the area, in (0, 1].
    """
    box = random_box(height, width, seed, min_area)

    def decode_part() -> tf.Tensor:
        return tf.io.decode_and_crop_jpeg(encoded, box, channels=3)

    def decode_whole() -> tf.Tensor:
        image = decode_upright(encoded)
        return tf.slice(image, tf.concat([box[:2], [0]], 0), tf.concat([box[2:], [3]], 0))

    return tf.ensure_shape(tf.cond(plain_jpeg, decode_part, decode_whole), [None, None, 3])
