"""history.csv, one row an epoch."""

import csv
from pathlib import Path

import pytest

from regraft.errors import RunError
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


@pytest.mark.parametrize(
    "content", ["phase,epoch\nfine-tune,1\n", "\0\n1\n", "{header}\nfine-tune,one,,,,,,,\n", "{header}\nfine-tune\n"]
)
def test_a_damaged_history_is_named(tmp_path: Path, content: str):
    file = tmp_path / "history.csv"
    file.write_text(content.replace("{header}", ",".join(HISTORY_COLUMNS)) + "x,y\n")
    with pytest.raises(RunError) as caught:
        read_history(file)
    assert str(caught.value) == f"{file} is damaged; train again."
