"""What is said of the backbones: of each something, and nothing that contradicts the network itself."""

from pathlib import Path
from typing import Any

import keras
import pytest
from default_cases import few_by_default

from regraft.models.backbones import BACKBONES, build_backbone
from regraft.models.published import PUBLISHED, Published, keras_folder

IN_KERAS = [name for name, row in BACKBONES.items() if row.is_published]
ONE_OF_EACH_FAMILY = (
    *("convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_b0", "inception_v3", "inception_resnet_v2"),
    *("mobilenet", "mobilenet_v2", "mobilenet_v3_small", "nasnet_mobile", "resnet50", "resnet50_v2", "vgg16"),
    "xception",
)
"""Whose names are made in one way by Keras, so that one stands for all of them."""


def test_every_backbone_has_its_facts_and_no_other():
    assert list(PUBLISHED) == list(BACKBONES)
    of_other_photos = {
        "dinov2_small",
        "dinov2_base",
        "dinov3_small",
        "mobilenet_v3_large_21k",
        "siglip2_base",
        "vit_base",
    }
    assert {name for name, known in PUBLISHED.items() if known.top1 is None} == {"tiny"} | of_other_photos
    assert {name for name, known in PUBLISHED.items() if known.file} == set(IN_KERAS)


def test_figures_are_those_of_their_sources():
    assert PUBLISHED["xception"] == Published(
        22.9, 79.0, "MIT", "xception_weights_tf_dim_ordering_tf_kernels_notop.h5", 88
    )
    assert [PUBLISHED[f"efficientnet_lite{size}"].top1 for size in range(3)] == [75.1, 76.7, 77.6]
    assert (PUBLISHED["mobilenet_v2"].top1, PUBLISHED["nasnet_large"].top1) == (71.3, 82.5)
    assert {PUBLISHED[f"resnet{depth}_v2"].license for depth in (50, 101, 152)} == {"BSD"}
    assert {known.license for name, known in PUBLISHED.items() if "efficientnet_v2_" in name and name in IN_KERAS} == {
        None
    }


def test_a_size_that_is_not_published_is_four_bytes_for_each_parameter():
    assert Published(1.048576, None).megabytes == 4.0
    assert Published(1.048576, None, size=7).megabytes == 7


@pytest.mark.parametrize("name", [name for name, known in PUBLISHED.items() if known.size is not None])
def test_published_sizes_and_parameters_agree(name: str):
    """Files are a little larger than their numbers, and never twice as large."""
    known = PUBLISHED[name]
    assert known.megabytes == pytest.approx(known.millions * 4e6 / 2**20, rel=0.5)


def test_keras_keeps_weights_where_it_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_HOME", "/elsewhere")
    assert keras_folder() == Path("/elsewhere/models")


@pytest.mark.parametrize("name", few_by_default(ONE_OF_EACH_FAMILY, "mobilenet"))
def test_keras_asks_for_the_file_that_is_named(name: str, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def get_file(file: str, *_: Any, **__: Any) -> None:
        asked.append(file)
        raise FileNotFoundError

    monkeypatch.setattr(keras.src.utils.file_utils, "get_file", get_file)
    row = BACKBONES[name]
    with pytest.raises(FileNotFoundError):
        row.build((row.image_size, row.image_size, 3), weights="imagenet")
    assert asked == [PUBLISHED[name].file]


@pytest.mark.parametrize("name", few_by_default(["mobilenet_v2", "efficientnet_lite0", "tiny"], "tiny"))
def test_parameters_are_those_of_the_network_and_its_top(name: str):
    network = build_backbone(name, image_size=BACKBONES[name].image_size)
    features = network.output_shape[-1]
    top = 0 if name == "tiny" else features * 1000 + 1000
    assert (network.count_params() + top) / 1e6 == pytest.approx(PUBLISHED[name].millions, abs=0.05)
