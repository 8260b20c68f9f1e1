"""Choosing the head's L2 along a warm-started path against exact solutions from zero: seconds and choices.

    python benchmarks/head.py --images 2000 --features 1280 --classes 6
    python benchmarks/head.py --images 6941 --features 1280 --classes 101 --path-only
    python benchmarks/head.py --images 6941 --features 8416 --last 1280 --classes 101 --path-only

Features are drawn with a seed; runs alternate, and the ratio is given with its range. With --path-only, what `regraft
train` does to them: the choice of strength and layers (with --last, so many features are of the last one), and the
solution on all photos from where it ended; and its accuracy on a fifth as many others.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.model_selection import StratifiedKFold

from regraft.evidence.losses import losses_of
from regraft.progress import SILENT
from regraft.recipes.recipe import load_recipe
from regraft.training.head import solve_head
from regraft.training.layers import choose_layers
from regraft.training.strength import choose_l2

STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 2000), ("features", 1280), ("classes", 6), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--last", type=int, default=0)
    parser.add_argument("--path-only", action="store_true")
    options = parser.parse_args()
    if options.path_only:
        drawn = _draw(options.images + options.images // 5, options.features, options.classes)
        widths = [options.features - options.last, options.last] if options.last else [options.features]
        for _ in range(options.repeats):
            _train(*drawn, options.images, options.classes, widths)
        return
    features, labels = _draw(options.images, options.features, options.classes)
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


def _train(features: np.ndarray, labels: np.ndarray, images: int, classes: int, widths: list[int]) -> None:
    known, truth, started = features[:images], labels[:images], time.perf_counter()
    layers = choose_layers(
        load_recipe("quick"), known, widths, truth, np.arange(images), class_count=classes, always=False, ticker=SILENT
    )
    chosen = time.perf_counter()
    design, start = layers.design_of(known)
    head = solve_head(design, truth, class_count=classes, l2=layers.l2, start=start)
    solved = time.perf_counter()
    right = head.logits(features[images:, layers.columns]).argmax(axis=1) == labels[images:]
    print(
        f"chose {layers.strength.l2:g} and {layers.taps} taps on {len(layers.images):,} in {chosen - started:.1f} s, "
        f"solved on {images:,} in {solved - chosen:.1f} s; {100 * right.mean():.1f} % of {len(right):,} right"
    )


def _from_zero(features: np.ndarray, labels: np.ndarray, classes: int) -> float:
    losses = np.zeros(len(STRENGTHS))
    for kept, held in StratifiedKFold(5, shuffle=True, random_state=0).split(features, labels):
        for position, l2 in enumerate(STRENGTHS):
            head = solve_head(features[kept], labels[kept], class_count=classes, l2=l2)
            losses[position] += losses_of(head.logits(features[held]), labels[held]).sum()
    return STRENGTHS[int(np.argmin(losses))]


if __name__ == "__main__":
    main()
