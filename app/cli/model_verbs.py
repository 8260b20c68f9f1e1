"""Verbs that use a finished run: evaluate, export and predict."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from regraft.cli.options import (
    ANSWERS,
    DEVICE,
    EXPORT_FORMAT,
    JOB,
    JSON,
    LABELS,
    LOOK,
    PATH,
    PHOTOS_MOVED,
    PROVE,
    READING,
    edits_of,
    of_class,
)
from regraft.errors import visible


@click.command(
    epilog='Example: regraft evaluate saved_models/photos-20260101-120000 other_photos/ --require "accuracy>=0.95"'
)
@click.argument("run", type=PATH)
@click.argument("photos", metavar="[FOLDER | TABLE]", type=PATH, required=False)
@LABELS
@click.option(
    "--require",
    multiple=True,
    metavar='"NAME>=NUMBER"',
    help="A figure's bound (>=, >, <=, <): accuracy, accuracy_low, recall.CLASS, log_loss, ...; repeatable.",
)
@click.option("--out", type=PATH, help="Where the files go.  [default: a new folder in RUN/evaluations/]")
@LOOK
@DEVICE
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def evaluate(
    run: Path,
    photos: Path | None,
    require: tuple[str, ...],
    out: Path | None,
    views: str,
    draws: int,
    device: str,
    as_json: bool,
) -> None:
    """Measure RUN on the images it reports on, or on another labelled FOLDER or TABLE.

    With --require the exit code is 1 if a bound is not met, after one line on stderr for each.
    """
    import regraft
    from regraft.cli.shown import CommandLineProgress, print_json, show_evaluation

    evaluation = regraft.evaluate(
        run,
        photos,
        set=edits_of(),
        require=require,
        out=out,
        views=views,
        draws=draws,
        device=device,
        progress=CommandLineProgress(),
    )
    if as_json:
        print_json(evaluation.as_dict())
    else:
        show_evaluation(evaluation)
    if evaluation.unmet:
        for outcome in evaluation.unmet:
            click.echo(visible(f"{outcome.words}."), err=True)
        sys.exit(1)


@click.command(epilog="Example: regraft threshold saved_models/photos-20260101-120000 --recall melanoma=0.95")
@click.argument("run", type=PATH)
@click.argument("folder", metavar="[FOLDER | TABLE]", type=PATH, required=False)
@LABELS
@click.option("--recall", metavar="CLASS=SHARE", help="Find at least this part of the class, with few false alarms.")
@click.option("--precision", metavar="CLASS=SHARE", help="Be right at least this often where the class is named.")
@click.option("--false-alarms", metavar="CLASS=SHARE", help="Name it on at most this part of all other photos.")
@click.option("--clear", is_flag=True, help="Take the decision away: the label is the most probable class again.")
@PHOTOS_MOVED
@DEVICE
@JSON
def threshold(
    run: Path,
    folder: Path | None,
    recall: str | None,
    precision: str | None,
    false_alarms: str | None,
    clear: bool,
    photos: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Find and keep the probability from which on RUN answers a class.

    It is chosen on the selection photos, or on another labelled FOLDER or TABLE, and measured on those that RUN
    reports on.
    """
    import regraft
    from regraft.cli.shown import CommandLineProgress, print_json, show_threshold

    asked = {"recall": recall, "precision": precision, "false_alarms": false_alarms}
    found = regraft.threshold(
        run, folder, clear=clear, photos=photos, set=edits_of(), device=device, progress=CommandLineProgress(),
        **{name: of_class(name, text) for name, text in asked.items()},
    )  # fmt: skip
    if as_json:
        print_json(found.as_dict() if found else {"run": str(run)})
    else:
        show_threshold(run, found)


