"""Combining answers, as arrays: by hand where a hand can do it."""

import numpy as np
import pytest
from scipy.special import softmax

from regraft.ensembles.combination import (
    accuracy_by_size,
    combine_logits,
    disagreement,
    fit_shares,
    greedy_order,
    greedy_shares,
    greedy_soup,
)
from regraft.evidence.losses import losses_of

LABELS = np.random.default_rng(0).integers(0, 3, 200)


def answers(skill: float, seed: int) -> np.ndarray:
    """Logits float [200, 3] that favour the truth by `skill`, under noise of its own."""
    noise = np.random.default_rng([1, seed]).normal(size=(200, 3))
    return noise + skill * np.eye(3)[LABELS]


def test_probabilities_are_averaged_with_their_shares():
    logits = np.log([[[0.5, 0.5]], [[0.75, 0.25]]])
    np.testing.assert_allclose(np.exp(combine_logits(logits)), [[5 / 8, 3 / 8]])
    np.testing.assert_allclose(np.exp(combine_logits(logits, [1, 4])), [[0.7, 0.3]])
    np.testing.assert_allclose(np.exp(combine_logits(logits, [0, 4])), [[0.75, 0.25]])


def test_logits_are_averaged_with_their_shares():
    np.testing.assert_allclose(combine_logits(np.array([[[0.0, 2.0]], [[4.0, 0.0]]]), [3, 1], "logits"), [[1.0, 1.5]])


@pytest.mark.parametrize("choose", [fit_shares, greedy_shares])
def test_chosen_shares_sum_to_one_and_prefer_the_better_member(choose):
    logits = np.stack([answers(0.0, 1), answers(3.0, 2), answers(0.0, 3)])
    shares = choose(logits, LABELS)
    assert shares.sum() == pytest.approx(1.0)
    assert shares.argmax() == 1
    assert (shares >= 0).all()
    assert _loss(logits, shares) < _loss(logits, None)


def test_fitted_shares_are_where_loss_and_prior_are_lowest():
    logits = np.stack([answers(2.0, 1), answers(1.5, 2)])
    grid = np.linspace(0.001, 0.999, 999)
    costs = [200 * _loss(logits, [part, 1 - part]) - np.log(part * (1 - part)) for part in grid]
    assert fit_shares(logits, LABELS)[0] == pytest.approx(grid[np.argmin(costs)], abs=0.002)


def test_equally_good_members_get_nearly_equal_shares():
    shares = fit_shares(np.stack([answers(2.0, seed) for seed in range(4)]), LABELS)
    assert shares.min() > 0.1


def test_greedy_selection_takes_one_member_where_the_others_only_harm():
    logits = np.stack([answers(6.0, 1), -answers(6.0, 1)])
    np.testing.assert_array_equal(greedy_shares(logits, LABELS), [1.0, 0.0])


def test_members_are_ordered_by_their_loss():
    assert greedy_order(np.stack([answers(1.0, 1), answers(3.0, 2), answers(2.0, 3)]), LABELS) == [1, 2, 0]


def test_a_greedy_soup_keeps_what_does_not_harm():
    losses = {(2,): 0.5, (2, 0): 0.4, (2, 0, 1): 0.6, (2, 0, 3): 0.4}
    kept, tasted = greedy_soup([2, 0, 1, 3], lambda places: losses[tuple(places)])
    assert kept == [2, 0, 3]
    assert tasted == [([2], 0.5), ([2, 0], 0.4), ([2, 0, 1], 0.6), ([2, 0, 3], 0.4)]


def test_disagreement_counts_images_with_different_labels():
    one, other = np.eye(2)[[0, 0, 1, 1]], np.eye(2)[[0, 1, 1, 1]]
    np.testing.assert_array_equal(disagreement(np.stack([one, other])), [[0.0, 0.25], [0.25, 0.0]])


def test_the_curve_averages_over_all_subsets_of_a_size():
    right, wrong = 5 * np.eye(2)[[0, 1]], 5 * np.eye(2)[[1, 0]]
    points = accuracy_by_size(np.stack([right, right, wrong]), np.array([0, 1]))
    assert [point.members for point in points] == [1, 2, 3]
    assert [point.subsets for point in points] == [3, 3, 1]
    assert points[0].accuracy == pytest.approx(2 / 3)
    assert (points[0].accuracy_low, points[0].accuracy_high) == (0.0, 1.0)
    assert points[2].accuracy == 1.0
    assert points[2].log_loss == pytest.approx(
        float(-np.log(softmax(np.array([[5.0, 0], [5, 0], [0, 5]]), axis=1)[:, 0].mean())), rel=1e-6
    )


def test_large_ensembles_are_sampled_by_the_seed():
    logits = np.stack([answers(1.0, seed) for seed in range(12)])
    points = accuracy_by_size(logits, LABELS, seed=4)
    assert max(point.subsets for point in points) == 100
    assert points == accuracy_by_size(logits, LABELS, seed=4)
    assert points[5] != accuracy_by_size(logits, LABELS, seed=5)[5]


def _loss(logits: np.ndarray, shares) -> float:
    return float(losses_of(combine_logits(logits, shares), LABELS).mean())
