"""Dropout, in both conventions, of units and of whole maps.

Sources: Hinton et al. 2012, arXiv:1207.0580; Srivastava et al. 2014, JMLR 15; of maps: Tompson et al. 2015,
arXiv:1411.4280. Inverted dropout and dropout of maps are Keras's own layers.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="regraft")
class ScaledDropout(layers.Layer):
    """Dropout as it was first: units are dropped and not scaled while training, and scaled at inference.

    While training x becomes b * x with b ~ Bernoulli(1 - rate) for each unit; at inference it becomes (1 - rate) * x,
    its mean (Srivastava et al. 2014, section 4). `keras.layers.Dropout` divides by 1 - rate while training instead;
    the two differ in the scale that the next layer gets to see.

    Args:
        rate: the part of the units that is dropped, in [0, 1).
        seed: of the draws.

    Shapes: any, kept.

    Raises:
        ValueError: rate is not in [0, 1).
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"rate must be in [0, 1); received {rate:g}.")
        self.rate, self.seed = rate, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """`inputs` with units dropped, or scaled."""
        if not training:
            return inputs * ops.cast(1.0 - self.rate, inputs.dtype)
        draws = keras.random.uniform(ops.shape(inputs), dtype="float32", seed=self.seed_generator)
        return inputs * ops.cast(draws >= self.rate, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape stays."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return super().get_config() | {"rate": self.rate, "seed": self.seed}


def make_dropout(*, rate: float, seed: int) -> keras.Layer:
    """Inverted dropout of units, for the pooled features."""
    return layers.Dropout(rate, seed=seed, name="dropout")


def make_scaled_dropout(*, rate: float, seed: int) -> keras.Layer:
    """Dropout of units that is scaled at inference, for the pooled features."""
    return ScaledDropout(rate, seed=seed, name="scaled_dropout")


def make_spatial_dropout(*, rate: float, seed: int) -> keras.Layer:
    """Dropout of whole maps, for the maps before they are pooled."""
    return layers.SpatialDropout2D(rate, seed=seed, name="spatial_dropout")
