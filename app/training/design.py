"""Features as a head is solved on them: centred, scaled, and in the smaller of both dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cholesky, solve_triangular

_JITTER = 1e-8
"""Of the mean square of the rows: what is added to each square, so that images that are the same can be told apart."""


@dataclass(frozen=True)
class Design:
    """Rows with the same products as centred, scaled features, and as few numbers as that takes.

    Where there are more features than images, the rows are those of the triangle L with L L' = X X' (Cholesky): what
    is solved on them with an L2 penalty has its counterpart on X, as every product is the same.

    Attributes:
        rows: float64 [N, r], r the smaller of the numbers of images and features.
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
        mean = features.mean(axis=0, dtype=np.float64)
        centred = features - mean
        squares = np.square(centred).mean(axis=0)
        widths = widths or [len(mean)]
        parts = np.split(squares, np.cumsum(widths)[:-1])
        scale = np.concatenate([np.full(len(part), np.sqrt(part.mean()) or 1.0) for part in parts])
        centred /= scale
        if len(centred) >= len(mean):
            return cls(centred, mean, scale)
        gram = centred @ centred.T
        gram[np.diag_indices_from(gram)] += _JITTER * (gram.trace() / len(gram) or 1.0)
        triangle = cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
        return cls(triangle, mean, scale, (centred, triangle))

    def only(self, images: slice | np.ndarray) -> Design:
        """The design of some of its images, which is solved on in the same numbers."""
        return replace(self, rows=self.rows[images])

    def unfold(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The kernel [C, classes] and bias [classes] for plain features of weights [r + 1, classes] for the rows."""
        kernel = weights[:-1]
        if self._dual:
            centred, triangle = self._dual
            kernel = centred.T @ solve_triangular(triangle, kernel, lower=True, trans="T", check_finite=False)
        kernel = kernel / self.scale[:, None]
        return kernel, weights[-1] - self.mean @ kernel


def as_design(features: np.ndarray | Design) -> Design:
    """The design of features of one layer [N, C]; a design stays as it is."""
    return features if isinstance(features, Design) else Design.of(features)
