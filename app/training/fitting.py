"""How photos are best fitted into the square, where the recipe leaves it open: what heads on their features say.

Cutting off the sides loses what lies there, stretching what shapes say, and margins leave fewer pixels for the photo;
which costs least is a matter of the photos. It is asked on few of them, before the features of all are computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from regraft.augment.fits import FITS, Fit
from regraft.data.duplicates import group_together
from regraft.data.records import Record
from regraft.data.sources import labels_of
from regraft.evidence.losses import is_clearly_better
from regraft.inference.features import FeatureCache, extract_features
from regraft.inference.views import Infer, ViewReader, make_infer
from regraft.machine.devices import Device
from regraft.models.classifier import feature_extractor, feature_widths
from regraft.progress import Progress, Ticker
from regraft.recipes.recipe import Recipe, edit_recipe
from regraft.training.strength import choose_l2_of, stratified

if TYPE_CHECKING:
    import keras

PHOTOS, PHOTOS_OF_A_CLASS = 300, 5
"""How many training photos are asked; more where there are more than a class for each five of them."""


@dataclass(frozen=True)
class FitChoice:
    """The fit that training takes, and why.

    Attributes:
        fit: the one.
        photos: how many were asked.
        losses: of each fit, cross-validated, in nats; empty where they could not be compared.
    """

    fit: Fit
    photos: int = 0
    losses: Mapping[Fit, float] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.losses:
            return "data.fit is crop, as there is nothing to compare the others by."
        found = ", ".join(f"{fit} {loss:.3f}" for fit, loss in self.losses.items())
        why = "none is clearly better" if self.fit == "crop" else f"clearly better than {FITS[0]}"
        return f"data.fit is {self.fit}, {why}: cross-validated loss on {self.photos:,} training photos {found}."


def choose_fit(
    recipe: Recipe, model: keras.Model, device: Device, records: Sequence[Record], progress: Progress
) -> FitChoice:
    """The fit whose features a head answers best by, of a sample of the training photos `records`.

    It is the one of the lowest cross-validated loss, or "crop" where no other is lower by more than the standard error
    of the difference, photo by photo (see `is_clearly_better`). It is "crop" without comparison for fresh weights,
    whose features will not stay, and for classes that cannot be divided. Features are kept in the cache, where
    training finds them.

    Raises:
        FolderError: a file became unreadable since it was scanned.
    """
    if recipe.model.weights == "none":
        return FitChoice(FITS[0])
    asked = sample(records, max(PHOTOS, PHOTOS_OF_A_CLASS * model.output_shape[-1]), seed=recipe.seed)
    extractor = feature_extractor(model)
    infer = make_infer(extractor, device)
    last = slice(-feature_widths(model)[-1], None)  # which layers are read is asked later, of all photos
    features = {fit: _features(recipe, fit, extractor, infer, device, asked, progress)[:, last] for fit in FITS}
    solutions = len(FITS) * len(recipe.head.l2) * recipe.head.folds
    with progress.work("fit", solutions, "solutions") as ticker:
        losses = {fit: _losses(recipe, features[fit], asked, model.output_shape[-1], ticker) for fit in FITS}
    if not all(map(len, losses.values())):
        return FitChoice(FITS[0], len(asked))
    better = [fit for fit in FITS if is_clearly_better(losses[fit], losses[FITS[0]])]
    means = {fit: float(losses[fit].mean()) for fit in FITS}
    return FitChoice(min(better, key=means.__getitem__, default=FITS[0]), len(asked), means)


def sample(records: Sequence[Record], count: int, *, seed: int) -> list[Record]:
    """At most `count` of `records`, drawn by `seed`: of each class its share, of the smallest two where there are two.

    They keep their order.
    """
    labels = np.array([record.class_index for record in records], int)
    return [records[place] for place in stratified(labels, count, least=2, seed=seed)]


def _features(
    recipe: Recipe,
    fit: Fit,
    extractor: keras.Model,
    infer: Infer,
    device: Device,
    records: Sequence[Record],
    progress: Progress,
) -> np.ndarray:
    reader = ViewReader.of_recipe(edit_recipe(recipe, {"data.fit": fit}))
    cache = FeatureCache.of(extractor, reader, device)
    return extract_features(records, infer, reader, cache, progress)


def _losses(
    recipe: Recipe, features: np.ndarray, records: Sequence[Record], class_count: int, ticker: Ticker
) -> np.ndarray:
    """float64 [N]: the cross-validated loss of each photo at the strength that suits these features; [0] of none."""
    labels, groups = labels_of(records), group_together(records)
    choice = choose_l2_of(recipe, features, labels, groups, class_count=class_count, always=True, ticker=ticker)
    return choice.held_out
