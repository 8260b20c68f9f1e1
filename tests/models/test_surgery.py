"""A network's graph is changed, its weights are not."""

import keras
import numpy as np
import pytest
from keras import layers

from regraft.models.surgery import ancestors, producer, rebuild

IMAGES = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)


@pytest.fixture
def network() -> keras.Model:
    """A convolution, and a shared one that is called twice."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    x = layers.Conv2D(4, 1, name="first")(inputs)
    x = shared(shared(x))
    return keras.Model(inputs, layers.BatchNormalization(name="norm")(x), name="network")


def test_an_unchanged_copy_answers_the_same_with_weights_of_its_own(network):
    network.get_layer("first").trainable = False
    copy = rebuild(network)
    np.testing.assert_array_equal(copy(IMAGES), network(IMAGES))
    assert copy.name == "network"
    assert [layer.name for layer in copy.layers] == [layer.name for layer in network.layers]
    assert [weight.path for weight in copy.weights] == [weight.path for weight in network.weights]
    assert [layer.trainable for layer in copy.layers] == [layer.trainable for layer in network.layers]
    copy.get_layer("first").kernel.assign(0 * copy.get_layer("first").kernel)
    assert np.abs(np.asarray(network.get_layer("first").kernel)).max() > 0


def test_a_layer_that_takes_anothers_place_gets_its_weights(network):
    def layer_for(layer):
        return layers.Conv2D(4, 1, activation="relu", name="new") if layer.name == "first" else None

    copy = rebuild(network, layer_for=layer_for)
    np.testing.assert_array_equal(copy.get_layer("new").kernel, network.get_layer("first").kernel)
    assert not np.array_equal(copy(IMAGES), network(IMAGES))


def test_a_call_can_be_given_a_layer_before_it(network):
    def call(original, copy, args, kwargs):
        return copy(layers.Rescaling(2.0)(args[0])) if original.name == "first" else copy(*args, **kwargs)

    np.testing.assert_allclose(rebuild(network, call=call)(IMAGES), network(2 * IMAGES), rtol=1e-5)


def test_weights_that_do_not_fit_are_refused(network):
    with pytest.raises(ValueError, match="shape"):
        rebuild(network, layer_for=lambda layer: layers.Conv2D(4, 3, padding="same") if layer.name == "first" else None)


def test_ancestors_are_all_that_a_tensor_depends_on(network):
    inner = network.get_layer("first").output
    assert producer(inner).name == "first"
    names = {operation.name for operation in ancestors(inner).values()}
    assert names == {"first", network.layers[0].name}
