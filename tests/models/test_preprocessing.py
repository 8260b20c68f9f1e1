"""What networks are shown, against the functions of `keras.applications` for every row of the table."""

import sys

import keras
import numpy as np
import pytest
from keras.applications.imagenet_utils import preprocess_input

from regraft.models.backbones import BACKBONES
from regraft.models.preprocessing import ReverseChannels, preprocess

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3)).astype(np.float32)
PUBLISHED = [name for name, row in BACKBONES.items() if row.is_published]


def preprocessed(kind: str) -> np.ndarray:
    inputs = keras.Input((4, 5, 3))
    return np.asarray(keras.Model(inputs, preprocess(inputs, kind))(IMAGES))


@pytest.mark.parametrize("kind", ["tf", "torch", "caffe"])
def test_the_layers_do_what_keras_does(kind):
    np.testing.assert_allclose(preprocessed(kind), preprocess_input(IMAGES.copy(), mode=kind), atol=2e-5)


def test_efficientnet_lite_gets_its_own_range():
    np.testing.assert_allclose(preprocessed("lite"), (IMAGES - 127) / 128, atol=1e-6)


def test_included_changes_nothing():
    np.testing.assert_array_equal(preprocessed("included"), IMAGES)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_backbone_is_shown_what_its_own_module_says(name):
    module = sys.modules[getattr(keras.applications, BACKBONES[name].make).__module__]
    expected = module.preprocess_input(IMAGES.copy())
    np.testing.assert_allclose(preprocessed(BACKBONES[name].preprocessing), expected, atol=2e-5)


def test_reversed_channels_survive_saving(tmp_path):
    inputs = keras.Input((4, 5, 3))
    model = keras.Model(inputs, ReverseChannels()(inputs))
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(IMAGES), IMAGES[..., ::-1])


def test_reversed_channels_know_their_shape():
    assert ReverseChannels().compute_output_shape((None, 4, 5, 3)) == (None, 4, 5, 3)