@click.command(epilog="Example: regraft export saved_models/photos-20260101-120000 --format litert")
@click.argument("run", type=PATH)
@EXPORT_FORMAT
@PHOTOS_MOVED
@PROVE
@click.option(
    "--out",
    type=PATH,
    help="Where it goes.  [default: RUN/exports/FORMAT-PRECISION; a new version in RUN/saved_model]",
)
@click.option("--force", is_flag=True, help="Replace an export that exists.")
@click.option(
    "--tolerance",
    metavar="NUMBER|labels",
    help="How far probabilities may be off, or labels: 99.9 % stay.  [default: by precision; with --best 0.001]",
)
@click.option("--best", is_flag=True, help="Try every format and precision; keep the fastest within --tolerance.")
@DEVICE
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def export(
    run: Path,
    format: str,
    precision: str,
    photos: Path | None,
    prove: str,
    out: Path | None,
    force: bool,
    tolerance: str | None,
    best: bool,
    device: str,
    as_json: bool,
) -> None:
    """Write RUN for another runtime, and prove that it answers photos as the trained model does."""
    import regraft
    from regraft.cli.shown import CommandLineProgress, print_json, show_export

    written = regraft.export(
        run, format, precision=precision, photos=photos, prove=prove, out=out, force=force, device=device,
        tolerance=tolerance, best=best, progress=CommandLineProgress(),
    )  # fmt: skip
    if as_json:
        print_json({"run": str(run), **written.as_dict()})
    else:
        show_export(written)


@click.command(epilog="Example: regraft predict saved_models/photos-20260101-120000 new_photos/ --out answers.csv")
@click.argument("run", metavar="RUN_OR_EXPORT", type=PATH)
@click.argument("images", metavar="INPUTS...", nargs=-1, required=True)
@ANSWERS
@LOOK
@JOB
@READING
@DEVICE
def predict(
    run: Path,
    images: tuple[str, ...],
    out: Path | None,
    top: int,
    all_probabilities: bool,
    embeddings: bool,
    unknown_at: float | None,
    spreadsheet_safe: bool,
    uncertainty: bool,
    views: str,
    draws: int,
    resume: bool,
    force: bool,
    format: str | None,
    shard_rows: int,
    runtime: str,
    precision: str | None,
    tolerance: str,
    engine: str,
    jobs: int,
    column: str,
    root: Path | None,
    null: bool,
    feature: str,
    max_pixels: int,
    max_bytes: int,
    max_memory: str | None,
    no_shrink: bool,
    strict: bool,
    verbose: bool,
    device: str,
) -> None:
    """Answer INPUTS, one row each, in order, whatever happens: a broken photo gets a reason, a kill costs a shard.

    INPUTS are photos, folders, patterns, .zip and .tar archives, .tfrecord shards, .csv, .tsv and .parquet tables of
    paths, .txt lists of paths, or - for a list on stdin.

    The exit code is 0 if a row has an answer, 3 if none has (with --strict: if any has not), 2 for a mistake.
    """
    import regraft
    from regraft.cli.shown import CommandLineProgress, show_prediction

    if out is None:
        sys.stdout.flush()
    summary = regraft.predict(
        run, images, out=out, top=top, all_probabilities=all_probabilities, embeddings=embeddings,
        unknown_at=unknown_at, uncertainty=uncertainty, views=views, draws=draws, resume=resume, force=force,
        format=format, shard_rows=shard_rows, runtime=runtime, precision=precision, tolerance=tolerance, engine=engine,
        jobs=jobs, column=column, root=root, null=null, feature=feature, max_pixels=max_pixels, max_bytes=max_bytes,
        max_memory=max_memory, shrink=not no_shrink, spreadsheet_safe=spreadsheet_safe, verbose=verbose, device=device,
        stdin=sys.stdin, write=_write_bytes if out is None else None, progress=CommandLineProgress(),
    )  # fmt: skip
    show_prediction(summary)
    if summary.all_failed or (strict and summary.some_failed):
        sys.exit(3)


def _write_bytes(data: bytes) -> None:
    """A table as the bytes it is; on a terminal, names are shown instead of obeyed."""
    if sys.stdout.isatty():
        text = data.decode("utf-8", "surrogateescape")
        text = re.sub(r"[^\n\t]+", lambda cells: visible(cells[0]), text)
        data = text.encode("utf-8", "surrogateescape")
    click.echo(data, nl=False)
    sys.stdout.flush()
