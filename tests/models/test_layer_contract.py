"""What holds for every layer of the package: one contract over the cases of layer_cases.py."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from default_cases import few_by_default
from layer_cases import CASES, Case, built, example_of

NAMES = list(CASES)
NOISY = [name for name, case in CASES.items() if case.noisy]
SAVED = ("dense, gaussian", "convolution", "fractional, random", "members, logits")
AVERAGED = ("scaled dropout", "dense", "convolution, per example")
COMPILED = ("dense, per example", "stochastic depth", "fractional, pseudorandom")


def model_of(case: Case, *, dtype: str = "float32") -> keras.Model:
    """The layer in a model of its own, for batches of any size."""
    source = built(case)
    config = source.get_config() | {"dtype": dtype}
    layer = type(source).from_config(config)
    inputs = keras.Input(case.shape)
    model = keras.Model(inputs, layer(inputs))
    model.set_weights(source.get_weights())
    return model


def first_draw(layer: keras.Layer, x: np.ndarray) -> np.ndarray:
    return np.asarray(layer(x, training=True))


@pytest.mark.parametrize("name", NAMES)
def test_the_configuration_makes_an_equal_layer(name):
    layer = CASES[name].make()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("name", few_by_default(NAMES, *SAVED))
def test_the_keras_file_and_the_saved_model_answer_the_same(name, tmp_path: Path):
    model, x = model_of(CASES[name]), example_of(CASES[name])
    expected = model(x, training=False)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x, training=False), expected)
    model.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(loaded.serve(x), expected, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_symbolic_and_real_shapes_agree_for_any_number_of_examples(name):
    case = CASES[name]
    model = model_of(case)
    for count in (1, 7):
        answer = model(example_of(case, count), training=True)
        assert tuple(answer.shape) == (count, *model.output_shape[1:])
        assert case.make().compute_output_shape((count, *case.shape)) == tuple(answer.shape)


@pytest.mark.parametrize("name", NAMES)
def test_inference_repeats(name):
    model, x = model_of(CASES[name]), example_of(CASES[name])
    np.testing.assert_array_equal(model(x, training=False), model(x, training=False))


@pytest.mark.parametrize("name", few_by_default((name for name in NAMES if CASES[name].keeps_mean), *AVERAGED))
def test_the_mean_of_training_is_inference(name):
    layer, x = built(CASES[name]), example_of(CASES[name])
    step = tf.function(lambda: layer(x, training=True), autograph=False)
    draws = np.stack([step().numpy() for _ in range(1500)])
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - np.asarray(layer(x, training=False))) <= 5 * error + 1e-5).all()


@pytest.mark.parametrize("name", NOISY)
def test_one_seed_gives_the_same_draws_another_others_and_each_step_its_own(name):
    # Two masks of the smallest layer, 18 weights dropped at a rate of 0.4, agree with a chance of 0.52 ** 18 = 8e-6 and
    # two pairs of sequences of `LARGE` with one of 2e-5; so any two of these eight draws that agree show a mistake.
    case = CASES[name]
    case = replace(case, shape=case.large or case.shape)
    x = example_of(case, 2 if case.large else 64)
    layer, again = built(case), built(case)
    draws = [first_draw(layer, x).tobytes() for _ in range(4)]
    assert draws == [first_draw(again, x).tobytes() for _ in range(4)]
    config = layer.get_config()
    for seed in range(2, 6):
        other = type(layer).from_config(config | {"seed": seed})
        other(x[:1])
        other.set_weights(layer.get_weights())
        draws.append(first_draw(other, x).tobytes())
    assert len(set(draws)) == len(draws) == 8


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_mixed_precision_computes_in_half_and_keeps_weights_whole(name, dtype):
    case = CASES[name]
    model, x = model_of(case, dtype=dtype), example_of(case)
    for training in (False, True):
        answer = model(x, training=training)
        assert keras.backend.standardize_dtype(answer.dtype) == dtype.removeprefix("mixed_")
        assert np.isfinite(np.asarray(keras.ops.cast(answer, "float32"))).all()
    assert {weight.dtype for weight in model.weights} <= {"float32"}
    whole = np.asarray(model_of(case)(x, training=False))
    half = np.asarray(keras.ops.cast(model(x, training=False), "float32"))
    np.testing.assert_allclose(half, whole, atol=0.03 * max(1.0, np.abs(whole).max()))


@pytest.mark.parametrize("name", few_by_default(NAMES, *COMPILED))
def test_a_training_step_runs_under_xla_and_moves_the_weights(name):
    case = CASES[name]
    inputs = keras.Input(case.shape)
    x = keras.layers.Dense(case.shape[-1], name="before")(inputs)
    model = keras.Model(inputs, keras.layers.Flatten()(built_in(case, x)))
    model.compile(keras.optimizers.SGD(0.1), loss="mse", jit_compile=True)
    kernel = np.asarray(model.get_layer("before").kernel)
    images = example_of(case, 8)
    loss = model.train_on_batch(images, np.ones((8, *model.output_shape[1:]), np.float32))
    assert np.isfinite(loss).all()
    assert not np.array_equal(model.get_layer("before").kernel, kernel)
    compiled = tf.function(lambda x: model(x, training=False), jit_compile=True)(images)
    np.testing.assert_allclose(compiled, model(images, training=False), atol=1e-4)


def built_in(case: Case, x: keras.KerasTensor) -> keras.KerasTensor:
    return case.make()(x)


@pytest.fixture(scope="module")
def on_jax(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """What each layer answers at inference with Keras on JAX, in a process of its own."""
    pytest.importorskip("jax", reason="jax is not installed")
    file = tmp_path_factory.mktemp("jax") / "answers.npz"
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(Path(__file__).with_name("layer_cases.py")), str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(file) as arrays:
        return dict(arrays)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_jax_answers_as_tensorflow_does(name, on_jax):
    expected = np.asarray(built(CASES[name])(example_of(CASES[name]), training=False))
    np.testing.assert_allclose(on_jax[name], expected, atol=1e-5)
