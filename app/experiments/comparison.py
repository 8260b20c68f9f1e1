"""What a comparison came to: the figures of each arm, and for which differences there is evidence."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.errors import UsageError
from regraft.evidence.curves import draw_accuracies, draw_curves, write_curves
from regraft.evidence.paired import Difference, loss_verdict, training_difference, verdict
from regraft.experiments.trials import ArmResult
from regraft.machine.files import write_csv
from regraft.machine.notebook import tabled
from regraft.runs.class_metrics import most_common
from regraft.runs.history import read_history


@dataclass(frozen=True)
class ArmDifference:
    """An arm less the first one, on the same photos with the same seeds.

    Attributes:
        accuracy: of fractions in [-1, 1].
        log_loss: in nats.
    """

    accuracy: Difference
    log_loss: Difference

    @property
    def verdict(self) -> str:
        """One plain sentence on the accuracy, without a full stop."""
        return verdict(self.accuracy)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as in a row of summary.json."""
        return {
            "difference": self.accuracy.mean,
            "difference_low": self.accuracy.low,
            "difference_high": self.accuracy.high,
            "verdict": self.verdict,
            "loss_difference": self.log_loss.mean,
            "loss_difference_low": self.log_loss.low,
            "loss_difference_high": self.log_loss.high,
            "loss_verdict": loss_verdict(self.log_loss),
        }


@dataclass(frozen=True)
class ArmSummary:
    """The figures of one arm over its seeds.

    Attributes:
        arm: its name.
        accuracy, log_loss, calibration_error: means over the seeds.
        accuracy_low, accuracy_high: of the worst and of the best seed.
        seconds: median of the runs.
        head_objective: mean of what the solver of the head came down to.
        head_seconds: median of what that took.
        kept: for each stage, how many runs kept it.
        against_first: the difference from the first arm; None for the first itself.
    """

    arm: str
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    log_loss: float
    calibration_error: float
    seconds: float | None
    head_objective: float | None
    head_seconds: float | None
    kept: Mapping[str, int]
    against_first: ArmDifference | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as in a row of summary.json."""
        figures = {**vars(self), "kept": dict(self.kept)}
        difference = figures.pop("against_first")
        return figures | (difference.as_dict() if difference else {})


@dataclass(frozen=True)
class Comparison:
    """What came out of `compare`.

    Attributes:
        folder: where the runs, tables and pictures are.
        stage: which stage of each run was judged, "last" or "kept".
        seeds: how many runs each arm had.
        images: how many photos each run was judged on.
        fixed_split: whether every seed judged on the same photos.
        arms: one entry per arm, the first being what the others are measured against.
        notes: sentences that a reader of the figures should know.
        pictures: names of the pictures in the folder.
    """

    folder: Path
    stage: str
    seeds: int
    images: int
    fixed_split: bool
    arms: tuple[ArmSummary, ...]
    notes: tuple[str, ...]
    pictures: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The values of summary.json."""
        return {
            "comparison": str(self.folder),
            "stage": self.stage,
            "seeds": self.seeds,
            "images": self.images,
            "fixed_split": self.fixed_split,
            "arms": [arm.as_dict() for arm in self.arms],
            "notes": list(self.notes),
            "pictures": list(self.pictures),
        }

    def _repr_html_(self) -> str:
        return tabled(_COLUMNS, [_cells(arm) for arm in self.arms], self.notes)

    def as_markdown(self) -> str:
        """The figures as a table, and the notes."""
        head, *rows = [f"| {' | '.join(cells)} |" for cells in (_COLUMNS, *(_cells(arm) for arm in self.arms))]
        return "\n".join([head, "|---" * len(_COLUMNS) + "|", *rows, "", *self.notes]) + "\n"


_COLUMNS = ("arm", "accuracy, mean (range)", "log loss", "calibration error", "seconds", "against the first")


def _cells(arm: ArmSummary) -> list[str]:
    """What a table says of an arm, by `_COLUMNS`."""
    return [
        arm.arm,
        f"{100 * arm.accuracy:.1f} % ({100 * arm.accuracy_low:.1f}–{100 * arm.accuracy_high:.1f})",
        f"{arm.log_loss:.3f}",
        f"{100 * arm.calibration_error:.1f} %",
        "" if arm.seconds is None else f"{arm.seconds:.0f}",
        arm.against_first.verdict if arm.against_first else "",
    ]


def sum_up(folder: Path, stage: str, results: Sequence[ArmResult]) -> Comparison:
    """The figures of all arms, each with a trial of every seed; no picture is drawn yet.

    Raises:
        UsageError: an arm was judged on other photos than the first.
    """
    first = results[0].trials
    fixed = _is_fixed(results[0])
    return Comparison(
        folder=folder,
        stage=stage,
        seeds=len(first),
        images=len(first[0].correct),
        fixed_split=fixed,
        arms=tuple(_summarize(result, results) for result in results),
        notes=tuple(_notes(results, fixed)),
    )


