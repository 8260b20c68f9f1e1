"""What a recipe leaves open is what the backbone and its weights say."""

from dataclasses import replace
from pathlib import Path

import pytest
from listening import Listening

from regraft.errors import UsageError, WeightsError
from regraft.models.backbones import BACKBONES, Pretrained, build_backbone
from regraft.models.classifier import build_classifier
from regraft.recipes.recipe import load_recipe
from regraft.training.resolving import resolve, within_memory


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


@pytest.mark.parametrize("names", [["tiny", "xception"], "tiny+xception", "tiny + xception"])
def test_several_backbones_have_weights_each_and_the_largest_size(names, tmp_path: Path):
    (tmp_path / "mine.weights.h5").touch()
    for weights, expected, batch_norm in [
        (None, ("shipped", "imagenet"), "frozen"),
        ("none", "none", "adaptive"),
        (["none", "imagenet"], ("none", "imagenet"), "frozen"),
        ("none+imagenet", ("none", "imagenet"), "frozen"),
        ([str(tmp_path / "mine.weights.h5"), "none"], (str(tmp_path / "mine.weights.h5"), "none"), "frozen"),
    ]:
        edits = {"model.backbone": names} | ({"model.weights": weights} if weights else {})
        recipe = resolve(load_recipe("balanced", edits))
        assert (recipe.model.backbone, recipe.model.weights) == ("tiny + xception", expected)
        assert (recipe.data.image_size, recipe.finetune.batch_norm) == (299, batch_norm)
        recipe_file = tmp_path / "recipe.toml"
        recipe_file.write_text(recipe.to_toml(), "utf-8")
        assert resolve(load_recipe(str(recipe_file))) == recipe


def test_weights_of_this_package_are_kept_by_the_name_their_row_gives_them(monkeypatch: pytest.MonkeyPatch):
    row = replace(BACKBONES["tiny"], pretrained=Pretrained("drawings", "tiny.weights.h5"))
    monkeypatch.setitem(BACKBONES, "other", row)
    for edits in ({}, {"model.weights": "drawings"}):
        recipe = resolve(load_recipe("balanced", {"model.backbone": "other", **edits}))
        assert recipe.model.weights == "drawings"
        assert recipe.finetune.batch_norm == "frozen"


def test_taps_that_the_memory_cannot_hold_are_refused_or_left_out(monkeypatch: pytest.MonkeyPatch):
    model = build_classifier(
        build_backbone("tiny", image_size=32), preprocessing="tf", class_count=2, taps=["stem_relu"]
    )
    images, listener = 1000, Listening()
    needed = images * (32 + 160) * 26
    for taps in ("auto", 1, 0):
        recipe = load_recipe("quick", {"head.taps": taps})
        monkeypatch.setattr("regraft.training.resolving.available_bytes", lambda: needed)
        assert within_memory(recipe, model, images, listener) == recipe
    monkeypatch.setattr("regraft.training.resolving.available_bytes", lambda: needed - 1)
    what = "192 features of each of 1,000 photos take 5.0 MB, and 5.0 MB are free"
    assert within_memory(load_recipe("quick"), model, images, listener).head.taps == 0
    assert listener.said == [f"head.taps is 0: {what}."]
    with pytest.raises(UsageError, match=f"^head.taps: {what}; take fewer taps, or 0.$"):
        within_memory(load_recipe("quick", {"head.taps": 1}), model, images, listener)
    assert within_memory(load_recipe("quick", {"head.taps": 0}), model, images, listener).head.taps == 0


def test_weights_whose_licence_is_not_accepted_are_refused_and_fresh_ones_are_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("regraft.models.hub.networks.find_spec", lambda name: name)
    with pytest.raises(WeightsError, match=r"^The weights of dinov3_small come under the DINOv3 License, .*accept"):
        resolve(load_recipe("balanced", {"model.backbone": "dinov3_small"}))
    accepted = resolve(load_recipe("balanced", {"model.backbone": "dinov3_small", "model.accept_license": True}))
    assert accepted.model.weights == "dinov3_vit_small_lvd1689m"
    assert resolve(load_recipe("balanced", {"model.backbone": "dinov3_small", "model.weights": "none"}))


def test_the_folder_of_a_preset_is_kept_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("regraft.models.hub.networks.find_spec", lambda name: name)
    monkeypatch.chdir(tmp_path)
    Path("preset").mkdir()
    Path("preset/config.json").write_text('{"class_name": "ViTBackbone"}', "utf-8")
    recipe = resolve(load_recipe("balanced", {"model.backbone": "vit_base", "model.weights": "preset"}))
    assert recipe.model.weights == str(tmp_path / "preset")
