"""The solved head: its gradient, its optimum and the choice of its strength."""

import threading
import time

import numpy as np
import pytest
from default_cases import few_by_default
from drawn_problem import drawn_problem
from scipy.optimize import approx_fprime
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

import regraft.training.head
from regraft.models.optimizer_table import OPTIMIZERS
from regraft.progress import SILENT, Ticker
from regraft.training.design import Design
from regraft.training.head import Choice, _losses_at, choose_l2, solve_head, split_folds
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


def choose(features: np.ndarray, labels: np.ndarray, **options) -> Choice:
    given = {"candidates": (10.0, 0.01, 0.3), "groups": np.arange(len(labels)), "folds": 3, "seed": 0}
    return choose_l2(features, labels, class_count=CLASSES, **(given | options))


def test_the_strength_with_the_smallest_loss_is_chosen_from_all():
    choice = choose(*problem())
    assert list(choice.losses) == [0.01, 0.3, 10.0]
    assert choice.l2 == min(choice.losses, key=choice.losses.__getitem__)


def test_weaker_ones_are_not_tried_once_the_loss_has_risen_twice():
    """On noise, of which the strongest knows best; who watches hears of all that need no solution any more."""
    random, watcher = np.random.default_rng(1), Watcher()
    noise, labels = random.standard_normal((60, 20)).astype(np.float32), np.arange(60) % CLASSES
    choice = choose(noise, labels, candidates=(1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0), ticker=watcher)
    assert list(choice.losses) == [0.1, 1.0, 10.0]
    assert choice.l2 == 10.0
    assert watcher.done == 6 * 3


def test_the_loss_of_a_strength_is_that_of_images_the_head_has_not_seen():
    features, labels = problem()
    groups = np.arange(len(labels))
    choice = choose(features, labels, candidates=(0.1, 10.0))
    losses = np.zeros(len(labels))
    for kept, held in split_folds(labels, groups, 3, 0):
        head = solve_head(features[kept], labels[kept], class_count=CLASSES, l2=0.1)
        losses[held] = -log_softmax(head.logits(features[held]), axis=1)[np.arange(len(held)), labels[held]]
    assert choice.l2 == 0.1
    assert choice.losses[0.1] == pytest.approx(losses.mean(), rel=5e-3)  # solved as closely as choosing needs
    assert sorted(choice.images) == list(range(len(labels)))
    np.testing.assert_allclose(choice.held_out, losses[choice.images], atol=0.05)


def test_of_many_images_and_classes_one_fold_is_held_out(monkeypatch):
    features, labels = problem()
    monkeypatch.setattr(regraft.training.head, "_FOLDED", features.size * CLASSES - 1)
    watcher = Watcher()
    choice = choose(features, labels, candidates=(0.1, 1.0), ticker=watcher)
    assert len(choice.images) == len(choice.held_out) == len(labels) / 3
    assert watcher.done == 2 * 3


def test_noise_gets_the_strongest_penalty_and_clean_classes_a_weak_one():
    random = np.random.default_rng(1)
    noise, labels = random.standard_normal((60, 20)).astype(np.float32), np.arange(60) % CLASSES
    assert choose(noise, labels).l2 == 10.0
    clean = (20 * np.eye(CLASSES)[labels] + random.standard_normal((60, CLASSES))).astype(np.float32)
    assert choose(clean, labels).l2 == 0.01


def test_duplicates_are_never_on_both_sides_of_a_fold(monkeypatch):
    features, labels = problem(images=30)
    features, labels, groups = np.tile(features, (3, 1)), np.tile(labels, 3), np.tile(np.arange(30), 3)
    seen: list[set[int]] = []
    begin = regraft.training.head._Fold.__init__

    def spy(fold, rows, labels, class_count, kept, held):
        seen.append(set(groups[kept]))
        begin(fold, rows, labels, class_count, kept, held)

    monkeypatch.setattr(regraft.training.head._Fold, "__init__", spy)
    choose(features, labels, groups=groups, candidates=(0.1, 1.0))
    held = [set(range(30)) - kept for kept in seen]  # of each of three folds
    assert sum(len(part) for part in held) == 30  # each of the 30 was once held with all of its copies
    assert set().union(*held) == set(range(30))


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
    choice = choose(features, labels, groups=groups)
    assert (choice.l2, choice.losses, len(choice.held_out)) == (0.3, {}, 0)


