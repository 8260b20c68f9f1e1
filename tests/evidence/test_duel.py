"""Two classifiers on the same photos: the exact test and the interval by hand, and the words for both."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, t

from regraft.evidence.duel import Duel, judge_duel, mcnemar, sign_flips
from regraft.evidence.intervals import accuracy_difference


@pytest.mark.parametrize(
    ("first_alone", "second_alone", "p"),
    [
        (1, 8, 2 * (1 + 9) / 2**9),  # 0.0390625
        (8, 1, 2 * (1 + 9) / 2**9),
        (0, 5, 2 / 2**5),
        (0, 6, 2 / 2**6),
        (2, 5, 2 * (1 + 7 + 21) / 2**7),
        (3, 3, 1.0),
        (0, 0, 1.0),
    ],
)
def test_the_exact_test_by_hand(first_alone: int, second_alone: int, p: float):
    assert mcnemar(first_alone, second_alone) == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize(
    ("nets", "p"),
    [
        ([20] + [0] * 9, 1.0),
        ([3, 2, 1], 2 / 8),
        ([3, -2, 1], 6 / 8),  # of all signs, 6, 4, 2, 0, 0, -2, -4, -6
        ([5, -1, 1], 6 / 8),  # 7, 5, 5, 3 and the same below 0
        ([2] * 6, 2 / 2**6),
        ([0, 0], 1.0),
    ],
)
def test_the_signs_of_groups_are_flipped_by_hand(nets: list[int], p: float):
    assert sign_flips(np.array(nets)) == sign_flips(-np.array(nets)) == pytest.approx(p, rel=1e-12)


def test_flipped_signs_are_counted_one_by_one_and_of_single_photos_are_the_exact_test():
    rng = np.random.default_rng(0)
    for _ in range(5):
        nets = rng.integers(-4, 7, 9)
        sums = np.array(list(product((-1, 1), repeat=9))) @ nets
        assert sign_flips(nets) == pytest.approx((np.abs(sums) >= abs(nets.sum())).mean(), rel=1e-12)
    assert sign_flips(np.repeat([1, -1], (8, 1))) == pytest.approx(mcnemar(8, 1), rel=1e-12)


def test_one_group_is_no_evidence_however_many_photos_it_has():
    """10 groups of 20 photos, of which the second classifier gets one group wrong: McNemar's p would be 1.9e-06."""
    groups = np.repeat(np.arange(10), 20)
    first = np.tile([0.8, 0.2], (200, 1))
    second = np.where(groups[:, None] == 0, [0.2, 0.8], [0.8, 0.2])
    duel = judge_duel(np.zeros(200, int), first, second, groups=groups)
    assert (duel.p_value, duel.uneven_groups, duel.first_alone) == (1.0, 1, 20)
    assert duel.verdict == (
        "no evidence of a difference (-38.1 to +21.8 points); exact sign-flip test of groups: p = 1"
    )
    assert duel.loss_verdict.startswith("no evidence of a difference")
    assert duel.notes[0] == (
        "One of them is right more often than the other in 1 group of photos; fewer than 6 are never evidence at 5 %."
    )
    values = duel.as_dict()
    assert (values["test"], values["p_value"], values["mcnemar_p"]) == ("exact sign-flip test of groups", 1.0, None)
    alone = judge_duel(np.zeros(200, int), first, second)
    assert alone.p_value == pytest.approx(2 / 2**20)
    assert alone.as_dict()["p_value"] == alone.as_dict()["mcnemar_p"]


def duel_of(both: int, first_alone: int, second_alone: int, neither: int) -> Duel:
    """Of photos of class 0 that are answered by 0.8 and 0.2, rightly or wrongly."""
    right = np.repeat([[1, 1], [1, 0], [0, 1], [0, 0]], (both, first_alone, second_alone, neither), axis=0)
    first, second = (np.where(each[:, None] == 1, [0.8, 0.2], [0.2, 0.8]) for each in right.T)
    return judge_duel(np.zeros(len(right), int), first, second)


def test_each_photo_is_counted_once_and_the_difference_is_the_seconds_less_the_firsts():
    duel = duel_of(90, 1, 8, 3)
    assert (duel.both_right, duel.first_alone, duel.second_alone, duel.neither) == (90, 1, 8, 3)
    assert duel.images == 102
    assert duel.p_value == 0.0390625
    # Bonett & Price: shares with one photo more of either kind, of N + 2.
    one, eight = 2 / 104, 9 / 104
    center, reach = eight - one, 1.959964 * np.sqrt((one + eight - (eight - one) ** 2) / 104)
    assert duel.accuracy.mean == pytest.approx(7 / 102)
    assert (duel.accuracy.low, duel.accuracy.high) == pytest.approx((center - reach, center + reach))


