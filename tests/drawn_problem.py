"""Features of overlapping classes, for heads to be solved on."""

from __future__ import annotations

import numpy as np


def drawn_problem(count: int = 60, width: int = 5, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [count, width] and labels int [count]."""
    random = np.random.default_rng(8)
    labels = np.arange(count) % classes
    return (random.normal(size=(classes, width))[labels] + random.normal(size=(count, width))).astype(
        np.float32
    ), labels


def uneven_problem(
    images: int = 90, channels: int = 6, seed: int = 0, classes: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [images, channels] of overlapping classes, off-centre and of unlike spread."""
    random = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    centers = random.standard_normal((classes, channels))
    spread = np.linspace(0.2, 3, channels)
    features = 4 + spread * (centers[labels] + random.standard_normal((images, channels)))
    return features.astype(np.float32), labels
