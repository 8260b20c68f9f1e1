"""Batch-norm statistics computed anew, for weights that have moved away from those they were measured with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from regraft.models.monte_carlo import silenced

Forward = Callable[[Any], Any]


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Every batch norm of `model`, those of models inside it too."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, layers.BatchNormalization)]


def reestimate_batch_norm(
    model: keras.Model, batches: Iterable[Any], *, compiled: Callable[[Forward], Forward] = lambda forward: forward
) -> int:
    """Replaces the moving statistics of every batch norm by those over `batches`; returns how many norms there are.

    Each batch goes through the network once, its batch norms normalizing by the batch's own statistics as in
    training and all other noise off. The mean over batches and the variance of all values together (within batches and
    between them) become the statistics. Weights, and what may be trained, stay as they were.

    Averaged weights and weights tuned under frozen statistics need it (Izmailov et al. 2018, arXiv:1803.05407, section
    3.2).

    Args:
        model: takes a batch.
        batches: inputs, each of the same number of images.
        compiled: turns the forward pass into a faster one, such as `tf.function`.

    Raises:
        ValueError: there is no batch.
    """
    norms = batch_norms(model)
    if not norms:
        return 0
    means = [np.zeros(norm.moving_mean.shape, np.float64) for norm in norms]
    squares = [np.zeros(norm.moving_variance.shape, np.float64) for norm in norms]
    count = 0
    with _measuring(norms), silenced(model):
        forward = compiled(lambda images: model(images, training=True))
        for count, images in enumerate(batches, start=1):  # noqa: B007 - the number of batches is what is wanted
            forward(images)
            for norm, mean, square in zip(norms, means, squares, strict=True):
                batch_mean = np.asarray(ops.convert_to_numpy(norm.moving_mean), np.float64)
                mean += batch_mean
                square += np.asarray(ops.convert_to_numpy(norm.moving_variance), np.float64) + batch_mean**2
    if not count:
        raise ValueError("batch-norm statistics need at least one batch of images; received none.")
    for norm, mean, square in zip(norms, means, squares, strict=True):
        norm.moving_mean.assign((mean / count).astype(np.float32))
        norm.moving_variance.assign(np.maximum(square / count - (mean / count) ** 2, 0.0).astype(np.float32))
    return len(norms)


@contextmanager
def _measuring(norms: list[keras.layers.BatchNormalization]) -> Iterator[None]:
    """Within, each batch norm uses the batch's statistics and its moving ones are those of the last batch alone."""
    before = [(norm.trainable, norm.momentum) for norm in norms]
    for norm in norms:
        norm.trainable, norm.momentum = True, 0.0
    try:
        yield
    finally:
        for norm, (trainable, momentum) in zip(norms, before, strict=True):
            norm.trainable, norm.momentum = trainable, momentum
