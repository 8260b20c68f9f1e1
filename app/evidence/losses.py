"""Cross-entropy in NumPy, for stages, heads and temperatures; and when one loss is clearly lower than another."""

from __future__ import annotations

import numpy as np


def losses_of(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """float64 [N]: cross-entropy in nats of each label under logits [N, classes]."""
    from scipy.special import log_softmax  # starts for a while, which a report need not wait for

    log_probabilities = log_softmax(np.asarray(logits, np.float64), axis=1)
    return -log_probabilities[np.arange(len(labels)), labels]


_LEAST_PROBABILITY = 1e-7


def losses_of_probabilities(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The same of probabilities [N, classes], clipped to at least 1e-7 as Keras does."""
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(own.clip(_LEAST_PROBABILITY, 1.0))


def gain_of(losses: np.ndarray, other_losses: np.ndarray) -> tuple[float, float]:
    """How much lower `losses` are than `other_losses`, both [N] of the same images: the mean, and its standard error.

    The error is infinite for fewer than two images, of which nothing can be said.
    """
    gains = other_losses - losses
    if len(gains) < 2:
        return float(gains.mean()) if len(gains) else 0.0, np.inf
    return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))


def is_clearly_better(losses: np.ndarray, other_losses: np.ndarray) -> bool:
    """Whether `losses` are lower than `other_losses` by more than the standard error of the difference.

    Source: the one-standard-error rule of Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3.
    """
    gain, error = gain_of(losses, other_losses)
    return gain > error
