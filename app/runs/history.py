"""history.csv: one row an epoch of fine-tuning."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from regraft.machine.files import write_text

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
    """One CSV row an epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, HISTORY_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_text(path, text.getvalue())


def read_history(path: Path) -> list[dict[str, Any]]:
    """The rows of `write_history`, numbers as floats; empty where there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: _number_or_text(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def _number_or_text(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value
