"""Whether one way of training is better than another, from runs with the same seeds: an interval, and plain words.

Accuracies of a few runs scatter for two reasons: the luck of training, which more seeds average away, and the luck of
which photos are judged on, which they average away only where each seed draws its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from regraft.evidence.intervals import grouped_variance

LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """Challenger minus baseline.

    Attributes:
        mean: over the seeds.
        low, high: the 95 % confidence interval of this one comparison.
        strict_low, strict_high: the interval that is wide enough for all comparisons with the baseline to hold together
            (Bonferroni).
        seeds: how many.
    """

    mean: float
    low: float
    high: float
    strict_low: float
    strict_high: float
    seeds: int

    @property
    def is_clear(self) -> bool:
        """Whether 0 is outside the stricter interval."""
        return self.strict_low > 0 or self.strict_high < 0

    @property
    def is_hinted(self) -> bool:
        """Whether 0 is outside the 95 % interval at least."""
        return self.low > 0 or self.high < 0


def training_difference(
    differences: Sequence[np.ndarray],
    *,
    fixed_split: bool,
    train_count: int,
    comparisons: int = 1,
    groups: np.ndarray | None = None,
) -> Difference:
    """The mean difference between two ways of training, and its interval.

    Args:
        differences: for each seed, float [M]: challenger minus baseline for each judged photo, such as right (1) minus
            wrong (0).
        fixed_split: whether every seed judges on the same photos, in the same order. Then the photos are a sample too,
            and their scatter is added to that of the seeds. Where each seed draws its own, the training sets overlap,
            and the variance over the seeds is too small by a factor that Nadeau & Bengio 2003 ("Inference for
            the generalization error", section 3.4) put at 1 / n + M / train_count instead of 1 / n.
        train_count: photos trained on, at least 1.
        comparisons: how many are made with the same baseline.
        groups: of one seed, int [M], the same for photos of one group: the groups are the sample then, and their
            variance, at least that of single photos, counts.
    """
    means = np.array([values.mean() for values in differences], np.float64)
    variance, freedom = _variance(differences, means, fixed_split, train_count)
    if groups is not None and (count := len(np.unique(groups))) > 1:
        variance, freedom = max(variance, grouped_variance(differences[0], groups)), count - 1
    error, mean = float(np.sqrt(variance)), float(means.mean())
    usual, strict = (error * float(student.ppf(1 - (1 - LEVEL) / 2 / count, freedom)) for count in (1, comparisons))
    return Difference(mean, mean - usual, mean + usual, mean - strict, mean + strict, len(differences))


def _variance(
    differences: Sequence[np.ndarray], means: np.ndarray, fixed_split: bool, train_count: int
) -> tuple[float, float]:
    """The squared standard error of the mean difference, and its degrees of freedom."""
    seeds, photos = len(means), len(differences[0])
    of_photos = _photo_variance(differences, fixed_split)
    if seeds == 1:
        return of_photos, max(photos - 1, 1)
    spread = float(means.var(ddof=1))
    if not fixed_split:
        # Two seeds that happen to agree do not make photos certain: their own scatter is the least there is.
        return max(spread * (1 / seeds + photos / train_count), of_photos), seeds - 1
    parts, freedoms = (spread / seeds, of_photos), (seeds - 1, max(photos - 1, 1))
    total = sum(parts)
    weights = sum(part**2 / freedom for part, freedom in zip(parts, freedoms, strict=True))  # Welch-Satterthwaite
    return total, total**2 / weights if weights else seeds - 1


def _photo_variance(differences: Sequence[np.ndarray], fixed_split: bool) -> float:
    """The squared standard error that the choice of photos alone gives."""
    values = np.mean(differences, axis=0) if fixed_split else np.concatenate(differences)
    return float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0


def verdict(
    difference: Difference,
    *,
    unit: str = "points",
    scale: float = 100.0,
    digits: int = 1,
    lower_is_better: bool = False,
) -> str:
    """One plain sentence without a full stop, such as "no evidence of a difference (-0.8 to 1.4 points)".

    Args:
        difference: of accuracies (scale 100 makes them points) or of something else.
        unit: what the scaled numbers are called.
        scale: what they are multiplied by.
        digits: behind the point.
        lower_is_better: for losses.
    """
    low, high = scale * difference.low, scale * difference.high
    interval = f"({low:+.{digits}f} to {high:+.{digits}f} {unit})"
    if not difference.is_hinted:
        return f"no evidence of a difference {interval}"
    better = (difference.mean < 0) == lower_is_better
    words = f"{'better' if better else 'worse'} by {abs(scale * difference.mean):.{digits}f} {unit} {interval}"
    return words if difference.is_clear else f"perhaps {words}, but not beyond what so many comparisons give by chance"


def loss_verdict(difference: Difference) -> str:
    """`verdict` on a difference of log losses, in nats."""
    return verdict(difference, unit="nats", scale=1.0, digits=3, lower_is_better=True)
