"""Batch-norm statistics computed anew."""

import keras
import numpy as np
import pytest
from keras import layers

from regraft.models.batch_norm import batch_norms, reestimate_batch_norm

FEATURES = 3


@pytest.fixture
def model() -> keras.Model:
    """Two batch norms, the second one inside a model of its own, behind a dropout that would spoil them."""
    inner_input = keras.Input([FEATURES])
    inner = keras.Model(inner_input, layers.BatchNormalization()(inner_input))
    inputs = keras.Input([FEATURES])
    x = layers.Dropout(0.5, seed=1)(inputs)
    x = layers.BatchNormalization(trainable=False)(x)
    x = layers.Dense(FEATURES, kernel_initializer="identity")(x)
    return keras.Model(inputs, inner(x))


@pytest.fixture
def batches() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.normal(3.0 * step, 2.0, (8, FEATURES)).astype(np.float32) for step in range(4)]


def test_the_first_norm_has_mean_and_variance_of_all_values(model, batches):
    assert reestimate_batch_norm(model, batches) == 2
    (norm, _), values = batch_norms(model), np.concatenate(batches)
    np.testing.assert_allclose(np.asarray(norm.moving_mean), values.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(norm.moving_variance), values.var(axis=0), rtol=1e-4)


def test_a_later_norm_sees_what_the_earlier_ones_give_in_training(model, batches):
    reestimate_batch_norm(model, batches)
    normalized = [(batch - batch.mean(axis=0)) / np.sqrt(batch.var(axis=0) + 1e-3) for batch in batches]
    _, norm = batch_norms(model)
    values = np.concatenate(normalized)
    np.testing.assert_allclose(np.asarray(norm.moving_mean), values.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(np.asarray(norm.moving_variance), values.var(axis=0), rtol=1e-4)


def test_weights_and_what_may_be_trained_stay_as_they_were(model, batches):
    trainable = [variable.path for variable in model.trainable_variables]
    weights = [np.asarray(variable) for variable in model.trainable_variables]
    rates = [layer.rate for layer in model.layers if isinstance(layer, layers.Dropout)]
    momenta = [norm.momentum for norm in batch_norms(model)]
    reestimate_batch_norm(model, batches)
    assert [variable.path for variable in model.trainable_variables] == trainable
    for before, variable in zip(weights, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(before, np.asarray(variable))
    assert [layer.rate for layer in model.layers if isinstance(layer, layers.Dropout)] == rates == [0.5]
    assert [norm.momentum for norm in batch_norms(model)] == momenta


def test_the_answer_afterwards_is_normalized(model, batches):
    reestimate_batch_norm(model, batches)
    answers = np.concatenate([np.asarray(model(batch, training=False)) for batch in batches])
    np.testing.assert_allclose(answers.mean(axis=0), 0.0, atol=0.2)


def test_without_a_batch_nothing_is_known(model):
    with pytest.raises(ValueError, match=r"^batch-norm statistics need at least one batch of images; received none\.$"):
        reestimate_batch_norm(model, [])


def test_a_network_without_batch_norm_needs_no_images():
    inputs = keras.Input([FEATURES])
    assert reestimate_batch_norm(keras.Model(inputs, layers.Dense(1)(inputs)), []) == 0
