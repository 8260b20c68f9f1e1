"""One class of a run in numbers, as metrics.json and every judgement have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


_UNEVEN, _RARE = 1.5, 10


@dataclass(frozen=True, slots=True)
class MostCommon:
    """The class with most images of those judged, and how much the others lag behind.

    Attributes:
        class_name: its label.
        share: what part of the images is of it.
        is_far_ahead: whether it has over 1.5 times its even share, or 10 times as many images as the rarest class, so
            that an accuracy alone misleads.
    """

    class_name: str
    share: float
    is_far_ahead: bool

    @property
    def words(self) -> str:
        """What is reached without looking."""
        return f'always answering "{self.class_name}" would reach an accuracy of {100 * self.share:.1f} %'


def most_common(classes: Sequence[ClassMetrics]) -> MostCommon | None:
    """The class of which most images were judged; None without images."""
    judged = [entry for entry in classes if entry.images]
    if not judged:
        return None
    common = max(judged, key=lambda entry: entry.images)
    share = common.images / sum(entry.images for entry in judged)
    is_rare = common.images >= _RARE * min(entry.images for entry in judged)
    return MostCommon(common.class_name, share, share * len(judged) > _UNEVEN or is_rare)
