"""Exports for LiteRT, ONNX Runtime and OpenVINO: written, proven by the very program that will use them, described."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from regraft.data.records import Record
from regraft.errors import ExportError, UsageError
from regraft.exports.card import model_card
from regraft.exports.export import Export
from regraft.exports.runtimes import check_format
from regraft.exports.saved_model import proof_records
from regraft.exports.writers import write_network
from regraft.inference.outputs import logits_of
from regraft.inference.trained import TrainedModel, open_trained
from regraft.inference.views import softmax
from regraft.machine import processes
from regraft.machine.files import write_text
from regraft.models.classifier import answering_model, embedding_size
from regraft.progress import Progress

TOLERANCES = {"float32": 1e-4, "float16": 5e-2, "bfloat16": 1e-1}
"""Largest difference of a probability from the trained model's. int8 is held to its labels instead."""

LEAST_SAME_LABELS = 0.9
"""The part of photos that must keep their label, in any precision."""

_CALIBRATION_PHOTOS = 200
_PROOF_SECONDS = 3600


def export_portable(
    folder: Path,
    form: str,
    precision: str,
    progress: Progress,
    *,
    photos: Path | None = None,
    out: Path | None = None,
    force: bool = False,
    device: str = "auto",
) -> dict[str, Any]:
    """Exports a finished run for another runtime, proven on the images it reports on.

    Args:
        folder: the run.
        form: "litert", "onnx" or "openvino".
        precision: see `regraft.exports.export.FORMATS`.
        progress: who is told.
        photos: where the photos lie now, if they moved since training.
        out: the export's folder, by default one in the run's `exports`.
        force: replace one that exists.
        device: that answers for the trained model.

    Raises:
        UsageError: there is no such format or precision, or what it takes is not installed; `out` exists.
        RunError: there is no finished run, or none of its photos are left to prove the export on.
        ExportError: the export does not do what the model does; nothing is left of it.
    """
    check_format(form, precision)
    trained = open_trained(folder, device=device)
    run = trained.run
    target = out or run.exports / f"{form}-{precision}"
    if target.exists() and not force:
        raise UsageError(f"{target} exists already; choose another --out or add --force.")
    reported = proof_records(run, photos, progress)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".exporting-", dir=target.parent) as temporary:
        draft = Path(temporary) / "export"
        draft.mkdir()
        with progress.work("export", 2, "steps") as ticker:
            export = _write(trained, draft, form, precision, photos, progress)
            ticker.advance()
            export = replace(export, proof=_prove(trained, export, reported, progress))
            ticker.advance()
        export.write()
        write_text(draft / "README.md", model_card(run, export))
        if target.exists():
            shutil.rmtree(target)
        draft.rename(target)
    facts = dict(export.proof)
    return {"run": str(folder), "folder": str(target), "labels": list(export.labels), **facts}


def _write(
    trained: TrainedModel, draft: Path, form: str, precision: str, photos: Path | None, progress: Progress
) -> Export:
    run, model = trained.run, answering_model(trained.model)
    export = Export(
        draft,
        form,
        precision,
        run.class_names,
        trained.reader.image_size,
        run.recipe.data.crop_fraction,
        embedding_size(trained.model),
        hashlib.blake2b(run.model_file.read_bytes(), digest_size=16).hexdigest(),
    )
    views = list(_calibration_views(trained, photos, progress)) if precision == "int8" else []
    write_network(model, export, lambda: views)
    if run.calibration_file.is_file():
        shutil.copyfile(run.calibration_file, export.calibration_file)
    export.write()
    return export


def _calibration_views(trained: TrainedModel, photos: Path | None, progress: Progress) -> list[np.ndarray]:
    """Views of training photos, evenly over the classes' files."""
    records = proof_records(trained.run, photos, progress, role="fit")
    step = max(len(records) // _CALIBRATION_PHOTOS, 1)
    return [trained.reader.read(record.path) for record in records[::step][:_CALIBRATION_PHOTOS]]


def _prove(trained: TrainedModel, export: Export, records: Sequence[Record], progress: Progress) -> Mapping[str, Any]:
    expected = softmax(logits_of(records, trained.infer, trained.reader, progress, "trained model"))
    served = answers_of(export, [record.path for record in records])
    truth = np.array([record.class_index for record in records])
    return check_proof(expected, served, truth, export)


def answers_of(export: Export, paths: Sequence[Path]) -> np.ndarray:
    """float32 [N, C]: what `regraft predict` answers with `export`, in a process of its own, from the files' bytes.

    Raises:
        ExportError: it failed, or a photo has no answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "answers.jsonl"
        words = ["predict", str(export.folder), "-", "--null", "--all-probabilities", "--no-shrink", "--out", str(out)]
        listed = b"".join(bytes(path.absolute()) + b"\0" for path in paths)
        done = processes.run("regraft", *words, input=listed, capture_output=True, timeout=_PROOF_SECONDS)
        if done.returncode:
            raise ExportError(f"The export does not answer in a fresh process: {processes.last_words(done.stderr)}")
        rows = [json.loads(line) for line in out.read_bytes().splitlines()]
    for row in rows:
        if row["status"] != "ok":
            raise ExportError(f"The export does not answer {row['path']}: {row['reason']}.")
    return np.array([[row[f"p_{name}"] for name in export.labels] for row in rows], np.float32)


def check_proof(expected: np.ndarray, served: np.ndarray, truth: np.ndarray, export: Export) -> dict[str, Any]:
    """How far the export's probabilities [N, C] are from the trained model's, and what it makes of accuracy.

    Raises:
        ExportError: further than `TOLERANCES` and `LEAST_SAME_LABELS` allow.
    """
    differences = np.abs(expected - served)
    same = expected.argmax(axis=1) == served.argmax(axis=1)
    found: dict[str, Any] = {
        "images": len(expected),
        "largest_difference": float(differences.max()),
        "mean_difference": float(differences.mean()),
        "same_label": int(same.sum()),
        "tolerance": TOLERANCES.get(export.precision),
        "accuracy": float((served.argmax(axis=1) == truth).mean()),
        "accuracy_trained": float((expected.argmax(axis=1) == truth).mean()),
        "bytes": export.bytes,
    }
    allowed = TOLERANCES.get(export.precision, 1.0)
    if not found["largest_difference"] <= allowed:
        raise ExportError(
            f"The export's probabilities differ from the trained model's by up to {found['largest_difference']:.2g} "
            f"(allowed in {export.precision}: {allowed:g}); it was removed."
        )
    if same.mean() < LEAST_SAME_LABELS:
        raise ExportError(
            f"In {export.precision} only {same.sum()} of {len(same)} photos keep their label (needed: "
            f"{LEAST_SAME_LABELS:.0%}); it was removed. Choose another --precision."
        )
    return found
