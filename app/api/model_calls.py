"""What a trained model is used for: load, predict, evaluate, threshold and export."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from regraft.api.argument_types import check_range
from regraft.api.arguments import (
    OfClass,
    PathLike,
    as_bytes,
    as_maybe_path,
    as_names,
    as_progress,
    as_text,
    finished_run,
    folder_of,
    public,
    start_tensorflow_for,
)
from regraft.errors import UsageError, option
from regraft.machine.signals import saying_how_to_go_on
from regraft.machine.untouched import OPENING_SECONDS, untouched
from regraft.progress import Progress

if TYPE_CHECKING:
    from regraft.experiments.evaluate import Evaluation
    from regraft.experiments.threshold import FoundPoint
    from regraft.exports.export import Export
    from regraft.prediction.model import Model
    from regraft.prediction.model_choice import Asked
    from regraft.prediction.predict import PredictionSummary
    from regraft.runs.run import Run


@public
def load(source: PathLike | Run, *, runtime: str = "auto", precision: str | None = None, device: str = "auto") -> Model:
    """The trained model of a run, or of an export, opened to answer photos. It may be used from many threads.

    Opening waits while another thread is in a call of Regraft that runs alone, such as `train`, for up to 5 minutes.

    Args:
        source: the folder of a run or of an export, or a `Run`.
        runtime: "tensorflow", "litert", "onnx" or "openvino"; "auto" takes what the run was exported for and starts
            fastest, else its Keras model.
        precision: of the export.
        device: anything but "auto" and "cpu" needs TensorFlow.

    Raises:
        RunError: neither a run nor an export is there, or it is damaged.
        UsageError: nothing was exported for that runtime or precision, or it is not installed; or another thread was
            in such a call for longer.
    """
    with untouched("load", patience_seconds=OPENING_SECONDS):
        from regraft.prediction.model import open_model

        return open_model(folder_of(source), runtime=runtime, precision=precision, device=device)


@public
def predict(
    model: PathLike | Run | Model,
    inputs: PathLike | Sequence[PathLike],
    *,
    out: PathLike | None = None,
    top: int = 5,
    all_probabilities: bool = False,
    embeddings: bool = False,
    unknown_at: float | None = None,
    uncertainty: bool = False,
    views: str = "one",
    draws: int = 0,
    resume: bool = False,
    force: bool = False,
    format: str | None = None,
    shard_rows: int = 1024,
    runtime: str = "auto",
    precision: str | None = None,
    tolerance: float | str = 1e-3,
    engine: str = "local",
    jobs: int = 0,
    column: str = "path",
    root: PathLike | None = None,
    null: bool = False,
    feature: str = "image/encoded",
    max_pixels: int = 178_956_970,
    max_bytes: int = 1 << 30,
    max_memory: int | str | None = None,
    shrink: bool = True,
    spreadsheet_safe: bool = False,
    verbose: bool = False,
    device: str = "auto",
    stdin: Iterable[str] = (),
    write: Callable[[bytes], object] | None = None,
    progress: bool | Progress = True,
) -> PredictionSummary:
    """Writes one row for each input to `out`, in input order, whatever happens, and returns how many have which status.

    Nothing is raised for inputs that cannot be answered: see `PredictionSummary.all_failed` and `some_failed`. For
    answers in memory see `Model.predict`.

    Args:
        model: a run, an export, or an open `Model`, which stands for its folder with the runtime, precision and device
            that `load` was given.
        inputs: photos, folders, patterns, archives, tables of paths, TFRecord shards, or "-" for the lines of `stdin`.
        out: a .csv, .jsonl or .parquet file, or a folder of shards.
        top: how many labels a row names.
        all_probabilities: adds a column for each class.
        embeddings: adds the features that the head answers by.
        unknown_at: answers "unknown" where the classes leave doubt, so that at most this part of the answers to photos
            like those it reports on is wrong; it does not see that a picture shows none of them.
        uncertainty: adds entropy, and how far the members of an ensemble disagree.
        views: "one", "flip", "five", "ten" or "scales": how many views of a photo are averaged.
        draws: of the regularizers' noise, averaged.
        resume: goes on with an `out` that was begun.
        force: begins `out` anew, over answers that are there.
        format: of a folder's shards: "csv", "jsonl" or "parquet".
        shard_rows: inputs per shard; a kill costs at most that many.
        runtime: what computes; "auto" takes the fastest installed that the run was exported for.
        precision: of the export that answers.
        tolerance: how far the probabilities of what "auto" takes may be from the trained model's, or "labels": at least
            99.9 % of the photos the run reports on keep their label, however far the probabilities are.
        engine: "local" or "ray".
        jobs: workers of a local Ray; 0 is one per core.
        column, root, null, feature: how tables, lists and shards are read, see
            `regraft.prediction.sources.kind.Reading`.
        max_pixels, max_bytes: a larger photo has the status "too_large".
        max_memory: bytes, or such as "4G", that photos on their way to the network may hold; by default half of what
            is free.
        shrink: whether photos that are much too large are shrunk while they are decoded.
        spreadsheet_safe: CSV cells that a spreadsheet would run as formulas begin with an apostrophe.
        verbose: names each file that gets no row, such as a text among the photos of a folder.
        device: anything but "auto" and "cpu" needs TensorFlow.
        stdin: the lines that "-" stands for.
        write: takes the table piece by piece, in the place of `out`.
        progress: a bar (True), silence (False), or an object with the methods of `regraft.Progress`.

    Raises:
        UsageError, RunError: the model, the inputs, `out` or an option are not as they must be.
    """
    from regraft.data.photos import MOST_PIXELS, Limits
    from regraft.exports.tolerance import check_tolerance
    from regraft.inference.trained import Look
    from regraft.prediction.answerer import Wanted
    from regraft.prediction.model_choice import Asked
    from regraft.prediction.predict import Options, predict_to_pipe
    from regraft.prediction.predict import predict as predict_files
    from regraft.prediction.sources.kind import Reading

    check_range(1, top=top, shard_rows=shard_rows, max_bytes=max_bytes)
    check_range(1, MOST_PIXELS, max_pixels=max_pixels)
    check_range(0, jobs=jobs)
    tolerance = check_tolerance(tolerance)
    asked = _asked_of(model, Asked(runtime, precision, device))
    wanted = Wanted(Look(views, draws, members=uncertainty), embeddings, Limits(max_pixels, max_bytes), shrink=shrink)
    reading = Reading(column, as_text(root), null, feature, as_bytes("max_memory", max_memory))
    options = Options(
        wanted, reading, **vars(asked), tolerance=tolerance, top=top, probabilities=all_probabilities,
        unknown_at=unknown_at, format=format, resume=resume, force=force, spreadsheet_safe=spreadsheet_safe,
        verbose=verbose, shard_rows=shard_rows, engine=engine, jobs=jobs,
    )  # fmt: skip
    names = as_names(inputs)
    with untouched("predict"):
        if write:
            return predict_to_pipe(folder_of(model), names, write, options, stdin=stdin, progress=as_progress(progress))
        if out is None:
            raise UsageError(f"regraft.predict writes a table: give {option('out')}. model.predict answers in memory.")
        with saying_how_to_go_on(f"go on with the same command and --resume{' instead of --force' if force else ''}"):
            return predict_files(
                folder_of(model), names, Path(out), options, stdin=stdin, progress=as_progress(progress)
            )


def _asked_of(model: PathLike | Run | Model, asked: Asked) -> Asked:
    """What computes: as `load` was asked where the model is open, else as is asked here."""
    opened: Asked | None = getattr(model, "asked", None)
    if opened is None or asked == opened:
        return asked
    if asked != type(asked)():
        arguments = ", ".join(map(option, vars(asked)))
        raise UsageError(f"{model!r} is open already; leave {arguments} out, or name its folder.")
    return opened


@public
def evaluate(
    run: PathLike | Run | Model,
    photos: PathLike | None = None,
    *,
    out: PathLike | None = None,
    views: str = "one",
    draws: int = 0,
    device: str = "auto",
    progress: bool | Progress = True,
) -> Evaluation:
    """Measures a run on the photos it reports on, or on another labelled folder, and writes what it found.

    Args:
        run: finished.
        photos: another labelled folder; photos that the run was trained on are left out.
        out: where the files go; by default a new folder in the run's `evaluations/`.
        views, draws: see `predict`.
        device: see `train`.
        progress: a bar (True), silence (False), or an object with the methods of `regraft.Progress`.

    Raises:
        RunError, FolderError: the run or the folder cannot be used.
    """
    from regraft.inference.trained import Look

    look = Look(views, draws)
    with untouched("evaluate"):
        folder = start_tensorflow_for(run)
        from regraft.experiments.evaluate import evaluate as measure

        others, target = as_maybe_path(photos), as_maybe_path(out)
        return measure(folder, others, as_progress(progress), device=device, out=target, look=look)


@public
def export(
    run: PathLike | Run | Model,
    format: str = "saved_model",
    *,
    precision: str = "float32",
    photos: PathLike | None = None,
    prove: str = "sample",
    out: PathLike | None = None,
    force: bool = False,
    device: str = "auto",
    tolerance: float | str | None = None,
    best: bool = False,
    progress: bool | Progress = True,
) -> Export:
    """Writes a run for another runtime, proven on the photos it reports on to answer as the trained model does.

    Args:
        run: finished.
        format: "saved_model", "litert", "onnx" or "openvino".
        precision: "float32", "float16", "bfloat16" or "int8", as far as the format has it.
        photos: where the photos lie now, if they moved.
        prove: "sample" proves it on up to 500 reported photos, drawn by class if there are more; "all" on all.
        out: the export's folder; by default one in the run's `exports/`, or a new version in its `saved_model/`.
        force: replaces an export that exists.
        device: that answers for the trained model.
        tolerance: how far its probabilities may be from the trained model's, or "labels": at least 99.9 % of the photos
            keep their label; by default what the precision is held to.
        best: writes, proves and times every precision of LiteRT, ONNX and OpenVINO that can be written here, says what
            it tried, and keeps the fastest one within `tolerance`, by default 0.001.
        progress: a bar (True), silence (False), or an object with the methods of `regraft.Progress`.

    Raises:
        UsageError, RunError: format, precision or run cannot be used, or `out` exists.
        ExportError: the export does not do what the model does; nothing is left of it.
    """
    with untouched("export"):
        folder = finished_run(run)
        from regraft.exports.proof_photos import ProveOn
        from regraft.exports.runtimes import check_format
        from regraft.exports.tolerance import check_tolerance

        held_to = None if tolerance is None else check_tolerance(tolerance)
        proven_on = ProveOn(as_maybe_path(photos), prove)
        if best:
            _check_is_alone(format, precision, out, force)
            start_tensorflow_for(folder)
            from regraft.prediction.best_export import export_best

            return export_best(
                folder, photos=proven_on, device=device, tolerance=held_to, progress=as_progress(progress)
            ).export
        check_format(format, precision)
        start_tensorflow_for(folder)
        from regraft.exports.exporting import export_run

        return export_run(
            folder, format, precision=precision, photos=proven_on, out=as_maybe_path(out), force=force,
            device=device, tolerance=held_to, progress=as_progress(progress),
        )  # fmt: skip


@public
def threshold(
    run: PathLike | Run | Model,
    choose_on: PathLike | None = None,
    *,
    recall: OfClass | None = None,
    precision: OfClass | None = None,
    false_alarms: OfClass | None = None,
    clear: bool = False,
    photos: PathLike | None = None,
    device: str = "auto",
    progress: bool | Progress = True,
) -> FoundPoint | None:
    """Answers one class from the probability on that gives what is asked for, and says what that does.

    It is found on the run's selection photos and measured on those it reports on. `predict`, `load` and `evaluate` of
    the run follow it from then on; exports hold what was in force when they were made, so they are to be made anew.

    Args:
        run: finished.
        choose_on: a labelled folder to choose on instead, for a run without selection photos; photos that the run
            knows are left out.
        recall: of a class, at least, such as {"melanoma": 0.95}: with as few false alarms as that allows.
        precision: of a class, at least: with as much of it found as that allows.
        false_alarms: of a class, at most this part of all other photos: with as much of it found as that allows.
        clear: takes the decision of the run away instead, that of its recipe's costs too, and returns None.
        photos: where the photos of the run lie now, if they moved.
        device: see `train`.
        progress: a bar (True), silence (False), or an object with the methods of `regraft.Progress`.

    Raises:
        UsageError: not exactly one thing is asked for, or nothing gives it.
        RunError, FolderError: the run or a folder cannot be used, or the run has learned from its selection photos.
    """
    asked = {"recall": recall, "precision": precision, "false_alarms": false_alarms}
    if clear and any(map(bool, asked.values())):
        raise UsageError(f"{option('clear', True)} takes the decision away; leave {', '.join(map(option, asked))} out.")
    with untouched("threshold"):
        from regraft.experiments.threshold import clear_threshold, find_threshold

        if clear:
            clear_threshold(folder_of(run), as_progress(progress))
            return None
        folder, others, moved = finished_run(run), as_maybe_path(choose_on), as_maybe_path(photos)
        return find_threshold(folder, asked, as_progress(progress), choose_on=others, photos=moved, device=device)


def _check_is_alone(format: str, precision: str, out: PathLike | None, force: bool) -> None:
    """Raises UsageError where something is asked for that `best` decides."""
    if (format, precision, out, force) != ("saved_model", "float32", None, False):
        others = ", ".join(map(option, ("format", "precision", "out", "force")))
        raise UsageError(f"{option('best', True)} tries every format and precision and says where; leave {others} out.")
