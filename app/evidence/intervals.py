"""How sure one can be of an accuracy, and of the difference of two, from the images they were measured on."""

from __future__ import annotations

import numpy as np

_NORMAL_975 = 1.959964  # standard errors that hold 95 % of a normal distribution


def accuracy_interval(correct: int, total: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """(low, high) in [0, 1]: the Wilson score interval of `correct` / `total`.

    Not the textbook accuracy ± 1.96 standard errors: near 100 %, where good classifiers are, and with a few
    hundred images that one is too narrow, ends above 1, and has no width at all without a mistake.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927);
    recommended by Brown, Cai & DasGupta, "Interval estimation for a binomial proportion", Stat. Sci. 16
    (2001).

    Raises:
        ValueError: not 0 <= correct <= total, no images, or a confidence outside (0, 1).
    """
    from scipy.stats import binomtest

    if total < 1:
        raise ValueError(f"total must be at least 1; received {total}.")
    if not 0 <= correct <= total:
        raise ValueError(f"correct must be in [0, {total}]; received {correct}.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1); received {confidence}.")
    interval = binomtest(int(correct), int(total)).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def grouped_accuracy_interval(correct: np.ndarray, groups: np.ndarray | None) -> tuple[float, float]:
    """(low, high) in [0, 1]: the interval of the mean of `correct`, bool [N], where images come in `groups`, int [N].

    Images of one group, as of one patient, are right or wrong together, so that they say less than so many others
    would. The Wilson score interval is that of an effective number of images: N divided by the design effect, the ratio
    of the variance of the mean between groups to that of as many single images, at least 1. Where all are right, or
    none, it is the mean size of the group of an image. Without groups it is `accuracy_interval`.

    Source: Kish, "Survey Sampling" (1965), sections 5.4 and 8.2; Korn & Graubard, "Confidence intervals for proportions
    with small expected number of positive counts estimated from survey data", Survey Methodology 24 (1998).

    Raises:
        ValueError: no images.
    """
    correct = np.asarray(correct, bool)
    total, right = correct.size, int(correct.sum())
    if groups is None or len(np.unique(groups)) == total:
        return accuracy_interval(right, total)
    return _wilson(right / total, total / _design_effect(correct, groups))


def grouped_variance(values: np.ndarray, groups: np.ndarray) -> float:
    """The squared standard error of the mean of `values`, float [N], in two or more `groups`, int [N].

    Source: Kish, "Survey Sampling" (1965), chapter 6: the mean is the ratio of the sums of groups and their sizes.
    """
    _, places = np.unique(groups, return_inverse=True)
    count = int(places.max()) + 1
    excess = np.bincount(places, weights=values - values.mean())
    return count / (count - 1) * float((excess**2).sum()) / len(values) ** 2


def _design_effect(values: np.ndarray, groups: np.ndarray | None) -> float:
    """The ratio of the variance of the mean between groups to that of as many single images, at least 1; see above."""
    if groups is None or len(np.unique(groups)) == len(values):
        return 1.0
    single, sizes = float(np.var(values)) / len(values), np.unique(groups, return_counts=True)[1]
    if single > 0 and len(sizes) > 1:
        return max(grouped_variance(values, groups) / single, 1.0)
    return float((sizes**2).sum()) / len(values)


def _wilson(share: float, images: float) -> tuple[float, float]:
    """The 95 % interval of `accuracy_interval`, of a number of images that need not be whole."""
    square = _NORMAL_975**2 / images
    center = (share + square / 2) / (1 + square)
    reach = float(np.sqrt(square * share * (1 - share) + square**2 / 4)) / (1 + square)
    return max(center - reach, 0.0), min(center + reach, 1.0)


def accuracy_difference(
    correct_a: np.ndarray, correct_b: np.ndarray, groups: np.ndarray | None = None
) -> tuple[float, float, float]:
    """(difference, low, high) in [-1, 1]: accuracy of A minus that of B on the same images, 95 % interval.

    From the images that only one of the two gets right, since the others say nothing about the
    difference: the Wald interval with Laplace's adjustment (one image more of either kind), which keeps its
    coverage with few images and a width where A and B agree on all. Where images come in groups, it is that of the
    effective number of images, see `grouped_accuracy_interval`, whose design effect is that of A less B here.

    Source: Bonett & Price, "Adjusted Wald confidence interval for a difference of binomial proportions based
    on paired data", J. Educ. Behav. Stat. 37 (2012); recommended by Fagerland, Lydersen & Laake, Stat.
    Med. 33 (2014).

    Args:
        correct_a: bool [N], whether A is right on each image.
        correct_b: bool [N], the same for B.
        groups: int [N], the same for images of one group.

    Raises:
        ValueError: not two equally long vectors of at least one image.
    """
    a, b = np.asarray(correct_a, bool), np.asarray(correct_b, bool)
    if a.ndim != 1 or a.shape != b.shape or not a.size:
        raise ValueError(f"correct_a and correct_b must both be [N], N at least 1; received {a.shape} and {b.shape}.")
    only_a, only_b, images = int((a & ~b).sum()), int((b & ~a).sum()), a.size
    effect = _design_effect(1.0 * a - b, groups)
    adjusted = images / effect + 2
    share_a, share_b = (only_a / effect + 1) / adjusted, (only_b / effect + 1) / adjusted
    center = share_a - share_b
    reach = _NORMAL_975 * float(np.sqrt((share_a + share_b - center**2) / adjusted))
    return (only_a - only_b) / images, max(center - reach, -1.0), min(center + reach, 1.0)
