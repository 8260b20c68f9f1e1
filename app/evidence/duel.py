"""Which of two classifiers is better on the same photos, and whether there is evidence for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from regraft.data.wording import plural
from regraft.evidence.intervals import accuracy_difference
from regraft.evidence.losses import losses_of_probabilities
from regraft.evidence.paired import Difference, training_difference, verdict

_ERROR_RATE = 0.05
_FEWEST = 6  # photos that only one is right on: of 5 that are all the same one's, p is 2 / 2**5 = 0.0625


@dataclass(frozen=True)
class Duel:
    """Two classifiers on the same photos.

    Attributes:
        both_right, first_alone, second_alone, neither: how many photos both, one of them or none gets right.
        p_value: of the exact McNemar test, see `mcnemar`.
        accuracy: the second's less the first's, of fractions in [-1, 1].
        log_loss: the same in nats.
    """

    both_right: int
    first_alone: int
    second_alone: int
    neither: int
    p_value: float
    accuracy: Difference
    log_loss: Difference

    @property
    def images(self) -> int:
        """How many photos were answered."""
        return self.both_right + self.first_alone + self.second_alone + self.neither

    @property
    def verdict(self) -> str:
        """What is to be said of the second's accuracy against the first's, without a full stop."""
        words = f"{verdict(self.accuracy)}; exact McNemar test: p = {self.p_value:.2g}"
        is_split = self.accuracy.is_hinted and self.p_value >= _ERROR_RATE
        return f"perhaps {words}, which is no evidence at 5 %" if is_split else words

    @property
    def loss_verdict(self) -> str:
        """The same of the log loss, from its interval alone."""
        return verdict(self.log_loss, unit="nats", scale=1.0, digits=3, lower_is_better=True)

    @property
    def notes(self) -> list[str]:
        """Sentences that a reader of the verdict should know."""
        alone = self.first_alone + self.second_alone
        few = f"Only one of them is right on {plural(alone, 'photo')}; fewer than {_FEWEST} are never evidence at 5 %."
        about = (
            "This is about two trained models; whether a way of training is better, regraft compare FOLDER tells by "
            "several seeds."
        )
        return [few, about] if alone < _FEWEST else [about]

    def as_dict(self) -> dict[str, Any]:
        """Plain values; the differences by the names that they have in a comparison's summary.json."""
        return {
            "images": self.images,
            "both_right": self.both_right,
            "first_alone": self.first_alone,
            "second_alone": self.second_alone,
            "neither": self.neither,
            "mcnemar_p": self.p_value,
            "difference": self.accuracy.mean,
            "difference_low": self.accuracy.low,
            "difference_high": self.accuracy.high,
            "verdict": self.verdict,
            "loss_difference": self.log_loss.mean,
            "loss_difference_low": self.log_loss.low,
            "loss_difference_high": self.log_loss.high,
            "loss_verdict": self.loss_verdict,
            "notes": self.notes,
        }


def judge_duel(
    truth: np.ndarray, first: np.ndarray, second: np.ndarray, labels: Sequence[np.ndarray] | None = None
) -> Duel:
    """The second classifier against the first, photo by photo.

    Args:
        truth: int [N] in [0, C), N at least 1.
        first, second: float [N, C] in [0, 1], the probabilities that each gives.
        labels: int [N] of each, what they answer; by default the most probable class.
    """
    answered = labels or [probabilities.argmax(axis=1) for probabilities in (first, second)]
    a, b = (labels == truth for labels in answered)
    first_alone, second_alone = int((a & ~b).sum()), int((b & ~a).sum())
    mean, low, high = accuracy_difference(b, a)
    losses = losses_of_probabilities(second, truth) - losses_of_probabilities(first, truth)
    return Duel(
        both_right=int((a & b).sum()),
        first_alone=first_alone,
        second_alone=second_alone,
        neither=int((~a & ~b).sum()),
        p_value=mcnemar(first_alone, second_alone),
        accuracy=Difference(mean, low, high, low, high, seeds=1),
        log_loss=training_difference([losses], fixed_split=True, train_count=1),
    )


def mcnemar(first_alone: int, second_alone: int) -> float:
    """Two-sided p in (0, 1] of the exact test: as a fair coin, each photo that only one gets right is either's.

    Photos that both or neither gets right say nothing about which is better. Without any other, p is 1.

    Source: McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947); exact by the binomial distribution.
    """
    from scipy.stats import binomtest

    discordant = first_alone + second_alone
    return float(binomtest(first_alone, discordant).pvalue) if discordant else 1.0
