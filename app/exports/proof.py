"""The fresh process that answers photos with an export, to be compared with the trained model."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from regraft.errors import ExportError
from regraft.machine import processes

_START_SECONDS, _SECONDS_A_PHOTO = 300, 10  # far more than any machine needs: the end of waiting, not a measure


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

    def scores(self, model: Path, paths: Sequence[Path], *, batch_size: int = 32) -> tuple[np.ndarray, list[str]]:
        """float32 [N, C] of the photos in `paths`, and the C labels, both as the export says them.

        Raises:
            ExportError: the process failed.
        """
        names = [str(path) for path in paths]
        batches = [names[start : start + batch_size] for start in range(0, len(names), batch_size)]
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder) / "scores.npy"
            order = {"model": str(model), "files": batches, "scores": str(answer)}
            patience = _START_SECONDS + _SECONDS_A_PHOTO * len(names)
            try:
                labels, errors = self._process.communicate(json.dumps(order) + "\n", timeout=patience)
            except subprocess.TimeoutExpired as error:
                raise ExportError(f"The export did not answer {len(names)} photos in {patience} seconds.") from error
            if self._process.returncode:
                raise ExportError(f"The export does not answer in a fresh process: {processes.last_words(errors)}")
            return np.load(answer), json.loads(labels)
