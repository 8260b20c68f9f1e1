"""What two networks have in common is computed from them: whatever changes an answer changes the digest."""

import sys
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
from default_cases import few_by_default

from regraft.inference.features import features_made_by
from regraft.inference.views import ViewReader
from regraft.machine.devices import open_device
from regraft.models.backbones import BACKBONES, build_backbone
from regraft.models.classifier import build_classifier, feature_extractor
from regraft.models.combine_members import combine
from regraft.models.digest import kinds_of, network_digest
from regraft.models.regularizers import REGULARIZERS, Option, Regularizer

SIZE = 32


def classifier(seed: int = 0, *, weights_seed: int = 0, name: str = "tiny", size: int = SIZE, **options) -> keras.Model:
    backbone = build_backbone(name, image_size=size, seed=weights_seed)
    return build_classifier(
        backbone, preprocessing=BACKBONES[name].preprocessing, class_count=3, seed=seed, regularize=options
    )


def digest(**options: Any) -> str:
    return network_digest(feature_extractor(classifier(**options)))


@pytest.mark.parametrize("name", few_by_default(["tiny", "mobilenet_v2", "inception_resnet_v2"], "tiny"))
def test_a_network_that_is_built_again_is_the_same_under_other_names(name):
    size = max(BACKBONES[name].min_image_size, 32)
    assert digest(name=name, size=size) == digest(name=name, size=size)


@pytest.mark.parametrize(
    "change",
    [
        {"weights_seed": 1},
        {"size": 48},
        {"fractional_head_pooling": 1.4},
        {"scaled_dropout": 0.1},
        {"fractional_head_pooling": 1.4, "fractional_overlapping": False},
        {"fractional_head_pooling": 1.4, "seed": 1},
    ],
)
def test_weights_size_options_and_seeds_of_inference_all_count(change):
    others = [{}, {"fractional_head_pooling": 1.4}]
    assert digest(**change) not in [digest(**other) for other in others if other != change]


def test_preprocessing_counts():
    backbones = [build_backbone("tiny", image_size=SIZE) for _ in range(2)]
    tf, torch = (
        build_classifier(backbone, preprocessing=kind, class_count=3)
        for backbone, kind in zip(backbones, ("tf", "torch"), strict=True)
    )
    assert network_digest(feature_extractor(tf)) != network_digest(feature_extractor(torch))


@pytest.mark.parametrize(
    "noise",
    few_by_default(
        [{"dropout": 0.5}, {"spatial_dropout": 0.2}, {"stochastic_depth": (1.0, 0.5)}],
        {"stochastic_depth": (1.0, 0.5)},
    ),
)
def test_what_hands_its_input_through_at_inference_does_not_count(noise):
    assert digest(**noise) == digest(**noise, seed=7) == digest()


def test_a_number_that_an_operation_is_called_with_counts():
    def scaled(by: float) -> keras.Model:
        inputs = keras.Input((4,))
        return keras.Model(inputs, keras.ops.multiply(inputs, by))

    assert network_digest(scaled(2.0)) == network_digest(scaled(2.0)) != network_digest(scaled(3.0))


def test_the_order_of_inputs_and_which_tensor_goes_where_count():
    def joined(swap: bool) -> keras.Model:
        inputs = keras.Input((4,))
        one, two = keras.layers.Rescaling(2.0)(inputs), keras.layers.Rescaling(3.0)(inputs)
        return keras.Model(inputs, keras.layers.Concatenate()([two, one] if swap else [one, two]))

    assert network_digest(joined(True)) != network_digest(joined(False))


def test_a_model_inside_a_model_is_what_is_in_it():
    inputs = keras.Input((4,))
    layer = keras.layers.Rescaling(2.0)
    inner = keras.Model(inputs, layer(inputs))
    outer = keras.Input((4,))
    assert network_digest(keras.Model(outer, inner(outer))) == network_digest(inner)


def repeated(layer: keras.Layer) -> str:
    """The digest of a network that applies `layer` to each of three rows."""
    inputs = keras.Input((3, 4))
    return network_digest(keras.Model(inputs, keras.layers.TimeDistributed(layer)(inputs)))


def dense(width: int = 2, **options: Any) -> keras.Layer:
    return keras.layers.Dense(width, **{"kernel_initializer": "ones", **options})


def two_ways(*, swap: bool = False) -> keras.Model:
    inputs = keras.Input((4,))
    ways = [keras.layers.Rescaling(2.0)(inputs), keras.layers.Rescaling(3.0)(inputs)]
    return keras.Model(inputs, keras.layers.Subtract()(ways[::-1] if swap else ways))


def test_names_of_layers_in_layers_do_not_matter():
    assert repeated(dense()) == repeated(dense()) == repeated(dense(name="other", trainable=False))
    assert repeated(dense()) != repeated(dense(activation="relu"))
    deep = [keras.Sequential([keras.Input((4,)), dense(name=name)]) for name in ("a", "b")]
    assert repeated(deep[0]) == repeated(deep[1])


