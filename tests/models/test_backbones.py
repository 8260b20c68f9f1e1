"""The table of backbones, the networks it builds and what it refuses."""

import inspect
from pathlib import Path

import keras
import numpy as np
import pytest
from refusals import message_of

from regraft.models.backbones import (
    BACKBONES,
    Backbone,
    build_backbone,
    check_backbone,
    default_weights,
    find_backbone,
    find_weights,
)
from regraft.models.errors import BackboneError, WeightsError
from regraft.models.tiny import WIDTHS


def test_the_table_has_every_constructor_of_keras_applications_once():
    published = {
        name for name, found in inspect.getmembers(keras.applications, inspect.isfunction) if name[0].isupper()
    }
    listed = [row.make for row in BACKBONES.values() if row.is_published]
    assert sorted(listed) == sorted(published)


@pytest.mark.parametrize("name", [name for name, row in BACKBONES.items() if row.is_published])
def test_alpha_is_where_the_constructor_takes_it(name):
    parameters = inspect.signature(getattr(keras.applications, BACKBONES[name].make)).parameters
    assert BACKBONES[name].takes_alpha == ("alpha" in parameters)


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_builds_at_its_smallest_image_size(name):
    keras.utils.clear_session()
    size = BACKBONES[name].min_image_size
    backbone = build_backbone(name, image_size=size)
    assert backbone.input_shape == (None, size, size, 3)
    assert backbone.output_shape[1] >= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, row in BACKBONES.items() if row.is_published])
def test_keras_itself_refuses_a_smaller_image(name):
    size = BACKBONES[name].min_image_size - 1
    with pytest.raises(ValueError, match=r"size|shape"):
        getattr(keras.applications, BACKBONES[name].make)(include_top=False, weights=None, input_shape=(size, size, 3))


def test_a_published_backbone_gets_its_size_and_width():
    backbone = build_backbone("mobilenet_v2", image_size=32, alpha=0.35)
    assert backbone.input_shape == (None, 32, 32, 3)
    assert backbone.output_shape == (None, 1, 1, 1280)
    assert backbone.count_params() == keras.applications.MobileNetV2((32, 32, 3), 0.35, False, None).count_params()


def test_tiny_has_an_eighth_of_the_side_and_under_half_a_million_weights():
    backbone = build_backbone("tiny", image_size=32)
    assert backbone.output_shape == (None, 4, 4, WIDTHS[-1])
    assert 300_000 < backbone.count_params() < 500_000


def test_the_same_seed_gives_the_same_fresh_weights():
    first, same, other = (build_backbone("tiny", image_size=16, seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(*pair) for pair in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mobilnet_v2", 'Did you mean "mobilenet_v2"?'),
        ("MobileNet-V2", 'Did you mean "mobilenet_v2"?'),
        ("ResNet50", 'Did you mean "resnet50"?'),
        ("qqqq", "`regraft backbones` lists them."),
    ],
)
def test_an_unknown_backbone_names_the_nearest(name, hint):
    assert message_of(BackboneError, find_backbone, name) == f'There is no backbone "{name}". {hint}'


def test_an_image_too_small_for_the_backbone_is_refused_with_what_it_takes():
    text = message_of(BackboneError, check_backbone, "xception", image_size=70, alpha=1.0)
    assert text == ("xception takes images of at least 71 pixels a side; received 70. Its weights were trained at 299.")


def test_a_width_multiplier_where_there_is_none_names_those_that_have_it():
    text = message_of(BackboneError, check_backbone, "resnet50", image_size=224, alpha=0.5)
    assert text == (
        "resnet50 has no width multiplier; received model.alpha = 0.5. "
        "These have: mobilenet, mobilenet_v2, mobilenet_v3_small, mobilenet_v3_large."
    )


def test_default_weights_are_the_pretrained_ones():
    assert (default_weights("tiny"), default_weights("vgg16")) == ("shipped", "imagenet")


def test_only_weights_in_files_have_a_path(tmp_path: Path):
    file = tmp_path / "own.weights.h5"
    file.touch()
    assert find_weights("vgg16", "imagenet") is None
    assert find_weights("tiny", "none") is None
    assert find_weights("tiny", "shipped").name == "tiny.weights.h5"
    assert find_weights("tiny", str(file)) == file


def test_weights_that_do_not_exist_are_refused(tmp_path: Path):
    missing = str(tmp_path / "no.h5")
    expected = f'weights must be imagenet, none or a file that exists; received "{missing}".'
    assert message_of(WeightsError, find_weights, "vgg16", missing) == expected
    assert 'received "shipped"' in message_of(WeightsError, find_weights, "vgg16", "shipped")
    assert message_of(WeightsError, find_weights, "tiny", "imagenet") == (
        "tiny has no ImageNet weights; leave weights out for the ones it ships with."
    )


def test_a_network_without_pretrained_weights_begins_with_fresh_ones(monkeypatch: pytest.MonkeyPatch):
    row = Backbone("tiny:build_tiny", "tf", min_image_size=16, pretrained=None)
    monkeypatch.setitem(BACKBONES, "fresh", row)
    assert default_weights("fresh") == "none"
    assert find_weights("fresh", "none") is None
    assert build_backbone("fresh", image_size=16).output_shape == (None, 2, 2, WIDTHS[-1])
    assert message_of(WeightsError, find_weights, "fresh", "imagenet") == (
        "fresh has no ImageNet weights; leave weights out to begin with fresh ones."
    )
    assert 'received "shipped"' in message_of(WeightsError, find_weights, "fresh", "shipped")
