"""What looks like splits is never learned as classes without a word."""

import re

import pytest
from command_line import run_regraft

from regraft.data.layout import layout_warnings, split_named, split_resembled
from regraft.data.scan import scan_folder
from regraft.errors import FolderError


@pytest.mark.parametrize(
    ("name", "split"),
    [("train", "train"), ("TRAIN ", "train"), ("Valid", "val"), ("testing", "test"), ("Test Set", ""), ("trains", "")],
)
def test_splits_have_these_names_alone(name, split):
    assert split_named(name) == split


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(
            ("Training Set", "train"),
            ("seg_train", "train"),
            ("train2", "train"),
            ("test1", "test"),
            ("dev-set", "val"),
        ),
        *(("images_val", "val"), ("holdout", "test"), ("trainer", ""), ("contest", ""), ("validity", ""), ("cat", "")),
    ],
)
def test_names_that_remind_of_splits_are_known(name, split):
    assert split_resembled(name) == split


@pytest.mark.parametrize(
    ("counts", "names"),
    [
        ({"train": 2, "test1": 2}, "test1, train"),
        (
            {"Training Set/cat": 2, "Training Set/dog": 2, "Test Set/cat": 1, "Test Set/dog": 1},
            "Test Set, Training Set",
        ),
        ({"seg_train/seg_train/sea": 2, "seg_test/seg_test/sea": 1}, "seg_test, seg_train"),
        ({"train1": 1, "train2": 1, "dev": 1}, "dev, train1, train2"),
    ],
)
def test_where_every_class_would_be_a_split_the_folder_is_refused_with_the_remedy(photo_folder, counts, names):
    root = photo_folder(counts)
    with pytest.raises(FolderError, match=f"look like splits and not like classes: {names}. Lay the photos out as"):
        scan_folder(root)
    assert run_regraft("check", root).code == 2


@pytest.mark.parametrize(
    "counts",
    [{"cat": 2, "dog": 2, "test1": 1}, {"cat/a": 1, "train": 1, "val": 1}],
)
def test_a_class_that_is_named_like_a_split_is_warned_about(photo_folder, counts):
    assert "Named like a split, but read as a class" in " ".join(layout_warnings(scan_folder(photo_folder(counts))))


def test_splits_below_the_classes_are_warned_about(photo_folder):
    folder = scan_folder(photo_folder({f"{name}/{split}": 2 for name in ("cat", "dog") for split in ("train", "val")}))
    assert folder.class_names == ("cat", "dog")
    [warning] = layout_warnings(folder)
    assert re.match(r"Folders named like splits lie below 2 of 2 classes \(cat/train, cat/val\): all their", warning)


@pytest.mark.parametrize(
    "counts",
    [
        {"bus": 2, "train": 2},  # a vehicle
        {"tested": 2, "not tested": 2},
        {"test positive": 2, "test negative": 2},
        {"train/cat": 1, "train/dog": 1, "val/cat": 1, "val/dog": 1, "test/cat": 1, "test/dog": 1},
        {"cat/old": 1, "dog/new": 1},
    ],
)
def test_usual_folders_are_not_warned_about(photo_folder, counts):
    assert layout_warnings(scan_folder(photo_folder(counts))) == []
