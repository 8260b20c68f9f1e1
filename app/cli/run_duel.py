"""`regraft compare RUN RUN`: what is asked of two runs, and what is shown of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from regraft.cli.options import edits_of
from regraft.data.wording import in_columns, plural
from regraft.errors import UsageError, visible

if TYPE_CHECKING:
    from regraft.experiments.run_comparison import RunComparison

OPTIONS_OF_RUNS = ("root", "path_column", "label_column", "out", "device", "as_json")
"""The options of `compare` that go with runs, by the names of their parameters."""

_SHOWN = 10


def is_run(source: str) -> bool:
    """Whether there is a run in this folder, finished or not, or an export of one."""
    from regraft.exports.export import kind_of

    return bool(source) and kind_of(Path(source)) is not None


def compare_two_runs(sources: Sequence[str], *, out: Path | None, device: str, as_json: bool) -> None:
    """Compares RUN RUN, or RUN RUN FOLDER, and shows the result.

    Raises:
        UsageError: fewer or more are named, or an option is given that trains.
    """
    import regraft
    from regraft.cli.shown import CommandLineProgress, print_json

    _check_options()
    if len(sources) not in (2, 3):
        raise UsageError(f"Two runs are compared, as in regraft compare RUN RUN [FOLDER]; received {len(sources)}.")
    first, second, *photos = sources
    found = regraft.compare_runs(
        first, second, *photos, set=edits_of(), out=out, device=device, progress=CommandLineProgress()
    )
    if as_json:
        print_json(found.as_dict())
    else:
        show_duel(found)


def _check_options() -> None:
    """Raises UsageError that names the first option on the command line that runs which exist have no use for."""
    context = click.get_current_context()
    for param in context.command.params:
        given = context.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
        if given and param.name not in ("sources", *OPTIONS_OF_RUNS):
            raise UsageError(f"{param.opts[0]} is for training on a FOLDER; two runs are compared as they are.")


def show_duel(found: RunComparison) -> None:
    """How good both are, what became of each photo, the verdict, and the first photos answered differently."""
    for line in (*_how_good(found), "", *_what_of_the_difference(found), "", *_answered_differently(found)):
        click.echo(visible(line))


def _how_good(found: RunComparison) -> list[str]:
    from regraft.cli.shown import accuracy_words

    judged = ((found.first, found.first_metrics), (found.second, found.second_metrics))
    rows = [(str(run), accuracy_words(metrics), f"{metrics.log_loss:.3f}") for run, metrics in judged]
    return in_columns([("", "accuracy", "log loss"), *rows])


def _what_of_the_difference(found: RunComparison) -> list[str]:
    duel = found.duel
    return [
        f"On {plural(duel.images, 'image')} {found.which_images}: {duel.both_right:,} both right, "
        f"{duel.first_alone:,} the first alone, {duel.second_alone:,} the second alone, {duel.neither:,} neither.",
        f"Accuracy: {found.verdict}",
        f"Log loss: {duel.loss_verdict}.",
        *duel.notes,
    ]


def _answered_differently(found: RunComparison) -> list[str]:
    if not found.different:
        return ["They answer every photo alike."]
    rows = [
        (
            each.path,
            each.truth,
            f"{each.first_label} ({each.first_score:.3f})",
            f"{each.second_label} ({each.second_score:.3f})",
        )
        for each in found.different[:_SHOWN]
    ]
    lines = [f"Answered differently: {plural(len(found.different), 'photo')}."]
    lines += in_columns([("path", "truth", "first", "second"), *rows])
    if found.folder is not None:
        return [*lines, "", f"All are in {found.folder}/differences.csv"]
    more = len(found.different) - _SHOWN
    return [*lines, f"And {more:,} more, which --out writes."] if more > 0 else lines
