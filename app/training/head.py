"""The new dense head on frozen features: a convex problem, solved to its optimum.

Multinomial logistic regression by full-batch L-BFGS (Liu & Nocedal 1989), or by Newton's method with conjugate
gradients (Nocedal & Wright 2006, section 7.1). First-order methods, which can be had too, need hundreds of epochs to
get near this point; the second-order method that would be wrong for the whole network is right here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from regraft.evidence.losses import losses_of
from regraft.machine.threads import single_threaded_algebra
from regraft.models.optimizer_table import OPTIMIZERS
from regraft.progress import SILENT, Ticker
from regraft.training.design import Design, as_design
from regraft.training.logistic import LogisticProblem, by_lbfgs, by_newton
from regraft.training.solver import Solver

LBFGS = Solver()

THREADED = 2e7
"""From so many images x features x classes on, NumPy's products gain more from threads than waiting for them costs."""

_POLISHED = 1e7
"""Up to so many the minimum is found in float64 from where float32 has come, which moves no answer that is seen."""

_ROWS = 4096  # at a time, where logits are computed: what a device gets


@dataclass(frozen=True)
class Head:
    """A solved head: logits = features @ kernel + bias.

    Attributes:
        kernel: float32 [C, classes].
        bias: float32 [classes].
        l2: the strength it was solved with.
        loss: mean cross-entropy on the images it was solved on, as they count, in nats, without the penalty.
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


def solve_head(
    features: np.ndarray | Design,
    labels: np.ndarray,
    *,
    class_count: int,
    l2: float,
    solver: Solver = LBFGS,
    start: np.ndarray | None = None,
    weights: np.ndarray | None = None,
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
        start: float [r + 1, classes], weights near the minimum, such as `Design.fold` gives.
        weights: float [N] above 0, what each image counts in the mean; by default all count the same.
        ticker: hears of every iteration, with no unit done, so that who watches sees that it goes on.
    """
    started = time.perf_counter()
    design = as_design(features)
    shares = None if weights is None else (weights / weights.sum())[None]
    problem = LogisticProblem(design.rows, labels, l2, class_count, shares)
    with single_threaded_algebra(but_numpy=design.rows.size * class_count > THREADED):
        solution, iterations = _minimize(problem, solver, start, ticker)
    seconds = time.perf_counter() - started
    objective, gradient = problem.loss_and_gradient(solution.ravel())
    kernel, bias = design.unfold(solution)
    loss = float(np.average(losses_of(design.rows @ solution[:-1] + solution[-1], labels), weights=weights))
    return Head(
        kernel.astype(np.float32), bias.astype(np.float32), l2, loss, iterations, objective,
        float(np.abs(gradient).max()), seconds,
    )  # fmt: skip


def _minimize(
    exact: LogisticProblem, solver: Solver, start: np.ndarray | None, ticker: Ticker
) -> tuple[np.ndarray, int]:
    """Weights float64 [r + 1, classes] at the minimum, and the iterations or steps they took."""
    if solver.name in OPTIMIZERS:
        from regraft.training.first_order import descend

        return descend(exact, solver=solver, ticker=ticker)
    weights = np.zeros(exact.shape) if start is None else start
    if solver.name != "lbfgs":
        return by_newton(exact, weights, solver.max_iterations, ticker)
    closely = exact.with_rows(exact.x.astype(np.float32, copy=False))
    slope = closely.slope()
    weights, iterations = by_lbfgs(closely, weights, solver.max_iterations, ticker, gtol=5e-4 * slope, ftol=1e-7)
    if exact.x.size * exact.class_count > _POLISHED or iterations >= solver.max_iterations:
        return weights, iterations
    # Its first steps from there, which know no curvature yet, are too small to be taken for the end.
    gtol = 5e-6 * slope
    return by_lbfgs(exact, weights, solver.max_iterations, ticker, gtol=gtol, ftol=1e-13, done=iterations)