def test_losses_are_compared_photo_by_photo():
    """A photo that only one is right on costs the other ln 4 more; Student's interval of the mean."""
    duel = duel_of(2, 1, 3, 0)
    differences = np.log(4) * np.array([0, 0, 1, -1, -1, -1])
    reach = t.ppf(0.975, 5) * differences.std(ddof=1) / np.sqrt(6)
    assert duel.log_loss.mean == pytest.approx(-2 * np.log(4) / 6)
    assert (duel.log_loss.low, duel.log_loss.high) == pytest.approx(
        (duel.log_loss.mean - reach, duel.log_loss.mean + reach)
    )
    assert duel.loss_verdict == "no evidence of a difference (-1.650 to +0.726 nats)"


def test_who_is_named_first_does_not_decide():
    duel, turned = duel_of(90, 1, 8, 3), duel_of(90, 8, 1, 3)
    assert turned.p_value == duel.p_value
    assert turned.accuracy.mean == -duel.accuracy.mean
    assert (turned.accuracy.low, turned.accuracy.high) == pytest.approx((-duel.accuracy.high, -duel.accuracy.low))


@pytest.mark.parametrize(
    ("first_alone", "second_alone", "words"),
    [
        (1, 8, "better by 7.0 points (+0.6 to +13.1 points); exact McNemar test: p = 0.039"),
        (8, 1, "worse by 7.0 points (-13.1 to -0.6 points); exact McNemar test: p = 0.039"),
        (2, 5, "no evidence of a difference (-2.8 to +8.7 points); exact McNemar test: p = 0.45"),
        (0, 0, "no evidence of a difference (-2.7 to +2.7 points); exact McNemar test: p = 1"),
    ],
)
def test_the_verdict_is_plain(first_alone: int, second_alone: int, words: str):
    assert duel_of(100 - first_alone - second_alone, first_alone, second_alone, 0).verdict == words


def test_an_interval_without_0_is_no_evidence_where_the_test_finds_none():
    duel = duel_of(142, 2, 9, 0)
    assert duel.accuracy.low > 0
    assert duel.p_value == pytest.approx(2 * binom.cdf(2, 11, 0.5))  # 0.065
    assert duel.verdict == (
        "perhaps better by 4.6 points (+0.0 to +9.0 points); exact McNemar test: p = 0.065, which is no evidence at 5 %"
    )


def test_where_the_test_finds_evidence_the_interval_does_too():
    """So that no verdict says both: the exact test is the stricter one, also where it has hardly found any."""
    for alone in range(6, 40):
        least = max(count for count in range(alone) if count < alone - count and mcnemar(count, alone - count) < 0.05)
        for others in (0, 10, 10_000):
            a = np.repeat([True, False, True], (least, alone - least, others))
            b = np.repeat([False, True, True], (least, alone - least, others))
            assert accuracy_difference(b, a)[1] > 0


def test_too_few_photos_for_any_evidence_are_told():
    about = "This is about two trained models; whether a way of training is better, regraft compare FOLDER tells by "
    assert [note.startswith(about) for note in duel_of(10, 0, 6, 0).notes] == [True]
    few, _ = duel_of(10, 1, 4, 0).notes
    assert few == "Only one of them is right on 5 photos; fewer than 6 are never evidence at 5 %."


def test_the_values_are_those_of_the_attributes():
    duel = duel_of(90, 1, 8, 3)
    values = duel.as_dict()
    assert (values["images"], values["both_right"], values["mcnemar_p"]) == (102, 90, 0.0390625)
    assert (values["difference"], values["loss_difference_low"]) == (duel.accuracy.mean, duel.log_loss.low)
    assert values["verdict"] == duel.verdict != replace(duel, p_value=0.5).verdict


def test_one_photo_is_enough_to_be_counted():
    duel = duel_of(0, 0, 1, 0)
    assert (duel.accuracy.mean, duel.p_value) == (1.0, 1.0)
    assert duel.verdict.startswith("no evidence of a difference")


def test_labels_that_are_decided_otherwise_count_and_not_the_most_probable():
    truth, sure = np.zeros(4, int), np.tile([0.9, 0.1], (4, 1))
    decided = judge_duel(truth, sure, sure, [np.array([0, 0, 0, 1]), np.array([1, 0, 0, 1])])
    assert (decided.both_right, decided.first_alone, decided.second_alone, decided.neither) == (2, 1, 0, 1)
