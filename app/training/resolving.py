"""What a recipe leaves to be found out: by the backbone and its weights, and by the photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regraft.data.records import ImageFolder
from regraft.data.rendering import range_of
from regraft.data.scan import deep_spreads
from regraft.errors import UsageError
from regraft.machine.memory import available_bytes
from regraft.machine.sizes import show_size
from regraft.models.backbones import BACKBONES, check_backbone, find_backbone, find_weights, parts_of, weights_of
from regraft.models.optimizer_table import OPTIMIZERS
from regraft.progress import Progress
from regraft.recipes.choices import FineTuneChoices, HeadChoices, ModelChoices, OptimizerChoices
from regraft.recipes.recipe import Recipe
from regraft.runs.digests import check_weights

if TYPE_CHECKING:
    import keras

_BYTES_A_FEATURE = 26
"""Of a photo, while heads are compared and solved: as it was computed, centred and squared, in float64 where few."""

# The first layers find edges and colours, which photos share, and cost the most time to train.
_UNFREEZE_PRETRAINED = 0.6


def resolve(recipe: Recipe) -> Recipe:
    """`recipe` with everything filled in that the backbone and its weights decide; as it is where that is "auto".

    Raises:
        BackboneError, WeightsError: the backbone does not exist or does not take what the recipe says.
        UsageError: the recipe says of which kind the backbone is that is to be found.
    """
    model = recipe.model
    if model.backbone == "auto":
        if model.weights is not None or model.alpha != 1.0:
            raise UsageError(
                'model.backbone = "auto" compares backbones with their own pretrained weights; leave out model.weights '
                "and model.alpha, or name the backbone."
            )
        return recipe
    size = recipe.data.image_size or find_backbone(model.backbone).image_size
    check_backbone(model.backbone, image_size=size, alpha=model.alpha)
    weights = _resolve_weights(model)
    return recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update={"image_size": size}),
            "model": model.model_copy(update={"weights": weights}),
            "optimizer": _resolve_optimizer(recipe.optimizer),
            "head": _resolve_head(recipe, is_fresh=weights == "none"),
            "finetune": _resolve_finetune(recipe.finetune, is_fresh=weights == "none"),
        }
    )


def _resolve_weights(model: ModelChoices) -> str | tuple[str, ...]:
    """The weights of the backbone, or of each of its parts, by name or, of a file, by its whole path.

    They are "none" where all are fresh.
    """
    found = []
    for name, weights in zip(parts_of(model.backbone), weights_of(model.backbone, model.weights), strict=True):
        row = BACKBONES[name]
        if row.hub and row.hub.consent and weights != "none":
            row.hub.consent.check(name, accepted=model.accept_license)
        path = find_weights(name, weights)
        if path and not row.has_weights(weights):  # elsewhere the package's files lie elsewhere
            check_weights(path)
            weights = str(path.absolute())
        found.append(weights)
    return found[0] if len(found) == 1 or set(found) == {"none"} else tuple(found)


def _resolve_head(recipe: Recipe, *, is_fresh: bool) -> HeadChoices:
    """Fresh weights have no features worth a comparison; classes weigh as in fine-tuning."""
    head = recipe.head
    taps = 0 if is_fresh and head.taps == "auto" else head.taps
    weights = recipe.finetune.balance if head.class_weights is None else head.class_weights
    return head.model_copy(update={"taps": taps, "class_weights": weights})


def _resolve_finetune(choices: FineTuneChoices, *, is_fresh: bool) -> FineTuneChoices:
    unfreeze, batch_norm = choices.unfreeze, choices.batch_norm
    if unfreeze is None:
        unfreeze = 1.0 if is_fresh else _UNFREEZE_PRETRAINED
    if batch_norm == "auto":
        batch_norm = "adaptive" if is_fresh else "frozen"
    return choices.model_copy(update={"unfreeze": unfreeze, "batch_norm": batch_norm})


def _resolve_optimizer(choices: OptimizerChoices) -> OptimizerChoices:
    rate = choices.learning_rate or OPTIMIZERS[choices.name].learning_rate
    return choices.model_copy(update={"learning_rate": rate})


def with_range(recipe: Recipe, folder: ImageFolder) -> Recipe:
    """`recipe` with the values that are black and white in all deep pictures of `folder`, as its training photos say.

    Where there are none, or the recipe says it itself, it stays as it is.
    """
    found = range_of(deep_spreads(folder))
    if recipe.data.range != "auto" or found is None:
        return recipe
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"range": found})})


def within_memory(recipe: Recipe, model: keras.Model, images: int, progress: Progress) -> Recipe:
    """`recipe` without taps where it leaves them open and their features would not fit into the memory that is free.

    Args:
        recipe: whose network `model` is.
        model: with all the taps that are wanted, or to be compared.
        images: how many photos have features.
        progress: is told.

    Raises:
        UsageError: it wants more taps than there is memory for.
    """
    from regraft.models.classifier import feature_widths

    features, room = sum(feature_widths(model)), available_bytes()
    needed = images * features * _BYTES_A_FEATURE * (2 if recipe.head.mirrored else 1)
    if recipe.head.taps in (0, ()) or needed <= room:
        return recipe
    what = (
        f"{features:,} features of each of {images:,} photos take {show_size(needed)}, and {show_size(room)} are free"
    )
    if recipe.head.taps != "auto":
        raise UsageError(f"head.taps: {what}; take fewer taps, or 0.")
    progress.say(f"head.taps is 0: {what}.")
    return recipe.model_copy(update={"head": recipe.head.model_copy(update={"taps": 0})})
