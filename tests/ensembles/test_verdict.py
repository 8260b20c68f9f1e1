"""Verdicts on ensembles whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest

from regraft.ensembles.verdict import SAME_BUDGET, Answers, gain_over, judge_ensemble, say_whether_worth
from regraft.evidence.paired import Difference

RIGHT, WRONG = [4.0, 0.0], [0.0, 4.0]  # the truth is always 0


def difference(mean: float, low: float, high: float) -> Difference:
    return Difference(mean, low, high, low, high, 1)


def answers(members: list[list[list[float]]], select: int = 2) -> Answers:
    logits = np.asarray(members, np.float32)
    count = logits.shape[1]
    return Answers(logits, logits.mean(axis=0), None, np.zeros(select, int), np.zeros(count - select, int))


def test_a_gain_over_a_single_model_has_the_interval_of_paired_proportions():
    right, base = np.array([1, 1, 1, 1, 0, 0.0]), np.array([1, 1, 0, 0, 1, 0.0])
    gain = gain_over(right, base)
    # Bonett & Price 2012: (2 + 1) / 8 and (1 + 1) / 8, centre 1 / 8, half width 1.96 sqrt((5/8 - 1/64) / 8).
    reach = 1.959964 * np.sqrt((5 / 8 - 1 / 64) / 8)
    assert gain.mean == pytest.approx(1 / 6)
    assert (gain.low, gain.high) == (pytest.approx(1 / 8 - reach), pytest.approx(1 / 8 + reach))


def test_a_gain_in_one_group_of_photos_is_no_evidence():
    """10 groups of 20 photos, of which only the ensemble gets one right; against a mean of members it is the same."""
    groups, right = np.repeat(np.arange(10), 20), np.ones(200)
    for elsewhere in (1.0, 0.99):
        base = np.where(groups == 0, 0.0, elsewhere)
        assert gain_over(right, base).low > 0
        assert gain_over(right, base, groups).low < 0


def test_the_verdict_takes_the_groups_of_the_photos_reported_on():
    """Of two members, one is wrong on the 4 photos of one group, and neither on 2 others."""
    logits = np.array([[[1.0, 0]] * 8, [[1.0, 0]] * 2 + [[0.0, 2]] * 4 + [[1.0, 0]] * 2])
    options = {"temperature": 1.0, "rule": "logits", "is_averaged": True, "speed": {"ratio": 1.0}, "seed": 0}
    plain = replace(answers(logits.tolist()), ensemble=np.float32(logits[0]))
    grouped = replace(plain, report_groups=np.array([0, 0, 0, 0, 1, 2]))
    gains = [judge_ensemble(given, **options).gains["mean member"] for given in (plain, grouped)]
    assert gains[1].low < gains[0].low < gains[0].mean == gains[1].mean


def test_agreement_on_all_photos_is_no_certainty():
    gain = gain_over(np.ones(20), np.ones(20))
    assert gain.mean == 0
    assert gain.low < 0 < gain.high


def test_a_gain_over_the_mean_member_is_measured_photo_by_photo():
    gain = gain_over(np.array([1.0, 1.0, 0.0, 1.0]), np.array([0.5, 1.0, 0.0, 0.5]))
    assert gain.mean == pytest.approx(0.25)
    assert gain.low < gain.mean < gain.high


@pytest.mark.parametrize(
    ("gain", "ratio", "sentence"),
    [
        (
            (0.02, 0.01, 0.03),
            0.2,
            "Worth it: against its best member alone: better by 2.0 points (+1.0 to +3.0 points); it answers at "
            "20 % of the speed.",
        ),
        (
            (0.0, -0.01, 0.01),
            0.2,
            "Not worth its cost on this evidence: against its best member alone: no evidence of a difference "
            "(-1.0 to +1.0 points); it answers at 20 % of the speed.",
        ),
        (
            (0.0, -0.01, 0.01),
            0.95,
            "Harmless: against its best member alone: no evidence of a difference (-1.0 to +1.0 points); it costs "
            "nothing at inference.",
        ),
        (
            (-0.02, -0.03, -0.01),
            1.0,
            "Not worth it: against its best member alone: worse by 2.0 points (-3.0 to -1.0 points); it costs nothing "
            "at inference.",
        ),
    ],
)
def test_one_sentence_says_whether_it_is_worth_its_cost(gain, ratio, sentence):
    assert say_whether_worth({"best member": difference(*gain)}, ratio) == sentence


def test_a_single_model_alone_is_compared_with_nothing():
    assert say_whether_worth({}, 1.0) == "A single model: there is nothing to compare it with."


def test_a_single_model_of_the_same_budget_is_the_harder_judge():
    gains = {"best member": difference(0.05, 0.04, 0.06), SAME_BUDGET: difference(0.0, -0.01, 0.01)}
    assert say_whether_worth(gains, 0.2).startswith("Not worth its cost on this evidence: against a single model ")


def test_the_best_member_is_chosen_on_images_that_are_not_reported():
    found = answers([[RIGHT, RIGHT, WRONG, WRONG], [WRONG, WRONG, RIGHT, RIGHT]])
    assert found.best == 0
    assert found.figures(found.members[0])["accuracy"] == 0.0


def test_without_images_to_choose_by_the_best_is_the_one_that_reports_best():
    assert answers([[RIGHT, WRONG], [RIGHT, RIGHT]], select=0).best == 1


def test_figures_are_those_of_the_reported_images_at_the_temperature():
    found = answers([[WRONG, WRONG, RIGHT, WRONG]])
    figures = found.figures(found.members[0], temperature=2.0)
    assert figures["accuracy"] == 0.5
    assert figures["log_loss"] == pytest.approx((np.log1p(np.exp(-2)) + np.log1p(np.exp(2))) / 2, rel=1e-6)
