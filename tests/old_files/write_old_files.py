"""Writes the `.keras` files beside it, with the code of the commit that README.md names: not with today's.

Each holds one layer with weights from a fixed seed, or a compiled optimizer with one of the schedules. The `.npz` of
the same name holds an input and what the old code answered to it: `x` and `expected`.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from regraft.models.combine_members import CombineMembers
from regraft.models.dropconnect import DropConnectConv2D, DropConnectDense
from regraft.models.dropout import ScaledDropout
from regraft.models.fractional_pooling import FractionalMaxPooling2D
from regraft.models.preprocessing import ReverseChannels
from regraft.models.schedules import Constant, OneCycle, WarmUp
from regraft.models.stochastic_depth import StochasticDepth

FOLDER = Path(__file__).parent

LAYERS = {
    "scaled_dropout": (ScaledDropout(0.4, seed=1), (6,)),
    "stochastic_depth": (StochasticDepth(0.6, seed=1), (4, 4, 3)),
    "dropconnect_dense_mean": (DropConnectDense(3, rate=0.4, seed=1), (6,)),
    "dropconnect_dense_gaussian": (DropConnectDense(3, rate=0.4, inference="gaussian", logits=True, seed=1), (6,)),
    "dropconnect_dense_per_example": (DropConnectDense(3, rate=0.4, per_example=True, seed=1), (6,)),
    "dropconnect_convolution_mean": (DropConnectConv2D(3, 3, rate=0.4, padding="same", seed=1), (5, 4, 2)),
    "dropconnect_convolution_gaussian": (DropConnectConv2D(3, 3, rate=0.4, inference="gaussian", seed=1), (5, 4, 2)),
    "fractional_pseudorandom": (FractionalMaxPooling2D(1.4, seed=7), (13, 12, 1)),
    "fractional_random": (FractionalMaxPooling2D((1.4, 1.3), regions="random", seed=7), (13, 12, 1)),
    "fractional_disjoint": (FractionalMaxPooling2D(1.4, overlapping=False, seed=7), (13, 12, 1)),
    "reverse_channels": (ReverseChannels(), (2, 2, 3)),
    "members_probabilities": (CombineMembers("probabilities"), (3, 4)),
    "members_logits": (CombineMembers("logits"), (3, 4)),
}

SCHEDULES = {
    "schedule_constant": Constant(0.1),
    "schedule_one_cycle": OneCycle(0.1, 20),
    "schedule_warm_up": WarmUp(keras.optimizers.schedules.CosineDecay(0.1, 16), 4),
}


def write_layers() -> None:
    random = np.random.default_rng(6)
    for name, (layer, shape) in LAYERS.items():
        inputs = keras.Input(shape)
        model = keras.Model(inputs, layer(inputs))
        model.set_weights([random.uniform(0.2, 1.0, size=weight.shape) for weight in model.get_weights()])
        x = np.random.default_rng(5).normal(size=(4, *shape)).astype(np.float32)
        model.save(FOLDER / f"{name}.keras")
        np.savez_compressed(FOLDER / f"{name}.npz", x=x, expected=np.asarray(model(x, training=False)))


def write_schedules() -> None:
    for name, schedule in SCHEDULES.items():
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(schedule), loss="mse")
        model.save(FOLDER / f"{name}.keras")
        steps = np.arange(20)
        np.savez_compressed(
            FOLDER / f"{name}.npz", x=steps, expected=np.array([float(schedule(step)) for step in steps], np.float32)
        )


if __name__ == "__main__":
    write_layers()
    write_schedules()
