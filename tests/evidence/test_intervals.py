"""Intervals of accuracies: by hand, by their coverage, and at the edges."""

import numpy as np
import pytest

from regraft.evidence.intervals import accuracy_difference, accuracy_interval, grouped_accuracy_interval


def test_accuracy_interval_is_wilsons() -> None:
    z, n, p = 1.959963984540054, 153, 149 / 153
    center = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert accuracy_interval(149, 153) == pytest.approx((center - reach, center + reach))


def test_accuracy_interval_without_a_mistake_ends_at_one_and_has_a_width() -> None:
    low, high = accuracy_interval(20, 20)
    assert high == 1.0
    assert low == pytest.approx(20 / (20 + 1.959964**2), abs=1e-6)


def test_accuracy_interval_grows_with_confidence() -> None:
    assert accuracy_interval(7, 10, confidence=0.99)[0] < accuracy_interval(7, 10)[0]


@pytest.mark.parametrize(
    ("correct", "total", "confidence", "message"),
    [
        (0, 0, 0.95, "total must be at least 1; received 0."),
        (4, 3, 0.95, r"correct must be in \[0, 3\]; received 4."),
        (-1, 3, 0.95, r"correct must be in \[0, 3\]; received -1."),
        (1, 3, 95, r"confidence must be in \(0, 1\); received 95."),
    ],
)
def test_accuracy_interval_refuses(correct: int, total: int, confidence: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        accuracy_interval(correct, total, confidence=confidence)


def test_accuracy_interval_covers_the_true_accuracy_about_as_often_as_it_says() -> None:
    from scipy.stats import binom

    chance = binom.pmf(np.arange(51), 50, 0.9)
    covers = [low <= 0.9 <= high for low, high in (accuracy_interval(correct, 50) for correct in range(51))]
    assert 0.93 < chance[covers].sum() < 0.985


def test_accuracy_difference_by_hand() -> None:
    a = np.array([True] * 90 + [True] * 6 + [False] * 2 + [False] * 2)
    b = np.array([True] * 90 + [False] * 6 + [True] * 2 + [False] * 2)
    center = (7 - 3) / 102
    reach = 1.959964 * np.sqrt((10 / 102 - center**2) / 102)
    assert accuracy_difference(a, b) == pytest.approx((0.04, center - reach, center + reach))


def test_accuracy_difference_in_groups_is_that_of_fewer_images_by_hand() -> None:
    """B is wrong on one of 10 groups of 20: the groups' sums of B - A are off their mean, -2, by 18 and 2."""
    groups = np.repeat(np.arange(10), 20)
    right = np.ones(200, bool)
    variance = 10 / 9 * (18**2 + 9 * 2**2) / 200**2
    images = 200 * (0.1 * 0.9 / 200) / variance  # 9
    assert images == pytest.approx(9)
    one, none = (0.1 * 9 + 1) / 11, 1 / 11
    reach = 1.959964 * np.sqrt((one + none - (one - none) ** 2) / 11)
    assert accuracy_difference(groups > 0, right, groups) == pytest.approx(
        (-0.1, none - one - reach, none - one + reach)
    )
    alone = np.arange(200)
    assert accuracy_difference(groups > 0, right, alone) == accuracy_difference(groups > 0, right)
    wide, usual = accuracy_difference(right, right, groups), accuracy_difference(right, right)
    assert wide[2] == pytest.approx(
        1.959964 * np.sqrt(2 / 12 / 12)
    )  # 10 images, as groups, where no image tells them apart
    assert usual[2] < wide[2]


def test_accuracy_difference_is_antisymmetric() -> None:
    random = np.random.default_rng(3)
    a, b = random.random(80) < 0.9, random.random(80) < 0.7
    difference, low, high = accuracy_difference(a, b)
    assert accuracy_difference(b, a) == pytest.approx((-difference, -high, -low))


def test_accuracy_difference_of_equals_has_a_width_and_stays_in_range() -> None:
    same = np.ones(10, bool)
    difference, low, high = accuracy_difference(same, same)
    assert difference == 0.0
    assert low == pytest.approx(-high)
    assert 0 < high < 0.5
    assert accuracy_difference(same, ~same)[2] == 1.0


@pytest.mark.parametrize("length", [0, 2])
def test_accuracy_difference_refuses_unequal_or_no_images(length: int) -> None:
    with pytest.raises(ValueError, match="must both be"):
        accuracy_difference(np.ones(length, bool), np.ones(0 if length == 0 else 3, bool))


def test_images_of_groups_that_are_right_and_wrong_together_say_less():
    """Four groups of five, one of them wrong: the variance between groups is 1/16, of 20 single images 3/320.

    So 20 / (20 / 3) = 3 images are left; Wilson's formula for 3/4 of 3 by hand.
    """
    correct, groups = np.repeat([1, 1, 1, 0], 5), np.repeat([0, 1, 2, 3], 5)
    assert grouped_accuracy_interval(correct, groups) == pytest.approx((0.2561, 0.9631), abs=2e-4)
    # Where each group is half right, groups say no less than single images, and never more.
    mixed = np.array([1, 0] * 10)
    assert grouped_accuracy_interval(mixed, np.repeat(range(10), 2)) == pytest.approx(accuracy_interval(10, 20))


def test_without_a_mistake_there_are_as_many_images_as_groups():
    assert grouped_accuracy_interval(np.ones(20), np.repeat(range(4), 5)) == pytest.approx(accuracy_interval(4, 4))
    assert grouped_accuracy_interval(np.ones(7), np.zeros(7)) == pytest.approx(accuracy_interval(1, 1))


def test_without_groups_it_is_the_interval_of_single_images():
    correct = np.array([1, 1, 0, 1])
    assert grouped_accuracy_interval(correct, None) == accuracy_interval(3, 4)
    assert grouped_accuracy_interval(correct, np.array([4, 7, 1, 0])) == accuracy_interval(3, 4)
