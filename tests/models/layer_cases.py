"""Every layer of the package that the contract holds for, on any backend: a new layer is a line here.

Run as a script (with KERAS_BACKEND=jax), it applies each to its input and writes what came out to the given .npz.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from regraft.models.combine_members import CombineMembers
from regraft.models.dropconnect import DropConnectConv2D, DropConnectDense
from regraft.models.dropout import ScaledDropout, make_dropout, make_spatial_dropout
from regraft.models.fractional_pooling import FractionalMaxPooling2D
from regraft.models.preprocessing import ReverseChannels
from regraft.models.stochastic_depth import StochasticDepth


@dataclass(frozen=True)
class Case:
    """A layer, the shape of an example, and what holds for it.

    Attributes:
        noisy: training draws something.
        keeps_mean: inference is the mean of training.
        large: the shape of an example with more than 10,000 possible draws, where those of `shape` are fewer.
    """

    make: Callable[[], keras.Layer]
    shape: tuple[int, ...]
    noisy: bool = True
    keeps_mean: bool = True
    large: tuple[int, ...] | None = None


LARGE = (301, 300, 1)
"""Pooled with a ratio of 1.4 it has 215 x 214 = 46,010 pairs of sequences, the small maps 6 x 5."""

CASES: dict[str, Case] = {
    "dropout": Case(lambda: make_dropout(rate=0.4, seed=1), (6,)),
    "scaled dropout": Case(lambda: ScaledDropout(0.4, seed=1), (6,)),
    "spatial dropout": Case(lambda: make_spatial_dropout(rate=0.4, seed=1), (4, 4, 3)),
    "stochastic depth": Case(lambda: StochasticDepth(0.6, seed=1), (4, 4, 3)),
    "dense": Case(lambda: DropConnectDense(3, rate=0.4, seed=1), (6,)),
    "dense, per example": Case(lambda: DropConnectDense(3, rate=0.4, per_example=True, seed=1), (6,)),
    "dense, gaussian": Case(
        lambda: DropConnectDense(3, rate=0.4, activation="relu", inference="gaussian", seed=1), (6,), keeps_mean=False
    ),
    "dense, gaussian logits": Case(
        lambda: DropConnectDense(3, rate=0.4, inference="gaussian", logits=True, seed=1), (6,), keeps_mean=False
    ),
    "convolution": Case(lambda: DropConnectConv2D(3, 3, rate=0.4, padding="same", seed=1), (5, 4, 2)),
    "convolution, per example": Case(
        lambda: DropConnectConv2D(3, 3, rate=0.4, strides=2, per_example=True, seed=1), (5, 6, 2)
    ),
    "fractional, pseudorandom": Case(
        lambda: FractionalMaxPooling2D(1.4, seed=1), (9, 8, 2), keeps_mean=False, large=LARGE
    ),
    "fractional, random": Case(
        lambda: FractionalMaxPooling2D((1.4, 1.3), regions="random", seed=1), (9, 8, 2), keeps_mean=False, large=LARGE
    ),
    "fractional, disjoint": Case(
        lambda: FractionalMaxPooling2D(1.4, overlapping=False, seed=1), (9, 8, 2), keeps_mean=False, large=LARGE
    ),
    "members, logits": Case(lambda: CombineMembers("logits"), (3, 4), noisy=False, keeps_mean=False),
    "reverse channels": Case(ReverseChannels, (2, 2, 3), noisy=False, keeps_mean=False),
}


def example_of(case: Case, count: int = 4) -> np.ndarray:
    """float32 [count, ...], the same on every backend."""
    return np.random.default_rng(5).normal(size=(count, *case.shape)).astype(np.float32)


def built(case: Case) -> keras.Layer:
    """The layer with weights that do not depend on the backend."""
    layer = case.make()
    layer(example_of(case))
    random = np.random.default_rng(6)
    layer.set_weights([random.normal(size=weight.shape).astype(np.float32) for weight in layer.weights])
    return layer


if __name__ == "__main__":
    answers = {}
    for name, case in CASES.items():
        layer = built(case)
        answers[name] = keras.ops.convert_to_numpy(layer(example_of(case), training=False))
        trained = keras.ops.convert_to_numpy(layer(example_of(case), training=True))
        assert np.isfinite(trained).all(), name
        assert trained.shape == answers[name].shape, name
    assert keras.backend.backend() == "jax"
    np.savez(sys.argv[1], **answers)
