"""Noise at prediction: averaged out, or silenced."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from regraft.models.dropconnect import DropConnectDense
from regraft.models.monte_carlo import entropy, make_noisy_call, marginalize, mutual_information, noise_layers, silenced
from regraft.models.stochastic_depth import StochasticDepth

X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)


@pytest.fixture
def model() -> keras.Model:
    """Noise outside and inside of an inner model, and a batch norm."""
    keras.utils.set_random_seed(0)
    inner_input = keras.Input([6])
    inner = keras.Model(inner_input, StochasticDepth(0.5, seed=4)(layers.BatchNormalization()(inner_input)))
    inputs = keras.Input([6])
    x = layers.Dropout(0.5, seed=3)(inner(inputs))
    return keras.Model(inputs, DropConnectDense(3, rate=0.5, seed=5, logits=True, name="head")(x))


def test_noise_is_found_in_inner_models_too_and_only_where_it_is_on(model):
    assert {type(layer).__name__ for layer in noise_layers(model)} == {"Dropout", "StochasticDepth", "DropConnectDense"}
    inputs = keras.Input([6])
    assert noise_layers(keras.Model(inputs, layers.Dropout(0.0)(inputs))) == []


def test_the_answer_is_the_mean_of_softmax_over_draws(model):
    call = make_noisy_call(model, seed=1)
    expected = np.mean([np.asarray(call(X, draw)) for draw in range(5)], axis=0)
    answer = np.asarray(marginalize(model, draws=5, seed=1)(X))
    np.testing.assert_allclose(answer, expected, atol=1e-6)
    np.testing.assert_allclose(answer.sum(axis=1), 1.0, rtol=1e-5)


def test_dropout_at_prediction_has_the_mean_that_dropout_has():
    """Of one unit that is 0 or 2 with equal chances, and the logits (x, 0): half 1 / 2, half sigmoid(2)."""
    inputs = keras.Input([1])
    x = layers.Concatenate()([layers.Dropout(0.5, seed=1)(inputs), 0.0 * inputs])
    probabilities = marginalize(keras.Model(inputs, x), draws=400, seed=1)(np.ones((1, 1), np.float32))
    high = 1 / (1 + np.exp(-2.0))
    error = (high - 0.5) / 2 / np.sqrt(400)
    assert abs(float(probabilities[0][0]) - (0.5 + high) / 2) < 4 * error


def test_a_batch_has_one_answer_whatever_was_asked_before(model):
    states = [np.asarray(layer.seed_generator.state) for layer in noise_layers(model)]
    answer = marginalize(model, draws=3, seed=1, compiled=lambda call: tf.function(call, autograph=False))
    first = np.asarray(answer(X))
    answer(2 * X)
    np.testing.assert_array_equal(answer(X), first)
    np.testing.assert_array_equal([layer.seed_generator.state for layer in noise_layers(model)], states)
    assert not np.array_equal(np.asarray(marginalize(model, draws=3, seed=2)(X)), first)


def test_batch_norms_stay_in_inference_mode_and_are_left_as_they_were(model):
    (norm,) = [layer for layer in model._flatten_layers() if isinstance(layer, layers.BatchNormalization)]
    before = np.asarray(norm.moving_mean)
    marginalize(model, draws=2)(X + 100)
    np.testing.assert_array_equal(norm.moving_mean, before)
    assert norm.trainable


def test_silenced_noise_is_gone_and_comes_back(model):
    (norm,) = [layer for layer in model._flatten_layers() if isinstance(layer, layers.BatchNormalization)]
    norm.trainable = False  # in inference mode, so that only the noise differs
    with silenced(model):
        np.testing.assert_array_equal(model(X, training=True), model(X, training=False))
    assert not np.array_equal(model(X, training=True), model(X, training=False))


def test_entropy_and_mutual_information_are_those_of_the_formulas():
    np.testing.assert_allclose(entropy(np.array([[0.5, 0.5], [1.0, 0.0]])), [np.log(2), 0.0])
    split = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])  # two draws that are sure of opposite classes
    np.testing.assert_allclose(mutual_information(split), [np.log(2)])
    np.testing.assert_allclose(mutual_information(np.full((3, 1, 2), 0.5)), [0.0], atol=1e-12)


def test_a_model_without_noise_and_no_draws_are_refused(model):
    inputs = keras.Input([6])
    with pytest.raises(ValueError, match=r"^the model has no noise to average out; train it with one of the \[regul"):
        marginalize(keras.Model(inputs, layers.Dense(2)(inputs)), draws=3)
    with pytest.raises(ValueError, match=r"^draws must be at least 1; received 0\.$"):
        marginalize(model, draws=0)
