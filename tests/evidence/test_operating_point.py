"""Operating points: by hand, at the least price for what is asked, and refused where nothing gives it."""

from functools import partial

import numpy as np
import pytest
import refusals

from regraft.errors import UsageError
from regraft.evidence.intervals import accuracy_interval, grouped_accuracy_interval
from regraft.evidence.operating_point import Share, Wish, find_point, rates_of, wish_of

NAMES = ("mole", "melanoma")
OWN, OTHERS = [0.9, 0.8, 0.4, 0.1], [0.85, 0.5, 0.3, 0.2, 0.05]
SCORES = np.array(OWN + OTHERS)
TRUTH = np.array([1] * 4 + [0] * 5)
PROBABILITIES = np.stack([1 - SCORES, SCORES], axis=1)

message_of = partial(refusals.message_of, UsageError)


@pytest.mark.parametrize(
    ("kind", "share", "at_least", "recall", "alarms"),
    [
        ("recall", 0.75, 0.35, 3, 2),  # between 0.4, which it needs, and 0.3
        ("recall", 0.76, 0.075, 4, 4),
        ("recall", 1.0, 0.075, 4, 4),
        ("recall", 0.01, 0.875, 1, 0),
        ("false_alarms", 0.2, 0.65, 2, 1),  # one of five, between 0.8 and 0.5
        ("false_alarms", 0.19, 0.875, 1, 0),
        ("false_alarms", 0.0, 0.875, 1, 0),
        ("precision", 0.6, 0.35, 3, 2),
        ("precision", 0.66, 0.65, 2, 1),
        ("precision", 1.0, 0.875, 1, 0),
    ],
)
def test_the_point_fulfils_the_wish_at_the_least_price(kind, share, at_least, recall, alarms):
    point = find_point(Wish(kind, "melanoma", share), TRUTH, PROBABILITIES, NAMES)
    assert (point.label, point.at_least) == (1, pytest.approx(at_least))
    rates = rates_of(1, TRUTH, point.answers(PROBABILITIES))
    assert (rates.recall.count, rates.false_alarms.count) == (recall, alarms)


@pytest.mark.parametrize("kind", ["recall", "precision", "false_alarms"])
def test_no_other_point_fulfils_the_wish_at_a_lower_price(kind):
    """Against every score as a threshold, of drawn answers with equal scores among them."""
    random = np.random.default_rng(5)
    truth = (random.random(200) < 0.2).astype(int)
    scores = np.round(random.random(200) * 0.6 + 0.3 * truth, 2)
    probabilities = np.stack([1 - scores, scores], axis=1)
    for share in (0.3, 0.5, 0.8):
        point = find_point(Wish(kind, "melanoma", share), truth, probabilities, NAMES)
        fulfilled = {}
        for threshold in np.unique(scores):
            given = scores >= threshold
            hits, alarms = (truth[given] == 1).sum(), (truth[given] == 0).sum()
            value = {"recall": hits / truth.sum(), "precision": hits / (hits + alarms)}.get(kind)
            if value >= share if value is not None else alarms / (truth == 0).sum() <= share:
                fulfilled[threshold] = (alarms, -hits)
        best = (max if kind == "recall" else min)(fulfilled)
        np.testing.assert_array_equal(point.answers(probabilities) == 1, scores >= best)


def test_rates_are_counted_by_hand_and_have_wilson_intervals():
    rates = rates_of(1, np.array([1, 1, 1, 0, 0]), np.array([1, 0, 1, 1, 0]))
    assert (rates.recall.count, rates.recall.photos) == (2, 3)
    assert (rates.recall.low, rates.recall.high) == accuracy_interval(2, 3)
    assert (rates.precision.value, rates.false_alarms.value) == (2 / 3, 1 / 2)
    assert str(rates.recall) == "66.7 % (20.8 to 93.9), 2 of 3"
    assert str(Share.of(np.zeros(0, bool))) == "unknown (of no photo)"


def test_rates_of_photos_in_groups_have_wider_intervals():
    """Of 6 photos of the class in 3 groups, those of one are missed; each rate takes the groups of its own photos."""
    truth, answers = np.array([1] * 6 + [0] * 4), np.array([1, 1, 1, 1, 0, 0, 1, 1, 0, 0])
    groups = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    rates = rates_of(1, truth, answers, groups)
    assert (rates.recall.count, rates.recall.photos) == (4, 6)
    for found, hits, own in (
        (rates.recall, [1, 1, 1, 1, 0, 0], groups[:6]),
        (rates.precision, [1, 1, 1, 1, 0, 0], np.array([0, 0, 1, 1, 3, 3])),
        (rates.false_alarms, [1, 1, 0, 0], groups[6:]),
    ):
        assert (found.low, found.high) == grouped_accuracy_interval(np.array(hits), own)
        assert found.low < accuracy_interval(found.count, found.photos)[0]


def test_a_wish_is_the_one_thing_that_is_asked_for():
    wish = wish_of({"recall": {"melanoma": 0.95}, "precision": None}, NAMES)
    assert wish == Wish("recall", "melanoma", 0.95)
    assert str(wish) == "recall of melanoma at least 95 %"
    assert str(Wish("false_alarms", "mole", 0.01)) == "at most 1 % false alarms of mole"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"recall": None}, "by one of recall, precision, false_alarms, of one class; received 0."),
        ({"recall": {"mole": 0.5}, "precision": {"mole": 0.5}}, "of one class; received 2."),
        ({"recall": {"mole": 0.5, "melanoma": 0.5}}, "of one class; received 2."),
        ({"recall": {"molle": 0.5}}, 'names the class "molle", which is not there (there are mole, melanoma). Did you'),
        ({"recall": {"mole": 0.0}}, "recall of a class must be a number in (0, 1]; received 0."),
        ({"recall": {"mole": 95.0}}, "recall of a class must be a number in (0, 1]; received 95."),
        ({"recall": {"mole": float("nan")}}, "recall of a class must be a number in (0, 1]; received nan."),
        ({"false_alarms": {"mole": 1.0}}, "false_alarms of a class must be a number in [0, 1); received 1."),
    ],
)
def test_wishes_that_do_not_fit_are_refused(asked, message):
    assert message in message_of(wish_of, asked, NAMES)


def test_what_no_probability_gives_is_refused():
    scores = np.array([0.2, 0.3, 0.9])
    probabilities, truth = np.stack([1 - scores, scores], axis=1), np.array([1, 1, 0])
    assert message_of(find_point, Wish("precision", "melanoma", 0.9), truth, probabilities, NAMES) == (
        "No probability gives precision of melanoma at least 90 %: on the 3 selection photos, 2 of them of that "
        "class, others always come with it. Ask for less."
    )
    for label, what in ((0, 'of "melanoma"'), (1, "of another class")):
        text = message_of(find_point, Wish("recall", "melanoma", 0.9), np.full(3, label), probabilities, NAMES)
        assert text == f"None of the 3 selection photos is {what}; name a folder with more."
