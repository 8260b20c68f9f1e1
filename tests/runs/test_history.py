"""history.csv, one row an epoch."""

import csv
from pathlib import Path

from regraft.runs.history import HISTORY_COLUMNS, read_history, write_history


def test_history_without_selection_has_empty_cells(tmp_path: Path):
    row = {"phase": "fine-tune", "epoch": 1, "loss": 0.25}
    write_history(tmp_path / "history.csv", [row])
    with (tmp_path / "history.csv").open(newline="") as file:
        (read,) = csv.DictReader(file)
    assert tuple(read) == HISTORY_COLUMNS
    assert (read["loss"], read["select_loss"]) == ("0.25", "")
    assert read_history(tmp_path / "history.csv") == [row]


def test_history_of_no_training_is_empty(tmp_path: Path):
    assert read_history(tmp_path / "history.csv") == []
