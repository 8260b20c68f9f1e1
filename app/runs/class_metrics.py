"""One class of a run in numbers, as metrics.json and every judgement have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from regraft.runs.field_types import check_field_types


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """One class against all others; fractions in [0, 1], None where undefined.

    Attributes:
        class_name: its label.
        images: how many images are truly of this class.
        precision: of the images given this label, the part that is right; None where no image got it.
        recall: of this class's images, the part that is found; None where there are none.
        recall_low: lower end of the 95 % interval of `recall`.
        recall_high: upper end.
        f1: harmonic mean of precision and recall; None where the class has no images and no answers.
    """

    class_name: str
    images: int
    precision: float | None
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    f1: float | None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ClassMetrics:
        """The class in one object of metrics.json's `per_class`; what it lacks is None, what is not known is left."""
        check_field_types(cls, values)
        return cls(**{each.name: values.get(each.name) for each in fields(cls)})  # type: ignore[arg-type]
