"""What a recipe leaves open is what the backbone and its weights say."""

from dataclasses import replace
from pathlib import Path

import pytest

from regraft.models.backbones import BACKBONES, Pretrained
from regraft.recipes.recipe import load_recipe
from regraft.training.resolving import resolve


@pytest.mark.parametrize(
    ("edits", "image_size", "weights", "batch_norm"),
    [
        ({}, 32, "shipped", "frozen"),
        ({"model.weights": "none"}, 32, "none", "adaptive"),
        ({"data.image_size": 48, "finetune.batch_norm": "adaptive"}, 48, "shipped", "adaptive"),
        ({"model.backbone": "xception"}, 299, "imagenet", "frozen"),
    ],
)
def test_what_is_left_out_is_what_the_backbone_wants(edits, image_size, weights, batch_norm):
    recipe = resolve(load_recipe("balanced", {"model.backbone": "tiny", **edits}))
    assert (recipe.data.image_size, recipe.model.weights) == (image_size, weights)
    assert recipe.finetune.batch_norm == batch_norm


def test_a_weights_file_is_kept_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.weights.h5").touch()
    recipe = resolve(load_recipe("balanced", {"model.backbone": "tiny", "model.weights": "mine.weights.h5"}))
    assert recipe.model.weights == str(tmp_path / "mine.weights.h5")


def test_weights_of_this_package_are_kept_by_the_name_their_row_gives_them(monkeypatch: pytest.MonkeyPatch):
    row = replace(BACKBONES["tiny"], pretrained=Pretrained("drawings", "tiny.weights.h5"))
    monkeypatch.setitem(BACKBONES, "other", row)
    for edits in ({}, {"model.weights": "drawings"}):
        recipe = resolve(load_recipe("balanced", {"model.backbone": "other", **edits}))
        assert recipe.model.weights == "drawings"
        assert recipe.finetune.batch_norm == "frozen"
