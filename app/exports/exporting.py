"""From a run to an export that is proven to answer photos as the run does, in every format."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regraft.data.records import Record
from regraft.errors import RunError, UsageError, option
from regraft.evidence.decision import decision_of
from regraft.exports.card import model_card
from regraft.exports.export import CARD, Export, digest_model
from regraft.exports.format import Format
from regraft.exports.place import Place
from regraft.exports.proof import Bound, answers_of, answers_of_trained, check_proof, float_error_of, proof_records
from regraft.exports.proof_photos import ProveOn, choose_proof_photos
from regraft.exports.runtimes import check_format
from regraft.exports.tolerance import LABELS, LEAST_KEPT, Tolerance
from regraft.inference.trained import TrainedModel, open_trained
from regraft.machine.drafts import draft_of
from regraft.machine.files import making_folder, write_text
from regraft.machine.plain_names import plain_name
from regraft.machine.quiet import STDERR, STDOUT, swallowed
from regraft.progress import Progress
from regraft.runs.run import Run, open_run

if TYPE_CHECKING:
    import keras

_CALIBRATION_PHOTOS = 200


def export_run(
    run: Path,
    format: str = "saved_model",
    *,
    precision: str = "float32",
    photos: ProveOn | None = None,
    out: Path | None = None,
    force: bool = False,
    device: str = "auto",
    tolerance: Tolerance | None = None,
    progress: Progress,
) -> Export:
    """A finished run as an export, proven on photos that the run reports on.

    Args:
        run: its folder.
        format: a key of `regraft.exports.table.FORMATS`.
        precision: one that the format has.
        photos: which of them; by default `ProveOn()`.
        out: the export's folder, by default one in the run's `exports`. Of a SavedModel the folder of its versions, by
            default the run's `saved_model`, which gets one more.
        force: replace an export that exists; a SavedModel never does.
        device: that answers for the trained model, see `open_device`.
        tolerance: what the export is held to, instead of what its precision is; a SavedModel has its own.
        progress: who is told.

    Raises:
        UsageError: there is no such format or precision, or what it takes is not installed; `out` exists, or holds
            what is not of an export.
        RunError: there is no finished run, none of its photos are left to prove the export on, or another process is
            writing the same export.
        ExportError: the export does not do what the model does; nothing is left of it.
    """
    if open_run(run).metrics.folds:
        progress.say(
            f"{run} was judged in folds: the accuracies of this export are on photos that it has learned from."
        )
    photos = photos or ProveOn()
    form = check_format(format, precision)
    if form.exporter:
        if tolerance is not None:
            raise UsageError(f"{option('tolerance')} is for other formats; a {form.name} has to be the model itself.")
        return form.exporter(run, photos=photos, out=out, device=device, progress=progress)
    place = Place(out or Run(run).exports / f"{format}-{precision}", form, force=force)
    place.check()
    trained = open_trained(run, device=device)
    reported = proof_records(trained.run, photos.folder, progress)
    chosen = choose_proof_photos(reported, prove=photos.which, seed=trained.run.recipe.seed)
    chosen.announce(progress)
    busy = RunError(f"Another process is writing {place.folder}; wait until it is done.")
    with making_folder(place.target.parent), draft_of(place.target, busy) as draft:
        with progress.work("export", 2, "steps") as ticker:
            views = (
                _calibration_views(trained, photos.folder, progress) if form.precisions[precision].needs_views else []
            )
            export = _write(trained, draft, form, precision, views)
            ticker.advance()
            export = _prove(trained, export, _bound(form, precision, tolerance), chosen.of(reported), progress)
            export = replace(export, proof=export.proof.of_photos(chosen))
            ticker.advance()
        write_text(draft / CARD, model_card(trained.run, export))
        export.write()
        place.take(draft)
    return replace(export, folder=place.folder)


def _write(trained: TrainedModel, draft: Path, form: Format, precision: str, views: Sequence[np.ndarray]) -> Export:
    from regraft.models.classifier import answering_model, embedding_size

    run = trained.run
    export = Export(
        draft,
        form.name,
        precision,
        run.class_names,
        trained.reader.image_size,
        run.recipe.data.crop_fraction,
        embedding_size(trained.model),
        digest_model(run),
        background=trained.reader.background,
        range=trained.reader.range,
        fit=trained.reader.fit,
        decision=decision_of(run),
    )
    write_network(form, answering_model(trained.model), export, views)
    if run.calibration_file.is_file():
        shutil.copyfile(run.calibration_file, export.calibration_file)
    export.write()
    return export


def write_network(form: Format, model: keras.Model, export: Export, views: Sequence[np.ndarray]) -> None:
    """Writes the network of `model` where `export` says, without a word.

    Args:
        form: the format of `export`.
        model: as `regraft.models.classifier.answering_model` gives it.
        export: precision and place.
        views: training photos, where the precision needs them.
    """
    if not form.write:
        raise TypeError(f"the format {form.name} has neither a writer nor an exporter")
    with _silence(), plain_name(export.folder) as folder:
        model(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras exports what has been called
        form.write(model, form.network(folder), export, lambda: views)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Converters write pages to stdout and stderr, from Python and from C++."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            swallowed(STDOUT, STDERR),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _calibration_views(trained: TrainedModel, photos: Path | None, progress: Progress) -> list[np.ndarray]:
    """Views of training photos."""
    records = proof_records(trained.run, photos, progress, role="fit")
    return [trained.reader.read(record.path) for record in calibration_records(records)]


def calibration_records(records: Sequence[Record]) -> list[Record]:
    """Up to `_CALIBRATION_PHOTOS` of `records`, at equal distances: of each class as large a part as it has of all."""
    by_class = sorted(records, key=lambda record: record.class_index)
    count = min(_CALIBRATION_PHOTOS, len(by_class))
    return [by_class[place * len(by_class) // count] for place in range(count)]


def _bound(form: Format, precision: str, tolerance: Tolerance | None) -> Bound:
    """What the export is held to, but for the float error."""
    if tolerance is None:
        return Bound(form.precisions[precision].tolerance)
    return Bound(None, least_same_labels=LEAST_KEPT) if tolerance == LABELS else Bound(float(tolerance))


def _prove(
    trained: TrainedModel, export: Export, bound: Bound, records: Sequence[Record], progress: Progress
) -> Export:
    """The same export, with what its proof found."""

    def float_error() -> float:
        return float_error_of(trained.infer, trained.reader, records, progress)

    bound = replace(bound, float_error=float_error if export.precision == "float32" else None)
    expected = answers_of_trained(trained, records, progress)
    served = answers_of(export, [record.path for record in records])
    truth = np.array([record.class_index for record in records])
    return replace(export, proof=check_proof(expected, served, truth, export, bound))
