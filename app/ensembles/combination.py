"""How members become one answer, and what their number, their shares and their disagreements are worth: arrays alone.

Logits come as float [M, N, C]: member, image, class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp, softmax

from regraft.evidence.losses import losses_of

_MOST_SUBSETS = 100
_LEAST_SHARE = 0.01  # a member below it costs a network and says nothing


@dataclass(frozen=True)
class CurvePoint:
    """What ensembles of `members` members come to, over the subsets of that size that were looked at."""

    members: int
    subsets: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    log_loss: float


def combine_logits(
    logits: np.ndarray, shares: Sequence[float] | np.ndarray | None = None, rule: str = "probabilities"
) -> np.ndarray:
    """float64 [N, C]: the logits of the ensemble, as `regraft.models.combine_members.CombineMembers` computes them.

    Args:
        logits: float [M, N, C].
        shares: of each member, at least 0, not all 0; left out, all have the same.
        rule: "probabilities" or "logits".
    """
    logits = np.asarray(logits, np.float64)
    weights = np.ones(len(logits)) if shares is None else np.asarray(shares, np.float64)
    weights = (weights / weights.sum())[:, None, None]
    if rule == "logits":
        return (weights * logits).sum(axis=0)
    return logsumexp(log_softmax(logits, axis=-1), axis=0, b=weights)


def fit_shares(logits: np.ndarray, labels: np.ndarray, rule: str = "probabilities") -> np.ndarray:
    """float64 [M] that sum to 1: the shares with the smallest loss on these images, which must not be reported on.

    A prior that is worth one image per member (Dirichlet of 2 each) keeps a few images from silencing members by luck.
    Members below 0.01 are left out.
    """
    count = len(logits)

    def cost(scores: np.ndarray) -> float:
        shares = softmax(scores)
        loss = losses_of(combine_logits(logits, shares, rule), labels).sum()
        return float(loss - np.log(np.maximum(shares, 1e-12)).sum())

    shares = softmax(minimize(cost, np.zeros(count), method="L-BFGS-B").x)
    shares[shares < _LEAST_SHARE] = 0.0
    return shares / shares.sum()


def greedy_shares(logits: np.ndarray, labels: np.ndarray, rule: str = "probabilities") -> np.ndarray:
    """float64 [M] that sum to 1: how often each member was taken by forward selection with replacement.

    Starting from the best member, the one that lowers the loss most is added, for two rounds per member; the smallest
    of the ensembles with the lowest loss is the answer.

    Source: Caruana et al. 2004, "Ensemble selection from libraries of models", sections 2.1 and 2.2.
    """
    counts = np.zeros(len(logits))
    best_loss, best = np.inf, counts
    for _ in range(2 * len(logits)):
        losses = [_loss(logits, counts + added, labels, rule) for added in np.eye(len(logits))]
        counts = counts + np.eye(len(logits))[int(np.argmin(losses))]
        if min(losses) < best_loss - 1e-9:
            best_loss, best = min(losses), counts
    return best / best.sum()


def greedy_order(logits: np.ndarray, labels: np.ndarray) -> list[int]:
    """The members from the lowest loss to the highest, as a greedy soup tries them."""
    return [int(place) for place in np.argsort([losses_of(each, labels).mean() for each in logits], kind="stable")]


def greedy_soup(
    order: Sequence[int], judge: Callable[[Sequence[int]], float]
) -> tuple[list[int], list[tuple[list[int], float]]]:
    """The members whose weights to average, and every soup that was tasted with its loss.

    Each member in turn is kept where the loss of the soup with it is not higher than without.

    Source: Wortsman et al. 2022, "Model soups", arXiv:2203.05482, recipe 1 (on losses instead of accuracies, of which
    a few hundred images give too few different ones).

    Args:
        order: of the members, the best first.
        judge: the loss of the soup of these members, on images that are not reported.
    """
    kept = [order[0]]
    tasted = [([order[0]], judge(kept))]
    best = tasted[0][1]
    for place in order[1:]:
        loss = judge([*kept, place])
        tasted.append(([*kept, place], loss))
        if loss <= best:
            kept, best = [*kept, place], loss
    return kept, tasted


def disagreement(logits: np.ndarray) -> np.ndarray:
    """float64 [M, M]: the part of the images to which two members give different labels."""
    labels = np.asarray(logits).argmax(axis=-1)
    return (labels[:, None] != labels[None]).mean(axis=-1)


def accuracy_by_size(
    logits: np.ndarray, labels: np.ndarray, *, rule: str = "probabilities", seed: int = 0
) -> list[CurvePoint]:
    """For 1 to M members: mean and range over all subsets of that size, or over 100 of them drawn by `seed`."""
    points = []
    for size in range(1, len(logits) + 1):
        subsets = list(_subsets(len(logits), size, seed))
        combined = [combine_logits(logits[list(subset)], rule=rule) for subset in subsets]
        accuracies = [float((each.argmax(axis=1) == labels).mean()) for each in combined]
        loss = float(np.mean([losses_of(each, labels).mean() for each in combined]))
        points.append(
            CurvePoint(size, len(subsets), float(np.mean(accuracies)), min(accuracies), max(accuracies), loss)
        )
    return points


def _subsets(count: int, size: int, seed: int) -> Iterator[tuple[int, ...]]:
    if math.comb(count, size) <= _MOST_SUBSETS:
        yield from combinations(range(count), size)
        return
    rng = np.random.default_rng([seed, size])
    drawn: set[tuple[int, ...]] = set()
    while len(drawn) < _MOST_SUBSETS:
        drawn.add(tuple(sorted(rng.choice(count, size, replace=False).tolist())))
    yield from sorted(drawn)


def _loss(logits: np.ndarray, counts: np.ndarray, labels: np.ndarray, rule: str) -> float:
    return float(losses_of(combine_logits(logits, counts, rule), labels).mean())
