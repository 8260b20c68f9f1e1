"""What is near enough to the trained model, by probabilities and by labels."""

import pytest

from regraft.errors import UsageError
from regraft.exports.export import NOT_PROVEN, ProofResult
from regraft.exports.tolerance import LABELS, check_tolerance, is_near


def proof(images: int, same_label: int, difference: float = 0.3) -> ProofResult:
    return ProofResult(images=images, largest_difference=difference, same_label=same_label, tolerance=None)


@pytest.mark.parametrize(
    ("images", "same", "near"), [(2000, 1998, True), (2000, 1997, False), (153, 153, True), (153, 152, False)]
)
def test_by_labels_999_of_1000_photos_keep_theirs_however_far_probabilities_are(images: int, same: int, near: bool):
    assert is_near(proof(images, same), LABELS) is near


def test_what_was_compared_with_nothing_keeps_no_labels():
    assert not is_near(NOT_PROVEN, LABELS)


def test_by_a_number_the_largest_difference_counts():
    assert is_near(proof(10, 5, 0.001), 0.001)
    assert not is_near(proof(10, 10, 0.0011), 0.001)


@pytest.mark.parametrize(("given", "meant"), [("labels", LABELS), ("0.01", 0.01), (0, 0.0), (1e-3, 1e-3)])
def test_a_tolerance_is_a_number_or_labels(given: float | str, meant: float | str):
    assert check_tolerance(given) == meant


@pytest.mark.parametrize("given", ["label", "", "-1", -0.1, float("nan"), "nan"])
def test_any_other_tolerance_is_refused(given: float | str):
    with pytest.raises(UsageError, match=f'tolerance must be "labels" or a number of at least 0; received {given}'):
        check_tolerance(given)


@pytest.mark.parametrize("value", ["inf", "1e999", float("inf"), "nan", -1, 10**400])
def test_what_bounds_nothing_is_no_tolerance(value):
    with pytest.raises(UsageError, match="a number of at least 0"):
        check_tolerance(value)
