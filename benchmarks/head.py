"""Choosing the head's L2 along a warm-started path against exact solutions from zero: seconds and choices.

    python benchmarks/head.py --images 2000 --features 1280 --classes 6
    python benchmarks/head.py --images 6941 --features 1280 --classes 101 --path-only

Features are drawn with a seed; runs alternate, and the ratio is given with its range. With --path-only, what `regraft
train` does to them: the choice, and the solution from where it ended.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.model_selection import StratifiedKFold

from regraft.evidence.losses import losses_of
from regraft.recipes.choices import HeadChoices
from regraft.training.design import Design
from regraft.training.head import choose_l2, solve_head

STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 2000), ("features", 1280), ("classes", 6), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--path-only", action="store_true")
    options = parser.parse_args()
    features, labels = _draw(options.images, options.features, options.classes)
    if options.path_only:
        for _ in range(options.repeats):
            _train(features, labels, options.classes)
        return
    ratios = []
    for _ in range(options.repeats):
        path_seconds, path_choice = _timed(_along_path, features, labels, options.classes)
        exact_seconds, exact_choice = _timed(_from_zero, features, labels, options.classes)
        ratios.append(exact_seconds / path_seconds)
        print(f"path {path_seconds:.1f} s chose {path_choice:g}; exact {exact_seconds:.1f} s chose {exact_choice:g}")
    print(f"ratio {np.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")


def _draw(images: int, width: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Non-negative, correlated, overlapping classes, as pooled ReLU features are."""
    random = np.random.default_rng(0)
    labels = np.arange(images) % classes
    centers, mix = random.standard_normal((classes, 64)), random.standard_normal((64, width)) / 8
    hidden = centers[labels] + 1.5 * random.standard_normal((images, 64))
    return np.maximum(hidden @ mix, 0).astype(np.float32), labels


def _timed(choose, features: np.ndarray, labels: np.ndarray, classes: int) -> tuple[float, float]:
    started = time.perf_counter()
    choice = choose(features, labels, classes)
    return time.perf_counter() - started, choice


def _along_path(features: np.ndarray, labels: np.ndarray, classes: int) -> float:
    groups = np.arange(len(labels))
    return choose_l2(features, labels, class_count=classes, candidates=STRENGTHS, groups=groups, folds=5, seed=0).l2


def _train(features: np.ndarray, labels: np.ndarray, classes: int) -> None:
    started = time.perf_counter()
    groups, design = np.arange(len(labels)), Design.of(features)
    options = {"class_count": classes, "candidates": HeadChoices().l2, "groups": groups, "folds": 5, "seed": 0}
    choice = choose_l2(design, labels, **options)
    chosen = time.perf_counter()
    solve_head(design, labels, class_count=classes, l2=choice.l2, start=choice.weights)
    print(f"chose {choice.l2:g} in {chosen - started:.1f} s, solved in {time.perf_counter() - chosen:.1f} s")


def _from_zero(features: np.ndarray, labels: np.ndarray, classes: int) -> float:
    losses = np.zeros(len(STRENGTHS))
    for kept, held in StratifiedKFold(5, shuffle=True, random_state=0).split(features, labels):
        for position, l2 in enumerate(STRENGTHS):
            head = solve_head(features[kept], labels[kept], class_count=classes, l2=l2)
            losses[position] += losses_of(head.logits(features[held]), labels[held]).sum()
    return STRENGTHS[int(np.argmin(losses))]


if __name__ == "__main__":
    main()
