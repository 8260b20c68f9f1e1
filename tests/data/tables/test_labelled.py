"""A table gives the records that the same photos give in folders, and says what contradicts itself, by line."""

import csv
import shutil
from pathlib import Path

import pytest
import refusals

from regraft.data.readiness import assess
from regraft.data.scan import scan_folder
from regraft.data.tables.column_names import ColumnChoices
from regraft.data.tables.labelled import scan_table
from regraft.errors import FolderError


def write_table(file: Path, rows, columns=("path", "label")) -> Path:
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])
    return file


@pytest.fixture
def root(photo_folder) -> Path:
    return photo_folder({"train/cat": 3, "train/dog": 3, "val/cat": 1, "val/dog": 1})


def rows_of(root: Path) -> list[tuple[str, str, str]]:
    folder = scan_folder(root)
    return [
        (one.path.relative_to(root).as_posix(), folder.class_names[one.class_index], one.split)
        for one in folder.records
    ]


def test_records_are_those_of_the_folder_whatever_the_order_of_the_rows(root: Path, tmp_path: Path):
    file = write_table(tmp_path / "t.csv", reversed(rows_of(root)), ("path", "label", "split"))
    folder = scan_table(file, ColumnChoices(root=str(root)))
    assert folder.records == scan_folder(root).records
    assert folder.class_names == ("cat", "dog")
    assert (folder.name, folder.source, folder.root) == ("t.csv", file, root)


def test_relative_paths_start_at_the_table(root: Path):
    file = write_table(root / "t.csv", [row[:2] for row in rows_of(root)])
    folder = scan_table(file)
    assert [one.path for one in folder.records] == [one.path for one in scan_folder(root).records]
    assert folder.splits == ()


def test_absolute_windows_and_bare_names_are_found(root: Path, tmp_path: Path):
    shutil.copy(root / "val/cat/000.jpg", root / "cat.001")
    shutil.copy(root / "val/dog/000.jpg", root / "dog7.JPG")
    (root / "dog7.JPG").rename(root / "dog7.jpg")
    rows = [(root / "train/cat/000.jpg", "cat"), ("train\\cat\\001.jpg", "cat"), ("dog7", "dog"), ("cat.001", "cat")]
    folder = scan_table(write_table(tmp_path / "t.csv", rows), ColumnChoices(root=str(root)))
    assert [one.path.relative_to(root).as_posix() for one in folder.records] == [
        "cat.001", "dog7.jpg", "train/cat/000.jpg", "train/cat/001.jpg",
    ]  # fmt: skip


def test_missing_and_broken_files_are_set_aside_with_their_lines(root: Path, tmp_path: Path):
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    rows = [*(row[:2] for row in rows_of(root)), ("gone.jpg", "cat"), ("broken.jpg", "dog")]
    folder = scan_table(write_table(tmp_path / "t.csv", rows), ColumnChoices(root=str(root)))
    assert len(folder.records) == 8
    assert [aside.path.name for aside in folder.unreadable] == ["broken.jpg", "gone.jpg"]
    assert folder.unreadable[1].reason == "no such file or directory (line 10)"
    assert folder.unreadable[0].reason.endswith("(line 11)")


def test_groups_and_weights_are_read(root: Path, tmp_path: Path):
    rows = [("train/cat/000.jpg", "cat", "p1", "2"), ("train/dog/000.jpg", "dog", "", "0.5")]
    file = write_table(tmp_path / "t.csv", rows, ("path", "label", "group", "weight"))
    records = scan_table(file, ColumnChoices(root=str(root))).records
    assert [(one.group, one.weight) for one in records] == [("p1", 2.0), ("", 0.5)]


def test_a_photo_named_twice_with_the_same_words_counts_once(root: Path, tmp_path: Path):
    rows = [("train/cat/000.jpg", "cat"), ("train/dog/000.jpg", "dog"), ("train/../train/cat/000.jpg", "cat")]
    folder = scan_table(write_table(tmp_path / "t.csv", rows), ColumnChoices(root=str(root)))
    assert len(folder.records) == 2
    assert folder.remarks == ("1 row of the table name a photo again, with the same words: counted once.",)


