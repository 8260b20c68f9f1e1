"""The value, the gradient and the curvature of multinomial logistic regression, against NumPy and differences."""

import numpy as np
import pytest
from drawn_problem import drawn_problem
from scipy.optimize import approx_fprime
from scipy.special import log_softmax

from regraft.training.logistic import LogisticProblem


def problem_of(features: np.ndarray, labels: np.ndarray, l2: float) -> LogisticProblem:
    return LogisticProblem(features.astype(np.float64), labels, l2, labels.max() + 1)


def test_the_hessian_vector_product_is_the_change_of_the_gradient():
    features, labels = drawn_problem()
    problem, random = problem_of(features, labels, 0.1), np.random.default_rng(9)
    point, direction = random.normal(size=(2, 18))
    step = 1e-5
    ahead, behind = (problem.loss_and_gradient(point + sign * step * direction)[1] for sign in (1, -1))
    np.testing.assert_allclose(problem.hessian_times(point, direction), (ahead - behind) / (2 * step), atol=1e-7)


def test_the_hessian_vector_product_is_that_of_the_dense_hessian():
    """H = mean over images of (diag(p) - p p^T) (x) (x x^T), plus l2 on the kernel."""
    features, labels = drawn_problem(count=12, width=2)
    problem, random = problem_of(features, labels, 0.3), np.random.default_rng(9)
    point, direction = random.normal(size=(2, 9))
    x = np.hstack([features, np.ones((12, 1))]).astype(np.float64)
    scores = x @ point.reshape(3, 3)
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    dense = np.zeros((9, 9))
    for image in range(12):
        dense += np.kron(np.outer(x[image], x[image]), np.diag(p[image]) - np.outer(p[image], p[image])) / 12
    dense += 0.3 * np.diag([1.0] * 6 + [0.0] * 3)
    np.testing.assert_allclose(problem.hessian_times(point, direction), dense @ direction, atol=1e-12)


@pytest.mark.parametrize(("dtype", "atol"), [(np.float64, 1e-12), (np.float32, 1e-6)])
def test_the_objective_is_the_mean_cross_entropy_and_the_penalty_of_the_kernel_alone(dtype, atol):
    features, labels = drawn_problem()
    weights = np.random.default_rng(2).normal(size=(6, 3))
    logits = features.astype(np.float64) @ weights[:-1] + weights[-1]
    expected = -log_softmax(logits, axis=1)[np.arange(60), labels].mean() + 0.15 * (weights[:-1] ** 2).sum()
    problem = LogisticProblem(features.astype(dtype), labels, 0.3, 3)
    assert problem.loss_and_gradient(weights.ravel())[0] == pytest.approx(expected, abs=atol)
    assert problem.with_l2(0.0).loss_and_gradient(weights.ravel())[0] < expected


def test_the_gradient_is_the_change_of_the_objective():
    features, labels = drawn_problem()
    problem, point = problem_of(features, labels, 0.1), np.random.default_rng(9).normal(size=18)
    changes = approx_fprime(point, lambda flat: problem.loss_and_gradient(flat)[0], 1e-7)
    np.testing.assert_allclose(problem.loss_and_gradient(point)[1], changes, atol=1e-5)


def test_logits_of_any_size_give_finite_numbers():
    problem = LogisticProblem(np.array([[1e4], [-1e4]]), np.array([0, 1]), 0.1, 2)
    loss, gradient = problem.loss_and_gradient(np.array([-1.0, 1.0, 0.0, 0.0]))
    assert loss == pytest.approx(2e4 + 0.1)
    assert np.isfinite(gradient).all()


def test_problems_side_by_side_are_those_problems():
    """Two folds of the same images: their objectives are added, their gradients lie beside one another."""
    features, labels = drawn_problem(count=12, width=2)
    x, random = features.astype(np.float64), np.random.default_rng(9)
    shares = np.zeros((2, 12))
    shares[0, :8], shares[1, 4:] = 1 / 8, 1 / 8
    weights = random.normal(size=(2, 3, 3))  # of each, two features and the bias by three classes
    both = LogisticProblem(x, labels, 0.3, 3, shares)
    flat = np.concatenate(weights, axis=1).ravel()
    alone = [
        LogisticProblem(x[kept], labels[kept], 0.3, 3).loss_and_gradient(each.ravel())
        for kept, each in zip((slice(8), slice(4, None)), weights, strict=True)
    ]
    loss, gradient = both.loss_and_gradient(flat)
    assert loss == pytest.approx(alone[0][0] + alone[1][0], abs=1e-12)
    expected = np.concatenate([each.reshape(3, 3) for _, each in alone], axis=1)
    np.testing.assert_allclose(gradient.reshape(3, 6), expected, atol=1e-12)
    logits = x @ weights[1][:2] + weights[1][2]
    np.testing.assert_allclose(
        both.losses(flat.reshape(3, 6))[1], -log_softmax(logits, axis=1)[np.arange(12), labels], atol=1e-12
    )
    step = 1e-5 * random.normal(size=18)
    ahead, behind = (both.loss_and_gradient(flat + sign * step)[1] for sign in (1, -1))
    np.testing.assert_allclose(both.hessian_times(flat, step), (ahead - behind) / 2, atol=1e-10)
