"""DropConnect: means, masks, and what the Gaussian knows that the mean does not."""

import keras
import numpy as np
import pytest
from default_cases import few_by_default
from keras import layers

from regraft.models.backbones import build_backbone
from regraft.models.dropconnect import (
    DropConnectConv2D,
    DropConnectDense,
    add_conv_dropconnect,
    make_dropconnect_head,
)
from regraft.models.errors import BackboneError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(3, 20)).astype(np.float32)
MAPS = RANDOM.normal(size=(2, 6, 5, 3)).astype(np.float32)


def dense(**options) -> DropConnectDense:
    layer = DropConnectDense(4, rate=0.4, seed=1, **options)
    layer.build((None, 20))
    layer.set_weights([RANDOM.normal(size=(20, 4)).astype(np.float32) / 3, np.array([0.1, -0.2, 0.3, 0.0], np.float32)])
    return layer


def draws_of(layer, x: np.ndarray, count: int) -> np.ndarray:
    return np.stack([np.asarray(layer(x, training=True)) for _ in range(count)])


def assert_mean(draws: np.ndarray, expected: np.ndarray) -> None:
    """Within five standard errors everywhere."""
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - expected) <= 5 * error + 1e-6).all()


@pytest.mark.parametrize("per_example", few_by_default([False, True], True))
def test_the_mean_of_dense_training_is_inference(per_example):
    layer = dense(per_example=per_example)
    assert_mean(draws_of(layer, X, 400), np.asarray(layer(X)))


@pytest.mark.parametrize("per_example", few_by_default([False, True], False))
def test_the_mean_of_convolutional_training_is_inference(per_example):
    layer = DropConnectConv2D(2, 3, rate=0.4, per_example=per_example, strides=2, padding="same", seed=1)
    layer(MAPS)
    assert_mean(draws_of(layer, MAPS, 400), np.asarray(layer(MAPS)))


def test_inference_by_the_mean_is_the_plain_layer():
    layer, plain = dense(), layers.Dense(4)
    plain.build((None, 20))
    plain.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(X), plain(X))
    convolution, plain = DropConnectConv2D(2, 3, rate=0.4, seed=1), layers.Conv2D(2, 3)
    convolution(MAPS), plain(MAPS)
    plain.set_weights(convolution.get_weights())
    np.testing.assert_array_equal(convolution(MAPS), plain(MAPS))


def kept_weights(layer: DropConnectDense) -> np.ndarray:
    """For each example and unit, which of the 20 weights took part, times 1 / keep."""
    layer.set_weights([np.ones((20, 4), np.float32), np.zeros(4, np.float32)])
    one_at_a_time = np.eye(20, dtype=np.float32)
    return np.asarray(layer(one_at_a_time, training=True))


def test_weights_are_left_out_at_the_rate_and_the_rest_is_scaled():
    layer = dense()
    kept = np.stack([kept_weights(layer) for _ in range(50)])
    np.testing.assert_allclose(np.unique(kept), [0.0, 1 / 0.6], rtol=1e-6)
    assert abs((kept > 0).mean() - 0.6) < 4 * np.sqrt(0.6 * 0.4 / kept.size)
    assert len({draw.tobytes() for draw in kept}) == 50  # a mask of its own for every step


@pytest.mark.parametrize(("per_example", "different"), [(False, 1), (True, 64)])
def test_one_mask_for_a_step_or_one_for_each_example(per_example, different):
    same = np.repeat(X[:1], 64, axis=0)
    answers = np.asarray(dense(per_example=per_example)(same, training=True))
    assert len({row.tobytes() for row in answers.round(4)}) == different


def test_masks_of_a_convolution_are_the_same_at_every_place():
    layer = DropConnectConv2D(2, 1, rate=0.5, use_bias=False, per_example=True, seed=2)
    answers = np.asarray(layer(np.ones((4, 5, 5, 3), np.float32), training=True))
    np.testing.assert_allclose(answers, np.broadcast_to(answers[:, :1, :1], answers.shape), rtol=1e-5)


