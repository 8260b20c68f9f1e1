"""The pull towards the weights a network began with."""

import keras
import numpy as np
import pytest

from regraft.models.l2_sp import L2SPModel


def pulled_model(strength: float) -> tuple[keras.layers.Dense, keras.Model]:
    """One weight and no bias: x becomes 2 x, and the weight is pulled to 2."""
    inputs = keras.Input([1])
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer=keras.initializers.Constant(2.0))
    outputs = layer(inputs)
    return layer, L2SPModel(inputs, outputs, strength=strength, pulled=layer.trainable_variables)


def test_the_pull_is_half_the_strength_times_the_squared_distance():
    layer, model = pulled_model(0.3)
    assert float(model.pull()) == 0.0
    layer.kernel.assign([[5.0]])
    assert float(model.pull()) == pytest.approx(0.5 * 0.3 * 3.0**2)


def test_the_loss_holds_the_pull_and_its_gradient_points_back():
    layer, model = pulled_model(0.3)
    layer.kernel.assign([[5.0]])
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    x = np.zeros((4, 1), np.float32)  # gives no gradient of its own
    loss = model.train_on_batch(x, np.zeros((4, 1), np.float32))
    assert float(np.ravel(loss)[0]) == pytest.approx(0.5 * 0.3 * 9.0)
    assert float(layer.kernel.value[0][0]) == pytest.approx(5.0 - 0.1 * 0.3 * 3.0)


def test_the_starts_are_no_weights_to_train():
    layer, model = pulled_model(1.0)
    assert [variable.path for variable in model.trainable_variables] == [layer.kernel.path]


def test_a_negative_strength_is_refused():
    with pytest.raises(ValueError, match=r"^strength must be at least 0; received -1\.$"):
        pulled_model(-1.0)
