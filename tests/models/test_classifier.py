"""A backbone with a new head: what it computes, what may be trained, what survives saving."""

from collections.abc import Iterator

import keras
import numpy as np
import pytest
from default_cases import few_by_default
from keras import layers

from regraft.models.backbones import build_backbone
from regraft.models.classifier import (
    HEAD,
    backbone_of,
    build_classifier,
    cool_head,
    feature_extractor,
    feature_widths,
    set_head,
    set_trainable,
)
from regraft.models.errors import BackboneError

SIZE, CLASSES = 16, 3
IMAGES = np.random.default_rng(0).uniform(0, 255, (4, SIZE, SIZE, 3)).astype(np.float32)


def classifier_of(**options) -> keras.Model:
    backbone = build_backbone("tiny", image_size=SIZE, seed=1)
    return build_classifier(backbone, **({"preprocessing": "tf", "class_count": CLASSES} | options))


@pytest.fixture
def classifier() -> keras.Model:
    return classifier_of()


@pytest.fixture
def mixed_precision() -> Iterator[None]:
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


def outputs(model: keras.Model) -> np.ndarray:
    return np.asarray(model(IMAGES, training=False))


@pytest.mark.parametrize(("pooling", "reduce"), [("avg", np.mean), ("max", np.max)])
def test_logits_are_the_head_on_the_pooled_features_of_the_preprocessed_images(pooling, reduce):
    model = classifier_of(pooling=pooling)
    maps = np.asarray(backbone_of(model)(IMAGES / 127.5 - 1, training=False))
    features = reduce(maps, axis=(1, 2))
    kernel, bias = model.get_layer(HEAD).get_weights()
    np.testing.assert_allclose(outputs(feature_extractor(model)), features, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs(model), features @ kernel + bias, rtol=1e-4, atol=1e-4)


def test_with_taps_the_head_reads_their_pooled_maps_before_the_last():
    taps = ["stem_relu", "stage2_residual_add"]
    model, backbone = classifier_of(taps=taps), build_backbone("tiny", image_size=SIZE, seed=1)
    assert feature_widths(model) == [32, 96, 160]
    every = keras.Model(backbone.input, [backbone.get_layer(tap).output for tap in taps] + [backbone.output])
    maps = [np.asarray(each) for each in every(IMAGES / 127.5 - 1, training=False)]
    features = np.hstack([each.mean(axis=(1, 2)) for each in maps])
    np.testing.assert_allclose(outputs(feature_extractor(model)), features, rtol=1e-4, atol=1e-5)
    kernel, bias = model.get_layer(HEAD).get_weights()
    np.testing.assert_allclose(outputs(model), features @ kernel + bias, rtol=1e-4, atol=1e-4)
    assert [layer.name for layer in backbone_of(model).layers[1:]] == [layer.name for layer in backbone.layers[1:]]


def test_a_classifier_with_taps_comes_back_from_its_file(tmp_path):
    model = classifier_of(taps=["stem_relu"])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(outputs(loaded), outputs(model))
    assert feature_widths(loaded) == [32, 160]


def test_taps_go_with_stochastic_depth_which_rebuilds_the_network():
    model = classifier_of(taps=["stage1_residual_add"], regularize={"stochastic_depth": (1.0, 0.8)})
    np.testing.assert_allclose(
        outputs(feature_extractor(model)), outputs(feature_extractor(classifier_of(taps=["stage1_residual_add"]))),
        rtol=1e-5, atol=1e-6,
    )  # fmt: skip


def test_the_feature_extractor_shares_its_weights(classifier):
    before = outputs(feature_extractor(classifier))
    classifier.set_weights([0.5 * array for array in classifier.get_weights()])
    assert not np.array_equal(outputs(feature_extractor(classifier)), before)


def test_set_head_puts_kernel_and_bias_in_place(classifier):
    features = outputs(feature_extractor(classifier))
    kernel = np.random.default_rng(1).standard_normal((features.shape[1], CLASSES)).astype(np.float32)
    bias = np.arange(CLASSES, dtype=np.float32)
    set_head(classifier, kernel, bias)
    np.testing.assert_allclose(outputs(classifier), features @ kernel + bias, rtol=1e-4, atol=1e-4)


def test_cool_head_divides_the_logits(classifier):
    before = outputs(classifier)
    cool_head(classifier, 2.5)
    np.testing.assert_allclose(outputs(classifier), before / 2.5, rtol=1e-4, atol=1e-5)


def test_cooling_by_one_leaves_every_bit(classifier):
    before = classifier.get_layer(HEAD).get_weights()
    cool_head(classifier, 1.0)
    assert all(np.array_equal(*pair) for pair in zip(before, classifier.get_layer(HEAD).get_weights(), strict=True))


def test_dropout_acts_in_training_alone():
    model = classifier_of(regularize={"dropout": 0.5})
    np.testing.assert_array_equal(outputs(model), outputs(model))
    assert not np.array_equal(outputs(model), np.asarray(model(IMAGES, training=True)))


