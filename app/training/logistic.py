"""Multinomial logistic regression as a problem for second-order methods: its value, gradient and curvature."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from regraft.progress import Ticker


class LogisticProblem:
    """Cross-entropy + l2 / 2 * ||kernel||² of weights float64 [C + 1, classes], the bias last and not penalized.

    Weights come and go flat, as SciPy wants them; products are in the dtype of `x`, sums over images in float64.

    Several problems on the same images, such as the folds of a cross-validation, are solved side by side as one, whose
    objective is their sum: the features, which are most of what has to be read, are then read once for all of them.
    Their weights are [C + 1, problems * classes], one problem after the other.

    Args:
        x: float [N, C].
        labels: int [N] in [0, class_count).
        l2: strength, above 0.
        class_count: at least 2.
        shares: float [problems, N], what each image counts in each problem; by default one, in which all count 1 / N.
    """

    def __init__(
        self, x: np.ndarray, labels: np.ndarray, l2: float, class_count: int, shares: np.ndarray | None = None
    ) -> None:
        self.x, self.labels, self.l2, self.class_count = x, labels, l2, class_count
        self.shares = np.full((1, len(x)), 1 / len(x)) if shares is None else shares
        self.shape = (x.shape[1] + 1, len(self.shares) * class_count)
        self._rows = np.arange(len(x))
        self._counts = self.shares.astype(x.dtype)[:, None]

    def with_l2(self, l2: float) -> LogisticProblem:
        """The same problem at another strength, on the same arrays."""
        return LogisticProblem(self.x, self.labels, l2, self.class_count, self.shares)

    def with_rows(self, x: np.ndarray) -> LogisticProblem:
        """The same problem on these features."""
        return LogisticProblem(x, self.labels, self.l2, self.class_count, self.shares)

    def slope(self, weights: np.ndarray | None = None) -> float:
        """The largest derivative at these weights, by default zero, in size; 1 where all are 0.

        What is small beside it is small, however many classes there are.
        """
        at = np.zeros(self.shape) if weights is None else weights
        return float(np.abs(self.loss_and_gradient(at)[1]).max()) or 1.0

    def losses(self, weights: np.ndarray) -> np.ndarray:
        """float64 [problems, N]: the cross-entropy of each image in each problem, in nats, whatever it counts."""
        return self._losses_and_exponentials(weights)[0]

    def loss_and_gradient(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        """The objective, and its gradient float64 [(C + 1) * problems * classes]."""
        weights = flat.reshape(self.shape)
        losses, residual, total = self._losses_and_exponentials(weights)
        penalty = 0.5 * self.l2 * float((weights[:-1] ** 2).sum())
        residual *= self._counts / total
        residual[:, self.labels, self._rows] -= self._counts[:, 0]
        return float((losses * self.shares).sum()) + penalty, self._backward(residual, weights)

    def hessian_times(self, flat: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """The product of the Hessian at `flat` and `direction`, without the Hessian.

        With probabilities P and R = X V, the residuals change by P * (R - sum(P * R)), row by row.
        """
        vector = direction.reshape(self.shape)
        _, exponentials, total = self._losses_and_exponentials(flat.reshape(self.shape))
        probabilities = exponentials / total
        change = self._forward(vector)
        change -= (probabilities * change).sum(axis=1, keepdims=True)
        return self._backward(probabilities * change * self._counts, vector)

    def _losses_and_exponentials(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`losses`, [problems, classes, N] that is proportional to the probabilities, and its sums over the classes."""
        logits = self._forward(weights)
        logits -= logits.max(axis=1, keepdims=True)
        labelled = logits[:, self.labels, self._rows].astype(np.float64)
        exponentials = np.exp(logits, out=logits)
        total = exponentials.sum(axis=1, keepdims=True)
        return np.log(total[:, 0], dtype=np.float64) - labelled, exponentials, total

    def _forward(self, weights: np.ndarray) -> np.ndarray:
        """Logits [problems, classes, N]: images last, so that what runs over the classes runs over long rows."""
        turned = np.ascontiguousarray(weights.T, self.x.dtype)
        return (turned[:, :-1] @ self.x.T + turned[:, -1:]).reshape(-1, self.class_count, len(self.x))

    def _backward(self, residual: np.ndarray, weights: np.ndarray) -> np.ndarray:
        flat = residual.reshape(-1, len(self.x))
        gradient = np.empty(self.shape)
        gradient[:-1] = (flat @ self.x).T
        gradient[:-1] += self.l2 * weights[:-1]
        gradient[-1] = flat.sum(axis=1, dtype=np.float64)
        return gradient.ravel()


def by_lbfgs(
    problem: LogisticProblem,
    start: np.ndarray,
    max_iterations: int,
    ticker: Ticker,
    *,
    gtol: float = 1e-5,
    ftol: float = 1e-9,
    done: int = 0,
) -> tuple[np.ndarray, int]:
    """The weights at the minimum, and the iterations they took; `done` of them before."""
    solution = minimize(
        problem.loss_and_gradient,
        start.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": max_iterations - done, "gtol": gtol, "ftol": ftol, "maxcor": 10},
        callback=_iterations_to(ticker, done),
    )
    return solution.x.reshape(start.shape), done + int(solution.nit)


def by_newton(
    problem: LogisticProblem, start: np.ndarray, max_iterations: int, ticker: Ticker
) -> tuple[np.ndarray, int]:
    """As `by_lbfgs`, by Newton steps in a trust region, each found by conjugate gradients."""
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


def _iterations_to(ticker: Ticker, done: int = 0) -> Callable[[np.ndarray], None]:
    """What SciPy calls after each iteration."""
    count = itertools.count(done + 1)
    return lambda xk: ticker.advance(0, f"iteration {next(count)}")
