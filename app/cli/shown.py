"""What a person sees of a verb: its progress on stderr, its result on stdout."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regraft.data.wording import in_columns, name_some
from regraft.errors import as_options, visible
from regraft.exports.proof_photos import words_for
from regraft.machine.sizes import show_size
from regraft.progress import Shown
from regraft.runs.class_metrics import most_common

if TYPE_CHECKING:
    from regraft.data.check import CheckReport
    from regraft.evidence.metrics import Metrics
    from regraft.experiments.backbone_list import BackboneInfo
    from regraft.experiments.comparison import Comparison
    from regraft.experiments.evaluate import Evaluation
    from regraft.experiments.find_rate import RateSuggestion
    from regraft.experiments.preview import Preview
    from regraft.experiments.threshold import FoundPoint
    from regraft.experiments.trials import ArmResult
    from regraft.exports.export import Export
    from regraft.machine.cache_room import CacheReport
    from regraft.prediction.predict import PredictionSummary
    from regraft.runs.ensemble_figures import AnswerFigures
    from regraft.runs.run_metrics import RunMetrics


_FAR = 0.05
"""How much lower the mean over the classes must be for that where the classes are of like size."""


_NUMBERS = {1, 2, 3, 4, 9}
"""The columns of the table of backbones that hold numbers."""


class CommandLineProgress(Shown):
    """Progress whose sentences name options with their dashes."""

    def words(self, text: str) -> str:
        """`text` with arguments as the command line writes them."""
        return as_options(text)


def print_json(values: Mapping[str, Any]) -> None:
    """One JSON object on stdout."""
    from regraft.machine.files import to_json

    click.echo(visible(to_json(values)))


def show_check(report: CheckReport) -> None:
    """The report on a folder of photos."""
    from regraft.data.check import render

    show(render(report))


def show(renderable: Any) -> None:
    """Prints what rich can render, on stdout."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 110).print(renderable)


def show_training(metrics: RunMetrics) -> None:
    """The table at the end of a training, and what to do next."""
    show(_table(_training_rows(metrics)))
    _show_next(metrics.run)
    if metrics.backbone:
        _say(f"Build on  {_command('train', 'PHOTOS', '--backbone', 'tiny', '--weights', metrics.backbone)}")


def show_backbones(infos: Sequence[BackboneInfo]) -> None:
    """A line for each backbone, without what takes time to import; the rate only where it was measured."""
    rows = [("backbone", "px", "M", "MB", "top-1", "alpha", "licence", "weights", "from", "images/s")]
    rows += [
        (
            info.name,
            str(info.image_size),
            _figure(info.millions),
            _figure(info.megabytes),
            _figure(info.top1),
            "yes" if info.takes_alpha else "-",
            info.license or "unknown",
            info.weights,
            info.source,
            "" if info.images_per_second is None else f"{info.images_per_second:.1f}",
        )
        for info in infos
    ]
    shown = [row if any(rate for *_, rate in rows[1:]) else row[:-1] for row in rows]
    for line in in_columns(shown, _NUMBERS):
        _say(line)


def show_cache(report: CacheReport) -> None:
    """What is in the cache, and what was removed."""
    table = _columns("", "files", "size", "removed", "")
    for part in report.parts:
        removed = f"{part.removed_files:,} ({show_size(part.removed_bytes)})" if part.removed_files else ""
        what = f"{part.what}; in use, so none removed" if part.in_use else part.what
        _add_row(table, part.name, f"{part.files:,}", show_size(part.bytes), removed, what)
    show(table)
    limit = "no limit" if report.limit_bytes is None else f"limit {show_size(report.limit_bytes)}"
    _say("", f"{report.folder}: {show_size(report.bytes)}, {limit}")


def show_preview(preview: Preview) -> None:
    """Where a sheet of augmented photos is, and what is on it."""
    _say(f"{preview.sheet}: {len(preview.photos)} photos, {preview.policy}.")


def show_rate(found: RateSuggestion) -> None:
    """The learning rate that a range test suggests, if it does."""
    picture = f"{found.folder}/learning_rate_range.png"
    if found.suggestion is None:
        _say(f"No suggestion: {found.reason}. See {picture}.")
        return
    _say(f"Try --set optimizer.learning_rate={found.suggestion:.2g}: {found.reason}.")
    _say(f"Look at {picture} first.")


def show_evaluation(evaluation: Evaluation) -> None:
    """What an evaluation came to, and where its files are."""
    from regraft.evidence.metric_table import printed_rows

    metrics = evaluation.metrics
    accuracy = f"{accuracy_words(metrics)} on {metrics.images:,} images {evaluation.which_images}"
    rows = [
        ("accuracy", accuracy),
        *_decision_rows(evaluation.decision),
        *_uneven_rows(metrics),
        *printed_rows(metrics.as_dict()),
    ]
    if asked := len(evaluation.required):
        rows.append(("required", f"{asked - len(evaluation.unmet):,} of {asked:,} met"))
    show(_table(rows))
    _say("", f"Look at   {evaluation.folder}/report.html")


