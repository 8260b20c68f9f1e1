"""How far a classifier's scores are from how often it is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from regraft.evidence.judged import check_answers


@dataclass(frozen=True, slots=True, eq=False)
class ReliabilityBins:
    """Answers grouped by how sure the model was of them; only the bins that hold any.

    Attributes:
        images: int [B], how many answers each bin holds, at least 1.
        correct: int [B], how many of them are right.
        confidence: float64 [B], mean score of the answer, in [0, 1].
    """

    images: np.ndarray
    correct: np.ndarray
    confidence: np.ndarray

    @property
    def accuracy(self) -> np.ndarray:
        """float64 [B] in [0, 1]."""
        return self.correct / self.images


def expected_calibration_error(truth: np.ndarray, probabilities: np.ndarray, *, bins: int = 15) -> float:
    """Mean distance in [0, 1], over equal-width bins, from how sure answers are to how often they are right.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3.

    Raises:
        ValueError: as `check_answers`, or `bins` below 1.
    """
    filled = reliability_bins(truth, probabilities, bins=bins)
    return float(np.average(np.abs(filled.accuracy - filled.confidence), weights=filled.images))


def reliability_bins(truth: np.ndarray, probabilities: np.ndarray, *, bins: int = 15) -> ReliabilityBins:
    """The answers in `bins` equal-width bins ((m - 1) / bins, m / bins] of their score.

    Raises:
        ValueError: as `check_answers`, or `bins` below 1.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1; received {bins}.")
    truth, probabilities = check_answers(truth, probabilities)
    score, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    _, position, images = np.unique(np.searchsorted(edges, score), return_inverse=True, return_counts=True)
    return ReliabilityBins(
        images=images,
        correct=np.bincount(position, weights=correct).astype(int),
        confidence=np.bincount(position, weights=score) / images,
    )
