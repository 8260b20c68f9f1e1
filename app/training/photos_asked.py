"""What a recipe leaves to the photos before the features of all are computed, found out and remembered.

What frameworks need is imported where there is something to ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regraft.data.roles import Roles
from regraft.machine.devices import Device
from regraft.progress import Progress
from regraft.recipes.recipe import Recipe, edit_recipe
from regraft.training.resolving import resolve

if TYPE_CHECKING:
    import keras

BACKBONE_LOSSES = "backbone_losses"
"""The key of `environment.json` for the losses by which `model.backbone` was chosen."""

FIT_LOSSES = "fit_losses"
"""The key of `environment.json` for the losses by which `data.fit` was chosen: no later phase asks the photos again."""

TAPS_LOSSES = "taps_losses"
"""The key of `environment.json` for the losses by which `head.taps` was chosen: a resumed run does not ask again."""

FEATURES_BY = "features_by"
"""The key of `environment.json` for the runtime that computed the features; without it, TensorFlow did."""


def ask_for_backbone(
    recipe: Recipe, device: Device, roles: Roles, class_count: int, progress: Progress
) -> tuple[Recipe, dict[str, Any]]:
    """`recipe` with the backbone that the photos to fit the head on say, resolved, and what is to be remembered."""
    if recipe.model.backbone != "auto":
        return recipe, {}
    from regraft.training.backbone_choice import choose_backbone

    images = len(roles.fit + roles.select + roles.report)
    found = choose_backbone(recipe, device, roles.fit, images=images, class_count=class_count, progress=progress)
    progress.say(str(found))
    named = edit_recipe(recipe, {"model.backbone": found.backbone})
    return resolve(named), {BACKBONE_LOSSES: dict(found.losses)}


def ask_for_fit(
    recipe: Recipe, model: keras.Model, device: Device, roles: Roles, progress: Progress
) -> tuple[Recipe, dict[str, Any]]:
    """`recipe` with the fit that the photos to fit the head on say, and what is to be remembered of that."""
    from regraft.training.fitting import choose_fit

    found = choose_fit(recipe, model, device, roles.fit, progress)
    progress.say(str(found))
    return edit_recipe(recipe, {"data.fit": found.fit}), {FIT_LOSSES: dict(found.losses)}