def test_writings_of_one_name_are_one_class(root: Path, tmp_path: Path):
    rows = [("train/cat/000.jpg", "Cat"), ("train/cat/001.jpg", "cat "), ("train/dog/000.jpg", "dog")]
    folder = scan_table(write_table(tmp_path / "t.csv", rows), ColumnChoices(root=str(root)))
    assert folder.class_names == ("Cat", "dog")
    warnings = assess(folder).warnings
    assert any("1 class whose names differ only in case, blanks or Unicode form (Cat = cat)" in one for one in warnings)


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        (
            [("a.jpg", ""), ("b.jpg", "")],
            ("path", "label"),
            'no label in its column "label" in line 2 (a.jpg) and 1 more',
        ),
        ([("", "cat")], ("path", "label"), 'no path in its column "path" in line 2;'),
        ([("a.jpg", "0.37")], ("path", "label"), 'the number 0.37 in its column "label" of labels, in line 2'),
        ([("a.jpg", "\x07")], ("path", "label"), "without control characters"),
        ([("a.jpg", "cat"), ("a.jpg", "dog")], ("path", "label"), 'labels "cat" and "dog", in line 2 and line 3'),
        (
            [("a.jpg", "cat", "train"), ("a.jpg", "cat", "val")],
            ("path", "label", "split"),
            "one label and another split, group or weight, in line 2 and line 3",
        ),
        (
            [("a.jpg", "cat", "train"), ("b.jpg", "cat", "later"), ("c.jpg", "cat", "")],
            ("path", "label", "split"),
            '"", "later" in its column "split", first in line 3; expected train, val or test in each row.',
        ),
        ([("a.jpg", "cat", "-1")], ("path", "label", "weight"), 'weight "-1" in its column "weight", in line 2'),
        ([("a.jpg", "cat", "nan")], ("path", "label", "weight"), "expected a number above 0, from"),
        ([("a.jpg", "cat", "much")], ("path", "label", "weight"), "expected a number above 0, from"),
        ([("a.jpg", "cat", "1e308")], ("path", "label", "weight"), "from 1e-06 to 1,000,000."),
        ([("a\0b.jpg", "cat")], ("path", "label"), "a path with a null byte in line 2"),
        ([("no.jpg", "cat"), ("nor.jpg", "dog")], ("path", "label"), "None of the 2 files that"),
    ],
)
def test_what_contradicts_itself_is_one_line_that_names_the_place(rows, columns, words, tmp_path: Path):
    message = refusals.message_of(FolderError, scan_table, write_table(tmp_path / "t.csv", rows, columns))
    assert words in message
    assert "\n" not in message


def test_numbers_can_be_names_and_words_for_splits_are_those_of_folders(root: Path, tmp_path: Path):
    rows = [
        ("train/cat/000.jpg", "0", "training"),
        ("train/dog/000.jpg", "7", "Train"),
        ("val/dog/000.jpg", "7", "dev"),
    ]
    file = write_table(tmp_path / "t.csv", rows, ("path", "label", "split"))
    folder = scan_table(file, ColumnChoices(root=str(root)))
    assert folder.class_names == ("0", "7")
    assert [one.split for one in folder.records] == ["train", "train", "val"]


def test_a_root_that_is_no_folder_is_one_line(tmp_path: Path):
    file = write_table(tmp_path / "t.csv", [("a.jpg", "cat")])
    message = refusals.message_of(FolderError, scan_table, file, ColumnChoices(root=str(tmp_path / "none")))
    assert message == f"root must be the folder where relative paths start; there is none at {tmp_path / 'none'}."


def test_words_with_digits_are_names(root: Path, tmp_path: Path):
    rows = [("train/cat/000.jpg", "1_2"), ("train/dog/000.jpg", "nan"), ("train/dog/001.jpg", "7e")]
    folder = scan_table(write_table(tmp_path / "t.csv", rows), ColumnChoices(root=str(root)))
    assert folder.class_names == ("1_2", "7e", "nan")


def test_a_table_of_test_photos_alone_is_read_and_cannot_be_trained_on(root: Path, tmp_path: Path):
    rows = [("val/cat/000.jpg", "cat", "test"), ("val/dog/000.jpg", "dog", "test")]
    file = write_table(tmp_path / "t.csv", rows, ("path", "label", "split"))
    folder = scan_table(file, ColumnChoices(root=str(root)))
    assert folder.splits == ("test",)
    assert assess(folder).obstacles[0] == f"Expected photos of the split train; {file} has test alone."
