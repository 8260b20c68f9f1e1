"""The SavedModel of TensorFlow (Serving): numbered versions, each proven by a process that imports TensorFlow alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regraft.errors import ExportError, RunError, UsageError, option
from regraft.evidence.decision import Decision, decision_of
from regraft.exports.export import Export, ProofResult, digest_model
from regraft.exports.format import Format, Network, Precision
from regraft.exports.proof import Bound, Proof, answers_of_trained, float_error_of, proof_records
from regraft.exports.proof_photos import ProofPhotos, ProveOn, choose_proof_photos
from regraft.machine.drafts import draft_of
from regraft.machine.files import check_makeable, making_folder, publish
from regraft.machine.plain_names import plain_name
from regraft.progress import Progress
from regraft.runs.run import Run

if TYPE_CHECKING:
    import keras

    from regraft.inference.views import ViewReader
    from regraft.machine.devices import Device

TOLERANCE = 1e-5
"""Largest difference of a probability from the trained model's."""


@dataclass(frozen=True)
class Expected:
    """What a SavedModel has to answer.

    Attributes:
        paths: photos to prove it on, in formats TensorFlow decodes.
        probabilities: float32 [N, C], the trained model's for them.
        tolerance: largest difference of a probability that is always allowed.
        float_error: measures the trained model's own, see `regraft.exports.proof.Bound`.
        chosen: which of the reported photos these are.
    """

    paths: Sequence[Path]
    probabilities: np.ndarray
    tolerance: float = TOLERANCE
    float_error: Callable[[], float] | None = None
    chosen: ProofPhotos | None = None


def _export(folder: Path, *, photos: ProveOn, out: Path | None, device: str, progress: Progress) -> Export:
    """The run in `folder` as the next version under `out`, by default under its `saved_model`."""
    if out and os.path.lexists(out) and not out.is_dir():
        raise UsageError(f"{out} is no folder, so none of versions; choose another {option('out')}.")
    check_makeable((out or Run(folder).export_folder) / "1")
    with Proof(use_gpus=not device.startswith("cpu")) as proof:  # started first, so that it gets ready meanwhile
        from regraft.inference.trained import open_trained

        trained = open_trained(folder, device=device)
        run, reported = trained.run, proof_records(trained.run, photos.folder, progress)
        chosen = choose_proof_photos(reported, prove=photos.which, seed=run.recipe.seed)
        chosen.announce(progress)
        records = chosen.of(reported)
        probabilities = answers_of_trained(trained, records, progress)
        paths = [trained.reader.tensorflow_path(record) for record in records]
        return export_proven(
            trained.model,
            run.class_names,
            out or run.export_folder,
            reader=trained.reader,
            model_digest=digest_model(run),
            expected=Expected(
                paths,
                probabilities,
                tolerance_for(trained.model, trained.device),
                lambda: float_error_of(trained.infer, trained.reader, records, progress),
                chosen,
            ),
            proof=proof,
            decision=decision_of(run),
        )


def export_proven(
    model: keras.Model,
    class_names: Sequence[str],
    target: Path,
    *,
    reader: ViewReader,
    model_digest: str,
    expected: Expected,
    proof: Proof,
    decision: Decision | None = None,
) -> Export:
    """Writes the next version under `target`, proves it on raw bytes in a fresh process, and only then names it so.

    Args:
        model: logits for float32 [N, S, S, 3] in [0, 255].
        class_names: C labels.
        target: folder of versions, such as RUN/saved_model.
        reader: the deterministic view.
        model_digest: of the trained model, for `Export.model`.
        expected: what it has to answer to which photos.
        proof: the fresh process that answers.
        decision: by which it gives labels, None for the most probable.

    Raises:
        ExportError: the export does not do what the model does; nothing is left of it.
        RunError: it cannot be written.
    """
    import tensorflow as tf

    from regraft.exports.signatures import write_saved_model
    from regraft.models.classifier import embedding_size

    busy = RunError(f"Another process is writing a version to {target}; wait until it is done.")
    with making_folder(target), draft_of(target / "version", busy) as draft:
        try:
            with plain_name(draft) as folder:
                write_saved_model(model, class_names, folder, reader=reader, decision=decision)
        except tf.errors.OpError as error:
            raise RunError(
                f"{target} cannot be written ({_reason(error.message)}); make room and try again."
            ) from error
        served, labels = proof.scores(draft, expected.paths)
        bound = Bound(expected.tolerance, expected.float_error)
        found = compare(expected.probabilities, served, labels, class_names, bound).of_photos(expected.chosen)
        export = Export(
            draft, "saved_model", "float32", tuple(class_names), reader.image_size, reader.crop_fraction,
            embedding_size(model), model_digest, found,
            background=reader.background, range=reader.range, fit=reader.fit, decision=decision,
        )  # fmt: skip
        export.write()
        version = target / str(_next_version(target))
        publish(draft, version)
    return replace(export, folder=version)


def _reason(message: str) -> str:
    """What the system said, from between the operation and the file in a message of TensorFlow."""
    return message.partition(" [Op:")[0].rpartition("; ")[2]


def compare(
    expected: np.ndarray, served: np.ndarray, labels: Sequence[str], class_names: Sequence[str], bound: Bound
) -> ProofResult:
    """How far the export's scores [N, C] are from the trained model's.

    Raises:
        ExportError: labels differ, or a score by more than `bound` allows.
    """
    if list(labels) != list(class_names):
        raise ExportError(f"The export's labels {list(labels)} are not the model's {list(class_names)}.")
    difference = float(np.abs(expected - served).max())
    agreeing = int((expected.argmax(axis=1) == served.argmax(axis=1)).sum())
    tolerance, is_allowed = bound.allows(difference)
    if not is_allowed:
        raise ExportError(
            f"The export's scores differ from the trained model's by up to {difference:.2g} "
            f"(allowed: {tolerance:.2g}); it was removed."
        )
    return ProofResult(images=len(expected), largest_difference=difference, same_label=agreeing, tolerance=tolerance)


def tolerance_for(model: keras.Model, device: Device) -> float:
    """How far an export may be from the trained model: float32 on a CPU repeats, half precision and TF32 round."""
    is_exact = device.kind == "cpu" and all(layer.compute_dtype == "float32" for layer in model._flatten_layers())
    return TOLERANCE if is_exact else 2e-2


def _next_version(target: Path) -> int:
    return 1 + max((int(path.name) for path in target.iterdir() if path.name.isdecimal()), default=0)


def _open(network: Path, export: Export, batch_size: int) -> Network:
    from regraft.machine.devices import start_tensorflow

    start_tensorflow()
    import tensorflow as tf

    served = tf.saved_model.load(str(network))
    views = served.signatures["serving_views"]

    def answer(images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        outputs = views(views=tf.constant(images))
        return outputs["scores"].numpy(), outputs["embedding"].numpy() if "embedding" in outputs else None

    answer.keeps = served  # type: ignore[attr-defined]  # its variables die with it
    return answer


FORMAT = Format(
    "saved_model",
    package="tensorflow",
    module="tensorflow",
    file="",
    precisions={"float32": Precision(TOLERANCE)},
    exporter=_export,
    open=_open,
    start_seconds=5.0,
    batch_size=32,
    shared=True,
)
