"""Noise at prediction: the regularizers of a model left on and averaged out, or silenced.

Source: Gal & Ghahramani 2016, "Dropout as a Bayesian approximation", arXiv:1506.02142: the mean of softmax over draws
of the noise is the prediction with the noise marginalized out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

NoisyCall = Callable[[Any, Any], Any]
_NUMBERS_PER_DRAW = 1 << 16  # so that a layer that draws often in one call does not use those of the next draw


def noise_layers(model: keras.Model) -> list[keras.Layer]:
    """The layers of `model`, and of models inside it, that draw random numbers while training.

    They are known by their `keras.random.SeedGenerator` under `seed_generator`, as Keras's own and those of this
    package have one; a rate of 0 draws nothing.
    """
    return [layer for layer in model._flatten_layers() if _seed_generator(layer) and getattr(layer, "rate", None) != 0]


def make_noisy_call(model: keras.Model, *, seed: int = 0) -> NoisyCall:
    """A function (images, draw) -> float32 [N, C], softmax of the logits under one draw of the noise.

    Only the noise acts as in training; all else, batch norm too, acts as at inference. The random numbers follow from
    `seed` and `draw` (int32 []) alone and the model's own random states stay as they are, so that a batch has one
    answer, whatever was asked before. It may be compiled; `draw` is an input so that one trace serves every draw.

    Args:
        model: gives logits [N, C].
        seed: of the noise.

    Raises:
        ValueError: the model has no noise.
    """
    noisy = noise_layers(model)
    if not noisy:
        raise ValueError("the model has no noise to average out; train it with one of the [regularize] keys.")
    states = [_seed_generator(layer).state for layer in noisy]
    seeds = [int(np.random.SeedSequence((seed, number)).generate_state(1)[0] >> 1) for number in range(len(noisy))]

    def noisy_call(images: Any, draw: Any) -> Any:
        first = ops.cast(draw, states[0].dtype) * _NUMBERS_PER_DRAW
        values = [ops.stack([ops.cast(own, state.dtype), first]) for own, state in zip(seeds, states, strict=True)]
        scope = keras.StatelessScope(state_mapping=list(zip(states, values, strict=True)))
        with scope, _acting_as(noisy, training=True):
            return ops.softmax(ops.cast(model(images, training=False), "float32"))

    return noisy_call


def marginalize(
    model: keras.Model,
    *,
    draws: int,
    seed: int = 0,
    compiled: Callable[[NoisyCall], NoisyCall] = lambda call: call,
) -> Callable[[Any], Any]:
    """A function from a batch to float32 [N, C]: the mean of softmax(logits) over `draws` draws of the noise.

    Args:
        model: see `make_noisy_call`.
        draws: at least 1.
        seed: of the noise.
        compiled: turns the call for one draw into a faster one, such as `tf.function`.

    Raises:
        ValueError: the model has no noise, or draws is below 1.
    """
    if draws < 1:
        raise ValueError(f"draws must be at least 1; received {draws}.")
    call = compiled(make_noisy_call(model, seed=seed))

    def probabilities(images: Any) -> Any:
        total = call(images, np.array(0, np.int32))
        for draw in range(1, draws):
            total = total + call(images, np.array(draw, np.int32))
        return total / draws

    return probabilities


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """float64 [...], in nats: how undecided probabilities [..., C] are, from 0 to log C."""
    p = np.asarray(probabilities, np.float64)
    return -np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=-1)


def mutual_information(probabilities: np.ndarray) -> np.ndarray:
    """float64 [N], in nats: by how much draws, probabilities [T, N, C], disagree; 0 where they all say the same.

    It is the entropy of their mean less the mean of their entropies (Houlsby et al. 2011, arXiv:1112.5745, eq. 2).
    """
    return entropy(np.asarray(probabilities.mean(axis=0, dtype=np.float64))) - np.mean(entropy(probabilities), axis=0)


@contextmanager
def silenced(model: keras.Model) -> Iterator[None]:
    """Within, the noise layers of `model` act as at inference where it is called with training=True, or traced.

    So the rest, such as batch norms that measure, sees what it will see at inference.
    """
    with _acting_as(noise_layers(model), training=False):
        yield


@contextmanager
def _acting_as(layers: Sequence[keras.Layer], *, training: bool) -> Iterator[None]:
    """Within, `layers` are called with this `training`, whatever the model is called with."""
    for layer in layers:
        layer.call = _with_training(layer.call, training)
    try:
        yield
    finally:
        for layer in layers:
            del layer.call  # the class's own shows again


def _with_training(call: Callable[..., Any], training: bool) -> Callable[..., Any]:
    return lambda *args, **kwargs: call(*args, **kwargs | {"training": training})


def _seed_generator(layer: keras.Layer) -> Any:
    generator = getattr(layer, "seed_generator", None)
    return generator if isinstance(generator, keras.random.SeedGenerator) else None
