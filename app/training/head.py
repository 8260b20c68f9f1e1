"""The new dense head on frozen features: a convex problem, solved to its optimum.

Multinomial logistic regression by full-batch L-BFGS (Liu & Nocedal 1989), or by Newton's method with conjugate
gradients (Nocedal & Wright 2006, section 7.1). First-order methods, which can be had too, need hundreds of epochs to
get near this point; the second-order method that would be wrong for the whole network is right here.
"""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.model_selection import StratifiedGroupKFold

from regraft.evidence.losses import losses_of
from regraft.models.optimizer_table import OPTIMIZERS
from regraft.progress import SILENT, Ticker
from regraft.training.solver import Solver

LBFGS = Solver()


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
        """float32 [N, classes] for features [N, C]."""
        return np.asarray(features @ self.kernel + self.bias, np.float32)


def solve_head(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    class_count: int,
    l2: float,
    solver: Solver = LBFGS,
    ticker: Ticker = SILENT,
) -> Head:
    """The head that minimizes mean cross-entropy + l2 / 2 * ||kernel||² on centred features of unit mean square.

    Args:
        features: float [N, C].
        labels: int [N] in [0, class_count).
        class_count: at least 2.
        l2: strength, above 0. It acts on features divided by one number for all of them, so it means the same
            for every backbone; the returned kernel takes plain features. (One number a feature, that is to
            standardize, would blow up features that hardly vary.)
        solver: how.
        ticker: hears of every iteration, with no unit done, so that who watches sees that it goes on.
    """
    started = time.perf_counter()
    scaling = _Scaling.of(features)
    x = scaling.apply(features, np.float64)
    if solver.name in OPTIMIZERS:
        from regraft.training.first_order import descend

        weights, iterations = descend(x, labels, class_count=class_count, l2=l2, solver=solver, ticker=ticker)
    else:
        start = np.zeros((x.shape[1] + 1, class_count))
        problem = _Problem(x, labels, l2, start.shape)
        solve = _by_lbfgs if solver.name == "lbfgs" else _by_newton
        weights, iterations = solve(problem, start, solver.max_iterations, ticker)
    seconds = time.perf_counter() - started
    objective, gradient = _Problem(x, labels, l2, weights.shape).loss_and_gradient(weights.ravel())
    kernel = weights[:-1] / scaling.scale
    bias = weights[-1] - scaling.mean @ kernel
    loss = float(losses_of(features @ kernel + bias, labels).mean())
    return Head(
        kernel.astype(np.float32), bias.astype(np.float32), l2, loss, iterations, objective,
        float(np.abs(gradient).max()), seconds,
    )  # fmt: skip


