"""What is checked of KerasHub's backbones before anything loads."""

import json
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from refusals import message_of

from regraft.errors import RegraftError, as_options
from regraft.models.backbones import BACKBONES, default_weights, find_weights, license_of
from regraft.models.errors import WeightsError
from regraft.models.hub import networks
from regraft.models.hub.networks import HUB, Consent


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "find_spec", lambda name: ModuleSpec(name, None))


def preset_of(kind: str, folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({"class_name": kind, "registered_name": f"keras_hub>{kind}"}), "utf-8"
    )
    return folder


def test_every_row_of_the_table_is_a_backbone_of_its_name():
    assert {name for name, row in BACKBONES.items() if row.hub} == set(HUB)
    assert all(BACKBONES[name].hub is model for name, model in HUB.items())


def test_without_kerashub_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(networks, "find_spec", lambda name: None)
    assert message_of(WeightsError, find_weights, "vit_base", default_weights("vit_base")) == (
        'vit_base is a network of KerasHub, which is not installed: pip install "regraft[hub]"'
    )


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "weights", ["dinov2_with_registers_small", "dinov2_small", "hf://someone/dinov2", "kaggle://a/b/keras/c"]
)
def test_what_kerashub_has_or_downloads_has_no_path(weights: str):
    assert find_weights("dinov2_small", weights) is None


@pytest.mark.usefixtures("installed")
def test_a_preset_that_does_not_exist_names_the_nearest():
    start = "weights must be none, a preset's name, its folder, or hf://... or kaggle://...; received "
    assert message_of(WeightsError, find_weights, "dinov2_small", "dinov2_with_register_small") == (
        f'{start}"dinov2_with_register_small". Did you mean "dinov2_with_registers_small"?'
    )
    assert message_of(WeightsError, find_weights, "dinov2_small", "imagenet") == (
        f'{start}"imagenet". dinov2_small has dinov2_with_registers_small, dinov2_small.'
    )


@pytest.mark.usefixtures("installed")
def test_a_folder_of_the_kind_is_taken(tmp_path: Path):
    folder = preset_of("DINOV2Backbone", tmp_path / "preset")
    assert find_weights("dinov2_base", str(folder)) == folder


@pytest.mark.usefixtures("installed")
def test_a_preset_of_another_task_is_refused_and_who_takes_it_named(tmp_path: Path):
    folder = preset_of("BertBackbone", tmp_path / "bert")
    assert message_of(WeightsError, find_weights, "dinov2_small", str(folder)) == (
        f"{folder} is a preset of BertBackbone, and dinov2_small takes one of DINOV2Backbone."
    )
    folder = preset_of("ViTBackbone", tmp_path / "vit")
    assert message_of(WeightsError, find_weights, "dinov2_small", str(folder)).endswith(
        ' backbone="vit_base" takes it.'
    )


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("content", [None, "{", "[1]"])
def test_a_folder_that_is_no_preset_is_refused(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "config.json").write_text(content, "utf-8")
    assert str(tmp_path) in message_of(WeightsError, find_weights, "dinov2_small", str(tmp_path))


@pytest.mark.parametrize(("made", "is_there"), [("model.weights.h5", True), ("config.json", False)])
def test_weights_are_here_once_kaggle_has_them(tmp_path, monkeypatch: pytest.MonkeyPatch, made: str, is_there: bool):
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    folder = tmp_path / "models/keras/dinov2/keras/dinov2_with_registers_small/1"
    folder.mkdir(parents=True)
    (folder / made).touch()
    assert HUB["dinov2_small"].is_downloaded == is_there


def test_a_licence_that_is_not_accepted_is_one_line_with_the_way_to():
    consent = Consent("X License", "https://example.org/x")
    consent.check("dinov3_small", accepted=True)
    with pytest.raises(RegraftError) as refused:
        consent.check("dinov3_small", accepted=False)
    start = (
        "The weights of dinov3_small come under the X License, which asks for more than most: read "
        "https://example.org/x, and say that you accept it with "
    )
    assert str(refused.value) == start + 'set={"model.accept_license": True}.'
    assert as_options(refused.value.text) == start + "--set model.accept_license=true."


def test_only_dinov3_asks_for_its_licence_to_be_accepted():
    assert [name for name, model in HUB.items() if model.consent] == ["dinov3_small"]


@pytest.mark.parametrize(
    ("name", "weights", "said"),
    [
        ("swin_tiny", "swin_tiny_patch4_window7_224", "MIT"),
        ("dinov3_small", "dinov3_vit_small_lvd1689m", "DINOv3"),
        ("vgg16", "imagenet", "CC-BY-4.0"),
        ("efficientnet_b0", "imagenet", "unknown"),
        ("swin_tiny", "hf://someone/swin", "unknown, as they were given by hand"),
        ("swin_tiny", "none", "none, as they were fresh"),
    ],
)
def test_the_licence_is_that_of_the_weights_that_were_taken(name: str, weights: str, said: str):
    assert license_of(name, weights) == said
