"""Which of the backbones that are here suits the photos, where the recipe leaves it open: what heads on them say.

A better network on ImageNet is not always one for other photos, and takes longer. So each that is fast enough is asked
on few training photos, with the layers that a head would read, before the features of all are computed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from regraft.data.duplicates import group_together
from regraft.data.records import Record
from regraft.data.sources import labels_of
from regraft.errors import BackboneError, UsageError, WeightsError
from regraft.evidence.losses import is_clearly_better
from regraft.inference.features import FeatureCache, extract_features
from regraft.inference.views import ViewReader, make_infer
from regraft.machine.devices import Device
from regraft.models.availability import installed_backbones
from regraft.models.classifier import feature_extractor, feature_widths
from regraft.progress import Progress
from regraft.recipes.recipe import Recipe, edit_recipe
from regraft.training.building import build_model
from regraft.training.fitting import PHOTOS, PHOTOS_OF_A_CLASS, sample
from regraft.training.layers import choose_layers, count_solutions
from regraft.training.resolving import resolve
from regraft.training.strength import held_out_by_all

_TIMED = 32
"""On how many photos it is judged how long all would take."""


@dataclass(frozen=True)
class BackboneChoice:
    """The backbone that training takes, and why.

    Attributes:
        backbone: its name.
        photos: how many training photos were asked.
        losses: of each that was compared, the fastest first: cross-validated, in nats.
        left_out: why the others were not compared.
    """

    backbone: str
    photos: int
    losses: Mapping[str, float]
    left_out: Mapping[str, str]

    def __str__(self) -> str:
        found = ", ".join(f"{name} {loss:.3f}" for name, loss in self.losses.items())
        asked = f"cross-validated loss on {self.photos:,} training photos {found}" if found else "the fastest that fits"
        others = "".join(f"; {name}: {reason}" for name, reason in self.left_out.items())
        return f"model.backbone is {self.backbone}: {asked}{others}."


def choose_backbone(
    recipe: Recipe, device: Device, records: Sequence[Record], *, images: int, class_count: int, progress: Progress
) -> BackboneChoice:
    """The fastest backbone that is here, or a slower one whose features say clearly more of the photos.

    Asked are those whose pretrained weights are here and whose features of all photos take no longer than
    `model.feature_seconds`. From the fastest on, one is kept where the cross-validated loss of its head is lower than
    that of what was kept before by more than the standard error of the difference (see `is_clearly_better`).

    Args:
        recipe: whose `model.backbone` is "auto".
        device: that computes.
        records: of the photos to fit.
        images: how many photos there are features of, in all.
        class_count: how many classes they have.
        progress: is told how far it is.

    Raises:
        UsageError: of no backbone that is here the features can be computed in time, or with this recipe.
        FolderError: a file became unreadable since it was scanned.
    """
    asked = sample(records, max(PHOTOS, PHOTOS_OF_A_CLASS * class_count), seed=recipe.seed)
    seconds: dict[str, float] = {}
    found: dict[str, np.ndarray] = {}
    left_out: dict[str, str] = {}
    for name in installed_backbones():
        try:
            candidate = _named(recipe, name)
            seconds[name], losses = _ask(candidate, device, asked, images, class_count, progress)
        except (BackboneError, WeightsError) as error:  # too small images, too few taps, no file of that size
            left_out[name] = error.text.rstrip(".")
            continue
        if losses is None:
            left_out[name] = f"features of all would take {seconds[name]:.0f} s (model.feature_seconds)"
        else:
            found[name] = losses
    if not found:
        why = "".join(f"; {name}: {reason}" for name, reason in left_out.items())
        raise UsageError(f"model.backbone is auto, and no backbone that is here suits{why}. Name one, or install one.")
    ordered = sorted(found, key=seconds.__getitem__)
    compared = {name: found[name] for name in ordered if len(found[name])}
    compared = dict(zip(compared, held_out_by_all(list(compared.values())), strict=True))
    best = ordered[0]
    for name, losses in compared.items():
        if best not in compared or is_clearly_better(losses, compared[best]):
            best = name
    means = {name: float(losses.mean()) for name, losses in compared.items()}
    return BackboneChoice(best, len(asked), means, left_out)


def _named(recipe: Recipe, name: str) -> Recipe:
    """The recipe that names this backbone, resolved. Raises BackboneError where it does not take the image size."""
    fit = {"data.fit": "crop"} if recipe.data.fit == "auto" else {}
    return resolve(edit_recipe(recipe, {"model.backbone": name, **fit}))


def _ask(
    recipe: Recipe, device: Device, records: Sequence[Record], images: int, class_count: int, progress: Progress
) -> tuple[float, np.ndarray | None]:
    """About how many seconds the network takes for all, and the loss of each photo; None where that is too long."""
    model, _ = build_model(recipe, class_count, device)
    extractor, reader = feature_extractor(model), ViewReader.of_recipe(recipe)
    infer, cache = make_infer(extractor, device), FeatureCache.of(extractor, reader, device)
    views = [
        view for view in reader.read_all([record.path for record in records[:_TIMED]]) if isinstance(view, np.ndarray)
    ]
    batch = np.stack(views or [np.zeros(model.input_shape[1:], np.float32)])  # `extract_features` says what is wrong
    infer(batch)  # which is compiled for it
    started = time.perf_counter()
    infer(batch)
    seconds = (time.perf_counter() - started) * images / len(batch)
    if seconds > recipe.model.feature_seconds:
        return seconds, None
    features = extract_features(records, infer, reader, cache, progress)
    return seconds, _losses(recipe, features, feature_widths(model), records, class_count, progress)


def _losses(
    recipe: Recipe,
    features: np.ndarray,
    widths: Sequence[int],
    records: Sequence[Record],
    class_count: int,
    progress: Progress,
) -> np.ndarray:
    """float64 [N]: the held-out loss of each photo by the last layer, or by all taps where those are clearly better."""
    with progress.work("backbone", count_solutions(recipe, widths, always=True), "solutions") as ticker:
        return choose_layers(
            recipe, features, widths, labels_of(records), group_together(records),
            class_count=class_count, always=True, ticker=ticker,
        ).strength.held_out  # fmt: skip
