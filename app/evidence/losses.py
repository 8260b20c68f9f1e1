"""Cross-entropy in NumPy, for stages, heads and temperatures."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax


def losses_of(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """float64 [N]: cross-entropy in nats of each label under logits [N, classes]."""
    log_probabilities = log_softmax(np.asarray(logits, np.float64), axis=1)
    return -log_probabilities[np.arange(len(labels)), labels]
