"""What the textbooks claim of the optimizers, on problems small enough to see it."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import minimize

from regraft.models.optimizers import make_optimizer

Gradient = Callable[[np.ndarray], np.ndarray]
STEEP = np.array([1.0, 100.0])  # f(x) = x_0² / 2 + 100 x_1² / 2: a condition number of 100


def descend(
    name: str, learning_rate: float, gradient: Gradient, start: list[float], steps: int, **options: float
) -> np.ndarray:
    """float32 [steps + 1, dimensions]: where the optimizer goes."""
    point = keras.Variable(np.array(start, np.float32), name="kernel")
    optimizer = make_optimizer(name, learning_rate, **options)
    optimizer.build([point])
    path = [np.asarray(point).copy()]
    for _ in range(steps):
        optimizer.apply([tf.constant(gradient(path[-1]), tf.float32)])
        path.append(np.asarray(point).copy())
    return np.stack(path)


def sign_changes(values: np.ndarray) -> int:
    return int((np.diff(np.sign(values)) != 0).sum())


def test_gradient_descent_zigzags_across_a_narrow_valley_and_momentum_and_adam_do_not():
    bowl: Gradient = lambda x: STEEP * x  # noqa: E731
    plain = descend("sgd", 0.0195, bowl, [1.0, 1.0], 100)  # just below the limit 2 / 100
    momentum = descend("momentum", 0.0015, bowl, [1.0, 1.0], 100, momentum=0.6)
    adam = descend("adam", 0.03, bowl, [1.0, 1.0], 100)
    assert sign_changes(plain[:, 1]) == 100  # across the valley at every single step
    assert sign_changes(momentum[:, 1]) <= 30
    assert sign_changes(adam[:, 1]) <= 5

    def wandering(path: np.ndarray) -> float:
        """The length of the way across the valley, which is 1 wide."""
        return float(np.abs(np.diff(path[:, 1])).sum())

    assert wandering(plain) > 20
    assert wandering(momentum) < 3
    assert wandering(adam) < 2


def test_momentum_gets_along_a_narrow_valley_faster_at_the_rate_the_valley_allows():
    bowl: Gradient = lambda x: STEEP * x  # noqa: E731
    plain = descend("sgd", 0.01, bowl, [1.0, 0.0], 100)
    momentum = descend("momentum", 0.01, bowl, [1.0, 0.0], 100, momentum=0.9)
    assert plain[-1, 0] == pytest.approx(0.99**100, rel=1e-3)  # 0.366
    assert abs(momentum[-1, 0]) < 0.02


@pytest.mark.parametrize(("method", "most"), [("L-BFGS-B", 6), ("trust-ncg", 4)])
def test_second_order_methods_finish_in_a_handful_of_steps(method, most):
    problem = {"jac": lambda x: STEEP * x}
    if method == "trust-ncg":
        problem |= {"hessp": lambda x, p: STEEP * p, "options": {"initial_trust_radius": 2.0}}
    solved = minimize(lambda x: 0.5 * (STEEP * x**2).sum(), [1.0, 1.0], method=method, **problem)
    assert solved.nit <= most
    assert np.abs(solved.x).max() < 1e-4
    first_order = descend("sgd", 0.01, lambda x: STEEP * x, [1.0, 1.0], solved.nit)
    assert np.abs(first_order[-1]).max() > 0.9


def test_momentum_leaves_a_saddle_that_gradient_descent_stays_at():
    """f(x, y) = x² / 2 - y² / 2, from next to the ridge."""
    saddle: Gradient = lambda x: np.array([x[0], -x[1]])  # noqa: E731
    plain = descend("sgd", 0.05, saddle, [1.0, 1e-4], 100)
    momentum = descend("momentum", 0.05, saddle, [1.0, 1e-4], 100, momentum=0.9)
    assert plain[-1, 1] == pytest.approx(1e-4 * 1.05**100, rel=1e-3)  # 0.013: still there
    assert momentum[-1, 1] > 10 * plain[-1, 1]
    assert momentum[-1, 1] > 0.5


def test_momentum_rolls_through_a_shallow_minimum_that_gradient_descent_stays_in():
    """f(x) = x² / 2 - 2.5 cos(2 pi x) / (2 pi): a wide bowl with ripples."""
    ripples: Gradient = lambda x: x + 2.5 * np.sin(2 * np.pi * x)  # noqa: E731
    plain = descend("sgd", 0.02, ripples, [2.9], 300)
    momentum = descend("momentum", 0.02, ripples, [2.9], 300, momentum=0.9)
    assert plain[-1, 0] == pytest.approx(1.866, abs=0.01)  # in the first minimum on its way
    assert abs(momentum[-1, 0]) < 0.01  # at the bottom of the bowl


def test_adagrads_steps_shrink_with_the_sum_of_squares_and_rmsprops_do_not():
    slope: Gradient = lambda x: np.ones(1)  # noqa: E731
    adagrad = np.abs(np.diff(descend("adagrad", 0.1, slope, [0.0], 100)[:, 0]))
    rmsprop = np.abs(np.diff(descend("rmsprop", 0.1, slope, [0.0], 100)[:, 0]))
    t = np.arange(1, 101)
    np.testing.assert_allclose(adagrad, 0.1 / np.sqrt(0.1 + t), rtol=1e-3)  # Keras starts the sum at 0.1
    np.testing.assert_allclose(rmsprop, 0.1 / np.sqrt(1 - 0.9**t), rtol=1e-3)
    assert adagrad[-1] < adagrad[0] / 9
    assert rmsprop[-1] == pytest.approx(rmsprop[40], rel=0.02) == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_adams_first_step_has_the_length_of_the_learning_rate_thanks_to_bias_correction(scale):
    first = descend("adam", 0.01, lambda x: np.array([scale]), [0.0], 1)[1, 0]
    assert abs(first) == pytest.approx(0.01, rel=5e-3)  # but for Keras's epsilon of 1e-7
    first_moment, second_moment = (1 - 0.9) * scale, (1 - 0.999) * scale**2
    uncorrected = 0.01 * first_moment / np.sqrt(second_moment)
    assert uncorrected == pytest.approx(0.01 * 0.1 / np.sqrt(0.001))  # 3.16 times as long
    assert uncorrected > 3 * abs(first)


def test_nesterov_overshoots_a_bowl_less_than_momentum():
    bowl: Gradient = lambda x: x  # noqa: E731
    momentum = descend("momentum", 0.1, bowl, [1.0], 60)[:, 0]
    nesterov = descend("nesterov", 0.1, bowl, [1.0], 60)[:, 0]
    assert momentum.min() < -0.5
    assert -0.4 < nesterov.min() < 0
    assert nesterov.min() > 0.7 * momentum.min()
