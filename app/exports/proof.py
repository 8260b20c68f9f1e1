"""The photos, the fresh processes and the bounds by which an export is proven to answer as the trained model does."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regraft.data.records import Record
from regraft.errors import ExportError, RunError, option
from regraft.evidence.decision import decide
from regraft.exports.export import Export, ProofResult
from regraft.machine import processes
from regraft.machine.drafts import draft_folder
from regraft.machine.threads import cores
from regraft.progress import Progress
from regraft.runs.run import Run

if TYPE_CHECKING:
    from regraft.inference.trained import TrainedModel
    from regraft.inference.views import Infer, ViewReader

LEAST_SAME_LABELS = 0.9
"""The part of photos that must keep their label, in any precision."""

FLOAT_ERRORS = 10
"""How many times the float error of the trained model an export may be off."""

MOST_FLOAT_ERROR = 2e-2
"""More is no rounding, whatever the float error: as much as half precision is off."""

_BATCH_SIZE, _MOST_THREADS = 8, 8

_MOVES, _OTHER_BATCH_SIZE = 3, 8

_ROLES = {"report": "reports on", "fit": "was trained on"}

_START_SECONDS, _SECONDS_A_PHOTO = 300, 10  # far more than any machine needs: the end of waiting, not a measure
_PROOF_SECONDS = 3600


class Proof:
    """A fresh process that imports only TensorFlow and answers photos from their raw bytes.

    It starts when the object is made, so that its start-up overlaps with writing the export; it ends with the
    `with` block, whatever happens.
    """

    def __init__(self, *, use_gpus: bool = True) -> None:
        pipe = subprocess.PIPE
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3"} | ({} if use_gpus else {"CUDA_VISIBLE_DEVICES": "-1"})
        self._process = processes.start(
            "prove_export", stdin=pipe, stdout=pipe, stderr=pipe, text=True, environment=environment
        )

    def __enter__(self) -> Proof:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()

    def scores(
        self, model: Path, paths: Sequence[Path], *, batch_size: int = _BATCH_SIZE
    ) -> tuple[np.ndarray, list[str]]:
        """float32 [N, C] of the photos in `paths`, and the C labels, both as the export says them.

        Raises:
            ExportError: the process failed.
        """
        names = [str(path) for path in paths]
        batches = [names[start : start + batch_size] for start in range(0, len(names), batch_size)]
        with draft_folder(_temporary()) as folder:
            answer = folder / "scores.npy"
            threads = min(cores(), _MOST_THREADS)
            order = {"model": str(model), "files": batches, "threads": threads, "scores": str(answer)}
            patience = _START_SECONDS + _SECONDS_A_PHOTO * len(names)
            try:
                labels, errors = self._process.communicate(json.dumps(order) + "\n", timeout=patience)
            except subprocess.TimeoutExpired as error:
                raise ExportError(f"The export did not answer {len(names)} photos in {patience} seconds.") from error
            if self._process.returncode:
                raise ExportError(f"The export does not answer in a fresh process: {processes.last_words(errors)}")
            return np.load(answer), json.loads(labels)


def proof_records(run: Run, photos: Path | None, progress: Progress, *, role: str = "report") -> list[Record]:
    """The images of `run` in that role that are still there, classes numbered as in the run.

    Raises:
        RunError: there are none.
        FolderError: `photos` is no folder of photos, or one of them is in a class that the run does not know.
    """
    from regraft.runs.photos_now import scan_role  # SciPy comes with it, which predicting does not need

    if records := scan_role(run, photos, role, progress):
        return records
    root = photos or run.root
    raise RunError(
        f"None of the photos {run.folder} {_ROLES[role]} are in {root} to prove the export on; use {option('photos')}."
    )


def answers_of_trained(trained: TrainedModel, records: Sequence[Record], progress: Progress) -> np.ndarray:
    """float32 [N, C]: the trained model's probabilities for the photos of `records`."""
    from regraft.inference.outputs import logits_of
    from regraft.inference.views import softmax

    return softmax(logits_of(records, trained.infer, trained.reader, progress, "trained model"))


