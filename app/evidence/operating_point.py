"""The probability from which on a class is answered, so that enough of it is found, or few others are called so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from regraft.errors import UsageError, option
from regraft.evidence.decision import OperatingPoint
from regraft.evidence.intervals import grouped_accuracy_interval
from regraft.recipes.class_tables import unknown_class

WISHES = {
    "recall": "recall of {name} at least {share}",
    "precision": "precision of {name} at least {share}",
    "false_alarms": "at most {share} false alarms of {name}",
}
"""What can be asked of a class, and its words."""


@dataclass(frozen=True)
class Wish:
    """What is asked of a class.

    Attributes:
        kind: a key of `WISHES`. Recall is the part of the class's photos that get its label, precision the part of the
            photos with its label that are of it, false alarms the part of all other photos that get its label.
        class_name: its label.
        share: in (0, 1); of false alarms also 0, of the others also 1.
    """

    kind: str
    class_name: str
    share: float

    def __str__(self) -> str:
        return WISHES[self.kind].format(name=self.class_name, share=f"{100 * self.share:g} %")


@dataclass(frozen=True)
class Share:
    """So many of so many photos; value, and low and high end of the 95 % interval (Wilson), are None of none.

    Photos in groups widen the interval, see `grouped_accuracy_interval`.
    """

    count: int
    photos: int
    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, hits: np.ndarray, groups: np.ndarray | None = None) -> Share:
        """Of photos that are hits or not, bool [N], perhaps in groups, int [N], with its interval."""
        if not hits.size:
            return cls(0, 0, None, None, None)
        return cls(int(hits.sum()), hits.size, float(hits.mean()), *grouped_accuracy_interval(hits, groups))

    def __str__(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return "unknown (of no photo)"
        low, high = 100 * self.low, 100 * self.high
        return f"{100 * self.value:.1f} % ({low:.1f} to {high:.1f}), {self.count:,} of {self.photos:,}"


@dataclass(frozen=True)
class ClassRates:
    """How labels do with one class on some photos; each is what `Wish.kind` says."""

    recall: Share
    precision: Share
    false_alarms: Share


def wish_of(asked: Mapping[str, Mapping[str, float] | None], class_names: Sequence[str]) -> Wish:
    """The one wish among arguments by their names, each {class: share} or None.

    Raises:
        UsageError: there is none or more than one, the class is not there, or the share does not fit.
    """
    given = [(kind, name, share) for kind, table in asked.items() for name, share in (table or {}).items()]
    if len(given) != 1:
        options = ", ".join(option(kind) for kind in WISHES)
        raise UsageError(f"An operating point is asked for by one of {options}, of one class; received {len(given)}.")
    ((kind, name, share),) = given
    if name not in class_names:
        raise unknown_class(f"{option(kind)} names", name, class_names)
    in_range = 0 <= share < 1 if kind == "false_alarms" else 0 < share <= 1
    if not in_range:
        allowed = "[0, 1)" if kind == "false_alarms" else "(0, 1]"
        raise UsageError(f"{option(kind)} of a class must be a number in {allowed}; received {share:g}.")
    return Wish(kind, name, float(share))


def find_point(wish: Wish, truth: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]) -> OperatingPoint:
    """The point that fulfils the wish on these photos at the least price.

    For recall that is the highest probability, with fewest false alarms; for precision and false alarms the lowest,
    with most of the class found. It lies in the middle between two scores, so that rounding moves no answer.

    Args:
        wish: of a class of which there are photos.
        truth: int [N].
        probabilities: float [N, C].
        class_names: C names in label order.

    Raises:
        UsageError: there is no photo of the class or of others, or no probability fulfils the wish.
    """
    from sklearn.metrics import roc_curve

    label = list(class_names).index(wish.class_name)
    is_own, scores = truth == label, np.asarray(probabilities, np.float64)[:, label]
    own, others = int(is_own.sum()), int((~is_own).sum())
    if not own or not others:
        what = f'of "{wish.class_name}"' if not own else "of another class"
        raise UsageError(f"None of the {len(truth):,} selection photos is {what}; name a folder with more.")
    false_rate, recall, scored = (values[1:] for values in roc_curve(is_own, scores, drop_intermediate=False))
    hits, alarms = np.round(recall * own), np.round(false_rate * others)
    fulfilled = {
        "recall": hits >= wish.share * own - 1e-9,
        "precision": hits >= wish.share * (hits + alarms) - 1e-9,
        "false_alarms": alarms <= wish.share * others + 1e-9,
    }[wish.kind]
    if not fulfilled.any():
        raise UsageError(
            f"No probability gives {wish}: on the {len(truth):,} selection photos, {own:,} of them of that class, "
            "others always come with it. Ask for less."
        )
    place = fulfilled.argmax() if wish.kind == "recall" else len(fulfilled) - 1 - fulfilled[::-1].argmax()
    lower = scored[place + 1] if place + 1 < len(scored) else 0.0
    return OperatingPoint(label, float(scored[place] + lower) / 2)


def rates_of(label: int, truth: np.ndarray, answers: np.ndarray, groups: np.ndarray | None = None) -> ClassRates:
    """How labels int [N] do with the class at `label`, on photos that are perhaps in groups, int [N]."""
    is_own, is_given = truth == label, answers == label

    def share(hits: np.ndarray, among: np.ndarray) -> Share:
        return Share.of(hits[among], None if groups is None else groups[among])

    return ClassRates(
        recall=share(is_given, is_own), precision=share(is_own, is_given), false_alarms=share(is_given, ~is_own)
    )
