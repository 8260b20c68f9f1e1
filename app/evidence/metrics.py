"""How good a classifier is on the images it was judged on, and how sure one can be of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from regraft.evidence.decision import Decision
from regraft.evidence.intervals import grouped_accuracy_interval
from regraft.evidence.judged import judge
from regraft.evidence.metric_table import REPORTED_METRICS
from regraft.runs.class_metrics import ClassMetrics


@dataclass(frozen=True, slots=True, eq=False)
class Metrics:
    """How good a classifier is on some images; fractions in [0, 1] unless said otherwise.

    Attributes:
        images: how many images were judged.
        accuracy: part whose label is the true class.
        accuracy_low: lower end of the 95 % interval of `accuracy`.
        accuracy_high: upper end.
        top_k_accuracy: part whose true class is among the `k` most probable; None for two classes or fewer.
        k: min(5, classes - 1); None for two classes or fewer.
        log_loss: mean cross-entropy in nats, probabilities clipped to at least 1e-7 as Keras does.
        balanced_accuracy: mean recall of the classes that have images.
        macro_f1: mean F1 of the classes where it is defined.
        mean_cost: of the labels, by the costs that they were given by; None without any.
        mean_cost_most_probable: what it would be if the most probable class were the label.
        calibration_error: see `expected_calibration_error`.
        per_class: one entry per class, in label order.
        confusion: int [C, C] counts; rows are the truth, columns the answers.
        more: the metrics of `REPORTED_METRICS` that are none of the above, by their keys.
    """

    images: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    top_k_accuracy: float | None
    k: int | None
    log_loss: float
    balanced_accuracy: float
    macro_f1: float
    mean_cost: float | None
    mean_cost_most_probable: float | None
    calibration_error: float
    per_class: tuple[ClassMetrics, ...]
    confusion: np.ndarray
    more: Mapping[str, float | None] = field(default_factory=dict)

    def value(self, name: str) -> float | None:
        """A metric of `REPORTED_METRICS` by its key; None where it is undefined."""
        found: float | None = self.more[name] if name in self.more else getattr(self, name)
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values for strict JSON: None, never NaN."""
        apart = ("more", "per_class", "confusion")
        numbers = {name: getattr(self, name) for name in self.__slots__ if name not in apart}
        per_class = [asdict(entry) for entry in self.per_class]
        return {**numbers, **self.more, "per_class": per_class, "confusion": self.confusion.tolist()}


def measure(
    truth: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    decision: Decision | None = None,
    groups: np.ndarray | None = None,
) -> Metrics:
    """Every number that a run reports on its classifier.

    Args:
        truth: int [N] in [0, C), N at least 1.
        probabilities: float [N, C] in [0, 1], rows that sum to 1.
        class_names: C names in label order.
        decision: how labels are made of probabilities; by default the most probable class is the label.
        groups: int [N], the same for images that are not independent, by which intervals are wider; None where all are.

    Raises:
        ValueError: a shape, range or sum does not fit.
    """
    judged = judge(truth, probabilities, class_names, decision, groups)
    is_right = judged.answers == judged.truth
    images, correct = len(judged.truth), int(is_right.sum())
    low, high = grouped_accuracy_interval(is_right, groups)
    values: dict[str, Any] = {name: row.compute(judged) for name, row in REPORTED_METRICS.items()}
    own = {name: values.pop(name) for name in Metrics.__slots__ if name in values}
    return Metrics(
        images=images,
        accuracy=correct / images,
        accuracy_low=low,
        accuracy_high=high,
        k=judged.k,
        per_class=judged.per_class,
        confusion=judged.confusion,
        more=values,
        **own,
    )
