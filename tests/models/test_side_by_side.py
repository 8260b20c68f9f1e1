"""Backbones side by side: each answers as it does alone, and the graph has the parts of both."""

import keras
import numpy as np
import pytest

from regraft.models.backbones import BACKBONES, find_backbone, weights_of
from regraft.models.classifier import build_classifier, feature_extractor, feature_widths, set_trainable
from regraft.models.errors import BackboneError, WeightsError
from regraft.models.preprocessing import preprocess
from regraft.models.side_by_side import Part, side_by_side
from regraft.models.taps import choose_taps, find_taps
from regraft.models.weights import load_backbone

PAIR = "tiny + mobilenet"
IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def parts() -> list[Part]:
    """Their last maps differ in size: 4 and 1 pixels a side."""
    return [
        Part(name, load_backbone(name, "none", image_size=32, seed=seed), BACKBONES[name].preprocessing)
        for seed, name in enumerate(("tiny", "mobilenet"))
    ]


def means_of(part: Part) -> np.ndarray:
    picture = keras.Input((32, 32, 3))
    whole = keras.Model(picture, part.backbone(preprocess(picture, part.preprocessing)))
    return np.asarray(whole(IMAGES)).mean(axis=(1, 2))


def test_the_features_are_those_of_the_parts(parts: list[Part]):
    pair = side_by_side(parts)
    maps = np.asarray(pair(IMAGES))
    assert maps.shape == (3, 1, 1, 160 + 1024)
    np.testing.assert_allclose(maps[:, 0, 0], np.concatenate([means_of(part) for part in parts], axis=1), atol=1e-5)


def test_maps_of_one_size_stay_maps(parts: list[Part]):
    twin = Part("twin", load_backbone("tiny", "none", image_size=32, seed=7), "tf")
    pair = side_by_side([parts[0], twin])
    assert pair.output_shape == (None, 4, 4, 320)
    expected = np.concatenate([means_of(parts[0]), means_of(twin)], axis=1)
    np.testing.assert_allclose(np.asarray(pair(IMAGES)).mean(axis=(1, 2)), expected, atol=1e-5)


def test_the_parts_stay_as_they_are(parts: list[Part]):
    pair = side_by_side(parts)
    before = [array.copy() for part in parts for array in part.backbone.get_weights()]
    pair.set_weights([np.zeros_like(array) for array in pair.get_weights()])
    for one, other in zip(before, (array for part in parts for array in part.backbone.get_weights()), strict=True):
        np.testing.assert_array_equal(one, other)


def test_each_part_has_its_taps_and_the_last_of_all_come_last(parts: list[Part]):
    pair, (tiny, mobile) = side_by_side(parts), (find_taps(part.backbone) for part in parts)
    found = find_taps(pair)
    assert [name.removeprefix("tiny__") for name in found if name.startswith("tiny__")] == tiny
    assert [name.removeprefix("mobilenet__") for name in found if name.startswith("mobilenet__")] == mobile
    assert found[-2:] == [f"tiny__{tiny[-1]}", f"mobilenet__{mobile[-1]}"]
    model = build_classifier(pair, preprocessing="included", class_count=2, taps=choose_taps(pair, 2))
    assert len(feature_widths(model)) == 3 and feature_widths(model)[-1] == 1184
    assert feature_extractor(model)(IMAGES).shape == (3, sum(feature_widths(model)))


@pytest.mark.parametrize("unfreeze", [0.5, 0.6])
def test_of_each_the_last_part_is_trained(parts: list[Part], unfreeze: float):
    model = build_classifier(side_by_side(parts), preprocessing="included", class_count=2)
    trained = {layer.name for layer in set_trainable(model, unfreeze=unfreeze, batch_norm="adaptive")}
    for part in parts:
        layers = [layer.name for layer in part.backbone.layers[1:]]
        share = sum(f"{part.name}__{name}" in trained for name in layers) / len(layers)
        assert share == pytest.approx(unfreeze, abs=0.03)
        assert f"{part.name}__{layers[0]}" not in trained and f"{part.name}__{layers[-1]}" in trained


def test_averaged_maps_have_no_maximum(parts: list[Part]):
    with pytest.raises(BackboneError, match=r"model\.pooling: maps of different sizes"):
        build_classifier(side_by_side(parts), preprocessing="included", class_count=2, pooling="max")
    twin = Part("twin", load_backbone("tiny", "none", image_size=32, seed=7), "tf")
    pair = side_by_side([parts[0], twin])
    build_classifier(pair, preprocessing="included", class_count=2, pooling="max")


def test_weights_are_loaded_for_each(tmp_path):
    path = tmp_path / "tiny.weights.h5"
    load_backbone("tiny", "none", image_size=32, seed=5).save_weights(path)
    pair = load_backbone(PAIR, [str(path), "none"], image_size=32, seed=1)
    alone = Part("tiny", load_backbone("tiny", str(path), image_size=32), "tf")
    np.testing.assert_allclose(np.asarray(pair(IMAGES))[:, 0, 0, :160], means_of(alone), atol=1e-5)


def test_the_row_takes_the_largest_of_their_sizes():
    row = find_backbone("tiny+efficientnet_lite1 + xception")
    assert (row.image_size, row.min_image_size, row.preprocessing) == (299, 71, "included")


def test_wrong_names_and_numbers_are_refused():
    with pytest.raises(BackboneError, match="tiny stands beside itself"):
        find_backbone("tiny + vgg16 + tiny")
    with pytest.raises(BackboneError, match='There is no backbone "vgg166"'):
        find_backbone("tiny + vgg166")
    with pytest.raises(WeightsError, match=r"one for each of tiny \+ vgg16 \+ vgg19; received 2"):
        weights_of("tiny + vgg16 + vgg19", "none + none")
    with pytest.raises(WeightsError, match="one for each of tiny; received 2"):
        weights_of("tiny", ["none", "none"])
    assert weights_of("tiny", "cats + dogs/mine.weights.h5") == ["cats + dogs/mine.weights.h5"]
    assert weights_of("tiny + vgg16", "shipped+none") == ["shipped", "none"]
    assert weights_of("tiny + vgg16", None) == ["shipped", "imagenet"]
    assert weights_of("tiny + vgg16", "none") == ["none", "none"]
