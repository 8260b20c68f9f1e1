"""The SavedModel: bytes or pixels in, labels and scores out, proven against the trained model.

The signatures follow TensorFlow Serving's conventions: versions in numbered folders, a `serving_default`, an input
whose name ends in `_bytes` (so that REST clients can send {"b64": ...}), and outputs whose first dimension is the
batch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from regraft.augment.decode import decode_upright
from regraft.augment.view import make_view
from regraft.data.records import Record
from regraft.data.sources import scan_remembered, tensorflow_path
from regraft.errors import ExportError, RunError, option
from regraft.exports.export import Export
from regraft.exports.proof import Proof
from regraft.inference.outputs import logits_of
from regraft.inference.trained import TrainedModel, open_trained
from regraft.inference.views import softmax
from regraft.machine.devices import Device
from regraft.models.classifier import answering_model, embedding_size
from regraft.progress import Progress
from regraft.runs.photos_now import records_of
from regraft.runs.run import Run

TOLERANCE = 1e-5
_ROLES = {"report": "reports on", "fit": "was trained on"}


class _Server(tf.Module):
    """What is exported: the model with decoding, resizing, softmax and labels around it."""

    def __init__(
        self, model: keras.Model, class_names: Sequence[str], *, image_size: int, crop_fraction: float
    ) -> None:
        super().__init__()
        self._view = make_view(image_size, crop_fraction)
        self._view_spec = tf.TensorSpec([image_size, image_size, 3], tf.float32)
        self._labels = tf.constant(list(class_names))
        # Only its variables are kept: the model as an attribute would be traced layer by layer for nothing.
        self._variables = [variable.value for variable in model.variables]

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, image_size, image_size, 3], tf.float32)])
        def scores(views: tf.Tensor) -> tf.Tensor:
            return tf.nn.softmax(tf.cast(model(views, training=False), tf.float32))

        self._scores = scores
        answers = answering_model(model)

        @tf.function(
            autograph=False,
            input_signature=[tf.TensorSpec([None, image_size, image_size, 3], tf.float32, name="views")],
        )
        def serve_views(views: tf.Tensor) -> dict[str, tf.Tensor]:
            """What `regraft predict` has read: float32 [N, S, S, 3] in [0, 255]."""
            found = answers(views, training=False)
            scores = found.pop("probabilities")
            return {"scores": scores, **found}

        self.serve_views = serve_views

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Encoded photos (JPEG with any EXIF orientation, PNG, GIF, BMP, WebP), string [N]."""
        return self._answer(lambda encoded: self._view(decode_upright(encoded)), image_bytes)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def serve_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Upright RGB photos of one size, uint8 [N, H, W, 3]."""
        return self._answer(self._view, images)

    @tf.function(autograph=False, input_signature=[])
    def serve_labels(self) -> dict[str, tf.Tensor]:
        """The class names, string [C], in the order of the scores."""
        return {"labels": self._labels}

    def _answer(self, view: Callable[[tf.Tensor], tf.Tensor], inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = self._scores(tf.map_fn(view, inputs, fn_output_signature=self._view_spec))
        return {
            "label": tf.gather(self._labels, tf.argmax(scores, axis=1)),
            "score": tf.reduce_max(scores, axis=1),
            "scores": scores,
            "classes": tf.tile(self._labels[None, :], [tf.shape(scores)[0], 1]),
        }


def write_saved_model(
    model: keras.Model, class_names: Sequence[str], folder: Path, *, image_size: int, crop_fraction: float
) -> None:
    """Writes the SavedModel of `model` to the new `folder`.

    Signatures: `serving_default` takes `image_bytes` (string [N]), `serving_images` takes `images` (uint8
    [N, H, W, 3]). Both answer `label` (string [N]), `score` (float32 [N]), `scores` (float32 [N, C]) and
    `classes` (string [N, C]). `labels` takes nothing and answers `labels` (string [C]), which also lie beside the
    model in assets.extra/labels.txt.
    """
    server = _Server(model, class_names, image_size=image_size, crop_fraction=crop_fraction)
    signatures = {
        "serving_default": server.serve_bytes,
        "serving_images": server.serve_images,
        "serving_views": server.serve_views,
        "labels": server.serve_labels,
    }
    tf.saved_model.save(server, folder, signatures=signatures)
    extra = folder / "assets.extra"
    extra.mkdir()
    (extra / "labels.txt").write_text("".join(f"{name}\n" for name in class_names), "utf-8")


def compare(
    expected: np.ndarray,
    served: np.ndarray,
    labels: Sequence[str],
    class_names: Sequence[str],
    *,
    tolerance: float,
) -> dict[str, Any]:
    """How far the export's scores [N, C] are from the trained model's.

    Raises:
        ExportError: labels differ, or a score by more than `tolerance`.
    """
    difference = float(np.abs(expected - served).max())
    agreeing = int((expected.argmax(axis=1) == served.argmax(axis=1)).sum())
    if list(labels) != list(class_names):
        raise ExportError(f"The export's labels {list(labels)} are not the model's {list(class_names)}.")
    if not difference <= tolerance:
        raise ExportError(
            f"The export's scores differ from the trained model's by up to {difference:.2g} (allowed: {tolerance:g}); "
            "it was removed."
        )
    return {
        "images": len(expected),
        "largest_difference": difference,
        "same_label": agreeing,
        "tolerance": tolerance,
    }


def export_proven(
    model: keras.Model,
    class_names: Sequence[str],
    target: Path,
    *,
    image_size: int,
    crop_fraction: float,
    paths: Sequence[Path],
    expected: np.ndarray,
    proof: Proof,
    tolerance: float = TOLERANCE,
) -> tuple[Path, dict[str, Any]]:
    """Writes the next version under `target`, proves it on raw bytes in a fresh process, and only then names it so.

    Args:
        model: logits for float32 [N, S, S, 3] in [0, 255].
        class_names: C labels.
        target: folder of versions, such as RUN/saved_model.
        image_size, crop_fraction: the deterministic view.
        paths: photos to prove it on, in formats TensorFlow decodes.
        expected: float32 [N, C], the trained model's probabilities for them.
        proof: the fresh process that answers.
        tolerance: largest difference of a probability.

    Returns:
        The version's folder and what the proof found.

    Raises:
        ExportError: the export does not do what the model does; nothing is left of it.
    """
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".exporting-", dir=target) as temporary:
        draft = Path(temporary) / "model"
        try:
            write_saved_model(model, class_names, draft, image_size=image_size, crop_fraction=crop_fraction)
        except tf.errors.OpError as error:
            raise RunError(f"{target} cannot be written ({error.message}); make room and try again.") from error
        served, labels = proof.scores(draft, paths)
        found = compare(expected, served, labels, class_names, tolerance=tolerance)
        facts = (tuple(class_names), image_size, crop_fraction, embedding_size(model), "", found)
        Export(draft, "saved_model", "float32", *facts).write()
        version = target / str(_next_version(target))
        draft.rename(version)
    return version, found


def tolerance_for(model: keras.Model, device: Device) -> float:
    """How far an export may be from the trained model: float32 on a CPU repeats, half precision and TF32 round."""
    is_exact = device.kind == "cpu" and all(layer.compute_dtype == "float32" for layer in model._flatten_layers())
    return TOLERANCE if is_exact else 2e-2


def _next_version(target: Path) -> int:
    return 1 + max((int(path.name) for path in target.iterdir() if path.name.isdecimal()), default=0)


def export_run(
    folder: Path,
    progress: Progress,
    *,
    photos: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Exports a finished run as the next version of its SavedModel, proven on the images it reports on.

    Args:
        folder: the run.
        progress: who is told.
        photos: where the photos lie now, if they moved since training.
        out: folder of versions, by default the run's `saved_model`.
        device: see `open_device`.

    Raises:
        RunError: there is no finished run, or none of its photos are left to prove the export on.
        ExportError: the export does not do what the model does; nothing is left of it.
    """
    with Proof(use_gpus=not device.startswith("cpu")) as proof:  # started first, so that it gets ready meanwhile
        return _export_trained(open_trained(folder, device=device), proof, progress, photos, out)


def _export_trained(
    trained: TrainedModel, proof: Proof, progress: Progress, photos: Path | None, out: Path | None
) -> dict[str, Any]:
    run = trained.run
    records = proof_records(run, photos, progress)
    expected = softmax(logits_of(records, trained.infer, trained.reader, progress, "trained model"))
    version, found = export_proven(
        trained.model,
        run.class_names,
        out or run.export_folder,
        image_size=trained.reader.image_size,
        crop_fraction=run.recipe.data.crop_fraction,
        paths=[tensorflow_path(record) for record in records],
        expected=expected,
        proof=proof,
        tolerance=tolerance_for(trained.model, trained.device),
    )
    return {"run": str(run.folder), "folder": str(version), "labels": list(run.class_names), **found}


def proof_records(run: Run, photos: Path | None, progress: Progress, *, role: str = "report") -> list[Record]:
    """The images of `run` in that role that are still there, wherever under `photos` they lie.

    Raises:
        RunError: there are none.
    """
    root = photos or Path(run.environment["root"])
    if root.is_dir() and (records := records_of(run, scan_remembered(root, progress), role)):
        return records
    raise RunError(
        f"None of the photos {run.folder} {_ROLES[role]} are in {root} to prove the export on; use {option('photos')}."
    )