def show_threshold(run: Path, found: FoundPoint | None) -> None:
    """What an operating point does, or that there is none any more."""
    if found is None:
        _say(f"The label of {run} is the most probable class again.")
        return
    chosen, reported, before = found.chosen, found.reported, found.before
    rows = [
        ("label", f'"{found.class_name}" from a probability of {found.at_least:.4g} on, else the best of the others'),
        ("asked for", found.asked),
        ("chosen on", f"{found.chosen_on}, {chosen.recall.photos:,} of them of that class"),
        ("", f"recall {chosen.recall}; false alarms {chosen.false_alarms}"),
        ("reported", f"recall {reported.recall}; before {before.recall}"),
        ("", f"false alarms {reported.false_alarms}; before {before.false_alarms}"),
        ("", f"precision {reported.precision}; before {before.precision}"),
        ("accuracy", f"{100 * found.accuracy:.1f} %; before {100 * found.accuracy_before:.1f} %"),
        ("balanced", f"{100 * found.balanced_accuracy:.1f} %; before {100 * found.balanced_accuracy_before:.1f} %"),
    ]
    show(_table(rows))


def show_export(export: Export) -> None:
    """Where an export is, and how near to the trained model."""
    proof = export.proof
    words = f"agrees with the trained model on {proof.same_label:,} of {proof.images:,} photos"
    _say(f"{export.folder}: {words} (largest difference {proof.largest_difference:.1e}).")
    if proof.reported is not None:
        _say(f"Proven on {proof.proven_on}.")
    if proof.accuracy is not None and proof.accuracy_trained is not None and proof.bytes is not None:
        own, trained = 100 * proof.accuracy, 100 * proof.accuracy_trained
        _say(f"{show_size(proof.bytes)}; accuracy {own:.1f} %, of the trained model {trained:.1f} %.")
        _say(f"Use it    {_command('predict', export.folder, 'PHOTOS')}")


def show_prediction(summary: PredictionSummary) -> None:
    """How many rows have which status, on stderr, as the rows may be on stdout."""
    if not summary.already_finished:
        where = f" in {summary.out}" if summary.out else ""
        counts = ", ".join(f"{count:,} {status}" for status, count in summary.counts.items())
        click.echo(visible(f"{counts}{where}"), err=True)


@contextmanager
def live_comparison() -> Iterator[Callable[[Sequence[ArmResult]], None]]:
    """A function that shows the results so far: a table that is drawn anew on a terminal, elsewhere a line per run."""
    from rich.console import Console
    from rich.live import Live

    if not sys.stderr.isatty():
        yield _say_last_trial
        return
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield lambda results: live.update(_trials_table(results), refresh=True)


def show_comparison(comparison: Comparison) -> None:
    """The table of a comparison, its notes, and where its files are."""
    table = _columns("arm", "accuracy", "range", "log loss", "seconds", "against the first")
    for arm in comparison.arms:
        _add_row(
            table,
            arm.arm,
            f"{100 * arm.accuracy:.1f} %",
            f"{100 * arm.accuracy_low:.1f}-{100 * arm.accuracy_high:.1f}",
            f"{arm.log_loss:.3f}",
            "" if arm.seconds is None else f"{arm.seconds:.1f}",
            arm.against_first.verdict if arm.against_first else "",
        )
    show(table)
    _say("", *comparison.notes)
    _say("", f"Look at   {', '.join(f'{comparison.folder}/{name}' for name in comparison.pictures)}")
    _say(f"As text   {comparison.folder}/summary.md")


def show_ensemble(metrics: RunMetrics) -> None:
    """The members, what they became, whether that is worth its cost, and what to do next."""
    found = metrics.ensemble
    assert found is not None  # the run is one of `ensemble`
    table = _columns("", "share", "accuracy", "log loss", "calibration error")
    for row in found.member_rows:
        _add_row(table, row.name, f"{row.share:.2f}", *_figures(row))
    if found.same_budget:
        _add_row(table, "single model of the same budget", "", *_figures(found.same_budget))
    _add_row(table, "ensemble", "", *_figures(found.figures))
    show(table)
    for name, gain in found.gains.items():
        _say(f"Against the {name}: {gain.words}")
    if uneven := _uneven_rows(metrics):
        show(_table(uneven))
    _say("", found.verdict)
    _show_next(metrics.run)


def accuracy_words(metrics: Metrics | RunMetrics) -> str:
    """Such as "97.4 % (93.5 to 99.0)"."""
    value, low, high = (100 * share for share in (metrics.accuracy, metrics.accuracy_low, metrics.accuracy_high))
    return f"{value:.1f} % ({low:.1f} to {high:.1f})"


