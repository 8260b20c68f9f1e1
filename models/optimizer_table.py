"""Every optimizer, in one table that needs no Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class OptimizerRow:
    """One row of the table.

    Attributes:
        constructor: the name in `keras.optimizers`.
        learning_rate: what fine-tuning begins with where nothing else is asked for.
        head_rate: the same for a head alone, whose features are scaled to a mean square of 1.
        takes: the recipe keys that not every optimizer has.
        options: its other arguments, where they are not Keras's own.
    """

    constructor: str
    learning_rate: float
    head_rate: float
    takes: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


_OF_SGD, _OF_ADAM = ("momentum", "nesterov"), ("beta_1", "beta_2")

OPTIMIZERS: dict[str, OptimizerRow] = {
    "sgd": OptimizerRow("SGD", 1e-2, 0.1, _OF_SGD),
    "momentum": OptimizerRow("SGD", 3e-3, 0.03, _OF_SGD, {"momentum": 0.9}),
    "nesterov": OptimizerRow("SGD", 3e-3, 0.03, _OF_SGD, {"momentum": 0.9, "nesterov": True}),
    "adagrad": OptimizerRow("Adagrad", 3e-3, 0.03),
    "rmsprop": OptimizerRow("RMSprop", 1e-4, 1e-3, ("momentum",)),
    "adam": OptimizerRow("Adam", 3e-4, 3e-3, _OF_ADAM),
    "adamw": OptimizerRow("AdamW", 3e-4, 3e-3, _OF_ADAM),
}
"""Sources: momentum, Polyak 1964; Nesterov 1983; AdaGrad, Duchi et al. 2011; RMSProp, Tieleman & Hinton 2012; Adam,
Kingma & Ba 2015; AdamW, Loshchilov & Hutter 2019."""
