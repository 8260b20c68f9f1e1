"""The new dense head on frozen features: a convex problem, solved to its optimum.

Multinomial logistic regression by full-batch L-BFGS (Liu & Nocedal 1989), or by Newton's method with conjugate
gradients (Nocedal & Wright 2006, section 7.1). First-order methods, which can be had too, need hundreds of epochs to
get near this point; the second-order method that would be wrong for the whole network is right here.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import StratifiedKFold

from regraft.evidence.losses import losses_of
from regraft.machine.threads import map_ordered, single_threaded_algebra
from regraft.models.optimizer_table import OPTIMIZERS
from regraft.progress import SILENT, Ticker
from regraft.training.design import Design, as_design
from regraft.training.logistic import LogisticProblem, by_lbfgs, by_newton
from regraft.training.solver import Solver

if TYPE_CHECKING:
    from regraft.recipes.recipe import Recipe

LBFGS = Solver()

_FOLDED = 2e8
"""Up to so many images x features x classes strengths are compared in all folds; beyond, in one: its photos suffice."""

_POLISHED = 1e7
"""Up to so many the minimum is found in float64 from where float32 has come, which moves no answer that is seen."""

_ROWS = 4096  # at a time, where logits are computed: what a device gets
_RISES = 2
"""After so many strengths in a row whose loss is higher than the lowest, weaker ones are not tried."""


@dataclass(frozen=True)
class Head:
    """A solved head: logits = features @ kernel + bias.

    Attributes:
        kernel: float32 [C, classes].
        bias: float32 [classes].
        l2: the strength it was solved with.
        loss: mean cross-entropy on the images it was solved on, in nats, without the penalty.
        iterations: of a second-order solver, or the steps of a first-order one.
        objective: what was minimized, the penalty included.
        gradient: the largest derivative of the objective that is left, in size.
        seconds: how long solving took.
    """

    kernel: np.ndarray
    bias: np.ndarray
    l2: float
    loss: float
    iterations: int
    objective: float
    gradient: float
    seconds: float

    def logits(self, features: np.ndarray) -> np.ndarray:
        """float32 [N, classes] for float32 features [N, C], rounded as the network's dense layer rounds.

        Where classes hardly differ, the kernel is large and the bias takes most of it back: NumPy's order of summing
        and TensorFlow's were 9e-6 of a probability apart, with sums of 800 for logits of 3.
        """
        from keras import ops

        parts = np.array_split(features, max(1, -(-len(features) // _ROWS)))
        found = [ops.convert_to_numpy(ops.add(ops.matmul(part, self.kernel), self.bias)) for part in parts]
        return np.concatenate(found).astype(np.float32)


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


def solve_head(
    features: np.ndarray | Design,
    labels: np.ndarray,
    *,
    class_count: int,
    l2: float,
    solver: Solver = LBFGS,
    start: np.ndarray | None = None,
    ticker: Ticker = SILENT,
) -> Head:
    """The head that minimizes mean cross-entropy + l2 / 2 * ||kernel||² on centred features of unit mean square.

    Args:
        features: float [N, C], or what `Design.of` makes of them.
        labels: int [N] in [0, class_count).
        class_count: at least 2.
        l2: strength, above 0. It acts on features divided by one number for all of a layer's, so it means the same
            for every backbone; the returned kernel takes plain features. (One number a feature, that is to
            standardize, would blow up features that hardly vary.)
        solver: how.
        start: float [r + 1, classes], weights near the minimum, such as `Choice.weights`.
        ticker: hears of every iteration, with no unit done, so that who watches sees that it goes on.
    """
    started = time.perf_counter()
    design = as_design(features)
    with single_threaded_algebra(but_numpy=_is_large(design, class_count)):
        weights, iterations = _minimize(design, labels, class_count, l2, solver, start, ticker)
    seconds = time.perf_counter() - started
    problem = LogisticProblem(design.rows, labels, l2, class_count)
    objective, gradient = problem.loss_and_gradient(weights.ravel())
    kernel, bias = design.unfold(weights)
    loss = float(losses_of(design.rows @ weights[:-1] + weights[-1], labels).mean())
    return Head(
        kernel.astype(np.float32), bias.astype(np.float32), l2, loss, iterations, objective,
        float(np.abs(gradient).max()), seconds,
    )  # fmt: skip


def _minimize(
    design: Design,
    labels: np.ndarray,
    class_count: int,
    l2: float,
    solver: Solver,
    start: np.ndarray | None,
    ticker: Ticker,
) -> tuple[np.ndarray, int]:
    """Weights float64 [r + 1, classes] at the minimum, and the iterations or steps they took."""
    if solver.name in OPTIMIZERS:
        from regraft.training.first_order import descend

        return descend(design.rows, labels, class_count=class_count, l2=l2, solver=solver, ticker=ticker)
    weights = np.zeros((design.rows.shape[1] + 1, class_count)) if start is None else start
    exact = LogisticProblem(design.rows, labels, l2, class_count)
    if solver.name != "lbfgs":
        return by_newton(exact, weights, solver.max_iterations, ticker)
    closely = LogisticProblem(design.rows.astype(np.float32), labels, l2, class_count)
    slope = closely.slope()
    weights, iterations = by_lbfgs(closely, weights, solver.max_iterations, ticker, gtol=5e-4 * slope, ftol=1e-7)
    if design.rows.size * class_count > _POLISHED or iterations >= solver.max_iterations:
        return weights, iterations
    # Its first steps from there, which know no curvature yet, are too small to be taken for the end.
    gtol = 5e-6 * slope
    return by_lbfgs(exact, weights, solver.max_iterations, ticker, gtol=gtol, ftol=1e-13, done=iterations)


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
    ticker: Ticker = SILENT,
) -> Choice:
    """The strength with the smallest cross-validated loss.

    They are tried from the strongest to the weakest, each from the solution of the one before, in float32 and as
    closely as comparing losses needs: eight times as fast as exact solutions from zero, and the same choice
    (benchmarks/head.py). It ends where the loss has risen twice in a row. Where classes and images are many, a single
    fold is held out.

    Args:
        features, labels, class_count, max_iterations: as for `solve_head`. It is always L-BFGS that compares the
            strengths, whatever then solves the head: the minimum is the same.
        candidates: strengths to compare.
        groups: int [N]; images of one group (duplicates) stay in one fold.
        folds: at most as many as the rarest class that can be divided has groups; where none can be, the middle
            candidate is taken.
        seed: of the folds.
        always: hold photos out for a single candidate too, of which nothing but its losses can be learned.
        ticker: hears of every iteration, and of one unit per strength and fold.
    """
    folds = min(folds, _smallest_class(labels, groups))
    ordered = sorted(candidates, reverse=True)
    if folds < 2 or (len(ordered) == 1 and not always):
        return Choice(ordered[(len(ordered) - 1) // 2], {}, np.zeros(0), np.zeros(0, int))
    design = as_design(features)
    is_large = _is_large(design, class_count)
    parts = split_folds(labels, groups, folds, seed)[: 1 if is_large else folds]
    rows = design.rows.astype(np.float32)
    solutions = [_Fold(rows, labels, class_count, kept, held) for kept, held in parts]
    table: dict[float, float] = {}
    best, best_losses, weights, rises = ordered[0], np.zeros(0), None, 0
    with single_threaded_algebra(but_numpy=is_large):
        for l2 in ordered:
            losses = _losses_at(l2, solutions, max_iterations, ticker)
            table[l2] = float(losses.mean())
            if len(table) == 1 or table[l2] < table[best]:
                best, best_losses, weights, rises = l2, losses, solutions[-1].weights, 0
            else:
                rises += 1
            if rises == _RISES:
                break
    ticker.advance(len(solutions) * (len(ordered) - len(table)) + len(ordered) * (folds - len(solutions)))
    images = np.concatenate([held for _, held in parts])
    start = weights if len(ordered) > 1 else None  # one strength gives the same head whether it was tried or not
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
        ticker=ticker,
    )


def _is_large(design: Design, class_count: int) -> bool:
    return design.rows.size * class_count > _FOLDED


def held_out_by_all(losses: Sequence[np.ndarray]) -> list[np.ndarray]:
    """`Choice.held_out` of several choices on the same images, cut to those that all of them held out.

    Where a design is too large for all folds, that is the first, with which the others begin.
    """
    fewest = min(map(len, losses), default=0)
    return [each[:fewest] for each in losses]


def _losses_at(l2: float, folds: Sequence[_Fold], max_iterations: int, ticker: Ticker) -> np.ndarray:
    """float64: the losses of all images that are held out, fold by fold; a unit of `ticker` each.

    Folds are solved at once, each in one thread; who watches hears of the iterations where there is but one. Where one
    fails, or is interrupted, the others end with their next iteration.
    """
    hears = _Abandonable(ticker if len(folds) == 1 else SILENT)
    found = []
    for losses in map_ordered(lambda fold: fold.losses_at(l2, max_iterations, hears), folds, abandon=hears.abandon):
        ticker.advance()
        found.append(losses)
    return np.concatenate(found)


class _Abandonable(Ticker):
    """Tells `ticker` what it hears, and raises where nobody waits any more for what is being done."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker, self._abandoned = ticker, threading.Event()

    def abandon(self) -> None:
        self._abandoned.set()

    def advance(self, count: int = 1, note: str = "") -> None:
        if self._abandoned.is_set():
            raise InterruptedError("nobody waits for it")
        self._ticker.advance(count, note)


class _Fold:
    """The heads of one fold, each solved from the one before."""

    def __init__(self, rows: np.ndarray, labels: np.ndarray, class_count: int, kept: np.ndarray, held: np.ndarray):
        self._held, self._held_labels = rows[held], labels[held]
        self._problem = LogisticProblem(rows[kept], labels[kept], 1.0, class_count)
        self._gtol = 2e-3 * self._problem.slope()
        self.weights = np.zeros((rows.shape[1] + 1, class_count))

    def losses_at(self, l2: float, max_iterations: int, ticker: Ticker) -> np.ndarray:
        """float64: the loss of each image that is held out, at this strength."""
        problem = self._problem.with_l2(l2)
        gtol = min(self._gtol, problem.slope(self.weights) / 5)  # where it starts may be near enough for no step
        self.weights, _ = by_lbfgs(problem, self.weights, max_iterations, ticker, gtol=gtol, ftol=1e-6)
        narrow = self.weights.astype(np.float32)
        return losses_of(self._held @ narrow[:-1] + narrow[-1], self._held_labels)


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