def test_one_class_of_one_image_does_not_keep_the_others_from_choosing():
    features, labels = problem()
    labels = np.where(np.arange(len(labels)) == 0, CLASSES, labels)
    choice = choose_l2(
        features,
        labels,
        class_count=CLASSES + 1,
        candidates=(0.1, 1.0),
        groups=np.arange(len(labels)),
        folds=3,
        seed=0,
    )
    assert list(choice.losses) == [0.1, 1.0]


def test_folds_are_no_more_than_the_rarest_class_can_fill():
    labels = np.array([0] * 8 + [1] * 8 + [2] * 2)
    features = np.random.default_rng(0).standard_normal((18, 4)).astype(np.float32)
    choice = choose(features, labels, folds=5)
    assert all(np.isfinite(list(choice.losses.values())))


def test_one_candidate_is_taken_without_a_trial():
    choice = choose(*problem(), candidates=(0.5,))
    assert (choice.l2, choice.losses) == (0.5, {})
    tried = choose(*problem(), candidates=(0.5,), always=True)
    assert (tried.l2, list(tried.losses), len(tried.held_out)) == (0.5, [0.5], 90)


def test_the_same_seed_gives_the_same_losses():
    assert choose(*problem()).losses == choose(*problem()).losses


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


def test_a_solution_may_start_near_the_minimum():
    features, labels = problem(images=900, channels=30)
    choice = choose(features, labels, candidates=(0.1, 0.01))
    plain = solve_head(features, labels, class_count=CLASSES, l2=choice.l2)
    started = solve_head(features, labels, class_count=CLASSES, l2=choice.l2, start=choice.weights)
    assert started.iterations < plain.iterations
    np.testing.assert_allclose(started.kernel, plain.kernel, atol=2e-3)


def test_beyond_a_size_float32_is_as_close_as_it_gets(monkeypatch):
    features, labels = problem()
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


def test_folds_share_out_each_class_and_keep_groups_together():
    labels = np.repeat([0, 1, 2], [40, 20, 10])
    groups = np.arange(70) // 2
    parts = split_folds(labels, groups, 5, seed=1)
    assert sorted(np.concatenate([held for _, held in parts])) == list(range(70))
    for kept, held in parts:
        assert np.bincount(labels[held]).tolist() == [8, 4, 2]
        assert set(groups[kept]) | set(groups[held]) == set(range(35))
        assert not set(groups[kept]) & set(groups[held])
    again, other = split_folds(labels, groups, 5, seed=1), split_folds(labels, groups, 5, seed=2)
    np.testing.assert_array_equal(parts[0][1], again[0][1])
    assert set(parts[0][1]) != set(other[0][1])


def test_of_a_single_fold_who_watches_hears_of_the_iterations(monkeypatch):
    monkeypatch.setattr(regraft.training.head, "_FOLDED", 0)
    watcher = Watcher()
    choose(*problem(), candidates=(0.1, 1.0), ticker=watcher)
    assert watcher.notes.count("iteration 1") == 2


def test_folds_that_nobody_waits_for_end_with_their_next_iteration():
    ended, begun = [], threading.Event()

    class Failing:
        def losses_at(self, *_: object) -> np.ndarray:
            assert begun.wait(60)
            raise KeyboardInterrupt

    class Endless:
        def losses_at(self, l2: float, max_iterations: int, ticker: Ticker) -> np.ndarray:
            begun.set()
            deadline = time.monotonic() + 60
            try:
                while time.monotonic() < deadline:
                    ticker.advance(0, "iteration")
            finally:
                ended.append(time.monotonic() < deadline)
            return np.zeros(1)

    with pytest.raises(KeyboardInterrupt):
        _losses_at(0.1, [Failing(), Endless()], 10, SILENT)
    assert ended == [True]
