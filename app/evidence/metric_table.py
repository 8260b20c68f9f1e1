"""The numbers that a report has of a classifier, one row each: its key, its words, how it is computed and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from regraft.evidence.calibration import expected_calibration_error
from regraft.evidence.judged import JudgedAnswers
from regraft.evidence.losses import losses_of_probabilities


@dataclass(frozen=True)
class ReportedMetric:
    """One number of the report. Its key in the table is its key in metrics.json.

    Attributes:
        title: its name in running text; {k} stands for `JudgedAnswers.k`.
        meaning: a few words that the page shows below the number; {k} as above.
        compute: the number, or None where it is undefined: null in metrics.json, and not shown.
        unit: "%" shows a fraction as a percentage with one digit behind the point, all else has three and the unit.
        printed: whether `regraft evaluate` prints it as well.
    """

    title: str
    meaning: str
    compute: Callable[[JudgedAnswers], float | None]
    unit: str = ""
    printed: bool = True

    def number(self, value: float) -> str:
        """`value` for a reader, such as "97.4 %" or "0.105"."""
        return f"{100 * value:.1f} %" if self.unit == "%" else f"{value:.3f}"


def printed_rows(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Title and number of each metric to print, in the order of `values`, which are those of metrics.json."""
    rows = []
    for name, value in values.items():
        metric = REPORTED_METRICS.get(name)
        if metric and metric.printed and value is not None:
            unit = f" {metric.unit}" if metric.unit not in ("", "%") else ""
            rows.append((metric.title.format(k=values.get("k")), metric.number(value) + unit))
    return rows


def _top_k_accuracy(judged: JudgedAnswers) -> float | None:
    return float((judged.ranks < judged.k).mean()) if judged.k else None


def _log_loss(judged: JudgedAnswers) -> float:
    return float(losses_of_probabilities(judged.probabilities, judged.truth).mean())


def _mean_cost(judged: JudgedAnswers, answers: np.ndarray) -> float | None:
    return None if judged.costs is None else float(judged.costs[judged.truth, answers].mean())


def _mean_of_defined(values: Sequence[float | None]) -> float:
    return float(np.mean([value for value in values if value is not None]))


REPORTED_METRICS: dict[str, ReportedMetric] = {
    "top_k_accuracy": ReportedMetric(
        "top-{k} accuracy", "truth among the {k} best answers", _top_k_accuracy, unit="%", printed=False
    ),
    "balanced_accuracy": ReportedMetric(
        "balanced accuracy",
        "every class counts the same",
        lambda judged: _mean_of_defined([entry.recall for entry in judged.per_class]),
        unit="%",
        printed=False,
    ),
    "macro_f1": ReportedMetric(
        "macro F1",
        "misses and false alarms, mean of the classes",
        lambda judged: _mean_of_defined([entry.f1 for entry in judged.per_class]),
    ),
    "mean_cost": ReportedMetric(
        "mean cost",
        "of the answers, by the costs of the recipe",
        lambda judged: _mean_cost(judged, judged.answers),
    ),
    "mean_cost_most_probable": ReportedMetric(
        "mean cost of the most probable class",
        "what it would be without a decision by costs",
        lambda judged: _mean_cost(judged, judged.probabilities.argmax(axis=1)),
    ),
    "log_loss": ReportedMetric("log loss", "0 is sure and always right", _log_loss, unit="nats"),
    "calibration_error": ReportedMetric(
        "calibration error",
        "how far scores are from hit rates",
        lambda judged: expected_calibration_error(judged.truth, judged.probabilities),
        unit="%",
    ),
}
"""Every metric of the report, in the order of the page."""
