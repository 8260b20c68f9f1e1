"""history.csv: one row per epoch of fine-tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regraft.machine.files import read_csv, write_csv

HISTORY_COLUMNS = (
    "phase",
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
    """The rows of `write_history`, numbers as floats; empty where there is no such file."""
    if not path.is_file():
        return []
    return [{key: _number_or_text(value) for key, value in row.items() if value} for row in read_csv(path)]


def _number_or_text(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value
