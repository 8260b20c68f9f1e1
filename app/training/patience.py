"""Rules that wait for the loss to fall. Their state follows from the losses seen, so a resumed run finds it again."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

_LEAST_GAIN = 1e-4  # what Keras's ReduceLROnPlateau counts as a lower loss


@dataclass
class EarlyStopping:
    """Training ends when `patience` epochs in a row have not lowered the best loss (Prechelt 1998).

    It decides as `keras.callbacks.EarlyStopping` does.
    """

    patience: int
    best: float = field(default=math.inf, init=False)
    waited: int = field(default=0, init=False)

    @property
    def stopped(self) -> bool:
        """Whether training is over."""
        return self.waited >= self.patience

    def observe(self, loss: float) -> bool:
        """Takes in the loss of the next epoch; whether it is the best so far."""
        is_best = loss < self.best
        self.best = min(self.best, loss)
        self.waited = 0 if is_best else self.waited + 1
        return is_best


@dataclass
class PlateauDecay:
    """The learning rate is lowered when `patience` epochs in a row have not lowered the best loss.

    It decides as `keras.callbacks.ReduceLROnPlateau` does.
    """

    patience: int
    best: float = field(default=math.inf, init=False)
    waited: int = field(default=0, init=False)

    def observe(self, loss: float) -> bool:
        """Takes in the loss of the next epoch; whether the rate is to be lowered now."""
        if loss < self.best - _LEAST_GAIN:
            self.best, self.waited = loss, 0
            return False
        self.waited += 1
        if self.waited < self.patience:
            return False
        self.waited = 0
        return True
