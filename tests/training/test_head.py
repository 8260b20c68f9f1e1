"""The solved head: its gradient, its optimum and the choice of its strength."""

import numpy as np
import pytest
from default_cases import few_by_default
from scipy.optimize import approx_fprime
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

import regraft.training.head
from regraft.models.optimizer_table import OPTIMIZERS
from regraft.training.head import _Problem, choose_l2, held_out_losses, solve_head
from regraft.training.solver import Solver

CLASSES = 3


def problem(images: int = 90, channels: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [images, channels] of three overlapping classes, off-centre and of unlike spread."""
    random = np.random.default_rng(seed)
    labels = np.arange(images) % CLASSES
    centers = random.standard_normal((CLASSES, channels))
    spread = np.linspace(0.2, 3, channels)
    features = 4 + spread * (centers[labels] + random.standard_normal((images, channels)))
    return features.astype(np.float32), labels


def objective(kernel: np.ndarray, bias: np.ndarray, features: np.ndarray, labels: np.ndarray, l2: float) -> float:
    """What `solve_head` says it minimizes, for a head of plain features."""
    scale = np.sqrt(np.mean((features - features.mean(axis=0, dtype=np.float64)) ** 2))
    logits = features.astype(np.float64) @ kernel + bias
    losses = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    return float(losses.mean() + l2 / 2 * ((kernel * scale) ** 2).sum())


@pytest.mark.parametrize("l2", [1e-3, 0.03, 1.0])
def test_the_gradient_vanishes_at_the_solution(l2):
    features, labels = problem()
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
    features, labels = problem()
    x = features - features.mean(axis=0, dtype=np.float64)
    x /= np.sqrt(np.mean(x**2))
    peer = LogisticRegression(C=1 / (l2 * len(labels)), tol=1e-10, max_iter=10_000).fit(x, labels)
    head = solve_head(features, labels, class_count=CLASSES, l2=l2)
    expected = log_softmax(peer.decision_function(x), axis=1)
    np.testing.assert_allclose(log_softmax(head.logits(features), axis=1), expected, atol=2e-3)
    assert head.loss == pytest.approx(-expected[np.arange(len(labels)), labels].mean(), abs=1e-5)


def test_shift_and_scale_of_the_features_do_not_matter():
    features, labels = problem()
    plain = solve_head(features, labels, class_count=CLASSES, l2=0.01)
    moved = 512 * features + 100
    head = solve_head(moved, labels, class_count=CLASSES, l2=0.01)
    np.testing.assert_allclose(head.logits(moved), plain.logits(features), atol=1e-2)


def test_the_head_is_float32_and_says_how_it_was_solved():
    head = solve_head(*problem(), class_count=CLASSES, l2=0.01)
    assert (head.kernel.shape, head.bias.shape) == ((6, CLASSES), (CLASSES,))
    assert {head.kernel.dtype, head.bias.dtype} == {np.dtype(np.float32)}
    assert (head.l2, head.iterations > 1) == (0.01, True)


def test_max_iterations_is_the_most_it_takes():
    assert solve_head(*problem(), class_count=CLASSES, l2=1e-3, solver=Solver(max_iterations=2)).iterations <= 2


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
    features, labels = problem()
    head = solve_head(features, labels, class_count=CLASSES + 1, l2=0.01)
    assert not (head.logits(features).argmax(axis=1) == CLASSES).any()


class Watcher:
    """Counts what it hears."""

    def __init__(self) -> None:
        self.done, self.notes = 0, []

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        self.notes += [note] if note else []


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "adam"])
def test_who_watches_hears_of_every_iteration_while_a_head_is_solved(solver: str):
    watcher = Watcher()
    head = solve_head(*problem(), class_count=CLASSES, l2=0.1, solver=Solver(solver, epochs=3), ticker=watcher)
    word, count = ("epoch", 3) if solver == "adam" else ("iteration", head.iterations)
    assert (watcher.done, watcher.notes) == (0, [f"{word} {number}" for number in range(1, count + 1)])


def test_who_watches_hears_of_every_strength_in_every_fold():
    watcher = Watcher()
    choose(*problem(), candidates=(0.1, 1.0), folds=3, ticker=watcher)
    assert watcher.done == 2 * 3
    assert watcher.notes.count("iteration 1") == 2 * 3


def choose(features: np.ndarray, labels: np.ndarray, **options) -> tuple[float, dict[float, float]]:
    given = {"candidates": (10.0, 0.01, 0.3), "groups": np.arange(len(labels)), "folds": 3, "seed": 0}
    return choose_l2(features, labels, class_count=CLASSES, **(given | options))


def test_the_strength_with_the_smallest_loss_is_chosen_from_all():
    chosen, losses = choose(*problem())
    assert list(losses) == [0.01, 0.3, 10.0]
    assert chosen == min(losses, key=losses.__getitem__)


def test_the_loss_of_a_strength_is_that_of_images_the_head_has_not_seen():
    features, labels = problem()
    groups = np.arange(len(labels))
    _, losses = choose(features, labels, candidates=(0.1, 1.0))
    total = 0.0
    for kept, held in StratifiedGroupKFold(3, shuffle=True, random_state=0).split(features, labels, groups):
        head = solve_head(features[kept], labels[kept], class_count=CLASSES, l2=0.1)
        total -= log_softmax(head.logits(features[held]), axis=1)[np.arange(len(held)), labels[held]].sum()
    assert losses[0.1] == pytest.approx(total / len(labels), rel=2e-3)  # solved as closely as choosing needs


def test_noise_gets_the_strongest_penalty_and_clean_classes_a_weak_one():
    random = np.random.default_rng(1)
    noise, labels = random.standard_normal((60, 20)).astype(np.float32), np.arange(60) % CLASSES
    assert choose(noise, labels)[0] == 10.0
    clean = (20 * np.eye(CLASSES)[labels] + random.standard_normal((60, CLASSES))).astype(np.float32)
    assert choose(clean, labels)[0] == 0.01


def test_duplicates_are_never_on_both_sides_of_a_fold(monkeypatch):
    features, labels = problem(images=30)
    features, labels, groups = np.tile(features, (3, 1)), np.tile(labels, 3), np.tile(np.arange(30), 3)
    seen: list[set[bytes]] = []
    solve = regraft.training.head._regularization_path

    def spy(kept: np.ndarray, *arguments):
        seen.append({row.tobytes() for row in kept})
        return solve(kept, *arguments)

    monkeypatch.setattr(regraft.training.head, "_regularization_path", spy)
    choose(features, labels, groups=groups, candidates=(0.1, 1.0))
    rows = {row.tobytes() for row in features}
    held = [rows - kept for kept in seen]  # one path for each of three folds
    assert sum(len(part) for part in held) == 30  # each of the 30 was once held with all of its copies
    assert set().union(*held) == rows


def test_held_out_losses_are_those_of_the_head_that_has_not_seen_the_image():
    features, labels = problem(images=60)
    groups = np.arange(60) // 2 * 2 + labels % 2  # some are duplicates
    losses = held_out_losses(features, labels, class_count=CLASSES, l2=0.1, groups=groups, folds=4, seed=3)
    folds = StratifiedGroupKFold(4, shuffle=True, random_state=3).split(features, labels, groups)
    expected = np.zeros(60)
    for kept, held in folds:
        head = solve_head(features[kept], labels[kept], class_count=CLASSES, l2=0.1)
        expected[held] = -log_softmax(head.logits(features[held]).astype(float), axis=1)[range(len(held)), labels[held]]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    _, table = choose_l2(features, labels, class_count=CLASSES, candidates=(0.1, 1.0), groups=groups, folds=4, seed=3)
    assert losses.mean() == pytest.approx(table[0.1], rel=0.01)


def test_classes_that_cannot_be_divided_have_no_held_out_losses():
    features, labels = problem(images=3)
    assert len(held_out_losses(features, labels, class_count=3, l2=0.1, groups=np.arange(3), folds=5, seed=0)) == 0


@pytest.mark.parametrize(
    ("labels", "groups"),
    [
        (np.array([0, 1, 2]), np.arange(3)),
        (np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 1, 2, 2])),
    ],
    ids=["one image", "duplicates of one image"],
)
def test_classes_that_cannot_be_divided_get_the_middle_strength(labels, groups):
    features = np.random.default_rng(0).standard_normal((len(labels), 4)).astype(np.float32)
    assert choose(features, labels, groups=groups) == (0.3, {})


def test_one_class_of_one_image_does_not_keep_the_others_from_choosing():
    features, labels = problem()
    labels = np.where(np.arange(len(labels)) == 0, CLASSES, labels)
    _, losses = choose_l2(
        features,
        labels,
        class_count=CLASSES + 1,
        candidates=(0.1, 1.0),
        groups=np.arange(len(labels)),
        folds=3,
        seed=0,
    )
    assert list(losses) == [0.1, 1.0]


def test_folds_are_no_more_than_the_rarest_class_can_fill():
    labels = np.array([0] * 8 + [1] * 8 + [2] * 2)
    features = np.random.default_rng(0).standard_normal((18, 4)).astype(np.float32)
    _, losses = choose(features, labels, folds=5)
    assert all(np.isfinite(list(losses.values())))


def test_one_candidate_is_taken_without_a_trial():
    assert choose(*problem(), candidates=(0.5,)) == (0.5, {})


def test_the_same_seed_gives_the_same_losses():
    assert choose(*problem()) == choose(*problem())


def drawn_problem(count: int = 60, width: int = 5, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(8)
    labels = np.arange(count) % classes
    return (random.normal(size=(classes, width))[labels] + random.normal(size=(count, width))).astype(
        np.float32
    ), labels


def problem_of(features: np.ndarray, labels: np.ndarray, l2: float) -> _Problem:
    return _Problem(features.astype(np.float64), labels, l2, (features.shape[1] + 1, labels.max() + 1))


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
