"""What a person sees: progress on stderr, results on stdout. Only this module and `cli` print."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from regraft.errors import as_options
from regraft.progress import Ticker

_SECONDS_BETWEEN_LINES = 10.0


class ConsoleProgress:
    """Draws progress on stderr: a bar on a terminal, a plain line every ten seconds elsewhere."""

    @contextmanager
    def work(self, name: str, total: int, unit: str) -> Iterator[Ticker]:
        """Shows how far `name` is, its rate in `unit` a second and the time left."""
        if sys.stderr.isatty() and total:
            with _bar(name, total, unit) as ticker:
                yield ticker
        else:
            yield _Lines(name, total, unit)

    def say(self, text: str) -> None:
        """One line on stderr."""
        print(as_options(text), file=sys.stderr)


class _Lines:
    def __init__(self, name: str, total: int, unit: str) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.done = 0
        self.started = self.last = time.perf_counter()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        now = time.perf_counter()
        if now - self.last < _SECONDS_BETWEEN_LINES:
            return
        self.last = now
        rate = self.done / (now - self.started)
        left = _clock((self.total - self.done) / rate)
        text = f"{self.name}: {self.done:,}/{self.total:,} {self.unit}, {_per_second(rate)}, {left} left  {note}"
        print(text.rstrip(), file=sys.stderr, flush=True)


class _Bar:
    def __init__(self, progress: Any, task: Any, unit: str) -> None:
        self.progress, self.task, self.unit = progress, task, unit
        self.done = 0
        self.started = time.perf_counter()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        rate = self.done / max(time.perf_counter() - self.started, 1e-9)
        self.progress.update(self.task, advance=count, note=f"{self.unit}, {_per_second(rate)}  {note}")


@contextmanager
def _bar(name: str, total: int, unit: str) -> Iterator[Ticker]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bar(progress, progress.add_task(name, total=total, note=unit), unit)


def show(renderable: Any) -> None:
    """Prints what rich can render, on stdout."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 110).print(renderable)


def show_training(summary: Mapping[str, Any]) -> None:
    """The table at the end of a training, and what to do next."""
    show(_table(_training_rows(summary)))
    run = summary["run"]
    print(f"\nLook at   {run}/report.html\nUse it    regraft predict {run} PHOTOS --out answers.csv")
    if backbone := summary.get("backbone"):
        print(f"Build on  regraft train PHOTOS --backbone tiny --weights {backbone}")


def show_evaluation(summary: Mapping[str, Any]) -> None:
    """What an evaluation came to, and where its files are."""
    from regraft.evidence.metric_table import printed_rows

    accuracy = f"{accuracy_words(summary)} on {summary['images']:,} images {summary['which_images']}"
    show(_table([("accuracy", accuracy), *printed_rows(summary)]))
    print(f"\nLook at   {summary['evaluation']}/report.html")


@contextmanager
def live_comparison() -> Iterator[Callable[[Sequence[Any]], None]]:
    """A function that shows the results so far: on a terminal one table that is drawn anew, elsewhere a line a run."""
    from rich.console import Console
    from rich.live import Live

    if not sys.stderr.isatty():
        yield _say_last_trial
        return
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield lambda results: live.update(_trials_table(results), refresh=True)