def _summarize(result: ArmResult, results: Sequence[ArmResult]) -> ArmSummary:
    trials = result.trials
    accuracies = [trial.accuracy for trial in trials]
    head = [trial.metrics.stages[0] for trial in trials]
    kept = [trial.metrics.stage for trial in trials]
    return ArmSummary(
        arm=result.arm.name,
        accuracy=statistics.mean(accuracies),
        accuracy_low=min(accuracies),
        accuracy_high=max(accuracies),
        log_loss=statistics.mean(float(trial.losses.mean()) for trial in trials),
        calibration_error=statistics.mean(trial.calibration_error for trial in trials),
        seconds=_of_all(statistics.median, [trial.metrics.seconds for trial in trials]),
        head_objective=_of_all(statistics.mean, [stage.objective for stage in head]),
        head_seconds=_of_all(statistics.median, [stage.solve_seconds for stage in head]),
        kept={name: kept.count(name) for name in dict.fromkeys(kept)},
        against_first=None if result is results[0] else _difference(results[0], result, len(results) - 1),
    )


def _of_all(average: Callable[[Iterable[float]], float], values: Sequence[float | None]) -> float | None:
    """The average of the values; None where an older run does not say what its own is."""
    known = [value for value in values if value is not None]
    return average(known) if len(known) == len(values) else None


def _difference(baseline: ArmResult, challenger: ArmResult, comparisons: int) -> ArmDifference:
    pairs = list(zip(baseline.trials, challenger.trials, strict=True))
    for base, other in pairs:
        if base.fingerprints != other.fingerprints:
            raise UsageError(
                f"{challenger.arm.name} was judged on other photos than {baseline.arm.name}; vary other keys."
            )
    options: dict[str, Any] = {
        "fixed_split": _is_fixed(baseline),
        "train_count": baseline.trials[0].train_count,
        "comparisons": comparisons,
    }
    return ArmDifference(
        accuracy=training_difference([1.0 * b.correct - 1.0 * a.correct for a, b in pairs], **options),
        log_loss=training_difference([b.losses - a.losses for a, b in pairs], **options),
    )


def _is_fixed(result: ArmResult) -> bool:
    return len({trial.fingerprints for trial in result.trials}) == 1


def _notes(results: Sequence[ArmResult], fixed: bool) -> list[str]:
    seeds, photos = len(results[0].trials), len(results[0].trials[0].correct)
    notes = [
        f"{seeds} seeds, judged on {photos:,} photos "
        + ("that are the same for each." if fixed and seeds > 1 else "drawn anew by each." if seeds > 1 else ".")
    ]
    common = most_common(results[0].trials[0].metrics.per_class)
    if common and common.is_far_ahead:
        notes.append(f"The classes are of uneven size: {common.words}.")
    if len(results) > 2:
        chance = 100 * (1 - 0.95 ** (len(results) - 1))
        notes.append(
            f"Intervals are 95 % each; with {len(results) - 1} comparisons, {chance:.0f} % of experiments without any "
            'true difference show one, so "better" and "worse" are said only beyond that.'
        )
    if seeds < 3:
        notes.append("Fewer than three seeds say little about the luck of training.")
    return notes


def draw_pictures(folder: Path, results: Sequence[ArmResult]) -> list[str]:
    """Draws what there is something to show for, and returns the names of the pictures."""
    histories = {
        result.arm.name: [read_history(trial.run.history_file) for trial in result.trials] for result in results
    }
    draw_accuracies(folder / "accuracies.png", {r.arm.name: [t.accuracy for t in r.trials] for r in results})
    if not any(any(runs) for runs in histories.values()):
        return ["accuracies.png"]
    write_curves(folder / "learning_curves.csv", histories)
    draw_curves(folder / "learning_curves.png", histories)
    return ["accuracies.png", "learning_curves.png"]


def write_trials(path: Path, results: Sequence[ArmResult]) -> None:
    """A CSV with one row for each arm and seed."""
    rows = [
        [
            result.arm.name,
            trial.seed,
            trial.stage,
            f"{trial.accuracy:.6f}",
            f"{trial.losses.mean():.6f}",
            f"{trial.calibration_error:.6f}",
            trial.metrics.seconds,
            trial.metrics.stage,
        ]
        for result in results
        for trial in result.trials
    ]
    write_csv(path, ["arm", "seed", "stage", "accuracy", "log_loss", "calibration_error", "seconds", "kept"], rows)
