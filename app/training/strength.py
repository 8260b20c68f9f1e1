"""How strongly a head is penalized: the L2 strength with the lowest cross-validated loss.

All folds are solved side by side, as one problem (see `LogisticProblem`), along a path of strengths. Where photos are
many, a sample of them is compared: what the strength is worth is known long before the last of them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import StratifiedKFold

from regraft.machine.threads import single_threaded_algebra
from regraft.progress import SILENT, Ticker
from regraft.training.design import Design, as_design
from regraft.training.head import THREADED
from regraft.training.logistic import LogisticProblem, by_lbfgs

if TYPE_CHECKING:
    from regraft.recipes.recipe import Recipe

_FOLDED = 2.5e8
"""Up to so many numbers x classes x folds all folds are compared, beyond one: its photos suffice."""

_COMPARED, _READING = 1.2e9, 20
"""Up to so many images² x (classes + what reading the features costs a step, in classes) all images are compared."""

_OF_A_CLASS, _OF_ANY_CLASS, _OF_FEW = 20, 5, 5_000
"""So many images for each class are compared all the same, the fewer where they would be more than so many in all."""

_RISES = 2
"""After so many strengths in a row whose loss is higher than the lowest, weaker ones are not tried."""


@dataclass(frozen=True)
class Choice:
    """A strength chosen by cross-validation.

    Attributes:
        l2: the strength.
        losses: the mean held-out loss of each that was tried, in nats, by strength; empty where none were compared.
        held_out: float64, at that strength the loss of each image that was held out, in the order of `images`.
        images: int, positions of the images that were held out.
        weights: float64 [C + 1, classes] of the last fold at that strength, for a solution to start from; or None.
    """

    l2: float
    losses: dict[float, float]
    held_out: np.ndarray
    images: np.ndarray
    weights: np.ndarray | None = None


def choose_l2(
    features: np.ndarray | Design,
    labels: np.ndarray,
    *,
    class_count: int,
    candidates: tuple[float, ...],
    groups: np.ndarray,
    folds: int,
    seed: int,
    max_iterations: int = 500,
    always: bool = False,
    weights: np.ndarray | None = None,
    ticker: Ticker = SILENT,
) -> Choice:
    """The strength with the smallest cross-validated loss.

    They are tried from the strongest to the weakest, each from the solution of the one before, in float32 and as
    closely as comparing losses needs: the same choice as exact solutions from zero (benchmarks/head.py). It ends where
    the loss has risen twice in a row. Where classes and images are many, a single fold is held out.

    Args:
        features, labels, class_count, max_iterations: as for `solve_head`. It is always L-BFGS that compares the
            strengths, whatever then solves the head: the minimum is the same.
        candidates: strengths to compare.
        groups: int [N]; images of one group (duplicates) stay in one fold.
        folds: at most as many as the rarest class that can be divided has groups; where none can be, the middle
            candidate is taken.
        seed: of the folds.
        always: hold photos out for a single candidate too, of which nothing but its losses can be learned.
        weights: float [N] above 0, what each image counts, also where it is held out; by default all count the same.
        ticker: hears of every iteration, and of one unit per strength and fold.
    """
    asked = folds
    folds = min(folds, _smallest_class(labels, groups))
    ordered = sorted(candidates, reverse=True)
    if folds < 2 or (len(ordered) == 1 and not always):
        return Choice(ordered[(len(ordered) - 1) // 2], {}, np.zeros(0), np.zeros(0, int))
    design = as_design(features)
    parts = split_folds(labels, groups, folds, seed)
    if design.rows.size * class_count * folds > _FOLDED:
        parts = parts[:1]
    solutions = _Folds(design.rows.astype(np.float32, copy=False), labels, class_count, parts, weights)
    table: dict[float, float] = {}
    best, best_losses, best_weights, rises = ordered[0], np.zeros(0), None, 0
    with single_threaded_algebra(but_numpy=design.rows.size * class_count * len(parts) > THREADED):
        for l2 in ordered:
            losses = solutions.losses_at(l2, max_iterations, ticker)
            table[l2] = float(losses.mean())
            if len(table) == 1 or table[l2] < table[best]:
                best, best_losses, best_weights, rises = l2, losses, solutions.last_weights, 0
            else:
                rises += 1
            ticker.advance(asked)
            if rises == _RISES:
                break
    ticker.advance(asked * (len(ordered) - len(table)))
    images = np.concatenate([held for _, held in parts])
    start = best_weights if len(ordered) > 1 else None  # one strength gives the same head whether it was tried or not
    return Choice(best, dict(sorted(table.items())), best_losses, images, start)


def choose_l2_of(
    recipe: Recipe,
    features: np.ndarray | Design,
    labels: np.ndarray,
    groups: np.ndarray,
    *,
    class_count: int,
    always: bool,
    ticker: Ticker,
    weights: np.ndarray | None = None,
) -> Choice:
    """`choose_l2` among the strengths, in the folds and with the seed of a recipe."""
    choices = recipe.head
    return choose_l2(
        features,
        labels,
        class_count=class_count,
        candidates=choices.l2,
        groups=groups,
        folds=choices.folds,
        seed=recipe.seed,
        max_iterations=choices.max_iterations,
        always=always,
        weights=weights,
        ticker=ticker,
    )


def compared_images(labels: np.ndarray, groups: np.ndarray, *, class_count: int, folds: int, seed: int) -> np.ndarray:
    """int: positions of the images whose strengths, and layers, are worth comparing, ascending; mostly all.

    Where images are many it is a sample of groups, of each class its share, and as many as there are folds where a
    class has them.

    Args:
        labels, groups: int [N]; images of one group (duplicates) are taken together.
        class_count, folds, seed: as for `choose_l2`.
    """
    count = max(math.isqrt(int(_COMPARED / (class_count + _READING))), _OF_ANY_CLASS * class_count)
    count = max(count, min(_OF_A_CLASS * class_count, _OF_FEW))
    if len(labels) <= count:
        return np.arange(len(labels))
    _, firsts, members = np.unique(groups, return_index=True, return_inverse=True)
    drawn = stratified(labels[firsts], count * len(firsts) // len(labels), least=folds, seed=seed)
    return np.flatnonzero(np.isin(members, drawn))


def held_out_by_all(losses: Sequence[np.ndarray]) -> list[np.ndarray]:
    """`Choice.held_out` of several choices on the same images, cut to those that all of them held out.

    Where a design is too large for all folds, that is the first, with which the others begin.
    """
    fewest = min(map(len, losses), default=0)
    return [each[:fewest] for each in losses]


def stratified(labels: np.ndarray, count: int, *, least: int, seed: int) -> np.ndarray:
    """int: positions of at most `count` images, ascending, drawn by `seed`.

    Of each class of labels int [N] it is its share, and `least` where it has as many.
    """
    random = np.random.default_rng(seed)
    turns = np.empty(len(labels))
    for label in np.unique(labels):
        (places,) = np.nonzero(labels == label)
        order = np.arange(len(places))
        turns[random.permutation(places)] = np.where(order < least, 0, order / len(places))
    return np.sort(np.argsort(turns, kind="stable")[:count])


class _Folds:
    """The heads of some folds, each solved from the one before; with weights, images count as much as these say."""

    def __init__(
        self,
        rows: np.ndarray,
        labels: np.ndarray,
        class_count: int,
        parts: list[tuple[np.ndarray, np.ndarray]],
        weights: np.ndarray | None,
    ) -> None:
        counts = np.ones(len(rows)) if weights is None else weights / weights.mean()
        shares = np.zeros((len(parts), len(rows)))
        for share, (kept, _) in zip(shares, parts, strict=True):
            share[kept] = counts[kept] / counts[kept].sum()
        self._held = [held for _, held in parts]
        self._counts = counts
        self._problem = LogisticProblem(rows, labels, 1.0, class_count, shares)
        self._gtol = 2e-3 * self._problem.slope()
        self._weights = np.zeros(self._problem.shape)

    @property
    def last_weights(self) -> np.ndarray:
        """float64 [C + 1, classes]: the head of the last fold."""
        return self._weights[:, -self._problem.class_count :]

    def losses_at(self, l2: float, max_iterations: int, ticker: Ticker) -> np.ndarray:
        """float64: at this strength the losses of all images that are held out, as they count, fold by fold."""
        problem = self._problem.with_l2(l2)
        gtol = min(self._gtol, problem.slope(self._weights) / 5)  # where it starts may be near enough for no step
        self._weights, _ = by_lbfgs(problem, self._weights, max_iterations, ticker, gtol=gtol, ftol=1e-6)
        losses = self._counts * problem.losses(self._weights)
        return np.concatenate([of_all[held] for of_all, held in zip(losses, self._held, strict=True)])


def _smallest_class(labels: np.ndarray, groups: np.ndarray) -> int:
    """Groups of the rarest class that has at least two; 1 where no class has."""
    counts = [len(np.unique(groups[labels == label])) for label in np.unique(labels)]
    return min((count for count in counts if count > 1), default=1)


def split_folds(labels: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each fold, the positions of the images to solve on and of those held out; groups stay together.

    Groups are divided as their first image's class says. (scikit-learn's StratifiedGroupKFold weighs all images of a
    group, one group after another, which takes longer than the solutions where there are many.)
    """
    _, firsts, members = np.unique(groups, return_index=True, return_inverse=True)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # of a class that has fewer groups than there are folds
        warnings.simplefilter("ignore", UserWarning)
        parts = list(splitter.split(firsts, labels[firsts]))
    return [(np.flatnonzero(np.isin(members, kept)), np.flatnonzero(np.isin(members, held))) for kept, held in parts]
