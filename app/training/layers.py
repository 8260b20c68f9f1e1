"""Which layers of the backbone a head reads, where that is left open: what cross-validation says of the photos.

Earlier layers say more of photos unlike ImageNet's, and lose where the last layer already knows the classes (Head2Toe,
Evci et al. 2022, "Head2Toe: Utilizing intermediate representations for better transfer learning").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from regraft.evidence.losses import is_clearly_better
from regraft.progress import Ticker
from regraft.training.design import Design
from regraft.training.strength import Choice, choose_l2_of, compared_images, held_out_by_all

if TYPE_CHECKING:
    from regraft.recipes.recipe import Recipe


@dataclass(frozen=True)
class LayerChoice:
    """The layers that a head reads, and the strength that suits it.

    Attributes:
        taps: how many layers before the last it reads.
        columns: of the features of all layers, those of what it reads.
        widths: the features of each layer that it reads.
        images: int, positions of the images that were compared.
        part: of all images, duplicates counted once.
        design: of those that were compared.
        strength: chosen on these.
        losses: cross-validated, in nats, by how many taps were read; empty where there was nothing to compare.
    """

    taps: int
    columns: slice
    widths: Sequence[int]
    images: np.ndarray
    part: float
    design: Design
    strength: Choice
    losses: dict[str, float] = field(default_factory=dict)

    @property
    def l2(self) -> float:
        """The strength for all images, of which those that were compared are `part`.

        As what is penalized is the mean of the losses, a prior that stays as it is leaves the strength to fall as
        images become more; where labels are noisy it falls less. The root of the part lies between, and far from
        neither. A strength that was asked for stays as it is.
        """
        return self.strength.l2 * math.sqrt(self.part) if len(self.strength.losses) > 1 else self.strength.l2

    def design_of(self, features: np.ndarray) -> tuple[Design, np.ndarray | None]:
        """The design of features [M, C] of all layers, those that were compared first, and weights to start from."""
        if len(features) == len(self.images):
            return self.design, self.strength.weights
        design = Design.of(features[:, self.columns], self.widths)
        if self.strength.weights is None:
            return design, None
        return design, design.fold(*self.design.unfold(self.strength.weights))


def choose_layers(
    recipe: Recipe,
    features: np.ndarray,
    widths: Sequence[int],
    labels: np.ndarray,
    groups: np.ndarray,
    *,
    class_count: int,
    always: bool,
    ticker: Ticker,
    weights: np.ndarray | None = None,
) -> LayerChoice:
    """All layers, or, where the recipe's `head.taps` is "auto", the last alone unless all are clearly better.

    Args:
        recipe: whose `head` says what is asked for.
        features: float32 [N, C], of all layers, the last layer's last.
        widths: the features of each layer.
        labels, groups, class_count, always, ticker, weights: as for `choose_l2`.
    """
    images = compared_images(labels, groups, class_count=class_count, folds=recipe.head.folds, seed=recipe.seed)
    part = len(np.unique(groups[images])) / len(np.unique(groups))
    asked = features if len(images) == len(features) else features[images]

    def read(taps: int, *, always: bool) -> LayerChoice:
        read_widths = widths[len(widths) - 1 - taps :]
        columns = slice(sum(widths) - sum(read_widths), None)
        design = Design.of(asked[:, columns], read_widths)
        strength = choose_l2_of(
            recipe, design, labels[images], groups[images], class_count=class_count, always=always, ticker=ticker,
            weights=None if weights is None else weights[images],
        )  # fmt: skip
        return LayerChoice(taps, columns, read_widths, images, part, design, strength)

    most = len(widths) - 1
    if not _is_open(recipe, widths):
        return read(most, always=always)
    last = read(0, always=True)
    if not len(last.strength.held_out):
        return last
    every = read(most, always=True)
    plain, tapped = held_out_by_all([last.strength.held_out, every.strength.held_out])
    losses = {"0": float(plain.mean()), str(most): float(tapped.mean())}
    return replace(every if is_clearly_better(tapped, plain) else last, losses=losses)


def count_solutions(recipe: Recipe, widths: Sequence[int], *, always: bool) -> int:
    """How many units the ticker of `choose_layers` hears of, where classes can be divided."""
    choices = recipe.head
    if _is_open(recipe, widths):
        return 2 * len(choices.l2) * choices.folds
    return len(choices.l2) * choices.folds if always or len(choices.l2) > 1 else 0


def _is_open(recipe: Recipe, widths: Sequence[int]) -> bool:
    """Whether it is left open which layers the head reads, and there is more than the last."""
    return recipe.head.taps == "auto" and len(widths) > 1
