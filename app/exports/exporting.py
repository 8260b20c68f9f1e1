"""From a run to an export that is proven to answer photos as the run does, in every format."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regraft.data.records import Record
from regraft.errors import UsageError, option
from regraft.exports.card import model_card
from regraft.exports.export import Export, digest_model
from regraft.exports.format import Format
from regraft.exports.proof import answers_of, answers_of_trained, check_proof, proof_records
from regraft.exports.runtimes import check_format
from regraft.inference.trained import TrainedModel, open_trained
from regraft.machine.files import write_text
from regraft.machine.quiet import STDERR, STDOUT, swallowed
from regraft.progress import Progress
from regraft.runs.run import open_run

if TYPE_CHECKING:
    import keras

_CALIBRATION_PHOTOS = 200


def export_run(
    run: Path,
    format: str = "saved_model",
    *,
    precision: str = "float32",
    photos: Path | None = None,
    out: Path | None = None,
    force: bool = False,
    device: str = "auto",
    progress: Progress,
) -> Export:
    """A finished run as an export, proven on the images the run reports on.

    Args:
        run: its folder.
        format: a key of `regraft.exports.table.FORMATS`.
        precision: one that the format has.
        photos: where the photos lie now, if they moved since training.
        out: the export's folder, by default one in the run's `exports`. Of a SavedModel the folder of its versions, by
            default the run's `saved_model`, which gets one more.
        force: replace an export that exists; a SavedModel never does.
        device: that answers for the trained model, see `open_device`.
        progress: who is told.

    Raises:
        UsageError: there is no such format or precision, or what it takes is not installed; `out` exists.
        RunError: there is no finished run, or none of its photos are left to prove the export on.
        ExportError: the export does not do what the model does; nothing is left of it.
    """
    open_run(run)
    form = check_format(format, precision)
    if form.exporter:
        return form.exporter(run, photos=photos, out=out, device=device, progress=progress)
    trained = open_trained(run, device=device)
    target = out or trained.run.exports / f"{format}-{precision}"
    if target.exists() and not force:
        raise UsageError(f"{target} exists already; choose another {option('out')} or add {option('force', True)}.")
    reported = proof_records(trained.run, photos, progress)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".exporting-", dir=target.parent) as temporary:
        draft = Path(temporary) / "export"
        draft.mkdir()
        with progress.work("export", 2, "steps") as ticker:
            views = _calibration_views(trained, photos, progress) if form.precisions[precision].needs_views else []
            export = _write(trained, draft, form, precision, views)
            ticker.advance()
            export = _prove(trained, export, form, reported, progress)
            ticker.advance()
        export.write()
        write_text(draft / "README.md", model_card(trained.run, export))
        if target.exists():
            shutil.rmtree(target)
        draft.rename(target)
    return replace(export, folder=target)


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
    with _silence():
        model(np.zeros((1, *model.input_shape[1:]), np.float32))  # Keras exports what has been called
        form.write(model, form.network(export.folder), export, lambda: views)


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
    """Views of training photos, evenly over the classes' files."""
    records = proof_records(trained.run, photos, progress, role="fit")
    step = max(len(records) // _CALIBRATION_PHOTOS, 1)
    return [trained.reader.read(record.path) for record in records[::step][:_CALIBRATION_PHOTOS]]


def _prove(
    trained: TrainedModel, export: Export, form: Format, records: Sequence[Record], progress: Progress
) -> Export:
    """The same export, with what its proof found."""
    expected = answers_of_trained(trained, records, progress)
    served = answers_of(export, [record.path for record in records])
    truth = np.array([record.class_index for record in records])
    tolerance = form.precisions[export.precision].tolerance
    return replace(export, proof=check_proof(expected, served, truth, export, tolerance))
