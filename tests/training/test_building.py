"""The network that a resolved recipe asks for."""

import numpy as np
import pytest

from regraft.machine.devices import open_device
from regraft.models.classifier import feature_widths
from regraft.recipes.recipe import load_recipe
from regraft.training.building import build_model, graft_onto, load_pretrained
from regraft.training.resolving import resolve


@pytest.mark.parametrize(("taps", "widths"), [(0, [160]), (1, [96, 160]), ("auto", [32, 48, 96, 160])])
def test_the_classifier_has_the_classes_and_the_taps_that_are_asked_for(taps: object, widths: list[int]):
    recipe = resolve(load_recipe("quick", {"model.backbone": "tiny", "head.taps": taps}))
    model, digest = build_model(recipe, 3, open_device("cpu"))
    assert model.output_shape == (None, 3)
    assert model.input_shape == (None, 32, 32, 3)
    assert feature_widths(model) == widths
    assert len(digest) == 32


def test_a_classifier_shares_the_weights_of_the_backbone_it_is_grafted_onto():
    recipe = resolve(load_recipe("quick", {"model.backbone": "tiny"}))
    device = open_device("cpu")
    backbone, _ = load_pretrained(recipe, device)
    first, second = (graft_onto(backbone, recipe, classes, device) for classes in (2, 4))
    assert second.output_shape == (None, 4)
    kernel = next(array for array in backbone.trainable_variables if array.ndim == 4)
    kernel.assign(np.zeros(kernel.shape, np.float32))
    for model in (first, second):
        assert any(variable is kernel for variable in model.trainable_variables)
