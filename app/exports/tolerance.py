"""How far an export may be from the trained model: by its probabilities, or by the labels of the reported photos."""

from __future__ import annotations

from regraft.errors import UsageError, option
from regraft.exports.export import ProofResult

Tolerance = float | str
"""The largest difference of a probability, or `LABELS`."""

LABELS = "labels"
"""What asks for labels alone: `LEAST_KEPT` of those of the reported photos."""

LEAST_KEPT = 0.999


def check_tolerance(value: Tolerance) -> Tolerance:
    """The tolerance that is meant; text may hold a number.

    Raises:
        UsageError: it is neither "labels" nor a number of at least 0.
    """
    if value == LABELS:
        return LABELS
    try:
        number = float(value)
    except (ValueError, OverflowError):
        number = float("nan")
    if not 0 <= number < float("inf"):  # of what is no number, neither holds
        raise UsageError(f'{option("tolerance")} must be "{LABELS}" or a number of at least 0; received {value}.')
    return number


def is_near(proof: ProofResult, tolerance: Tolerance) -> bool:
    """Whether an export that was proven so is within `tolerance`, which `check_tolerance` gave."""
    if tolerance == LABELS:
        return proof.images > 0 and proof.same_label >= LEAST_KEPT * proof.images
    return proof.largest_difference <= float(tolerance)