def show_comparison(summary: Mapping[str, Any]) -> None:
    """The table of a comparison, its notes, and where its files are."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("arm", "accuracy", "range", "log loss", "seconds", "against the first"):
        table.add_column(title)
    for row in summary["arms"]:
        low, high = 100 * row["accuracy_low"], 100 * row["accuracy_high"]
        table.add_row(
            row["arm"],
            f"{100 * row['accuracy']:.1f} %",
            f"{low:.1f}-{high:.1f}",
            f"{row['log_loss']:.3f}",
            f"{row['seconds']:.1f}",
            row.get("verdict", ""),
        )
    show(table)
    print("", *summary["notes"], sep="\n")
    folder = summary["comparison"]
    print(f"\nLook at   {', '.join(f'{folder}/{name}' for name in summary['pictures'])}")
    print(f"As text   {folder}/summary.md")


def show_ensemble(summary: Mapping[str, Any]) -> None:
    """The members, what they became, whether that is worth its cost, and what to do next."""
    from rich.table import Table

    facts = summary["ensemble"]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("", "share", "accuracy", "log loss", "calibration error"):
        table.add_column(title)
    for row in facts["member_rows"]:
        table.add_row(row["name"], f"{row['share']:.2f}", *_figures(row))
    if facts["same_budget"]:
        table.add_row("single model of the same budget", "", *_figures(facts["same_budget"]))
    table.add_row("ensemble", "", *_figures(facts["ensemble"]))
    show(table)
    for name, gain in facts["gains"].items():
        print(f"Against the {name}: {gain['words']}")
    print(f"\n{facts['verdict']}")
    run = summary["run"]
    print(f"\nLook at   {run}/report.html\nUse it    regraft predict {run} PHOTOS --out answers.csv")


def _figures(row: Mapping[str, float]) -> list[str]:
    return [f"{100 * row['accuracy']:.1f} %", f"{row['log_loss']:.3f}", f"{100 * row['calibration_error']:.1f} %"]


def _say_last_trial(results: Sequence[Any]) -> None:
    result = next(result for result in reversed(results) if len(result.trials) == len(results[0].trials))
    trial = result.trials[-1]
    text = f"{result.arm.name}, seed {trial.seed}: {100 * trial.accuracy:.1f} % in {trial.metrics.seconds:.0f} s"
    print(text, file=sys.stderr, flush=True)


def _trials_table(results: Sequence[Any]) -> Any:
    from rich.table import Table

    table = Table("arm", *(f"seed {trial.seed}" for trial in results[0].trials), "mean", box=None, padding=(0, 2, 0, 0))
    for result in results:
        accuracies = [100 * trial.accuracy for trial in result.trials]
        cells = [f"{value:.1f}" for value in accuracies] + [""] * (len(results[0].trials) - len(accuracies))
        table.add_row(result.arm.name, *cells, f"{sum(accuracies) / len(accuracies):.1f}" if accuracies else "")
    return table


def accuracy_words(summary: Mapping[str, Any]) -> str:
    """Such as "97.4 % (93.5 to 99.0)"."""
    value, low, high = (100 * summary[key] for key in ("accuracy", "accuracy_low", "accuracy_high"))
    return f"{value:.1f} % ({low:.1f} to {high:.1f})"


def show_export(summary: Mapping[str, Any]) -> None:
    """Where an export is, and how near to the trained model."""
    words = f"agrees with the trained model on {summary['same_label']:,} of {summary['images']:,} photos"
    print(f"{summary['folder']}: {words} (largest difference {summary['largest_difference']:.1e}).")
    if "accuracy" in summary:
        own, trained = 100 * summary["accuracy"], 100 * summary["accuracy_trained"]
        print(f"{summary['bytes'] / 1e6:.1f} MB; accuracy {own:.1f} %, of the trained model {trained:.1f} %.")
        print(f"Use it    regraft predict {summary['folder']} PHOTOS")


def _training_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in summary["seconds_by_phase"].items())
    rows = [
        ("run", summary["run"]),
        ("accuracy", f"{accuracy_words(summary)} on {summary['images']:,} {summary['reported_on']} images"),
        ("stage kept", f"{summary['stage']}: {summary['stage_reason']}"),
    ]
    rows += [("", note) for note in summary["notes"]]
    export = summary["export"]
    proof = f"agrees on {export['images']:,} photos, largest difference {export['largest_difference']:.1e}"
    return [
        *rows,
        ("export", f"{export['folder']}\n{proof}"),
        ("seconds", f"{summary['seconds']:.1f} ({phases})"),
    ]


def _table(rows: Sequence[tuple[str, str]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in rows:
        table.add_row(Text(name, style="bold"), Text(value))
    return table


def _per_second(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
