"""`compare`: the same photos, the same seeds, different recipes – and whether the difference means anything."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from regraft.errors import RegraftError, RunError, UsageError
from regraft.evidence.curves import draw_accuracies, draw_curves, write_curves
from regraft.evidence.losses import losses_of
from regraft.evidence.metrics import measure
from regraft.evidence.paired import paired_difference, verdict
from regraft.machine.files import write_csv, write_json, write_text
from regraft.progress import Progress, Silent
from regraft.recipes.arms import Arm
from regraft.recipes.recipe import Recipe, edit_recipe
from regraft.runs.history import read_history
from regraft.runs.roster import read_roster
from regraft.runs.run import Run, new_run, read_json
from regraft.runs.run_metrics import RunMetrics
from regraft.training.many_runs import train_run
from regraft.training.session import Request, resolve

STAGES = ("last", "kept")
Show = Callable[[Sequence["ArmResult"]], None]


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        request: source, device and the recipe that all arms share; its seed is the first one.
        arms: the ways of training, the baseline first.
        seeds: how many.
        stage: "last" judges what came out of the last stage (the fine-tuned network, where there is one), "kept" what
            the run would have kept.
        out: the folder of the comparison.
        resume: go on with the one that is there.
    """

    request: Request
    arms: Sequence[Arm]
    seeds: int
    stage: str = "last"
    out: Path | None = None
    resume: bool = False


@dataclass(frozen=True)
class Trial:
    """One run of an arm: what it answered for each photo that was judged, and what it took."""

    run: Run
    seed: int
    stage: str
    fingerprints: tuple[str, ...]
    correct: np.ndarray
    losses: np.ndarray
    calibration_error: float
    train_count: int
    metrics: RunMetrics

    @property
    def accuracy(self) -> float:
        """Part of the photos it got right."""
        return float(self.correct.mean())


@dataclass
class ArmResult:
    """The trials of one arm so far, in the order of the seeds."""

    arm: Arm
    trials: list[Trial] = field(default_factory=list)


def compare(plan: Plan, progress: Progress | None = None, show: Show = lambda results: None) -> dict[str, Any]:
    """Trains every arm with every seed and says for which differences there is evidence. Returns summary.json's values.

    The seeds are those of the recipe and the ones after it. In one seed, every arm has the same split and sees the
    photos in the same order; arms take turns. Finished runs are kept, and are not repeated with `resume`.

    Args:
        plan: what is compared.
        progress: who is told.
        show: called with the results after each run.

    Raises:
        RegraftError: an arm cannot be trained (before anything is), or a run failed.
    """
    progress = progress or Silent()
    recipes = [resolve(arm_recipe(plan.request, arm)) for arm in plan.arms]
    _check(plan, recipes)
    folder = _open_folder(plan)
    results = [ArmResult(arm) for arm in plan.arms]
    with progress.work("compare", len(plan.arms) * plan.seeds, "runs") as ticker:
        for seed in range(plan.request.recipe.seed, plan.request.recipe.seed + plan.seeds):
            for result in results:
                result.trials.append(_trial(plan, folder, result.arm, seed))
                ticker.advance(note=f"{result.arm.name}, seed {seed}: {100 * result.trials[-1].accuracy:.1f} %")
                show(results)
    return _finish(plan, folder, results)


def arm_recipe(request: Request, arm: Arm) -> Recipe:
    """The shared recipe with the arm's changes. Raises UsageError where they do not fit."""
    try:
        return edit_recipe(request.recipe, arm.edits)
    except UsageError as error:
        raise UsageError(f"{arm.name}: {error}") from None


def _check(plan: Plan, recipes: Sequence[Recipe]) -> None:
    if plan.seeds < 1:
        raise UsageError(f"--seeds must be at least 1; received {plan.seeds}.")
    if plan.stage not in STAGES:
        raise UsageError(f'--stage must be last or kept; received "{plan.stage}".')
    if ":" in plan.request.device:
        raise UsageError(f"--device must be auto, cpu, gpu or tpu to compare; received {plan.request.device}.")
    if any("seed" in arm.edits for arm in plan.arms):
        raise UsageError("The seed cannot be varied: every arm is trained with each of the --seeds.")
    if plan.stage == "last" and len({recipe.finetune.epochs > 0 for recipe in recipes}) > 1:
        raise UsageError("Some arms fine-tune and some do not; add --stage kept to compare what each would keep.")


