"""A table that was written from a folder gives its records back."""

from dataclasses import replace
from pathlib import Path

import pytest
import refusals

import regraft
from regraft.data.scan import scan_folder
from regraft.data.tables.labelled import scan_table
from regraft.data.tables.written import check_table_place, write_table
from regraft.errors import UsageError


@pytest.mark.parametrize(
    "counts", [{"cat": 2, "dög, 2": 2}, {"train/cat": 2, "train/dog": 2, "val/cat": 1, "val/dog": 1}]
)
@pytest.mark.parametrize("place", ["photos/labels.csv", "labels.csv", "new/folder/labels.csv"])
def test_what_is_written_is_read_as_the_same_records(counts, place, photo_folder, tmp_path: Path):
    folder = scan_folder(photo_folder(counts))
    write_table(folder, tmp_path / place)
    again = scan_table(tmp_path / place)
    assert again.records == folder.records
    assert again.class_names == folder.class_names
    first = (tmp_path / place).read_text("utf-8").splitlines()[1]
    assert first.startswith(str(tmp_path)) == place.startswith("new")


def test_groups_and_weights_are_written_where_there_are_any(photo_folder, tmp_path: Path):
    folder = scan_folder(photo_folder({"cat": 1, "dog": 1}))
    cat, dog = folder.records
    folder = replace(folder, records=(replace(cat, group="p1", weight=2.5), dog))
    write_table(folder, tmp_path / "labels.csv")
    assert scan_table(tmp_path / "labels.csv").records == folder.records
    assert (tmp_path / "labels.csv").read_text("utf-8").splitlines()[0] == "path,label,group,weight"


def test_check_writes_it_and_nothing_over_anything(photo_folder, tmp_path: Path):
    photos, file = photo_folder({"cat": 2, "dog": 2}), tmp_path / "labels.csv"
    regraft.check(photos, to=file, progress=False)
    assert len(file.read_text("utf-8").splitlines()) == 5
    message = refusals.message_of(regraft.RegraftError, regraft.check, photos, to=file, progress=False)
    assert message == f"{file} exists already; choose another to or remove it."
    assert "must end in .csv" in refusals.message_of(UsageError, check_table_place, tmp_path / "labels.xlsx")