def _show_next(run: str) -> None:
    use = _command("predict", run, "PHOTOS", "--out", "answers.csv")
    _say("", f"Look at   {run}/report.html", f"Use it    {use}")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _figures(row: AnswerFigures) -> list[str]:
    return [f"{100 * row.accuracy:.1f} %", f"{row.log_loss:.3f}", f"{100 * row.calibration_error:.1f} %"]


def _say_last_trial(results: Sequence[ArmResult]) -> None:
    result = next(result for result in reversed(results) if len(result.trials) == len(results[0].trials))
    trial = result.trials[-1]
    taken = "" if trial.metrics.seconds is None else f" in {trial.metrics.seconds:.0f} s"
    text = f"{result.arm.name}, seed {trial.seed}: {100 * trial.accuracy:.1f} %{taken}"
    print(visible(text), file=sys.stderr, flush=True)


def _trials_table(results: Sequence[ArmResult]) -> Any:
    table = _columns("arm", *(f"seed {trial.seed}" for trial in results[0].trials), "mean")
    for result in results:
        accuracies = [100 * trial.accuracy for trial in result.trials]
        cells = [f"{value:.1f}" for value in accuracies] + [""] * (len(results[0].trials) - len(accuracies))
        _add_row(table, result.arm.name, *cells, f"{sum(accuracies) / len(accuracies):.1f}" if accuracies else "")
    return table


def _judged_images(metrics: RunMetrics) -> str:
    if metrics.folds:
        return f"{metrics.images:,} images, each judged out of {len(metrics.folds)} folds by a model without it"
    return f"{metrics.images:,} {metrics.reported_on} images"


def _training_rows(metrics: RunMetrics) -> list[tuple[str, str]]:
    phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in metrics.seconds_by_phase.items())
    return [
        ("run", metrics.run),
        ("accuracy", f"{accuracy_words(metrics)} on {_judged_images(metrics)}"),
        *_decision_rows(metrics.decision),
        *_cost_rows(metrics),
        *_uneven_rows(metrics),
        ("stage kept", f"{metrics.stage}: {metrics.stage_reason}"),
        *(("", note) for note in metrics.notes),
        *_export_rows(metrics.export or {}),
        ("seconds", phases if metrics.seconds is None else f"{metrics.seconds:.1f} ({phases})"),
    ]


def _export_rows(export: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where the export is and how near to the trained model, as far as the file says."""
    rows = [("export", export["folder"])] if "folder" in export else []
    if {"images", "largest_difference"} <= set(export):
        difference = f"largest difference {export['largest_difference']:.1e}"
        photos = words_for(export["images"], export.get("reported"), export.get("sample_seed"))
        rows.append(("", f"proven on {photos}, {difference}"))
    return rows


def _uneven_rows(metrics: Metrics | RunMetrics) -> list[tuple[str, str]]:
    """What the accuracy hides: the mean over the classes, those never found, and what is reached without looking."""
    judged = [entry for entry in metrics.per_class if entry.images]
    common = most_common(judged)
    missed = [entry.class_name for entry in judged if entry.recall == 0]
    is_hidden = metrics.accuracy - metrics.balanced_accuracy >= _FAR
    if common is None or not (common.is_far_ahead or is_hidden or missed):
        return []
    never = f"; never found: {name_some(missed)}" if missed else ""
    rows = [("balanced", f"{100 * metrics.balanced_accuracy:.1f} %, the mean over the classes of what is found{never}")]
    return [*rows, ("", common.words)] if common.is_far_ahead or is_hidden else rows


def _decision_rows(words: str) -> list[tuple[str, str]]:
    """How labels are made of probabilities, where they are not the most probable class."""
    return [("label", words)] if words else []


def _cost_rows(metrics: RunMetrics) -> list[tuple[str, str]]:
    """What the answers cost on average, where the recipe says what mistakes cost."""
    cost, plain = metrics.mean_cost, metrics.mean_cost_most_probable
    if cost is None or plain is None:
        return []
    return [("mean cost", f"{cost:.3f}; of the most probable class {plain:.3f}")]


def _columns(*titles: str) -> Any:
    """An empty table with these columns."""
    from rich.table import Table

    return Table(*titles, box=None, padding=(0, 2, 0, 0))


def _table(rows: Sequence[tuple[str, str]]) -> Any:
    """A table of names and values."""
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in rows:
        table.add_row(Text(name, style="bold"), Text(visible(value)))
    return table


def _add_row(table: Any, *cells: str) -> None:
    """Cells as they are: names are text, no markup."""
    from rich.text import Text

    table.add_row(*(Text(visible(cell)) for cell in cells))


def _say(*lines: str) -> None:
    """Lines on stdout."""
    for line in lines:
        print(visible(line))


def _command(verb: str, *words: object) -> str:
    """A command line that can be copied into a shell."""
    return shlex.join(["regraft", verb, *map(str, words)])
