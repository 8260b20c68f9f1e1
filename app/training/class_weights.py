"""What a photo of each class counts in training, as the recipe says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from regraft.recipes.class_tables import check_weighted_classes, find_mistake
from regraft.recipes.recipe import Recipe

Asked = str | Mapping[str, float] | None
"""A value of `class_weights` in a resolved recipe."""


def check_classes(recipe: Recipe, class_names: Sequence[str]) -> None:
    """Raises UsageError where the recipe says something of a class that there is not."""
    for key in ("finetune.class_weights", "head.class_weights"):
        check_weighted_classes(key, recipe.at(key), class_names)
    for mistake in recipe.cost:
        find_mistake(mistake, class_names)


def weights_of_classes(asked: Asked, labels: np.ndarray, class_names: Sequence[str]) -> np.ndarray | None:
    """float64 [C]: what a photo of each class counts, 1 on average over the photos; None where all count the same.

    Args:
        asked: "none", "balanced" (N / (C * photos of the class), as scikit-learn has it), or weights by class.
        labels: int [N], of the training photos.
        class_names: C names in label order; a class without photos weighs 1 before the average is taken.
    """
    if asked in (None, "none"):
        return None
    if isinstance(asked, Mapping):
        weights = np.array([asked.get(name, 1.0) for name in class_names], np.float64)
    else:
        from sklearn.utils.class_weight import compute_class_weight

        weights, there = np.ones(len(class_names)), np.unique(labels)
        weights[there] = compute_class_weight("balanced", classes=there, y=labels)
    return weights / weights[labels].mean()