def test_how_the_layers_of_a_model_in_a_layer_are_joined_matters_and_their_names_do_not():
    assert repeated(two_ways()) == repeated(two_ways()) != repeated(two_ways(swap=True))


class Filled(keras.initializers.Initializer):
    """Something that is no layer, and whose name means something."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, shape: Any, dtype: Any = None, **_: Any) -> Any:
        return keras.ops.ones(shape, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


def test_names_that_mean_something_count_in_layers_too():
    assert repeated(dense(dtype="float32")) != repeated(dense(dtype="mixed_bfloat16"))
    assert repeated(dense(kernel_initializer=Filled("a"))) != repeated(dense(kernel_initializer=Filled("b")))


def dropped(*, seed: int = 0, within: bool = False, **call: Any) -> keras.Model:
    inputs = keras.Input((4,))
    dropout = keras.layers.Dropout(0.5, seed=seed)
    if within:
        inner = keras.Input((4,))
        return keras.Model(inputs, keras.Model(inner, dropout(inner))(inputs, **call))
    return keras.Model(inputs, dropout(inputs, **call))


@pytest.mark.parametrize("within", [False, True])
def test_what_is_called_with_training_in_the_graph_acts_and_counts(within):
    nothing = network_digest(dropped(within=within))
    assert nothing == network_digest(dropped(within=within, training=False, seed=1))
    seeds = [network_digest(dropped(within=within, training=True, seed=seed)) for seed in (0, 1)]
    assert len({nothing, *seeds}) == 3


class Planted(keras.layers.Layer):
    """A layer that nobody has told anything of: it bends the features at inference, by an option."""

    def __init__(self, bend: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bend = bend

    def call(self, inputs: Any) -> Any:
        return keras.ops.tanh(self.bend * inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bend": self.bend}


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> str:
    """The recipe key of a new regularizer that changes inference and says so nowhere but in its configuration."""
    module = ModuleType("regraft.models.planted")
    module.make_planted = lambda *, bend, seed: Planted(bend, name="planted")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "regraft.models.planted", module)
    row = Regularizer({"planted": Option("bend", 0.0, ">= 0")}, make="planted:make_planted", place="features")
    monkeypatch.setitem(REGULARIZERS, "planted", row)
    return "planted"


def test_the_cache_notices_a_new_layer_option_by_itself(planted):
    reader, device = ViewReader(SIZE, 1.0), open_device("cpu")
    keys = [
        features_made_by(feature_extractor(classifier(**{planted: bend})), reader, device) for bend in (0.0, 1.0, 2.0)
    ]
    assert keys[0] != keys[1] != keys[2] != keys[0]


def test_a_shared_trunk_notices_a_new_layer_option_by_itself(planted):
    images = np.random.default_rng(0).uniform(0, 255, (4, SIZE, SIZE, 3)).astype(np.float32)
    members = [classifier(**{planted: bend}) for bend in (0.1, 3.0)]
    expected = np.mean([np.asarray(member(images)) for member in members], axis=0)
    np.testing.assert_allclose(combine(members, rule="logits")(images), expected, atol=1e-5)


def test_every_argument_of_a_reader_is_part_of_what_features_depend_on():
    extractor, device = feature_extractor(classifier()), open_device("cpu")
    readers = [ViewReader(SIZE, 1.0), ViewReader(SIZE, 0.8), ViewReader(SIZE, 1.0, "flip")]
    assert len({str(features_made_by(extractor, reader, device)) for reader in readers}) == 3


def small(activation: str, *noise: keras.Layer) -> keras.Model:
    inputs = keras.Input((8,))
    x = keras.layers.Dense(4, activation=activation)(inputs)
    for layer in noise:
        x = layer(x)
    return keras.Model(inputs, keras.layers.ReLU()(x))


def test_kinds_of_layers_are_counted_with_their_activations_and_without_noise():
    assert kinds_of(small("tanh")) == {"Dense tanh": 1, "ReLU": 1}
    assert kinds_of(small("tanh", keras.layers.Dropout(0.5))) == kinds_of(small("tanh"))
    assert kinds_of(small("relu")) == {"Dense relu": 1, "ReLU": 1}


def test_kinds_are_those_inside_models_and_the_same_for_other_seeds_and_noise():
    plain = kinds_of(classifier())
    assert plain["Conv2D linear"] > 1
    assert plain == kinds_of(classifier(seed=1, weights_seed=1))
    noise = {"dropout": 0.1, "dropconnect": 0.2, "conv_dropconnect": 0.2, "stochastic_depth": 0.9}
    assert plain == kinds_of(classifier(**noise))
    assert plain != kinds_of(classifier(fractional_head_pooling=1.4))