def answers_of(export: Export, paths: Sequence[Path]) -> np.ndarray:
    """float32 [N, C]: what `regraft predict` answers with `export`, in a process of its own, from the files' bytes.

    Raises:
        ExportError: it failed, or a photo has no answer.
    """
    with draft_folder(_temporary()) as folder:
        out = folder / "answers.jsonl"
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


def float_error_of(infer: Infer, reader: ViewReader, records: Sequence[Record], progress: Progress) -> float:
    """How far the probabilities of a trained model move when nothing changes but the last bit of what it sees.

    That is the least error that computing in float32 can have (Higham 2002, "Accuracy and Stability of Numerical
    Algorithms", 1.5: the rounding of an input moves a result as far as the best algorithm may be off). It is the usual
    1e-7 for photos as they are, and far more where photos hardly differ or logits are large. Each number of each view
    moves up or down by its last bit, as seeds say, and the batches have another size.
    """
    from regraft.inference.outputs import logits_of
    from regraft.inference.views import softmax

    def moved(seed: int) -> Infer:
        signs = np.random.default_rng(seed)

        def infer_moved(images: np.ndarray) -> np.ndarray:
            towards = np.where(signs.random(images.shape) < 0.5, np.float32(-np.inf), np.float32(np.inf))
            return infer(np.nextafter(images, towards))

        return infer_moved

    plain = softmax(logits_of(records, infer, reader, progress, "float error"))
    errors = []
    for seed in range(_MOVES):
        logits = logits_of(records, moved(seed), reader, progress, "float error", batch_size=_OTHER_BATCH_SIZE)
        errors.append(float(np.abs(softmax(logits) - plain).max()))
    return max(errors)


@dataclass(frozen=True)
class Bound:
    """How far an export's probabilities may be from the trained model's.

    Attributes:
        tolerance: what is always allowed; None where only labels are held.
        float_error: measures how far those of the trained model itself are off, see `float_error_of`; asked only
            where `tolerance` does not suffice. None where float32 is no excuse.
        least_same_labels: the part of photos that must keep their label.
    """

    tolerance: float | None
    float_error: Callable[[], float] | None = None
    least_same_labels: float = LEAST_SAME_LABELS

    def allows(self, difference: float) -> tuple[float | None, bool]:
        """What is allowed, and whether this difference is."""
        if self.tolerance is None:
            return None, difference <= 1  # which still refuses what is no number
        if difference <= self.tolerance or not self.float_error or not difference <= MOST_FLOAT_ERROR:
            return self.tolerance, difference <= self.tolerance
        allowed = max(self.tolerance, min(FLOAT_ERRORS * self.float_error(), MOST_FLOAT_ERROR))
        return allowed, difference <= allowed


def check_proof(
    expected: np.ndarray, served: np.ndarray, truth: np.ndarray, export: Export, bound: Bound
) -> ProofResult:
    """How far the export's probabilities [N, C] are from the trained model's, and what it makes of accuracy.

    Raises:
        ExportError: further than `bound` allows.
    """
    differences = np.abs(expected - served)
    own, of_trained = (decide(probabilities, export.decision) for probabilities in (served, expected))
    same = own == of_trained
    largest = float(differences.max())
    tolerance, is_allowed = bound.allows(largest)
    if not is_allowed:
        raise ExportError(
            f"The export's probabilities differ from the trained model's by up to {largest:.2g} "
            f"(allowed in {export.precision}: {1.0 if tolerance is None else tolerance:.2g}); it was removed."
        )
    if same.mean() < bound.least_same_labels:
        raise ExportError(
            f"In {export.precision} only {same.sum()} of {len(same)} photos keep their label (needed: "
            f"{100 * bound.least_same_labels:g}%); it was removed. Choose another {option('precision')}."
        )
    return ProofResult(
        images=len(expected),
        largest_difference=largest,
        mean_difference=float(differences.mean()),
        same_label=int(same.sum()),
        tolerance=tolerance,
        accuracy=float((own == truth).mean()),
        accuracy_trained=float((of_trained == truth).mean()),
        bytes=export.bytes,
    )


def _temporary() -> Path:
    return Path(tempfile.gettempdir())
