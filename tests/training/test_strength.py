"""The strength of the penalty: chosen on photos that are held out, of all or of a sample."""

import numpy as np
import pytest
from drawn_problem import uneven_problem
from listening import Watcher
from scipy.special import log_softmax

from regraft.training import strength
from regraft.training.head import solve_head
from regraft.training.strength import Choice, choose_l2, compared_images, held_out_by_all, split_folds, stratified

CLASSES = 3


def test_who_watches_hears_of_every_strength_in_every_fold():
    watcher = Watcher()
    choose(*uneven_problem(), candidates=(0.1, 1.0), folds=3, ticker=watcher)
    assert watcher.done == 2 * 3


def choose(features: np.ndarray, labels: np.ndarray, **options) -> Choice:
    given = {"candidates": (10.0, 0.01, 0.3), "groups": np.arange(len(labels)), "folds": 3, "seed": 0}
    return choose_l2(features, labels, class_count=CLASSES, **(given | options))


def test_the_strength_with_the_smallest_loss_is_chosen_from_all():
    choice = choose(*uneven_problem())
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
    features, labels = uneven_problem()
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
    features, labels = uneven_problem()
    monkeypatch.setattr(strength, "_FOLDED", 3 * features.size * CLASSES - 1)
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
    features, labels = uneven_problem(images=30)
    features, labels, groups = np.tile(features, (3, 1)), np.tile(labels, 3), np.tile(np.arange(30), 3)
    seen: list[set[int]] = []
    begin = strength._Folds.__init__

    def spy(folds, rows, labels, class_count, parts, weights):
        seen.extend(set(groups[kept]) for kept, _ in parts)
        begin(folds, rows, labels, class_count, parts, weights)

    monkeypatch.setattr(strength._Folds, "__init__", spy)
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
    features, labels = uneven_problem()
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
    choice = choose(*uneven_problem(), candidates=(0.5,))
    assert (choice.l2, choice.losses) == (0.5, {})
    tried = choose(*uneven_problem(), candidates=(0.5,), always=True)
    assert (tried.l2, list(tried.losses), len(tried.held_out)) == (0.5, [0.5], 90)


def test_the_same_seed_gives_the_same_losses():
    assert choose(*uneven_problem()).losses == choose(*uneven_problem()).losses


def test_a_solution_may_start_near_the_minimum():
    features, labels = uneven_problem(images=900, channels=30)
    choice = choose(features, labels, candidates=(0.1, 0.01))
    plain = solve_head(features, labels, class_count=CLASSES, l2=choice.l2)
    started = solve_head(features, labels, class_count=CLASSES, l2=choice.l2, start=choice.weights)
    assert started.iterations < plain.iterations
    np.testing.assert_allclose(started.kernel, plain.kernel, atol=2e-3)


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


def test_who_watches_hears_of_the_iterations_of_each_strength():
    watcher = Watcher()
    choose(*uneven_problem(), candidates=(0.1, 1.0), ticker=watcher)
    assert watcher.notes.count("iteration 1") == 2


@pytest.mark.parametrize(
    ("class_count", "expected"),
    [(2, 7385), (101, 3149), (240, 4800), (400, 5000), (2000, 10_000)],
    ids=["by their cost", "of many classes", "20 of a class", "no more of few", "5 of any class"],
)
def test_of_many_images_a_sample_is_compared(class_count, expected):
    """sqrt(1.2e9 / (2 + 20)) = 7,385.5, sqrt(1.2e9 / (101 + 20)) = 3,149.2."""
    labels = np.arange(20_000) % class_count
    found = compared(labels, class_count=class_count)
    assert len(found) == expected
    np.testing.assert_array_equal(found, np.unique(found))
    few = compared(labels[:expected], class_count=class_count)
    np.testing.assert_array_equal(few, np.arange(expected))


def compared(labels: np.ndarray, groups: np.ndarray | None = None, class_count: int = CLASSES, seed: int = 0):
    groups = np.arange(len(labels)) if groups is None else groups
    return compared_images(labels, groups, class_count=class_count, folds=5, seed=seed)


def test_a_rare_class_has_as_many_in_the_sample_as_there_are_folds(monkeypatch):
    monkeypatch.setattr(strength, "_COMPARED", 200**2 * (CLASSES + 20))
    labels = np.repeat([0, 1, 2], [600, 391, 9])
    found = compared(labels, seed=1)
    counts = np.bincount(labels[found])
    assert (len(found), counts[2]) == (200, 5)
    assert abs(counts[0] - 120) <= 3
    np.testing.assert_array_equal(found, compared(labels, seed=1))
    assert set(found) != set(compared(labels, seed=2))


def test_duplicates_come_into_the_sample_together(monkeypatch):
    monkeypatch.setattr(strength, "_COMPARED", 200**2 * (CLASSES + 20))
    labels, groups = np.tile(np.arange(300) % CLASSES, 2), np.tile(np.arange(300), 2)
    found = compared(labels, groups)
    assert len(found) == 200
    assert set(np.bincount(groups[found])) == {0, 2}
    assert sorted(np.bincount(labels[found])) == [66, 66, 68]


def test_a_class_has_its_share_and_the_least_that_is_asked_for():
    labels = np.repeat([0, 1, 2], [600, 397, 3])
    found = stratified(labels, 100, least=2, seed=1)
    assert np.bincount(labels[found])[2] == 2
    assert abs(np.bincount(labels[found])[0] - 60) <= 1


def test_choices_are_compared_on_what_both_held_out():
    first, second = held_out_by_all([np.arange(4.0), np.arange(9.0)])
    np.testing.assert_array_equal(first, second)
    assert held_out_by_all([]) == []


def test_images_count_where_they_are_learned_from_and_where_they_are_held_out():
    features, labels = uneven_problem()
    counts = np.array([0.2, 1.0, 5.0])[labels]
    choice = choose(features, labels, candidates=(0.1, 10.0), weights=counts)
    losses = np.zeros(len(labels))
    for kept, held in split_folds(labels, np.arange(len(labels)), 3, 0):
        head = solve_head(features[kept], labels[kept], class_count=CLASSES, l2=0.1, weights=counts[kept])
        losses[held] = -log_softmax(head.logits(features[held]), axis=1)[np.arange(len(held)), labels[held]]
    losses *= counts / counts.mean()
    assert choice.losses[0.1] == pytest.approx(losses.mean(), rel=1e-2)
    np.testing.assert_allclose(choice.held_out, losses[choice.images], atol=0.1)


def test_images_that_all_count_the_same_change_no_bit_of_the_choice():
    plain, weighted = (choose(*uneven_problem(), weights=counts) for counts in (None, np.full(90, 1.0)))
    assert plain.losses == weighted.losses
    np.testing.assert_array_equal(plain.weights, weighted.weights)
