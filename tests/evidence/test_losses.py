"""Cross-entropy by hand."""

import numpy as np

from regraft.evidence.losses import losses_of


def test_losses_are_minus_the_log_of_the_softmax():
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]))
    np.testing.assert_allclose(losses_of(logits, np.array([0, 2])), -np.log([0.7, 0.5]))


def test_losses_of_huge_float32_logits_are_finite():
    logits = np.array([[1e4, 0.0]], np.float32)
    np.testing.assert_allclose(losses_of(logits, np.array([1])), [1e4])


def test_losses_of_no_image_are_empty():
    assert losses_of(np.zeros((0, 3)), np.zeros(0, int)).shape == (0,)
