"""The network that a resolved recipe asks for, before training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regraft.machine.devices import Device
from regraft.models.backbones import find_backbone
from regraft.recipes.recipe import Recipe

if TYPE_CHECKING:
    import keras


def build_model(recipe: Recipe, class_count: int, device: Device) -> tuple[keras.Model, str]:
    """The classifier of a resolved recipe, and the digest of its backbone's weights."""
    backbone, digest = load_pretrained(recipe, device)
    return graft_onto(backbone, recipe, class_count, device), digest


def load_pretrained(recipe: Recipe, device: Device) -> tuple[keras.Model, str]:
    """The backbone of a resolved recipe with its weights, and their digest."""
    import keras

    from regraft.models.weights import load_backbone, weights_digest

    choices = recipe.model
    keras.utils.set_random_seed(recipe.seed)
    with device.strategy.scope():
        backbone = load_backbone(
            choices.backbone,
            choices.weights or "none",
            image_size=recipe.data.image_size or 0,
            alpha=choices.alpha,
            seed=recipe.seed,
        )
    return backbone, weights_digest(backbone)


def graft_onto(backbone: keras.Model, recipe: Recipe, class_count: int, device: Device) -> keras.Model:
    """The classifier of a resolved recipe on this backbone, which becomes a part of it.

    Where `head.taps` is still "auto", it has all the taps that are to be compared with none.
    """
    from regraft.models.classifier import build_classifier
    from regraft.models.taps import choose_taps

    with device.strategy.scope():
        return build_classifier(
            backbone,
            preprocessing=find_backbone(recipe.model.backbone).preprocessing,
            class_count=class_count,
            pooling=recipe.model.pooling,
            taps=choose_taps(backbone, recipe.head.taps),
            regularize=recipe.regularize.values,
            seed=recipe.seed,
        )