def choose_l2(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    class_count: int,
    candidates: tuple[float, ...],
    groups: np.ndarray,
    folds: int,
    seed: int,
    max_iterations: int = 500,
    ticker: Ticker = SILENT,
) -> tuple[float, dict[float, float]]:
    """The strength with the smallest cross-validated loss, and that loss for every candidate.

    Args:
        features, labels, class_count, max_iterations: as for `solve_head`. It is always L-BFGS that compares the
            strengths, whatever then solves the head: the minimum is the same.
        candidates: strengths to compare.
        groups: int [N]; images of one group (duplicates) stay in one fold.
        folds: at most as many as the rarest class that can be divided has groups; where none can be, the middle
            candidate is taken.
        seed: of the folds.
        ticker: hears of every iteration, and of one unit per strength and fold.
    """
    folds = min(folds, _smallest_class(labels, groups))
    ordered = sorted(candidates)
    if len(ordered) == 1 or folds < 2:
        return ordered[len(ordered) // 2], {}
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    losses = np.zeros(len(ordered))
    for kept, held in _folds(splitter, labels, groups):
        path = _regularization_path(features[kept], labels[kept], ordered, class_count, max_iterations, ticker)
        losses += [losses_of(logits_of(features[held]), labels[held]).sum() for logits_of in path]
    losses /= len(labels)
    table = dict(zip(ordered, losses.tolist(), strict=True))
    return min(ordered, key=lambda l2: (table[l2], -l2)), table  # of equals the strongest, which was solved first


def held_out_losses(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    class_count: int,
    l2: float,
    groups: np.ndarray,
    folds: int,
    seed: int,
) -> np.ndarray:
    """float64 [N]: the loss of each image under the head that is solved without its fold, in nats.

    Arguments are those of `choose_l2`, whose folds these are. Where no class can be divided it is empty.
    """
    folds = min(folds, _smallest_class(labels, groups))
    if folds < 2:
        return np.empty(0)
    losses = np.empty(len(labels))
    for kept, held in _folds(StratifiedGroupKFold(folds, shuffle=True, random_state=seed), labels, groups):
        head = solve_head(features[kept], labels[kept], class_count=class_count, l2=l2)
        losses[held] = losses_of(head.logits(features[held]), labels[held])
    return losses


@dataclass(frozen=True)
class _Scaling:
    """Centres features and divides all of them by one number, their root mean square."""

    mean: np.ndarray
    scale: float

    @classmethod
    def of(cls, features: np.ndarray) -> _Scaling:
        mean = features.mean(axis=0, dtype=np.float64)
        return cls(mean, float(np.sqrt(np.mean((features - mean) ** 2))) or 1.0)

    def apply(self, features: np.ndarray, dtype: type[np.floating]) -> np.ndarray:
        return np.asarray((features - self.mean) / self.scale, dtype)


def _regularization_path(
    features: np.ndarray,
    labels: np.ndarray,
    strengths: Sequence[float],
    class_count: int,
    max_iterations: int,
    ticker: Ticker,
) -> Sequence[Callable[[np.ndarray], np.ndarray]]:
    """For each strength, in order, a function from features to logits, solved closely enough to compare losses.

    It goes from the strongest to the weakest and starts each from the one before, in float32: eight times as fast as
    exact solutions from zero, and the same choice (benchmarks/head.py).
    """
    scaling = _Scaling.of(features)
    x = scaling.apply(features, np.float32)
    weights = np.zeros((x.shape[1] + 1, class_count))
    path: list[Callable[[np.ndarray], np.ndarray]] = []
    for l2 in sorted(strengths, reverse=True):
        problem = _Problem(x, labels, l2, weights.shape)
        weights, _ = _by_lbfgs(problem, weights, max_iterations, ticker, gtol=1e-3, ftol=1e-5)
        ticker.advance()
        path.append(partial(_logits, scaling=scaling, weights=weights.astype(np.float32)))
    return path[::-1]


def _logits(features: np.ndarray, *, scaling: _Scaling, weights: np.ndarray) -> np.ndarray:
    return scaling.apply(features, np.float32) @ weights[:-1] + weights[-1]


class _Problem:
    """Mean cross-entropy + l2 / 2 * ||kernel||² of weights float64 [C + 1, classes], the bias last and not penalized.

    Weights come and go flat, as SciPy wants them; products are in the dtype of `x`.
    """

    def __init__(self, x: np.ndarray, labels: np.ndarray, l2: float, shape: tuple[int, int]) -> None:
        self.x, self.l2, self.shape = x, l2, shape
        self.one_hot = np.eye(shape[1], dtype=x.dtype)[labels]

    def loss_and_gradient(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        """The objective, and its gradient float64 [(C + 1) * classes]."""
        weights = flat.reshape(self.shape)
        log_probabilities = self._log_probabilities(weights)
        residual = (np.exp(log_probabilities) - self.one_hot) / len(self.x)
        loss = -float((self.one_hot * log_probabilities).sum()) / len(self.x)
        penalty = 0.5 * self.l2 * float((weights[:-1] ** 2).sum())
        return loss + penalty, self._backward(residual, weights)

    def hessian_times(self, flat: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """The product of the Hessian at `flat` and `direction`, without the Hessian.

        With probabilities P and R = X V, the residuals change by P * (R - sum(P * R)), row by row.
        """
        vector = direction.reshape(self.shape)
        probabilities = np.exp(self._log_probabilities(flat.reshape(self.shape)))
        change = self._forward(vector)
        change -= (probabilities * change).sum(axis=1, keepdims=True)
        return self._backward(probabilities * change / len(self.x), vector)

    def _log_probabilities(self, weights: np.ndarray) -> np.ndarray:
        return log_softmax(self._forward(weights), axis=1)

    def _forward(self, weights: np.ndarray) -> np.ndarray:
        narrow = weights.astype(self.x.dtype)
        return self.x @ narrow[:-1] + narrow[-1]

    def _backward(self, residual: np.ndarray, weights: np.ndarray) -> np.ndarray:
        kernel = self.x.T @ residual + self.l2 * weights[:-1]
        return np.vstack([kernel, residual.sum(axis=0)]).ravel().astype(np.float64)


def _by_lbfgs(
    problem: _Problem, start: np.ndarray, max_iterations: int, ticker: Ticker, *, gtol: float = 1e-5, ftol: float = 1e-9
) -> tuple[np.ndarray, int]:
    """The weights at the minimum, and the iterations they took."""
    options = {"maxiter": max_iterations, "gtol": gtol, "ftol": ftol, "maxcor": 10}
    solution = minimize(
        problem.loss_and_gradient,
        start.ravel(),
        jac=True,
        method="L-BFGS-B",
        options=options,
        callback=_iterations_to(ticker),
    )
    return solution.x.reshape(start.shape), int(solution.nit)


def _by_newton(problem: _Problem, start: np.ndarray, max_iterations: int, ticker: Ticker) -> tuple[np.ndarray, int]:
    """As `_by_lbfgs`, by Newton steps in a trust region, each found by conjugate gradients."""
    solution = minimize(
        problem.loss_and_gradient,
        start.ravel(),
        jac=True,
        hessp=problem.hessian_times,
        method="trust-ncg",
        options={"maxiter": max_iterations, "gtol": 1e-5},
        callback=_iterations_to(ticker),
    )
    return solution.x.reshape(start.shape), int(solution.nit)


def _iterations_to(ticker: Ticker) -> Callable[[np.ndarray], None]:
    """What SciPy calls after each iteration."""
    count = itertools.count(1)
    return lambda xk: ticker.advance(0, f"iteration {next(count)}")


def _smallest_class(labels: np.ndarray, groups: np.ndarray) -> int:
    """Groups of the rarest class that has at least two; 1 where no class has."""
    counts = [len(np.unique(groups[labels == label])) for label in np.unique(labels)]
    return min((count for count in counts if count > 1), default=1)


def _folds(splitter: StratifiedGroupKFold, labels: np.ndarray, groups: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    with warnings.catch_warnings():  # of a class that has fewer groups than there are folds
        warnings.simplefilter("ignore", UserWarning)
        return list(splitter.split(np.zeros(len(labels)), labels, groups))
