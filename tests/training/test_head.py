"""The solved head: its gradient, its optimum and how it is found."""

import numpy as np
import pytest
from default_cases import few_by_default
from drawn_problem import drawn_problem, uneven_problem
from listening import Watcher
from scipy.optimize import approx_fprime
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

import regraft.training.head
from regraft.models.optimizer_table import OPTIMIZERS
from regraft.training.design import Design
from regraft.training.head import solve_head
from regraft.training.solver import Solver

CLASSES = 3


def objective(kernel: np.ndarray, bias: np.ndarray, features: np.ndarray, labels: np.ndarray, l2: float) -> float:
    """What `solve_head` says it minimizes, for a head of plain features."""
    scale = np.sqrt(np.mean((features - features.mean(axis=0, dtype=np.float64)) ** 2))
    logits = features.astype(np.float64) @ kernel + bias
    losses = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    return float(losses.mean() + l2 / 2 * ((kernel * scale) ** 2).sum())


@pytest.mark.parametrize("l2", [1e-3, 0.03, 1.0])
def test_the_gradient_vanishes_at_the_solution(l2):
    features, labels = uneven_problem()
    head = solve_head(features, labels, class_count=CLASSES, l2=l2)
    shape = head.kernel.shape

    def loss(flat: np.ndarray) -> float:
        return objective(flat[:-CLASSES].reshape(shape), flat[-CLASSES:], features, labels, l2)

    solution = np.concatenate([head.kernel.ravel(), head.bias]).astype(np.float64)
    assert np.abs(approx_fprime(np.zeros(solution.size), loss, 1e-6)).max() > 0.1
    assert np.abs(approx_fprime(solution, loss, 1e-6)).max() < 1e-3


# objective * N / l2 = N * mean CE * 1 / l2 ... = C * sum CE + ||W||² / 2 with C = 1 / (l2 * N), scikit-learn's form.
@pytest.mark.parametrize("l2", [3e-3, 0.1])
def test_the_optimum_is_that_of_scikit_learn(l2):
    features, labels = uneven_problem()
    x = features - features.mean(axis=0, dtype=np.float64)
    x /= np.sqrt(np.mean(x**2))
    peer = LogisticRegression(C=1 / (l2 * len(labels)), tol=1e-10, max_iter=10_000).fit(x, labels)
    head = solve_head(features, labels, class_count=CLASSES, l2=l2)
    expected = log_softmax(peer.decision_function(x), axis=1)
    np.testing.assert_allclose(log_softmax(head.logits(features), axis=1), expected, atol=2e-3)
    assert head.loss == pytest.approx(-expected[np.arange(len(labels)), labels].mean(), abs=1e-5)


def test_shift_and_scale_of_the_features_do_not_matter():
    features, labels = uneven_problem()
    plain = solve_head(features, labels, class_count=CLASSES, l2=0.01)
    moved = 512 * features + 100
    head = solve_head(moved, labels, class_count=CLASSES, l2=0.01)
    np.testing.assert_allclose(head.logits(moved), plain.logits(features), atol=1e-2)


def test_the_head_is_float32_and_says_how_it_was_solved():
    head = solve_head(*uneven_problem(), class_count=CLASSES, l2=0.01)
    assert (head.kernel.shape, head.bias.shape) == ((6, CLASSES), (CLASSES,))
    assert {head.kernel.dtype, head.bias.dtype} == {np.dtype(np.float32)}
    assert (head.l2, head.iterations > 1) == (0.01, True)


def test_max_iterations_is_the_most_it_takes():
    assert solve_head(*uneven_problem(), class_count=CLASSES, l2=1e-3, solver=Solver(max_iterations=2)).iterations <= 2


def test_one_image_a_class_is_told_apart():
    features = np.eye(3, 5, dtype=np.float32)
    head = solve_head(features, np.arange(3), class_count=3, l2=1e-3)
    assert head.logits(features).argmax(axis=1).tolist() == [0, 1, 2]


def test_constant_features_give_the_frequencies_of_the_classes():
    labels = np.array([0, 0, 0, 1])
    features = np.full((4, 3), 7.0, np.float32)
    head = solve_head(features, labels, class_count=2, l2=0.1)
    odds = head.logits(features) @ [1, -1]
    np.testing.assert_allclose(odds, np.log(3), atol=1e-3)


def test_a_class_without_an_image_is_never_the_answer():
    features, labels = uneven_problem()
    head = solve_head(features, labels, class_count=CLASSES + 1, l2=0.01)
    assert not (head.logits(features).argmax(axis=1) == CLASSES).any()


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "adam"])
def test_who_watches_hears_of_every_iteration_while_a_head_is_solved(solver: str):
    watcher = Watcher()
    head = solve_head(*uneven_problem(), class_count=CLASSES, l2=0.1, solver=Solver(solver, epochs=3), ticker=watcher)
    word, count = ("epoch", 3) if solver == "adam" else ("iteration", head.iterations)
    assert (watcher.done, watcher.notes) == (0, [f"{word} {number}" for number in range(1, count + 1)])