def test_the_same_seed_gives_the_same_head():
    heads = [classifier_of(seed=seed).get_layer(HEAD).get_weights()[0] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(heads[0], heads[1])
    assert not np.array_equal(heads[0], heads[2])


@pytest.mark.usefixtures("mixed_precision")
def test_under_mixed_precision_the_head_computes_in_float32():
    model = classifier_of()
    assert model.get_layer(HEAD).compute_dtype == "float32"
    assert outputs(model).dtype == np.float32
    assert keras.backend.standardize_dtype(feature_extractor(model)(IMAGES).dtype) == "bfloat16"


@pytest.mark.parametrize("preprocessing", few_by_default(["included", "tf", "torch", "caffe"], "caffe"))
def test_a_saved_classifier_answers_as_before(preprocessing, tmp_path):
    model = classifier_of(preprocessing=preprocessing, regularize={"dropout": 0.1})
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(outputs(keras.models.load_model(tmp_path / "model.keras")), outputs(model))


def trained_names(classifier: keras.Model) -> set[str]:
    return {variable.path for variable in classifier.trainable_variables}


def norms_of(classifier: keras.Model) -> list[keras.Layer]:
    return [layer for layer in backbone_of(classifier).layers if isinstance(layer, layers.BatchNormalization)]


def test_unfreezing_all_with_frozen_batch_norm_trains_everything_else(classifier):
    set_trainable(classifier, unfreeze=1.0, batch_norm="frozen")
    norm_weights = {weight.path for layer in norms_of(classifier) for weight in layer.weights}
    assert len(norm_weights) == 4 * 8
    assert trained_names(classifier) == {weight.path for weight in classifier.weights} - norm_weights


def test_adaptive_batch_norm_trains_scales_and_offsets(classifier):
    set_trainable(classifier, unfreeze=1.0, batch_norm="adaptive")
    statistics = {weight.path for layer in norms_of(classifier) for weight in layer.non_trainable_weights}
    assert len(statistics) == 2 * 8
    assert trained_names(classifier) == {weight.path for weight in classifier.weights} - statistics


def test_unfreezing_nothing_trains_the_head_alone(classifier):
    assert list(set_trainable(classifier, unfreeze=0.0, batch_norm="adaptive")) == []
    assert trained_names(classifier) == {weight.path for weight in classifier.get_layer(HEAD).weights}


def test_unfreezing_a_part_trains_the_last_layers(classifier):
    trained = set_trainable(classifier, unfreeze=0.25, batch_norm="adaptive")
    every = backbone_of(classifier).layers
    assert list(trained) == every[round(0.75 * len(every)) :]
    assert not norms_of(classifier)[0].trainable
    assert norms_of(classifier)[-1].trainable


def test_what_was_frozen_once_can_be_trained_again(classifier):
    everything = trained_names(classifier)
    set_trainable(classifier, unfreeze=0.0, batch_norm="frozen")
    set_trainable(classifier, unfreeze=1.0, batch_norm="adaptive")
    assert trained_names(classifier) == everything


@pytest.mark.parametrize(
    ("choices", "names"),
    [
        ({"dropout": 0.5, "scaled_dropout": 0.5}, ["dropout", "scaled_dropout"]),
        ({"spatial_dropout": 0.5, "fractional_head_pooling": 1.5}, ["spatial_dropout", "fractional_head_pooling"]),
    ],
)
def test_regularizers_stand_in_their_places(choices, names):
    model = classifier_of(regularize=choices)
    assert [layer.name for layer in model.layers if layer.name in names] == names


def test_the_head_under_dropconnect_has_the_weights_of_the_dense_one():
    plain, dropped = classifier_of(), classifier_of(regularize={"dropconnect": 0.5})
    weights = plain.get_layer(HEAD).get_weights()
    set_head(dropped, *weights)
    for mine, its in zip(dropped.get_layer(HEAD).get_weights(), weights, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_features_are_what_the_head_sees_at_inference():
    model = classifier_of(regularize={"scaled_dropout": 0.5})
    images = np.full((1, *model.input_shape[1:]), 100, np.float32)
    kernel, bias = model.get_layer(HEAD).get_weights()
    features = np.asarray(feature_extractor(model)(images))
    np.testing.assert_allclose(features @ kernel + bias, model(images), rtol=1e-4, atol=1e-5)


def test_maps_that_are_too_small_to_be_pooled_are_refused_in_one_line():
    inputs = keras.Input((8, 8, 3))
    backbone = keras.Model(inputs, keras.layers.Conv2D(4, 8)(inputs))
    with pytest.raises(
        BackboneError, match=r"^regularize\.fractional_head_pooling: .*; use a larger data\.image_size\.$"
    ):
        build_classifier(backbone, preprocessing="tf", class_count=2, regularize={"fractional_head_pooling": 1.5})
