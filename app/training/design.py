"""Features as a head is solved on them: centred, scaled, and in the smaller of both dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular

_JITTER = 1e-8
"""Of the mean square of the rows: what is added to each square, so that images that are the same can be told apart."""

_EXACT = 5e6
"""Up to so many numbers rows are float64; beyond, where solutions are no closer than float32, they are float32."""

_BLOCK = 2048  # rows, or columns, that are turned into float64 at a time


@dataclass(frozen=True)
class Design:
    """Rows with the same products as centred, scaled features, and as few numbers as that takes.

    Where there are more than twice as many features as images, the rows are those of the triangle L with L L' = X X'
    (Cholesky): what is solved on them with an L2 penalty has its counterpart on X, as every product is the same.

    Attributes:
        rows: float64 or float32 [N, r], r the number of features, or of images where there are far fewer of these.
        mean: float64 [C], of each feature.
        scale: float64 [C], what the centred features are divided by: the root mean square of all of their layer.
    """

    rows: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    _dual: tuple[np.ndarray, np.ndarray] | None = None

    @classmethod
    def of(cls, features: np.ndarray, widths: Sequence[int] = ()) -> Design:
        """The design of features [N, C], of which the first `widths[0]` are of one layer, the next of another, ...

        Without widths, all are of one layer.
        """
        is_exact = len(features) * min(features.shape) <= _EXACT
        mean = features.mean(axis=0, dtype=np.float64)
        centred = _less(features, mean, np.float64 if is_exact else np.float32)
        squares = np.mean(np.square(centred), axis=0, dtype=np.float64)
        widths = widths or [len(mean)]
        parts = np.split(squares, np.cumsum(widths)[:-1])
        scale = np.concatenate([np.full(len(part), np.sqrt(part.mean()) or 1.0) for part in parts])
        centred /= scale.astype(centred.dtype)
        if 2 * len(centred) >= len(mean):
            return cls(centred, mean, scale)
        gram = _products(centred)
        gram[np.diag_indices_from(gram)] += _JITTER * (gram.trace() / len(gram) or 1.0)
        triangle = cholesky(gram, lower=True, overwrite_a=True, check_finite=False).astype(centred.dtype)
        return cls(triangle, mean, scale, (centred, triangle))

    def unfold(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The kernel [C, classes] and bias [classes] for plain features of weights [r + 1, classes] for the rows."""
        kernel = weights[:-1]
        if self._dual:
            centred, triangle = self._dual
            kernel = solve_triangular(triangle, kernel, lower=True, trans="T", check_finite=False)
            kernel = centred.T @ kernel.astype(centred.dtype)
        kernel = kernel / self.scale[:, None]
        return kernel, weights[-1] - self.mean @ kernel

    def fold(self, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """float64 [r + 1, classes]: the weights for the rows that answer their images as this kernel and bias do."""
        weights = kernel * self.scale[:, None]
        if self._dual:
            centred, triangle = self._dual
            answers = centred @ weights.astype(centred.dtype)
            weights = solve_triangular(triangle, answers, lower=True, check_finite=False)
        return np.vstack([weights, bias + self.mean @ kernel]).astype(np.float64)


def _less(features: np.ndarray, mean: np.ndarray, dtype: type[np.floating]) -> np.ndarray:
    """`features` without their mean, rounded once."""
    centred = np.empty(features.shape, dtype)
    for start in range(0, len(features), _BLOCK):
        rows = slice(start, start + _BLOCK)
        centred[rows] = features[rows] - mean
    return centred


def _products(rows: np.ndarray) -> np.ndarray:
    """float64 [N, N]: the products of all pairs of rows; in float32, those of rows without a mean are no squares."""
    products = np.zeros((len(rows), len(rows)))
    for start in range(0, rows.shape[1], _BLOCK):
        block = rows[:, start : start + _BLOCK].astype(np.float64)
        products += block @ block.T
    return products


def as_design(features: np.ndarray | Design) -> Design:
    """The design of features of one layer [N, C]; a design stays as it is."""
    return features if isinstance(features, Design) else Design.of(features)
