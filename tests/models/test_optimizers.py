"""Optimizers: what the table makes, what the options do, and a learning rate for each layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from regraft.models.optimizer_table import OPTIMIZERS
from regraft.models.optimizers import LAYER_GROUPS, averaged_weights, layer_rate_scales, make_optimizer


def variable(*values: float, name: str = "kernel") -> keras.Variable:
    return keras.Variable(np.array(values, np.float32), name=name)


def step(optimizer: keras.optimizers.Optimizer, weights: list[keras.Variable], *gradients: list[float]) -> None:
    if not optimizer.built:
        optimizer.build(weights)
    optimizer.apply([tf.constant(gradient, tf.float32) for gradient in gradients])


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("sgd", "SGD", {"momentum": 0.0, "nesterov": False}),
        ("momentum", "SGD", {"momentum": 0.9, "nesterov": False}),
        ("nesterov", "SGD", {"momentum": 0.9, "nesterov": True}),
        ("adagrad", "Adagrad", {}),
        ("rmsprop", "RMSprop", {"rho": 0.9}),
        ("adam", "Adam", {"beta_1": 0.9, "beta_2": 0.999}),
        ("adamw", "AdamW", {"beta_1": 0.9, "beta_2": 0.999, "weight_decay": 0.004}),
    ],
)
def test_each_name_is_kerass_optimizer_with_the_usual_options(name, kind, options):
    optimizer = make_optimizer(name, 0.1)
    assert type(optimizer) is getattr(keras.optimizers, kind)
    config = optimizer.get_config()
    assert {key: config[key] for key in options} == options
    assert float(optimizer.learning_rate) == pytest.approx(0.1)


def test_the_table_is_whole():
    assert list(OPTIMIZERS) == ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]


def test_weight_decay_is_decoupled_and_spares_biases_and_scales():
    weights = [variable(1.0, -2.0), variable(1.0, name="bias"), variable(1.0, name="gamma")]
    step(make_optimizer("adam", 0.1, weight_decay=0.5), weights, [0.0, 0.0], [0.0], [0.0])
    np.testing.assert_allclose(weights[0], [1 - 0.05, -2 + 0.1], rtol=1e-6)
    assert [float(weight.value[0]) for weight in weights[1:]] == [1.0, 1.0]


def test_clip_norm_bounds_all_gradients_together_and_clip_value_each():
    weights = [variable(0.0), variable(0.0)]
    step(make_optimizer("sgd", 1.0, clip_norm=1.0), weights, [3.0], [4.0])
    np.testing.assert_allclose([weight.value[0] for weight in weights], [-0.6, -0.8], rtol=1e-5)
    weights = [variable(0.0), variable(0.0)]
    step(make_optimizer("sgd", 1.0, clip_value=0.5), weights, [3.0], [-0.2])
    np.testing.assert_allclose([weight.value[0] for weight in weights], [-0.5, 0.2], rtol=1e-5)


def test_accumulated_batches_make_one_step_of_their_mean():
    weight = variable(0.0)
    optimizer = make_optimizer("sgd", 1.0, accumulate=3)
    for gradient in (1.0, 2.0):
        step(optimizer, [weight], [gradient])
        assert float(weight.value[0]) == 0.0
    step(optimizer, [weight], [6.0])
    assert float(weight.value[0]) == pytest.approx(-3.0)


def test_averaged_weights_are_the_moving_average_and_go_away_again():
    model = keras.Sequential([keras.Input([1]), layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    optimizer = make_optimizer("sgd", 1.0, ema=0.5)
    seen, average = 1.0, None
    for gradient in (1.0, -2.0, 0.5):
        step(optimizer, model.trainable_variables, [[gradient]])
        seen -= gradient
        average = seen if average is None else 0.5 * average + 0.5 * seen
    kernel = model.trainable_variables[0]
    with averaged_weights(model, optimizer):
        assert float(kernel.value[0][0]) == pytest.approx(average)
    assert float(kernel.value[0][0]) == pytest.approx(seen)


def test_without_an_average_the_weights_are_what_they_are():
    model = keras.Sequential([keras.Input([1]), layers.Dense(1, kernel_initializer="ones")])
    optimizer = make_optimizer("sgd", 1.0)
    optimizer.build(model.trainable_variables)
    with averaged_weights(model, optimizer):
        assert float(model.trainable_variables[0].value[0][0]) == 1.0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rate_of_its_own_scales_the_step_of_each_variable(name):
    full, half = variable(1.0), variable(1.0, name="halved_kernel")
    optimizer = make_optimizer(name, 0.1, weight_decay=0.2, rate_scales={half.path: 0.5})
    step(optimizer, [full, half], [0.3], [0.3])
    moved = [1.0 - float(weight.value[0]) for weight in (full, half)]
    plain = variable(1.0)
    step(make_optimizer(name, 0.1, weight_decay=0.2), [plain], [0.3])
    assert moved[0] == pytest.approx(1.0 - float(plain.value[0]), rel=1e-4)
    # Weight decay comes first and is scaled too, so the halved step is exact for a gradient that does not depend on it.
    assert moved[1] == pytest.approx(moved[0] / 2, rel=1e-4)


def test_scaled_rates_train_under_xla_with_loss_scaling_and_schedules():
    model = keras.Sequential([keras.Input([3]), layers.Dense(2, name="first"), layers.Dense(1, name="last")])
    frozen = np.asarray(model.get_layer("first").kernel)
    before = np.asarray(model.get_layer("last").kernel)
    scales = {weight.path: 0.0 for weight in model.get_layer("first").weights}
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    optimizer = keras.optimizers.LossScaleOptimizer(make_optimizer("adam", schedule, rate_scales=scales))
    model.compile(optimizer, loss="mse", jit_compile=True)
    model.train_on_batch(np.ones((4, 3), np.float32), np.zeros((4, 1), np.float32))
    np.testing.assert_array_equal(model.get_layer("first").kernel, frozen)
    assert not np.array_equal(model.get_layer("last").kernel, before)


def test_layer_rates_fall_from_the_head_to_the_input_in_equal_groups():
    inputs = x = keras.Input([2])
    for number in range(2 * LAYER_GROUPS):
        x = layers.Dense(2, name=f"block{number}")(x)
    backbone = keras.Model(inputs, x)
    outer = keras.Input([2])
    classifier = keras.Model(outer, layers.Dense(3, name="head")(backbone(outer)))
    scales = layer_rate_scales(classifier, backbone, 0.5)
    assert scales[classifier.get_layer("head").kernel.path] == 1.0
    factors = [scales[layer.kernel.path] for layer in backbone.layers[1:]]
    assert factors == [0.5 ** (LAYER_GROUPS - number // 2) for number in range(2 * LAYER_GROUPS)]


def test_saved_variables_continue_a_training_exactly():
    def fresh() -> tuple[keras.optimizers.Optimizer, keras.Variable]:
        weight = keras.Variable(np.ones(1, np.float32), name="kernel")
        optimizer = make_optimizer("adam", 0.1, ema=0.9, rate_scales={weight.path: 0.3})
        optimizer.build([weight])
        return optimizer, weight

    optimizer, weight = fresh()
    for gradient in (1.0, -0.5):
        step(optimizer, [weight], [gradient])
    resumed, copy = fresh()
    for target, source in zip([*resumed.variables, copy], [*optimizer.variables, weight], strict=True):
        target.assign(source)
    for one, other in ((optimizer, weight), (resumed, copy)):
        step(one, [other], [0.7])
    assert float(weight.value[0]) == float(copy.value[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "adm"}, r'^optimizer must be one of sgd, momentum, .*; received "adm"\.$'),
        ({"clip_norm": 1.0, "clip_value": 2.0}, r"^clip_norm and clip_value exclude each other; received 1 and 2\.$"),
        ({"name": "adagrad", "momentum": 0.5}, r"^adagrad does not take these options \(.*momentum"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_optimizer(**{"name": "adam", "learning_rate": 0.1, **arguments})
