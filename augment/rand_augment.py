"""RandAugment: a few elementary changes for each image, all at one strength."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from regraft.augment import elementary
from regraft.augment.elementary import Elementary, apply_drawn

MOST = 10.0


def elementary_ops() -> list[Elementary]:
    """The fourteen changes of the paper, at their widest."""
    return [
        elementary.identity,
        elementary.autocontrast,
        elementary.equalize,
        elementary.make_rotate(30.0),
        elementary.solarize,
        elementary.make_color(0.9),
        elementary.make_posterize(4),
        elementary.make_contrast(0.9),
        elementary.make_brightness(0.9),
        elementary.make_sharpness(0.9),
        elementary.make_shear(0.3, rows=True),
        elementary.make_shear(0.3, rows=False),
        elementary.make_translate(0.33, sideways=True),
        elementary.make_translate(0.33, sideways=False),
    ]


def make_rand_augment(*, randaugment: float, randaugment_ops: int) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A function of (image, seed) that changes a float32 image [S, S, 3] in [0, 255] `randaugment_ops` times.

    Each time one of fourteen changes is drawn, with equal chances, and its direction. Source: Cubuk et al. 2020,
    "RandAugment", arXiv:1909.13719. It differs in mirroring the image at the border where it is moved, instead of grey.

    Args:
        randaugment: the strength of all, on the paper's scale from 0 to 10.
        randaugment_ops: how many are drawn, at least 1.
    """
    ops = elementary_ops()

    def rand_augment(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        for position in range(randaugment_ops):
            own = tf.random.fold_in(seed, position)
            index = tf.random.stateless_uniform([], own, 0, len(ops), tf.int32)
            sign = tf.where(tf.random.stateless_uniform([], tf.random.fold_in(own, 1)) < 0.5, -1.0, 1.0)
            image = tf.ensure_shape(apply_drawn(ops, image, index, sign * randaugment / MOST), image.shape)
        return image

    return rand_augment