def _open_folder(plan: Plan) -> Path:
    """The folder of the comparison, new or, to resume, as it was left by the same plan."""
    described = {
        "source": plan.request.source,
        "recipe": plan.request.recipe.to_toml(),
        "arms": [{"name": arm.name, "edits": dict(arm.edits)} for arm in plan.arms],
        "seeds": plan.seeds,
        "stage": plan.stage,
    }
    if plan.resume:
        if plan.out is None or not (plan.out / "plan.json").is_file():
            raise RunError("--resume needs --out with the folder of a comparison.")
        if read_json(plan.out / "plan.json") != json.loads(json.dumps(described)):
            raise RunError(f"{plan.out} is a comparison of something else; choose another --out.")
        return plan.out
    name = f"compare-{Path(plan.request.source).name.replace(':', '-') or 'photos'}"
    folder = new_run(plan.out, name).folder
    try:
        folder.mkdir(parents=True)
        write_json(folder / "plan.json", described)
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror}.") from None
    return folder


def _trial(plan: Plan, folder: Path, arm: Arm, seed: int) -> Trial:
    run = Run(folder / "runs" / arm.slug / f"seed-{seed}")
    if not run.is_finished:
        try:
            _train(plan, arm, run, seed)
        except RegraftError as error:
            raise type(error)(f"{arm.name}, seed {seed}: {error} Then go on with --resume --out {folder}.") from error
    return read_trial(run, seed, plan.stage)


def _train(plan: Plan, arm: Arm, run: Run, seed: int) -> None:
    recipe = arm_recipe(plan.request, arm).model_copy(update={"seed": seed})
    train_run(plan.request.trial(recipe, run.folder))


def read_trial(run: Run, seed: int, stage: str) -> Trial:
    """What a finished run of a comparison answered. Raises RunError where its files are damaged."""
    try:
        with np.load(run.stages_file) as arrays:
            index = int(arrays["kept"]) if stage == "kept" else len(arrays["names"]) - 1
            probabilities, truth = arrays["probabilities"][index], arrays["truth"]
            name, fingerprints = str(arrays["names"][index]), tuple(arrays["fingerprints"].tolist())
    except (OSError, KeyError, ValueError, EOFError) as error:
        raise RunError(f"{run.stages_file} is damaged; delete {run.folder} and compare again.") from error
    with np.errstate(divide="ignore"):
        losses = losses_of(np.log(np.maximum(probabilities, 1e-12)), truth)
    return Trial(
        run=run,
        seed=seed,
        stage=name,
        fingerprints=fingerprints,
        correct=probabilities.argmax(axis=1) == truth,
        losses=losses,
        calibration_error=measure(truth, probabilities, run.class_names).calibration_error,
        train_count=sum(row.role == "fit" for row in read_roster(run.roster_file)),
        metrics=run.metrics,
    )


def _finish(plan: Plan, folder: Path, results: Sequence[ArmResult]) -> dict[str, Any]:
    rows = summarize(results)
    fixed = _is_fixed(results[0])
    drawn = _draw(folder, results)
    summary = {
        "comparison": str(folder),
        "stage": plan.stage,
        "seeds": plan.seeds,
        "images": len(results[0].trials[0].correct),
        "fixed_split": fixed,
        "arms": rows,
        "notes": _notes(plan, results, fixed),
        "pictures": drawn,
    }
    _write_trials(folder / "comparison.csv", results)
    write_text(folder / "summary.md", markdown(summary))
    write_json(folder / "summary.json", summary)
    return summary


