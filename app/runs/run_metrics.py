"""metrics.json: the headline numbers of a finished run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from regraft.runs.class_metrics import ClassMetrics
from regraft.runs.ensemble_figures import EnsembleFigures
from regraft.runs.field_types import check_field_types

if TYPE_CHECKING:
    import numpy as np


def _counts(rows: Sequence[Sequence[int]] = ()) -> np.ndarray:
    """Int [C, C]; [0, 0] of no rows."""
    import numpy as np

    return np.array(rows, int).reshape(len(rows), len(rows))


@dataclass(frozen=True)
class StageFigures:
    """One stage of a training.

    Attributes:
        stage: "head", "fine-tuned", "pretrained" or "ensemble".
        select_loss: nats on the selection photos; None without any.
        select_accuracy: fraction of the selection photos; None without any.
        temperature: what its logits are divided by.
        report_accuracy: fraction of the reported photos.
        seconds: what it took; None where the file does not say.
        solver, l2, l2_losses, iterations, objective, solve_seconds: of a solved head; None or empty of others, and
            where an older file does not say. Where photos are many, `l2_losses` are those of a sample, and `l2` is the
            best of them by the root of the sample's part of all.
        backbone_losses: cross-validated, of each backbone that was compared; of the head.
        fit_losses: cross-validated, of each way to fit photos into the square, where they were compared; of the head.
        taps_losses: cross-validated, by the number of taps that the head reads, where they were compared.
    """

    stage: str = ""
    select_loss: float | None = None
    select_accuracy: float | None = None
    temperature: float = 1.0
    report_accuracy: float = math.nan
    seconds: float | None = None
    solver: str | None = None
    l2: float | None = None
    l2_losses: Mapping[str, float] = field(default_factory=dict)
    backbone_losses: Mapping[str, float] = field(default_factory=dict)
    fit_losses: Mapping[str, float] = field(default_factory=dict)
    taps_losses: Mapping[str, float] = field(default_factory=dict)
    iterations: int | None = None
    objective: float | None = None
    solve_seconds: float | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StageFigures:
        """The stage in one object of metrics.json's `stages`. Raises ValueError where it is damaged."""
        check_field_types(cls, values)
        return cls(**_known(cls, values))


@dataclass(frozen=True)
class _ExportFigures:
    """What `RunMetrics.export` says for sure."""

    folder: str
    images: int
    largest_difference: float


@dataclass(frozen=True)
class RunMetrics:
    """What metrics.json says. What the file lacks is empty where it is a text or a sequence, and else None.

    The accuracy and the other figures of the reported photos stand in every file. Fractions are in [0, 1]; the low and
    high ends are those of 95 % intervals.

    Attributes:
        run: the run directory, as it was named.
        stage: the stage that was kept.
        stage_reason: why.
        images: how many photos were reported on; 0 where the file does not say.
        accuracy, accuracy_low, accuracy_high: on the reported photos.
        top_k_accuracy, k: None for two classes or fewer.
        log_loss: nats.
        balanced_accuracy, macro_f1, calibration_error: see `regraft.evidence.metrics.Metrics`.
        mean_cost, mean_cost_most_probable: of the labels by the recipe's costs, and of the most probable classes; None
            where the recipe has no costs.
        per_class: one entry per class, in label order.
        confusion: int [C, C] counts; rows are the truth, columns the answers.
        reported_on: the split that was reported on, such as "val".
        seconds: of the whole training; None where an older file does not say.
        seconds_by_phase: in the order of the phases.
        learned_from_select: whether the kept weights have learned from selection photos.
        notes: sentences that a reader should know.
        set_aside: path and reason of each file that was found and not used.
        folds: what each fold came to, where the photos were judged in folds.
        stages: the candidates, from simple to elaborate.
        export: where the export is and what its proof found; None where nothing was exported.
        backbone: the weights file of a pretraining; None of other runs.
        ensemble: kind, members and verdict of an ensemble; None of other runs.
        decision: the words for how labels were made of probabilities; "" where they were the most probable class.
        values: the whole object, with what this version does not know of.
    """

    run: str = ""
    stage: str = ""
    stage_reason: str = ""
    images: int = 0
    accuracy: float = math.nan
    accuracy_low: float = math.nan
    accuracy_high: float = math.nan
    top_k_accuracy: float | None = None
    k: int | None = None
    log_loss: float = math.nan
    balanced_accuracy: float = math.nan
    macro_f1: float = math.nan
    calibration_error: float = math.nan
    mean_cost: float | None = None
    mean_cost_most_probable: float | None = None
    per_class: Sequence[ClassMetrics] = ()
    confusion: np.ndarray = field(default_factory=_counts, compare=False)
    reported_on: str = ""
    seconds: float | None = None
    seconds_by_phase: Mapping[str, float] = field(default_factory=dict)
    learned_from_select: bool = False
    notes: Sequence[str] = ()
    set_aside: Sequence[Mapping[str, str]] = ()
    folds: Sequence[Mapping[str, Any]] = ()
    stages: Sequence[StageFigures] = ()
    export: Mapping[str, Any] | None = None
    backbone: str | None = None
    ensemble: EnsembleFigures | None = None
    decision: str = ""
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunMetrics:
        """The metrics in the JSON object of this or an older version. Raises ValueError where it is damaged."""
        check_field_types(cls, values)
        check_field_types(_ExportFigures, values.get("export") or {})
        # Before there was this key, the head that was kept had always learned from them.
        known: dict[str, Any] = {"learned_from_select": values.get("stage") == "head"}
        known |= _known(cls, values)
        known["stages"] = tuple(StageFigures.from_dict(row) for row in values.get("stages", ()))
        known["per_class"] = tuple(ClassMetrics.from_dict(row) for row in values.get("per_class", ()))
        known["confusion"] = _counts(values.get("confusion", ()))
        if ensemble := values.get("ensemble"):
            known["ensemble"] = EnsembleFigures.from_dict(ensemble)
        known["values"] = values
        return cls(**known)

    def value(self, name: str) -> float | None:
        """A metric of the report by its key, also one that is no attribute; None where undefined or not in the file."""
        found: float | None = self.values.get(name, getattr(self, name, None))
        return None if found is None or math.isnan(found) else found

    def as_dict(self) -> dict[str, Any]:
        """The JSON object as it stands in the file."""
        return dict(self.values)


def _known(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    names = {each.name for each in fields(kind)}
    return {key: value for key, value in values.items() if key in names}
