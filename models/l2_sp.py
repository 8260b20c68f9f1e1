"""L2-SP: a pull towards the pretrained weights, instead of towards zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


class L2SPModel(keras.Model):
    """A functional model whose loss also holds strength / 2 * sum ||w - w0||² over the pulled weights.

    Source: Li, Grandvalet & Davoine 2018, "Explicit inductive bias for transfer learning with convolutional networks",
    eq. 3, the term on the pretrained part. The paper also shrinks the new layer towards zero; here the new head starts
    from its own optimum, and shrinking anything is `weight_decay`'s.

    Args:
        inputs, outputs: as for `keras.Model`.
        strength: alpha of the paper, at least 0.
        pulled: the weights; w0 is what they hold now.

    Raises:
        ValueError: strength is below 0.
    """

    def __init__(self, inputs: Any, outputs: Any, *, strength: float, pulled: Sequence[keras.Variable]) -> None:
        super().__init__(inputs, outputs)
        if strength < 0:
            raise ValueError(f"strength must be at least 0; received {strength:g}.")
        self.strength = strength
        self.pulled = list(pulled)
        self.starts = [keras.Variable(weight, trainable=False, dtype="float32") for weight in self.pulled]

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """The compiled loss with the pull added."""
        return super().compute_loss(*args, **kwargs) + self.pull()

    def pull(self) -> Any:
        """float32 scalar: strength / 2 * sum ||w - w0||²."""
        squares = [
            ops.sum(ops.square(ops.cast(weight.value, "float32") - start.value))
            for weight, start in zip(self.pulled, self.starts, strict=True)
        ]
        return 0.5 * self.strength * sum(squares, ops.convert_to_tensor(0.0, "float32"))
