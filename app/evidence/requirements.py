"""What is required of a judged run, such as accuracy>=0.95: read before anything is computed, and then met or not."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from regraft.data.class_names import place_of
from regraft.data.wording import name_some
from regraft.errors import UsageError, did_you_mean, option
from regraft.evidence.metric_table import REPORTED_METRICS
from regraft.evidence.metrics import Metrics
from regraft.runs.class_metrics import ClassMetrics

_COUNT, _ACCURACY = "images", ("accuracy", "accuracy_low", "accuracy_high")
_OF_A_CLASS = tuple(each.name for each in fields(ClassMetrics) if each.name != "class_name")

_FORM = re.compile(r"(.*)(>=|<=|>|<)([^<>]*)", re.DOTALL)  # names of classes may hold what operators are made of
_MISSED_BY = {">=": "below", ">": "not above", "<=": "above", "<": "not below"}
_ROUNDING = 1e-9  # by so small a part of themselves a mean of fractions and a bound do not differ
_DIGITS = (3, 6, 9, 12)
_NAMED_CLASSES = 20


@dataclass(frozen=True)
class Requirement:
    """A bound on one figure of a judgement.

    Attributes:
        text: as it was asked.
        figure: a key of metrics.json, or of one of its classes.
        class_name: the class; None for a figure of all classes together.
        operator: ">=", ">", "<=" or "<".
        bound: finite.
    """

    text: str
    figure: str
    class_name: str | None
    operator: str
    bound: float

    @property
    def name(self) -> str:
        """Such as "accuracy" or "recall.melanoma"."""
        return self.figure if self.class_name is None else f"{self.figure}.{self.class_name}"

    def admits(self, value: float) -> bool:
        """Whether `value` is on the right side of the bound; what differs by rounding alone is on it."""
        if math.isclose(value, self.bound, rel_tol=_ROUNDING):
            return "=" in self.operator
        return (value > self.bound) == (self.operator[0] == ">")

    def judge(self, metrics: Metrics) -> Outcome:
        """What the figure came to."""
        values = metrics.as_dict()
        if self.class_name is not None:
            values = next(row for row in values["per_class"] if row["class_name"] == self.class_name)
        return Outcome(self, *(_defined(values, f"{self.figure}{end}") for end in ("", "_low", "_high")))


@dataclass(frozen=True)
class Outcome:
    """What a requirement came to.

    Attributes:
        requirement: what was asked.
        value: of the figure; None where it is undefined on these images.
        low, high: ends of its 95 % interval; None where it has none.
    """

    requirement: Requirement
    value: float | None
    low: float | None
    high: float | None

    @property
    def met(self) -> bool:
        """Whether the figure is defined and keeps to its bound."""
        return self.value is not None and self.requirement.admits(self.value)

    @property
    def words(self) -> str:
        """Such as "accuracy is 0.912, below the 0.95 asked for (95 % interval 0.890 to 0.930)"."""
        asked = self.requirement
        bound = f"the {asked.bound:.12g} asked for"
        if self.value is None:
            return f"{asked.name} is undefined on these images, so it does not meet {bound}"
        interval = f" (95 % interval {self.low:.3f} to {self.high:.3f})" if self.low is not None else ""
        relation = "which meets" if self.met else _MISSED_BY[asked.operator]
        return f"{asked.name} is {self._shown(self.value)}, {relation} {bound}{interval}"

    def _shown(self, value: float) -> str:
        """Three digits behind the point, or as many as show that the bound is missed or met; counts as they are."""
        if isinstance(value, int):
            return f"{value:,}"
        texts = [f"{value:.{digits}f}" for digits in _DIGITS]
        return next((text for text in texts if self.requirement.admits(float(text)) == self.met), texts[-1])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as in the list `required` of an evaluation's metrics.json."""
        asked = self.requirement
        return {
            "requirement": asked.text,
            "name": asked.name,
            "operator": asked.operator,
            "bound": asked.bound,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "met": self.met,
        }


def parse_requirements(texts: Iterable[str], class_names: Sequence[str]) -> list[Requirement]:
    """The requirements in texts such as "accuracy>=0.95" or "recall.melanoma>=0.9", of a run with these classes.

    Figures of all classes together are `images`, `accuracy`, `accuracy_low`, `accuracy_high` and the keys of
    `REPORTED_METRICS`; those of one class are the attributes of `ClassMetrics`, with a dot and its name.

    Raises:
        UsageError: a text is malformed, names what does not exist, or asks of a fraction what none can be.
    """
    return [_parse(str(text), class_names) for text in texts]  # nobody has checked what is in the list


def _parse(text: str, class_names: Sequence[str]) -> Requirement:
    form = _FORM.fullmatch(text)
    bound = _finite(form[3]) if form else None
    if form is None or bound is None:
        raise UsageError(
            f'{option("require")} expects NAME>=NUMBER (or >, <=, <), such as "accuracy>=0.95"; received "{text}".'
        )
    figure, class_name = _find(form[1].strip(), class_names)
    if _is_fraction(figure, class_name) and not 0 <= bound <= 1:
        raise UsageError(
            f'{option("require")}: {figure} is a fraction from 0 to 1, so 95 % is written 0.95; received "{text}".'
        )
    return Requirement(text, figure, class_name, form[2], bound)


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _find(name: str, class_names: Sequence[str]) -> tuple[str, str | None]:
    """The figure and the class that `name` means."""
    of_all = (_COUNT, *_ACCURACY, *REPORTED_METRICS)
    figure, _, class_name = name.partition(".")
    if name in of_all:
        return name, None
    if figure in _OF_A_CLASS and (place := place_of(class_name, class_names)) is not None:
        return figure, class_names[place]
    near = did_you_mean(name, (*of_all, *(f"{each}.{known}" for each in _OF_A_CLASS for known in class_names)))
    raise UsageError(
        f'{option("require")} names no figure of the run: "{name}".{near} There are {", ".join(of_all)}; with a dot '
        f"and a class ({name_some(class_names, shown=_NAMED_CLASSES)}): {', '.join(_OF_A_CLASS)}."
    )


def _is_fraction(figure: str, class_name: str | None) -> bool:
    metric = REPORTED_METRICS.get(figure)
    return figure != _COUNT and (class_name is not None or metric is None or metric.unit == "%")


def _defined(values: Mapping[str, Any], key: str) -> float | None:
    value: float | None = values.get(key)
    return None if value is None or math.isnan(value) else value