def test_newton_and_lbfgs_find_the_same_minimum():
    features, labels = drawn_problem()
    heads = [
        solve_head(features, labels, class_count=3, l2=0.05, solver=Solver(name)) for name in ("lbfgs", "newton-cg")
    ]
    np.testing.assert_allclose(heads[0].kernel, heads[1].kernel, atol=2e-4)
    assert heads[0].objective == pytest.approx(heads[1].objective, abs=1e-8)
    assert max(head.gradient for head in heads) < 2e-5
    assert heads[1].iterations < 12


@pytest.mark.parametrize("name", few_by_default(OPTIMIZERS, "sgd", "adam"))
def test_first_order_methods_come_near_the_minimum_and_repeat(name):
    features, labels = drawn_problem()
    best = solve_head(features, labels, class_count=3, l2=0.05)
    solver = Solver(name, epochs=60, batch_size=16, seed=4)
    head = solve_head(features, labels, class_count=3, l2=0.05, solver=solver)
    start = np.log(3)
    assert best.objective <= head.objective < best.objective + 0.6 * (start - best.objective)
    assert head.iterations == 60 * 4
    again = solve_head(features, labels, class_count=3, l2=0.05, solver=solver)
    np.testing.assert_array_equal(head.kernel, again.kernel)


def test_a_batch_larger_than_the_folder_is_all_of_it():
    features, labels = drawn_problem(count=9)
    head = solve_head(features, labels, class_count=3, l2=0.1, solver=Solver("adam", epochs=5, batch_size=64))
    assert head.iterations == 5


def test_beyond_a_size_float32_is_as_close_as_it_gets(monkeypatch):
    features, labels = uneven_problem()
    exact = solve_head(features, labels, class_count=CLASSES, l2=0.05)
    monkeypatch.setattr(regraft.training.head, "_POLISHED", 0)
    head = solve_head(features, labels, class_count=CLASSES, l2=0.05)
    assert head.iterations < exact.iterations
    assert head.objective == pytest.approx(exact.objective, abs=1e-5)


def test_more_features_than_images_are_solved_as_scikit_learn_does():
    """Two layers of unlike size, each divided by its own root mean square."""
    random = np.random.default_rng(5)
    labels = np.arange(24) % CLASSES
    features = random.standard_normal((24, 50)) + random.standard_normal((CLASSES, 50))[labels]
    features[:, :20] *= 100
    features = features.astype(np.float32)
    x = features - features.mean(axis=0, dtype=np.float64)
    x[:, :20] /= np.sqrt(np.mean(x[:, :20] ** 2))
    x[:, 20:] /= np.sqrt(np.mean(x[:, 20:] ** 2))
    peer = LogisticRegression(C=1 / (0.02 * 24), tol=1e-10, max_iter=10_000).fit(x, labels)
    head = solve_head(Design.of(features, [20, 30]), labels, class_count=CLASSES, l2=0.02)
    expected = log_softmax(peer.decision_function(x), axis=1)
    np.testing.assert_allclose(log_softmax(head.logits(features), axis=1), expected, atol=2e-3)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg"])
def test_weighted_images_give_the_optimum_of_scikit_learn(solver):
    features, labels = uneven_problem()
    counts, l2 = np.array([0.2, 1.0, 5.0])[labels], 0.03
    x = features - features.mean(axis=0, dtype=np.float64)
    x /= np.sqrt(np.mean(x**2))
    peer = LogisticRegression(C=1 / (l2 * counts.sum()), tol=1e-10, max_iter=10_000).fit(x, labels, counts)
    head = solve_head(features, labels, class_count=CLASSES, l2=l2, weights=counts, solver=Solver(solver))
    expected = log_softmax(peer.decision_function(x), axis=1)
    np.testing.assert_allclose(log_softmax(head.logits(features), axis=1), expected, atol=2e-3)
    own = -expected[np.arange(len(labels)), labels]
    assert head.loss == pytest.approx((counts * own).sum() / counts.sum(), abs=1e-5)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "adam"])
def test_images_that_all_count_the_same_give_the_same_head_bit_for_bit(solver):
    features, labels = uneven_problem()
    options = {"class_count": CLASSES, "l2": 0.03, "solver": Solver(solver, epochs=3)}
    plain, weighted = (solve_head(features, labels, weights=counts, **options) for counts in (None, np.ones(90)))
    np.testing.assert_array_equal(plain.kernel, weighted.kernel)
    np.testing.assert_array_equal(plain.bias, weighted.bias)


def test_a_first_order_method_comes_near_the_weighted_optimum():
    features, labels = drawn_problem()
    options = {"class_count": 3, "l2": 0.05, "weights": np.array([0.5, 1.0, 3.0])[labels]}
    best = solve_head(features, labels, **options)
    solver = Solver("adam", learning_rate=0.2, epochs=150, batch_size=60)
    assert solve_head(features, labels, solver=solver, **options).objective == pytest.approx(best.objective, abs=1e-3)
