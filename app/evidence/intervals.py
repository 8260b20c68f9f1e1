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


def accuracy_difference(correct_a: np.ndarray, correct_b: np.ndarray) -> tuple[float, float, float]:
    """(difference, low, high) in [-1, 1]: accuracy of A minus that of B on the same images, 95 % interval.

    From the images that only one of the two gets right, since the others say nothing about the
    difference: the Wald interval with Laplace's adjustment (one image more of either kind), which keeps its
    coverage with few images and a width where A and B agree on all.

    Source: Bonett & Price, "Adjusted Wald confidence interval for a difference of binomial proportions based
    on paired data", J. Educ. Behav. Stat. 37 (2012); recommended by Fagerland, Lydersen & Laake, Stat.
    Med. 33 (2014).

    Args:
        correct_a: bool [N], whether A is right on each image.
        correct_b: bool [N], the same for B.

    Raises:
        ValueError: not two equally long vectors of at least one image.
    """
    a, b = np.asarray(correct_a, bool), np.asarray(correct_b, bool)
    if a.ndim != 1 or a.shape != b.shape or not a.size:
        raise ValueError(f"correct_a and correct_b must both be [N], N at least 1; received {a.shape} and {b.shape}.")
    only_a, only_b, images = int((a & ~b).sum()), int((b & ~a).sum()), a.size
    share_a, share_b = (only_a + 1) / (images + 2), (only_b + 1) / (images + 2)
    center = share_a - share_b
    reach = _NORMAL_975 * float(np.sqrt((share_a + share_b - center**2) / (images + 2)))
    return (only_a - only_b) / images, max(center - reach, -1.0), min(center + reach, 1.0)
