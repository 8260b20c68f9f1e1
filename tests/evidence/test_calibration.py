"""Scores against hit rates, by hand."""

import numpy as np
import pytest

from regraft.evidence.calibration import expected_calibration_error, reliability_bins


def test_calibration_error_by_hand() -> None:
    truth = np.array([0, 0, 0, 1])
    scores = np.array([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4], [0.8, 0.2]])
    # Two bins: all four answers lie in (0.5, 1], 3 of 4 are right, the mean score is 0.75.
    assert expected_calibration_error(truth, scores, bins=2) == pytest.approx(0.0)
    # Ten bins: each answer has its own; those at 0.9, 0.7 and 0.6 are right, that at 0.8 is wrong.
    assert expected_calibration_error(truth, scores, bins=10) == pytest.approx((0.1 + 0.3 + 0.4 + 0.8) / 4)


def test_a_score_on_an_edge_falls_into_the_lower_bin() -> None:
    bins = reliability_bins(np.array([0, 0]), np.array([[0.5, 0.5], [1.0, 0.0]]), bins=2)
    assert bins.images.tolist() == [1, 1]
    assert bins.confidence.tolist() == [0.5, 1.0]
    assert bins.accuracy.tolist() == [1.0, 1.0]


def test_reliability_needs_a_bin() -> None:
    with pytest.raises(ValueError, match=r"bins must be at least 1; received 0\."):
        expected_calibration_error(np.array([0]), np.array([[0.7, 0.3]]), bins=0)