@pytest.mark.parametrize(("activation", "best_mean_error"), [("relu", 0.3), ("softmax", 0.02), ("tanh", 0.02)])
def test_gaussian_inference_is_nearer_to_10000_draws_than_the_mean(activation, best_mean_error):
    layer = dense(activation=activation, per_example=True)
    # Ten thousand copies of each example in one step are ten thousand draws.
    draws = [np.asarray(layer(np.repeat(x[None], 10_000, axis=0), training=True)).mean(axis=0) for x in X]
    gaussian = dense(activation=activation, inference="gaussian", samples=4096)
    gaussian.set_weights(layer.get_weights())
    mean_error = np.abs(np.asarray(layer(X)) - draws).max()
    gaussian_error = np.abs(np.asarray(gaussian(X)) - draws).max()
    assert mean_error > best_mean_error
    assert gaussian_error < mean_error / 4


def test_gaussian_inference_of_relu_is_the_closed_form():
    """E[max(u, 0)] = m Phi(m / s) + s phi(m / s), for u of mean m and standard deviation s."""
    from scipy.stats import norm

    layer = dense(activation="relu", inference="gaussian")
    kernel, bias = layer.get_weights()
    mean, deviation = X @ kernel + bias, np.sqrt(0.4 / 0.6 * X**2 @ kernel**2)
    expected = mean * norm.cdf(mean / deviation) + deviation * norm.pdf(mean / deviation)
    np.testing.assert_allclose(layer(X), expected, atol=0.02 * deviation.max())


def test_gaussian_inference_of_a_convolution_agrees_with_its_draws():
    layer = DropConnectConv2D(2, 3, rate=0.4, activation="relu", seed=1)
    layer(MAPS)
    gaussian = DropConnectConv2D(2, 3, rate=0.4, activation="relu", inference="gaussian", seed=1)
    gaussian(MAPS)
    gaussian.set_weights(layer.get_weights())
    draws = draws_of(layer, MAPS, 400).mean(axis=0)
    assert np.abs(np.asarray(gaussian(MAPS)) - draws).mean() < np.abs(np.asarray(layer(MAPS)) - draws).mean() / 2


def test_the_heads_logits_are_those_of_the_expected_probabilities():
    head = make_dropconnect_head(4, rate=0.4, per_example=False, inference="gaussian", seed=1, name="head")
    probabilities = dense(activation="softmax", inference="gaussian")
    head.build((None, 20))
    head.set_weights(probabilities.get_weights())
    np.testing.assert_allclose(keras.ops.softmax(head(X)), probabilities(X), atol=1e-5)


def test_gaussian_inference_repeats():
    layer = dense(activation="softmax", inference="gaussian")
    np.testing.assert_array_equal(layer(X), layer(X))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DropConnectDense(2, rate=1.0), r"^rate must be in \[0, 1\); received 1\.$"),
        (
            lambda: DropConnectDense(2, rate=0.5, inference="median"),
            r'^inference must be "mean" or "gaussian"; received ',
        ),
        (
            lambda: DropConnectDense(2, rate=0.5).build((None, 3, 4)),
            r"^DropConnectDense takes inputs \[N, C\]; received ",
        ),
        (lambda: DropConnectConv2D(2, 3, rate=0.5, per_example=True, groups=2), r"^per_example needs groups = 1 and "),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_backbone_under_dropconnect_is_bit_identical_at_inference():
    backbone = build_backbone("tiny", image_size=16)
    changed = add_conv_dropconnect(backbone, rate=0.3, seed=0)
    images = RANDOM.normal(size=(2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_array_equal(changed(images), backbone(images))
    converted = [layer for layer in changed.layers if isinstance(layer, DropConnectConv2D)]
    assert len(converted) == sum(isinstance(layer, layers.Conv2D) for layer in backbone.layers)
    assert len({layer.seed for layer in converted}) == len(converted)


def test_depthwise_kernels_are_left_alone_and_a_network_of_nothing_else_is_refused():
    inputs = keras.Input((4, 4, 3))
    network = keras.Model(inputs, layers.DepthwiseConv2D(3)(inputs), name="deep")
    with pytest.raises(BackboneError, match=r"^deep has no convolution for DropConnect"):
        add_conv_dropconnect(network, rate=0.5, seed=0)
