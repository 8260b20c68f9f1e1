"""Cross-entropy by hand."""

import numpy as np
import pytest

from regraft.evidence.losses import gain_of, is_clearly_better, losses_of, losses_of_probabilities


def test_losses_are_minus_the_log_of_the_softmax():
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]))
    np.testing.assert_allclose(losses_of(logits, np.array([0, 2])), -np.log([0.7, 0.5]))


def test_losses_of_huge_float32_logits_are_finite():
    logits = np.array([[1e4, 0.0]], np.float32)
    np.testing.assert_allclose(losses_of(logits, np.array([1])), [1e4])


def test_losses_of_no_image_are_empty():
    assert losses_of(np.zeros((0, 3)), np.zeros(0, int)).shape == (0,)


@pytest.mark.parametrize(
    ("losses", "others", "gain", "error", "clearly"),
    [
        ([1.0, 1.0, 1.0], [2.0, 3.0, 4.0], 2.0, 1 / 3**0.5, True),
        ([1.0, 1.0], [1.0, 3.0], 1.0, 1.0, False),  # as much as its error is not more
        ([1.0, 1.0], [2.0, 2.0], 1.0, 0.0, True),
        ([1.0, 1.0], [1.0, 1.0], 0.0, 0.0, False),
        ([2.0, 3.0, 4.0], [1.0, 1.0, 1.0], -2.0, 1 / 3**0.5, False),
        ([1.0], [9.0], 8.0, np.inf, False),
        ([], [], 0.0, np.inf, False),
    ],
)
def test_a_loss_is_clearly_lower_beyond_one_standard_error(losses, others, gain, error, clearly):
    losses, others = np.array(losses), np.array(others)
    assert gain_of(losses, others) == pytest.approx((gain, error))
    assert is_clearly_better(losses, others) is clearly


def test_losses_of_probabilities_are_clipped_as_keras_does():
    probabilities = np.array([[0.75, 0.25], [1.0, 0.0]], np.float32)
    found = losses_of_probabilities(probabilities, np.array([1, 1]))
    np.testing.assert_allclose(found, [np.log(4), 7 * np.log(10)])
    assert found.dtype == np.float64
