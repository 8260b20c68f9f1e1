"""Which of two classifiers is better on the same photos, and whether there is evidence for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from regraft.data.wording import plural
from regraft.evidence.intervals import accuracy_difference
from regraft.evidence.losses import losses_of_probabilities
from regraft.evidence.paired import Difference, loss_verdict, training_difference, verdict

_ERROR_RATE = 0.05
_FEWEST = 6  # photos that only one is right on, or groups: of 5 that are all the same one's, p is 2 / 2**5 = 0.0625


@dataclass(frozen=True)
class Duel:
    """Two classifiers on the same photos.

    Attributes:
        both_right, first_alone, second_alone, neither: how many photos both, one of them or none gets right.
        p_value: of the exact McNemar test, see `mcnemar`; of photos in groups that of `sign_flips`.
        accuracy: the second's less the first's, of fractions in [-1, 1].
        log_loss: the same in nats.
        uneven_groups: in how many groups one is right on more photos than the other; None where photos have no groups.
    """

    both_right: int
    first_alone: int
    second_alone: int
    neither: int
    p_value: float
    accuracy: Difference
    log_loss: Difference
    uneven_groups: int | None = None

    @property
    def test(self) -> str:
        """What `p_value` is of, in words."""
        return "exact McNemar test" if self.uneven_groups is None else "exact sign-flip test of groups"

    @property
    def images(self) -> int:
        """How many photos were answered."""
        return self.both_right + self.first_alone + self.second_alone + self.neither

    @property
    def verdict(self) -> str:
        """What is to be said of the second's accuracy against the first's, without a full stop."""
        words = f"{verdict(self.accuracy)}; {self.test}: p = {self.p_value:.2g}"
        is_split = self.accuracy.is_hinted and self.p_value >= _ERROR_RATE
        return f"perhaps {words}, which is no evidence at 5 %" if is_split else words

    @property
    def loss_verdict(self) -> str:
        """The same of the log loss, from its interval alone."""
        return loss_verdict(self.log_loss)

    @property
    def notes(self) -> list[str]:
        """Sentences that a reader of the verdict should know."""
        if self.uneven_groups is None:
            alone = self.first_alone + self.second_alone
            few = f"Only one of them is right on {plural(alone, 'photo')}"
        else:
            alone = self.uneven_groups
            few = f"One of them is right more often than the other in {plural(alone, 'group')} of photos"
        few += f"; fewer than {_FEWEST} are never evidence at 5 %."
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
            "test": self.test,
            "p_value": self.p_value,
            "mcnemar_p": self.p_value if self.uneven_groups is None else None,
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
    truth: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    labels: Sequence[np.ndarray] | None = None,
    groups: np.ndarray | None = None,
) -> Duel:
    """The second classifier against the first, photo by photo, or group by group.

    Args:
        truth: int [N] in [0, C), N at least 1.
        first, second: float [N, C] in [0, 1], the probabilities that each gives.
        labels: int [N] of each, what they answer; by default the most probable class.
        groups: int [N], the same for photos of one group, as of one patient, which are right or wrong together.
    """
    answered = labels or [probabilities.argmax(axis=1) for probabilities in (first, second)]
    a, b = (labels == truth for labels in answered)
    first_alone, second_alone = int((a & ~b).sum()), int((b & ~a).sum())
    mean, low, high = accuracy_difference(b, a, groups)
    nets = None if groups is None else np.bincount(groups, weights=1.0 * b - a)
    losses = losses_of_probabilities(second, truth) - losses_of_probabilities(first, truth)
    return Duel(
        both_right=int((a & b).sum()),
        first_alone=first_alone,
        second_alone=second_alone,
        neither=int((~a & ~b).sum()),
        p_value=mcnemar(first_alone, second_alone) if nets is None else sign_flips(nets),
        accuracy=Difference(mean, low, high, low, high, seeds=1),
        log_loss=training_difference([losses], fixed_split=True, train_count=1, groups=groups),
        uneven_groups=None if nets is None else int(np.count_nonzero(nets)),
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


def sign_flips(nets: np.ndarray) -> float:
    """Two-sided p in (0, 1] of the exact test: as a fair coin, each group's net difference is either's.

    It is how likely the sum of all is at least as far from 0 as it is, over all choices of their signs. Groups without
    a net difference say nothing about which is better. Where each has a difference of 1, it is the exact McNemar test.

    Args:
        nets: whole numbers [G], on how many photos of a group the one is right more often than the other.

    Source: Fisher, "The Design of Experiments" (1935), section 21; the groups' net differences as the units are those
    of Durkalski, Palesch, Lipsitz & Rust, "The analysis of clustered matched-pair data", Stat. Med. 22 (2003).
    """
    from scipy.stats import binom

    chances = np.ones(1)  # of each number of photos that fall to the first
    for size, count in zip(*np.unique(np.abs(nets[nets != 0]).astype(int), return_counts=True), strict=True):
        of_size = np.zeros(size * count + 1)
        of_size[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, of_size)
    photos = len(chances) - 1
    sums = np.abs(2 * np.arange(photos + 1) - photos)
    return min(float(chances[sums >= abs(nets.sum())].sum()), 1.0)
