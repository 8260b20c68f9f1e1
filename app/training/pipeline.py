"""What fine-tuning sees: batches of augmented images, a function of the recipe, the epoch and the images alone."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from regraft.augment.policy import AugmentPolicy, make_batch_op, make_train_view
from regraft.machine.threads import cores


@dataclass(frozen=True)
class TrainingImages:
    """What is trained on.

    Attributes:
        paths: files TensorFlow decodes.
        labels: int [N].
        heights, widths: int [N], pixels of the upright images.
        plain_jpeg: bool [N], JPEGs of EXIF orientation 1, which can be cropped while decoding.
        class_weights: float [C], what a photo of each class counts in the loss; None where all count the same.
        counts: float [N], what each photo counts in the loss besides, 1 on average; None where all count the same.
        is_balanced: whether photos of each class are shown equally often.
    """

    paths: Sequence[str]
    labels: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    plain_jpeg: np.ndarray
    class_weights: np.ndarray | None = None
    counts: np.ndarray | None = None
    is_balanced: bool = False


def training_batches(
    images: TrainingImages,
    *,
    class_count: int,
    policy: AugmentPolicy,
    image_size: int,
    batch_size: int,
    seed: int,
    first_epoch: int,
    epochs: int,
) -> tf.data.Dataset:
    """Batches (float32 [B, S, S, 3] in [0, 255], float32 [B, classes]) of epochs first_epoch .. epochs - 1.

    Where classes or photos have weights, a batch also holds float32 [B], what each image counts: a mixed one as its
    labels and the weight of its first photo say.

    Each epoch sees every image once, in its own order, or as many as `balanced_order` says; the last batch is filled up
    from the epoch's beginning, so every batch is full. Labels are one-hot, unless the policy mixes images. Every draw
    follows from (seed, epoch, position), whatever the parallelism. Parallelism is fixed and autotuning off: deleting an
    autotuned iterator can block for tens of seconds in TensorFlow 2.21.
    """
    count = len(images.paths)
    positions = tf.range(steps_per_epoch(count, batch_size) * batch_size)
    view, mix = make_train_view(policy, image_size), make_batch_op(policy)
    columns = [tf.constant([os.fsencode(path) for path in images.paths]), tf.constant(images.labels, tf.int32)]
    columns += [tf.constant(images.heights, tf.int32), tf.constant(images.widths, tf.int32)]
    columns += [tf.constant(images.plain_jpeg, tf.bool)]

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        epoch_seed = tf.stack([seed, tf.cast(epoch, tf.int32)])
        chosen = _order(images, len(positions), seed, epoch)
        seeds = tf.tile(epoch_seed[None, :], [tf.size(positions), 1])
        return tf.data.Dataset.from_tensor_slices((chosen, seeds, positions))

    def load(chosen: tf.Tensor, epoch_seed: tf.Tensor, position: tf.Tensor) -> tuple[tf.Tensor, ...]:
        path, label, height, width, plain_jpeg = (tf.gather(column, chosen) for column in columns)
        seed = tf.random.fold_in(epoch_seed, position)
        pixels = view(tf.io.read_file(path), height, width, plain_jpeg, seed)
        return pixels, tf.one_hot(label, class_count), tf.gather(counts, chosen), seed

    is_weighted = images.class_weights is not None or images.counts is not None
    weights = tf.constant(np.ones(class_count) if images.class_weights is None else images.class_weights, tf.float32)
    counts = tf.constant(np.ones(count) if images.counts is None else images.counts, tf.float32)

    def finish(images: tf.Tensor, labels: tf.Tensor, own: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, ...]:
        images, labels = mix(images, labels, seeds[0]) if mix else (images, labels)
        return (images, labels, own * tf.linalg.matvec(labels, weights)) if is_weighted else (images, labels)

    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    epochs_left = tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch)
    mapped = epochs_left.map(load, num_parallel_calls=cores(), deterministic=True)
    batches = mapped.batch(batch_size, drop_remainder=True).map(finish, num_parallel_calls=1)
    return batches.prefetch(2).with_options(options)


def _order(images: TrainingImages, count: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """int32 [count]: positions of the images that an epoch shows."""
    if images.is_balanced:
        order = tf.numpy_function(
            lambda number: balanced_order(images.labels, count, seed=seed, epoch=int(number)), [epoch], tf.int32
        )
        return tf.ensure_shape(order, [count])
    epoch_seed = tf.stack([seed, tf.cast(epoch, tf.int32)])
    order = tf.random.experimental.stateless_shuffle(tf.range(len(images.paths)), seed=epoch_seed)
    return tf.gather(order, tf.range(count) % len(images.paths))


def balanced_order(labels: np.ndarray, count: int, *, seed: int, epoch: int) -> np.ndarray:
    """int32 [count]: positions of the images that an epoch shows, of each class equally many, in random order.

    A class shows all of its images, in an order of their own, before one comes again, over the epochs too. So those of
    the largest class, of which an epoch shows a part, have their turn in the epochs that follow.

    Args:
        labels: int [N], of all images.
        count: how many an epoch shows.
        seed, epoch: which alone decide.
    """
    classes = np.unique(labels)
    turns, which = np.divmod(epoch * count + np.arange(count), len(classes))
    chosen = np.empty(count, np.int32)
    for number, label in enumerate(classes):
        (own,) = np.nonzero(labels == label)
        rounds, places = np.divmod(turns[which == number], len(own))
        orders = {each: np.random.default_rng([seed, 1 + number, each]).permutation(own) for each in np.unique(rounds)}
        chosen[which == number] = [orders[each][place] for each, place in zip(rounds, places, strict=True)]
    return np.random.default_rng([seed, 0, epoch]).permutation(chosen)


def steps_per_epoch(image_count: int, batch_size: int) -> int:
    """How many batches show every image once."""
    return math.ceil(image_count / batch_size)
