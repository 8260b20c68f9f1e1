"""How a head's problem is solved, apart from its strength."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Solver:
    """A method and its settings.

    Attributes:
        name: "lbfgs", "newton-cg", or an optimizer of `regraft.models.optimizer_table`.
        max_iterations: of a second-order method.
        learning_rate: the highest of a first-order method; None is the table's for heads.
        epochs: how often a first-order method sees each image.
        batch_size: its images per step; the last batch of an epoch is filled up from its beginning.
        seed: of the order in which it sees them.
    """

    name: str = "lbfgs"
    max_iterations: int = 500
    learning_rate: float | None = None
    epochs: int = 100
    batch_size: int = 64
    seed: int = 0
