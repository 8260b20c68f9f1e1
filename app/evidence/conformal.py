"""Answering "unknown" in doubt: prediction sets that hold the true class as often as was asked for.

Split conformal prediction (Vovk, Gammerman & Shafer 2005, "Algorithmic learning in a random world"; the sets are the
smallest on average, Sadinle, Lei & Wasserman 2019, "Least ambiguous set-valued classifiers", J. Am. Stat. Assoc.
114). Nothing is assumed of the model; of the photos, that those to come are like those it was calibrated on. Of others
nothing is known: a picture that shows none of the classes may well look clearly like one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regraft.errors import RunError, UsageError, option
from regraft.machine.arrays import read_arrays
from regraft.machine.files import atomic_file

UNKNOWN = "unknown"


@dataclass(frozen=True)
class UnknownRule:
    """When to answer "unknown".

    Attributes:
        error_rate: the part of photos whose true class may be missing from their set, in (0, 1).
        least_probability: a class is in the set of a photo where its probability is at least this.
        photos: how many the rule was calibrated on.
    """

    error_rate: float
    least_probability: float
    photos: int

    def prediction_sets(self, probabilities: np.ndarray) -> np.ndarray:
        """Bool [N, C]: which classes are in the set of each photo; none where no class is probable enough."""
        return np.asarray(probabilities) >= self.least_probability

    def answer(self, scores: Sequence[float], class_names: Sequence[str]) -> tuple[str, list[str]]:
        """The label to give, which is "unknown" unless exactly one class is possible, and the possible ones."""
        order = np.argsort(-np.asarray(scores), kind="stable")
        possible = [class_names[place] for place in order if scores[place] >= self.least_probability]
        return (possible[0] if len(possible) == 1 else UNKNOWN), possible


def calibrate(own: np.ndarray, error_rate: float) -> UnknownRule:
    """The rule that lets at most `error_rate` of the photos' true classes be missing from their sets.

    Over calibrations and photos, the true class is missing from a set with probability at most `error_rate`, and at
    least that less 1 / (n + 1).

    Args:
        own: float [n]: the probability the model gave to the true class of photos nothing was fitted on.
        error_rate: in (0, 1).

    Raises:
        UsageError: the rate is not in (0, 1), or too small for so few photos.
    """
    if not 0 < error_rate < 1:
        raise UsageError(f"{option('unknown_at')} must be between 0 and 1, both excluded; received {error_rate:g}.")
    count = len(own)
    allowed = math.floor((count + 1) * error_rate + 1e-9)  # how many of these photos the rule may miss, plus one
    if allowed < 1:
        asked, needed = option("unknown_at", f"{error_rate:g}"), math.ceil(1 / error_rate) - 1
        raise UsageError(
            f"{asked} needs at least {needed:,} photos that the model was neither trained nor chosen on; it has "
            f"{count:,}, which can promise {1 / (count + 1):.2g} at best."
        )
    return UnknownRule(error_rate, float(np.sort(own)[allowed - 1]), count)


def write_calibration(path: Path, probabilities: np.ndarray, truth: np.ndarray) -> None:
    """Keeps what the model gave to the true class of each photo (of float [N, C] and int [N])."""
    with atomic_file(path) as temporary:
        np.savez(temporary, own=np.asarray(probabilities)[np.arange(len(truth)), truth].astype(np.float64))


def read_calibration(path: Path) -> np.ndarray:
    """What `write_calibration` kept. Raises RunError where the file is missing or damaged."""
    try:
        own = read_arrays(path)["own"]
        if own.ndim != 1 or own.dtype.kind != "f" or not ((own >= 0) & (own <= 1)).all():
            raise ValueError("expected a probability for each photo")
        return own
    except (ValueError, KeyError) as error:
        raise RunError(f"{path} is missing or damaged, which {option('unknown_at')} needs; train again.") from error
