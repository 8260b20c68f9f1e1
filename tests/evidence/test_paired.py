"""Paired differences: the interval by hand, its coverage by simulation, and the words for it."""

import numpy as np
import pytest
from scipy.stats import t as student

from regraft.evidence.paired import Difference, training_difference, verdict


def test_redrawn_splits_have_the_corrected_interval():
    """Three seeds of 100 photos with means 0.01, 0.03, 0.05: s² = 0.0004, corrected by 1/3 + 100/400."""
    differences = [np.full(100, mean) for mean in (0.01, 0.03, 0.05)]
    found = training_difference(differences, fixed_split=False, train_count=400)
    half = student.ppf(0.975, 2) * np.sqrt(0.0004 * (1 / 3 + 0.25))
    np.testing.assert_allclose([found.mean, found.low, found.high], [0.03, 0.03 - half, 0.03 + half], rtol=1e-9)


def test_a_fixed_split_adds_the_scatter_of_the_photos():
    differences = [np.array([1.0, 0.0, 0.0, 0.0]), np.array([1.0, 0.0, -1.0, 0.0])]
    found = training_difference(differences, fixed_split=True, train_count=10)
    of_seeds = np.var([0.25, 0.0], ddof=1) / 2
    of_photos = np.var([1.0, 0.0, -0.5, 0.0], ddof=1) / 4
    total = of_seeds + of_photos
    freedom = total**2 / (of_seeds**2 / 1 + of_photos**2 / 3)
    assert found.mean == 0.125
    assert found.high - found.mean == pytest.approx(student.ppf(0.975, freedom) * np.sqrt(total))


def test_groups_of_photos_are_the_sample_where_they_scatter_more():
    values, groups = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0]), np.array([0, 0, 1, 1, 2, 2])
    found = training_difference([values], fixed_split=True, train_count=1, groups=groups)
    error = np.sqrt(3 / 2 * ((4 / 3) ** 2 + 2 * (2 / 3) ** 2) / 36)  # sums off their mean, 2/3, by 4/3 and -2/3 twice
    assert (found.low, found.high) == pytest.approx(
        (1 / 3 - student.ppf(0.975, 2) * error, 1 / 3 + student.ppf(0.975, 2) * error)
    )
    mixed = training_difference([values], fixed_split=True, train_count=1, groups=np.array([0, 1, 2, 0, 1, 2]))
    assert mixed.high - mixed.mean == pytest.approx(student.ppf(0.975, 2) * np.sqrt(values.var(ddof=1) / 6))


def test_one_seed_knows_the_photos_alone():
    values = np.array([1.0] * 10 + [0.0] * 85 + [-1.0] * 5)
    found = training_difference([values], fixed_split=True, train_count=10)
    assert found.high - found.low == pytest.approx(2 * student.ppf(0.975, 99) * values.std(ddof=1) / 10)


def test_seeds_that_agree_by_chance_do_not_make_photos_certain():
    values = np.array([1.0, -1.0] * 50)
    found = training_difference([values, values], fixed_split=False, train_count=400)
    assert found.high > 0.05


def test_more_comparisons_ask_for_more():
    differences = [np.full(50, mean) for mean in (0.04, 0.05, 0.06)]
    one = training_difference(differences, fixed_split=False, train_count=1000)
    many = training_difference(differences, fixed_split=False, train_count=1000, comparisons=5)
    assert (many.low, many.high) == (one.low, one.high)
    half = (one.high - one.mean) / student.ppf(0.975, 2) * student.ppf(1 - 0.025 / 5, 2)
    assert many.strict_high - many.mean == pytest.approx(half)


@pytest.mark.parametrize("fixed_split", [False, True])
def test_the_interval_holds_the_truth_as_often_as_it_says(fixed_split):
    """Without any true difference: seeds and photos both add chance. Redrawn photos do not overlap here."""
    random, trials, covered = np.random.default_rng(1), 400, 0
    for _ in range(trials):
        photos = random.normal(0, 0.3, 200)
        differences = [
            (photos if fixed_split else random.normal(0, 0.3, 200))
            + random.normal(0, 0.02)
            + random.normal(0, 0.1, 200)
            for _ in range(4)
        ]
        found = training_difference(differences, fixed_split=fixed_split, train_count=10_000)
        covered += found.low <= 0 <= found.high
    assert covered / trials > 0.95 - 4 * np.sqrt(0.05 * 0.95 / trials)


def test_a_true_difference_is_found():
    random = np.random.default_rng(2)
    differences = [random.normal(0.05, 0.2, 500) for _ in range(5)]
    assert training_difference(differences, fixed_split=False, train_count=2000).is_clear


def test_two_arms_that_answer_alike_show_no_evidence():
    found = training_difference([np.zeros(50)] * 3, fixed_split=False, train_count=100)
    assert verdict(found) == "no evidence of a difference (+0.0 to +0.0 points)"


@pytest.mark.parametrize(
    ("numbers", "options", "words"),
    [
        ((0.012, 0.003, 0.021, 0.001, 0.03), {}, "better by 1.2 points (+0.3 to +2.1 points)"),
        ((-0.012, -0.021, -0.003, -0.03, -0.001), {}, "worse by 1.2 points (-2.1 to -0.3 points)"),
        ((0.003, -0.008, 0.014, -0.02, 0.03), {}, "no evidence of a difference (-0.8 to +1.4 points)"),
        (
            (0.012, 0.003, 0.021, -0.01, 0.04),
            {},
            "perhaps better by 1.2 points (+0.3 to +2.1 points), "
            "but not beyond what so many comparisons give by chance",
        ),
        (
            (-0.2, -0.3, -0.1, -0.35, -0.05),
            {"unit": "nats", "scale": 1.0, "lower_is_better": True},
            "better by 0.2 nats (-0.3 to -0.1 nats)",
        ),
    ],
)
def test_the_verdict_is_plain(numbers, options, words):
    assert verdict(Difference(*numbers, seeds=3), **options) == words
