"""history.csv: one row per epoch of fine-tuning."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from regraft.errors import RunError
from regraft.machine.files import read_csv, write_csv

_TEXT = "phase"
HISTORY_COLUMNS = (
    _TEXT,
    "epoch",
    "learning_rate",
    "loss",
    "accuracy",
    "select_loss",
    "select_accuracy",
    "seconds",
    "images_per_second",
)


def write_history(path: Path, history: list[dict[str, Any]]) -> None:
    """One CSV row per epoch."""
    write_csv(path, HISTORY_COLUMNS, ([row.get(column, "") for column in HISTORY_COLUMNS] for row in history))


def read_history(path: Path) -> list[dict[str, Any]]:
    """The rows of `write_history`, numbers as floats; empty where there is no such file. Raises RunError if damaged."""
    if not path.is_file():
        return []
    try:
        return [
            {key: row[key] if key == _TEXT else float(row[key]) for key in HISTORY_COLUMNS if row[key]}
            for row in read_csv(path)
        ]
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise RunError(f"{path} is damaged; train again.") from error
