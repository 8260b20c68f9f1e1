"""Mirror images."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

ImageOp = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def make_flip(*, flip: bool) -> ImageOp:
    """A function of (image [H, W, C], seed) that mirrors left and right for half of all seeds, where `flip` is true."""
    return _make_mirror(axis=1, chance=0.5 * flip)


def make_vertical_flip(*, flip_vertical: bool) -> ImageOp:
    """A function of (image [H, W, C], seed) that swaps top and bottom for half of all seeds, where it is turned on."""
    return _make_mirror(axis=0, chance=0.5 * flip_vertical)


def _make_mirror(*, axis: int, chance: float) -> ImageOp:
    def mirror(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        mirrored = tf.random.stateless_uniform([], seed) < chance
        return tf.cond(mirrored, lambda: tf.reverse(image, [axis]), lambda: image)

    return mirror