def summarize(results: Sequence[ArmResult]) -> list[dict[str, Any]]:
    """One row an arm, of plain values: its figures over the seeds, and its difference from the first arm."""
    comparisons = max(len(results) - 1, 1)
    rows = []
    for result in results:
        trials = result.trials
        accuracies = [trial.accuracy for trial in trials]
        head = [trial.metrics.stages[0] for trial in trials]
        row: dict[str, Any] = {
            "arm": result.arm.name,
            "accuracy": statistics.mean(accuracies),
            "accuracy_low": min(accuracies),
            "accuracy_high": max(accuracies),
            "log_loss": statistics.mean(float(trial.losses.mean()) for trial in trials),
            "calibration_error": statistics.mean(trial.calibration_error for trial in trials),
            "seconds": statistics.median(trial.metrics.seconds for trial in trials),
            "head_objective": statistics.mean(stage.objective for stage in head),
            "head_seconds": statistics.median(stage.solve_seconds for stage in head),
            "kept": {name: sum(t.metrics.stage == name for t in trials) for name in {t.metrics.stage for t in trials}},
        }
        if result is not results[0]:
            row |= _against(results[0], result, comparisons)
        rows.append(row)
    return rows


def _against(baseline: ArmResult, challenger: ArmResult, comparisons: int) -> dict[str, Any]:
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
    accuracy = paired_difference([1.0 * b.correct - 1.0 * a.correct for a, b in pairs], **options)
    loss = paired_difference([b.losses - a.losses for a, b in pairs], **options)
    return {
        "difference": accuracy.mean,
        "difference_low": accuracy.low,
        "difference_high": accuracy.high,
        "verdict": verdict(accuracy),
        "loss_difference": loss.mean,
        "loss_difference_low": loss.low,
        "loss_difference_high": loss.high,
        "loss_verdict": verdict(loss, unit="nats", scale=1.0, digits=3, lower_is_better=True),
    }


def _is_fixed(result: ArmResult) -> bool:
    return len({trial.fingerprints for trial in result.trials}) == 1


def _notes(plan: Plan, results: Sequence[ArmResult], fixed: bool) -> list[str]:
    photos = len(results[0].trials[0].correct)
    notes = [
        f"{plan.seeds} seeds, judged on {photos:,} photos "
        + (
            "that are the same for each."
            if fixed and plan.seeds > 1
            else "drawn anew by each."
            if plan.seeds > 1
            else "."
        )
    ]
    if len(results) > 2:
        chance = 100 * (1 - 0.95 ** (len(results) - 1))
        notes.append(
            f"Intervals are 95 % each; with {len(results) - 1} comparisons, {chance:.0f} % of experiments without any "
            'true difference show one, so "better" and "worse" are said only beyond that.'
        )
    if plan.seeds < 3:
        notes.append("Fewer than three seeds say little about the luck of training.")
    return notes


def _draw(folder: Path, results: Sequence[ArmResult]) -> list[str]:
    """The pictures there is something to show for."""
    histories = {
        result.arm.name: [read_history(trial.run.history_file) for trial in result.trials] for result in results
    }
    draw_accuracies(folder / "accuracies.png", {r.arm.name: [t.accuracy for t in r.trials] for r in results})
    if not any(any(runs) for runs in histories.values()):
        return ["accuracies.png"]
    write_curves(folder / "learning_curves.csv", histories)
    draw_curves(folder / "learning_curves.png", histories)
    return ["accuracies.png", "learning_curves.png"]


def _write_trials(path: Path, results: Sequence[ArmResult]) -> None:
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


def markdown(summary: Mapping[str, Any]) -> str:
    """The comparison as a Markdown table and its notes."""
    lines = [
        "| arm | accuracy, mean (range) | log loss | calibration error | seconds | against the first |",
        "|---|---|---|---|---|---|",
    ]
    for row in summary["arms"]:
        accuracy = f"{100 * row['accuracy']:.1f} % ({100 * row['accuracy_low']:.1f}–{100 * row['accuracy_high']:.1f})"
        cells = [row["arm"], accuracy, f"{row['log_loss']:.3f}", f"{100 * row['calibration_error']:.1f} %"]
        lines.append(f"| {' | '.join(cells)} | {row['seconds']:.0f} | {row.get('verdict', '')} |")
    return "\n".join([*lines, "", *summary["notes"]]) + "\n"
