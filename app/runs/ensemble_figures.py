"""What metrics.json says of an ensemble: its members, what they became, and whether that is worth its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from regraft.runs.field_types import check_field_types


class _FromDict:
    """Made of a JSON object, whatever else this or another version wrote into it."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The figures in a JSON object; what it lacks is as the class says."""
        check_field_types(cls, values)
        names = {each.name for each in fields(cls)}  # type: ignore[arg-type]  # the classes below are dataclasses
        return cls(**{key: value for key, value in values.items() if key in names})


@dataclass(frozen=True)
class AnswerFigures(_FromDict):
    """How good one model is on the reported photos.

    Attributes:
        accuracy: fraction in [0, 1].
        log_loss: nats.
        calibration_error: fraction in [0, 1].
    """

    accuracy: float
    log_loss: float
    calibration_error: float


@dataclass(frozen=True)
class MemberFigures(AnswerFigures):
    """One member.

    Attributes:
        name: its run, or what it is, such as "head 3".
        share: of the ensemble's answer.
        seconds: what its training took; None where an older run does not say.
    """

    name: str
    share: float
    seconds: float | None = None


@dataclass(frozen=True)
class Gain(_FromDict):
    """The ensemble's accuracy less that of another model: mean, its 95 % interval, and what that means in words."""

    mean: float
    low: float
    high: float
    words: str


@dataclass(frozen=True)
class EnsembleFigures:
    """An ensemble on the reported photos.

    Attributes:
        kind, members, combine, soup: what was built, see `regraft.ensembles.plan.Plan`.
        verdict: whether it is worth its cost.
        member_rows: each member.
        figures: the ensemble.
        same_budget: the single model of the same budget; None where none was trained.
        gains: over the best member, the mean member and that single model, by these names.
        values: the whole object, with what differs from kind to kind.
    """

    kind: str
    members: int
    combine: str
    soup: str
    verdict: str
    member_rows: Sequence[MemberFigures]
    figures: AnswerFigures
    same_budget: AnswerFigures | None
    gains: Mapping[str, Gain]
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EnsembleFigures:
        """The figures in the JSON object of a run's `ensemble`."""
        check_field_types(cls, {key: value for key, value in values.items() if key != "member_rows"})
        rival = values.get("same_budget")
        return cls(
            kind=values["kind"],
            members=values["members"],
            combine=values["combine"],
            soup=values["soup"],
            verdict=values["verdict"],
            member_rows=tuple(MemberFigures.from_dict(row) for row in values["member_rows"]),
            figures=AnswerFigures.from_dict(values["ensemble"]),
            same_budget=AnswerFigures.from_dict(rival) if rival else None,
            gains={name: Gain.from_dict(gain) for name, gain in values["gains"].items()},
            values=values,
        )

    def as_dict(self) -> dict[str, Any]:
        """The JSON object as it stands in the file."""
        return dict(self.values)
