"""Prediction sets: the quantile by hand, the promise by many draws."""

import numpy as np
import pytest
from scipy.stats import binom

from regraft.errors import RunError, UsageError
from regraft.evidence.conformal import UnknownRule, calibrate, read_calibration, write_calibration


def test_the_threshold_is_the_right_order_statistic():
    own = np.array([0.9, 0.2, 0.7, 0.5, 0.3, 0.8, 0.6, 0.4, 0.1])  # nine photos: k = floor(10 * rate)
    assert calibrate(own, 0.1).least_probability == 0.1
    assert calibrate(own, 0.2).least_probability == 0.2
    assert calibrate(own, 0.29).least_probability == 0.2
    assert calibrate(own, 0.5).least_probability == 0.5


def test_sets_hold_what_is_probable_enough():
    rule = UnknownRule(0.1, 0.3, 100)
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.29, 0.2]])
    np.testing.assert_array_equal(rule.prediction_sets(probabilities), [[True, False], [True, True], [False, False]])


@pytest.mark.parametrize(
    ("scores", "label", "possible"),
    [
        ([0.9, 0.05, 0.05], "ant", ["ant"]),
        ([0.35, 0.6, 0.05], "unknown", ["bee", "ant"]),
        ([0.2, 0.2, 0.25], "unknown", []),
    ],
)
def test_only_a_set_of_one_is_an_answer(scores, label, possible):
    assert UnknownRule(0.1, 0.3, 100).answer(scores, ["ant", "bee", "cat"]) == (label, possible)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1])
def test_the_error_rate_is_the_one_that_was_chosen(rate):
    rng = np.random.default_rng(3)
    misses, photos = 0, 0
    for _ in range(200):
        own, new = rng.beta(5, 1, (2, 500))
        misses += int((new < calibrate(own, rate).least_probability).sum())
        photos += 500
    expected = np.floor(501 * rate) / 501  # exactly, for continuous scores
    # 200 calibrations of 500 scatter by themselves as much as the photos do, so the variance is twice the binomial one.
    spread = 2.576 * np.sqrt(2) * binom.std(photos, expected)
    assert abs(misses - photos * expected) < spread


def test_too_few_photos_promise_nothing():
    with pytest.raises(UsageError, match=r"^unknown_at=0.01 needs at least 99 photos .*; it has 98, which can promise"):
        calibrate(np.full(98, 0.9), 0.01)
    assert calibrate(np.full(99, 0.9), 0.01).photos == 99


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_rate_outside_of_its_range_is_refused(rate):
    with pytest.raises(UsageError, match=r"^unknown_at must be between 0 and 1, both excluded; received "):
        calibrate(np.full(100, 0.9), rate)


def test_what_is_kept_is_the_probability_of_the_true_class(tmp_path):
    path = tmp_path / "calibration.npz"
    write_calibration(path, np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0]))
    np.testing.assert_array_equal(read_calibration(path), [0.9, 0.4])


@pytest.mark.parametrize("content", [None, b"", b"no archive"])
def test_a_damaged_calibration_is_named(tmp_path, content):
    path = tmp_path / "calibration.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"calibration.npz is missing or damaged, which unknown_at needs; train again.$"):
        read_calibration(path)
