"""MixUp and CutMix: images of a batch are mixed with one another, and so are their labels."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

BatchOp = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def make_mixing(*, mixup: float, cutmix: float) -> BatchOp:
    """A function (images, labels, seed) -> (images, labels) that mixes each image of a batch with another one.

    Images are float32 [B, S, S, 3], labels float32 [B, classes], the seed int32 [2]. The partner is the image at the
    same place of the shuffled batch, and may be the image itself.

    Args:
        mixup: alpha of MixUp (Zhang et al. 2018, arXiv:1710.09412): an image is lambda of itself and 1 - lambda of its
            partner, lambda ~ Beta(alpha, alpha) drawn for each image; 0 is off.
        cutmix: alpha of CutMix (Yun et al. 2019, arXiv:1905.04899): a box with 1 - lambda of the area comes from the
            partner, and the labels have the shares of the pixels; 0 is off. Where both are on, each batch is mixed by
            one of them, with equal chances.
    """

    def mix(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        count = tf.shape(images)[0]
        partners = tf.random.experimental.stateless_shuffle(tf.range(count), seed)
        others, other_labels = tf.gather(images, partners), tf.gather(labels, partners)

        def by_mixup() -> tuple[tf.Tensor, tf.Tensor]:
            share = draw_beta(mixup, count, tf.random.fold_in(seed, 1))
            return blend(images, others, share[:, None, None, None]), blend(labels, other_labels, share[:, None])

        def by_cutmix() -> tuple[tf.Tensor, tf.Tensor]:
            share = draw_beta(cutmix, count, tf.random.fold_in(seed, 1))
            inside = draw_boxes(share, tf.shape(images)[1], tf.random.fold_in(seed, 2))
            kept = 1.0 - tf.reduce_mean(tf.cast(inside, tf.float32), axis=[1, 2])
            return tf.where(inside[..., None], others, images), blend(labels, other_labels, kept[:, None])

        if not mixup or not cutmix:
            return by_mixup() if mixup else by_cutmix()
        return tf.cond(tf.random.stateless_uniform([], tf.random.fold_in(seed, 3)) < 0.5, by_mixup, by_cutmix)

    return mix


def blend(first: tf.Tensor, second: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """`share` of the first and the rest of the second."""
    return share * first + (1.0 - share) * second


def draw_beta(alpha: float, count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """float32 [count] from Beta(alpha, alpha): the share of one of two gamma variables."""
    pair = tf.random.stateless_gamma([count, 2], seed, alpha)
    total = tf.reduce_sum(pair, axis=1)
    return tf.where(total > 0, pair[:, 0] / tf.maximum(total, 1e-30), 0.5)


def draw_boxes(share: tf.Tensor, side: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Bool [B, side, side]: for each image a box of sqrt(1 - share) of the side around any point, cut at the border."""
    length = tf.sqrt(1.0 - share) * tf.cast(side, tf.float32)
    center = tf.random.stateless_uniform([tf.shape(share)[0], 2], seed) * tf.cast(side, tf.float32)
    place = tf.range(side, dtype=tf.float32)[None] + 0.5
    rows, columns = (tf.abs(place - center[:, axis, None]) <= length[:, None] / 2 for axis in (0, 1))
    return rows[:, :, None] & columns[:, None, :]
