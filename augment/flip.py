"""Mirror images."""

from __future__ import annotations

import tensorflow as tf


def flip_horizontally(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """`image` [H, W, C], mirrored left to right for half of all seeds."""
    mirrored = tf.random.stateless_uniform([], seed) < 0.5
    return tf.cond(mirrored, lambda: tf.reverse(image, [1]), lambda: image)
