"""TrivialAugment: one elementary change for each image, at a strength of its own. Nothing to tune."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from regraft.augment import elementary
from regraft.augment.elementary import Elementary, apply_drawn


def wide_ops() -> list[Elementary]:
    """The changes of the paper's "wide" space."""
    return [
        elementary.identity,
        elementary.autocontrast,
        elementary.equalize,
        elementary.make_rotate(135.0),
        elementary.solarize,
        elementary.make_color(0.99),
        elementary.make_posterize(6),
        elementary.make_contrast(0.99),
        elementary.make_brightness(0.99),
        elementary.make_sharpness(0.99),
        elementary.make_shear(0.99, rows=True),
        elementary.make_shear(0.99, rows=False),
        elementary.make_translate(0.5, sideways=True),
        elementary.make_translate(0.5, sideways=False),
    ]


def make_trivial_augment(*, trivial_augment: bool) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A function of (image, seed) that changes a float32 image [S, S, 3] in [0, 255] once.

    The change is one of fourteen with equal chances, its strength uniform, its direction random. Source: Müller &
    Hutter 2021, "TrivialAugment", arXiv:2103.10158. It differs in a strength that is continuous instead of one of 31,
    in moving by up to half a side instead of 32 pixels, and in mirroring the image at the border.

    Args:
        trivial_augment: True; False gives a function that changes nothing.
    """
    ops = wide_ops()

    def augment(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        index = tf.random.stateless_uniform([], seed, 0, len(ops), tf.int32)
        strength = tf.random.stateless_uniform([], tf.random.fold_in(seed, 1), -1.0, 1.0)
        return tf.ensure_shape(apply_drawn(ops, image, index, strength), image.shape)

    return augment if trivial_augment else lambda image, seed: image
