"""Everything that changes while a network trains, on disk after every epoch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from regraft.errors import RunError
from regraft.machine.arrays import read_arrays
from regraft.machine.files import atomic_file
from regraft.runs.run import BEST_CHECKPOINT, CHECKPOINT_NAMES


@dataclass
class Checkpoints:
    """The state of a training after its last whole epoch, and the weights of its best one.

    Attributes:
        model, optimizer: whose weights, moments, step count and random states are kept.
        folder: an existing folder.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    folder: Path

    def save(self, history: list[dict[str, Any]]) -> None:
        """Keeps the state after the epochs in `history`, in the place of earlier ones."""
        path = self.folder / f"epoch_{len(history):05d}.npz"
        _write(path, self._variables(), history=np.array(json.dumps(history)))
        for older in self._saved()[:-1]:
            older.unlink()

    def restore(self) -> list[dict[str, Any]]:
        """Puts back the last state that was kept and returns its history; an empty one where there is none.

        Raises:
            RunError: the file is damaged.
        """
        saved = self._saved()
        return json.loads(str(_read(saved[-1], self._variables())["history"])) if saved else []

    def save_best(self) -> None:
        """Keeps the weights of the model as those of the best epoch."""
        _write(self.folder / BEST_CHECKPOINT, self.model.variables)

    def restore_best(self) -> None:
        """Puts the weights of the best epoch into the model. Raises RunError where the file is missing or damaged."""
        _read(self.folder / BEST_CHECKPOINT, self.model.variables)

    def save_snapshot(self, path: Path) -> None:
        """Keeps the weights of the model in a file of their own, which stays."""
        path.parent.mkdir(exist_ok=True)
        _write(path, self.model.variables)

    def _saved(self) -> list[Path]:
        return sorted(self.folder.glob(CHECKPOINT_NAMES))

    def _variables(self) -> list[Any]:
        return [*self.model.variables, *self.optimizer.variables]


def load_snapshot(model: keras.Model, path: Path) -> None:
    """Puts the weights of `save_snapshot` into `model`. Raises RunError where the file is missing or damaged."""
    _read(path, model.variables)


def _write(path: Path, variables: Sequence[Any], **more: np.ndarray) -> None:
    arrays: dict[str, Any] = {f"variable_{index}": np.asarray(value) for index, value in enumerate(variables)}
    with atomic_file(path) as temporary:
        np.savez(temporary, **(more | arrays))


def _read(path: Path, variables: Sequence[Any]) -> dict[str, np.ndarray]:
    """Assigns what the file holds to `variables` and returns the rest of it."""
    try:
        arrays = read_arrays(path)
        for index, variable in enumerate(variables):
            variable.assign(arrays.pop(f"variable_{index}"))
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} is missing or damaged; delete its folder to train again from the beginning.") from error
    return arrays
