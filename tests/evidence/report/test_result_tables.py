"""The tables of a report."""

import csv
from pathlib import Path

import numpy as np
import pytest

from regraft.data.records import Record
from regraft.evidence.report.result_tables import write_confusion_csv, write_predictions_csv


def record(path: Path, class_index: int = 0) -> Record:
    return Record(path, class_index, "val", "JPEG", 8, 8, 1, "", b"")


def read_csv(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_confusion_csv_has_the_truth_in_rows(tmp_path: Path) -> None:
    write_confusion_csv(tmp_path / "c.csv", np.array([[3, 1], [0, 2]]), ('a,"b"', "c"))
    assert read_csv(tmp_path / "c.csv") == [["truth", 'a,"b"', "c"], ['a,"b"', "3", "1"], ["c", "0", "2"]]


def test_predictions_have_one_row_an_image_in_order(tmp_path: Path) -> None:
    records = [record(tmp_path / "photos" / 'a, "b".jpg'), record(Path("/elsewhere/c.jpg"))]
    scores = np.array([[0.25, 0.75], [1.0, 0.0]])
    write_predictions_csv(
        tmp_path / "p.csv", records, np.array([0, 0]), scores, ("ant", "bee"), root=tmp_path / "photos"
    )
    assert read_csv(tmp_path / "p.csv") == [
        ["path", "truth", "label", "correct", "score", "label_2", "score_2"],
        ['a, "b".jpg', "ant", "bee", "false", "0.750000", "ant", "0.250000"],
        ["/elsewhere/c.jpg", "ant", "ant", "true", "1.000000", "bee", "0.000000"],
    ]


def test_predictions_show_five_answers_at_most_the_first_class_first_when_equal(tmp_path: Path) -> None:
    scores = np.array([[0.1, 0.1, 0.3, 0.1, 0.1, 0.2, 0.1]])
    write_predictions_csv(tmp_path / "p.csv", [record(Path("x.jpg"))], np.array([6]), scores, tuple("abcdefg"))
    header, row = read_csv(tmp_path / "p.csv")
    assert header[-2:] == ["label_5", "score_5"]
    assert row[2::2] == ["c", "0.300000", "0.200000", "0.100000", "0.100000", "0.100000"]
    assert [row[2], *row[5::2]] == ["c", "f", "a", "b", "d"]


def test_predictions_refuse_unequal_lengths_and_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="zip"):
        write_predictions_csv(tmp_path / "p.csv", [], np.array([0]), np.array([[1.0, 0.0]]), ("a", "b"))
    assert list(tmp_path.iterdir()) == []
