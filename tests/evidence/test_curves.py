"""Learning curves as numbers and as pictures."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from regraft.evidence.curves import curve, draw_accuracies, draw_curves, write_curves

HISTORIES = {
    "plain": [
        [{"loss": 1.0, "select_loss": 0.9}, {"loss": 0.5, "select_loss": 0.7}],
        [{"loss": 2.0, "select_loss": 1.1}],
    ],
    "other": [[{"loss": 3.0}]],
}


def test_a_curve_has_the_runs_that_got_that_far():
    assert curve(HISTORIES["plain"], "loss") == [[1.0, 2.0], [0.5]]
    assert curve(HISTORIES["other"], "select_loss") == []


def test_the_csv_has_mean_and_range_of_each_epoch(tmp_path: Path):
    write_curves(tmp_path / "curves.csv", HISTORIES)
    with (tmp_path / "curves.csv").open(newline="") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert rows == [
        ("plain", "1", "loss", "1.500000", "1.000000", "2.000000", "2"),
        ("plain", "2", "loss", "0.500000", "0.500000", "0.500000", "1"),
        ("plain", "1", "select_loss", "1.000000", "0.900000", "1.100000", "2"),
        ("plain", "2", "select_loss", "0.700000", "0.700000", "0.700000", "1"),
        ("other", "1", "loss", "3.000000", "3.000000", "3.000000", "1"),
    ]


def is_drawn(path: Path) -> bool:
    """Whether there is a PNG with more than paper and ink on it."""
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 50


def test_pictures_are_drawn(tmp_path: Path):
    draw_curves(tmp_path / "curves.png", HISTORIES)
    draw_accuracies(tmp_path / "accuracies.png", {"plain": [0.8, 0.9], "other": [0.7]})
    assert is_drawn(tmp_path / "curves.png")
    assert is_drawn(tmp_path / "accuracies.png")
