"""What looks like splits is never learned as classes without a word."""

import re
from collections import Counter
from pathlib import Path

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


def roles_of(root: Path) -> dict[str, Counter]:
    """How many photos of each class there are, by split."""
    folder = scan_folder(root)
    return {
        split: Counter(folder.class_names[one.class_index] for one in folder.split(split))
        for split in folder.splits or ("",)
    }


TWO = {"train": {"cat": 3, "dog": 2}, "test": {"cat": 1, "dog": 1}}


@pytest.mark.parametrize(
    ("counts", "expected", "remark"),
    [
        (
            {"Training Set/cat": 3, "Training Set/dog": 2, "Test Set/cat": 1, "Test Set/dog": 1},
            TWO,
            "Folders are read as splits: Training Set/ as train, Test Set/ as test.",
        ),
        (
            {"train1/cat": 3, "train1/dog": 2, "test1/cat": 1, "test1/dog": 1},
            TWO,
            "Folders are read as splits: train1/ as train, test1/ as test.",
        ),
        (
            {
                "seg_train/seg_train/cat": 3, "seg_train/seg_train/dog": 2,
                "seg_test/seg_test/cat": 1, "seg_test/seg_test/dog": 1, "seg_pred/seg_pred": 2,
            },
            TWO,
            "Folders are read as splits: seg_train/seg_train/ as train, seg_test/seg_test/ as test.",
        ),
        (
            {"train/cat": 3, "train/dog": 2, "dev/cat": 1, "dev/dog": 1},
            {"train": TWO["train"], "val": TWO["test"]},
            "Folders are read as splits: dev/ as val.",
        ),
        (
            {"cat/train": 3, "dog/train": 2, "cat/test": 1, "dog/test": 1},
            TWO,
            "Splits lie in the folders of the classes: "
            "cat/test/ as test of cat, cat/train/ as train of cat, and so on.",
        ),
        ({"train/cat": 3, "train/dog": 2, "test": 4}, {"train": TWO["train"]}, None),  # flat, without labels
    ],
)  # fmt: skip
def test_splits_by_other_names_and_in_other_places_are_understood(counts, expected, remark, photo_folder):
    root = photo_folder(counts)
    folder = scan_folder(root)
    assert folder.class_names == ("cat", "dog")
    assert roles_of(root) == expected
    assert folder.remarks == ((remark,) if remark else ())
    assert layout_warnings(folder) == []
    assert all(path.is_relative_to(root) for path in folder.loose)
    assert len(folder.loose) == sum(counts.get(name, 0) for name in ("seg_pred/seg_pred", "test"))


def test_a_wrapper_alone_is_refused_with_the_folder_that_is_meant(photo_folder):
    answer = run_regraft("check", photo_folder({"flower_photos/daisy": 2, "flower_photos/rose": 2}))
    assert answer.code == 3
    assert "flower_photos instead of" in " ".join(answer.stdout.split())


def test_words_that_only_sound_like_splits_stay_classes(photo_folder):
    folder = scan_folder(photo_folder({"train station/old": 1, "test tube/glass": 1, "cat": 1}))
    assert folder.class_names == ("cat", "test tube", "train station")


def test_splits_below_some_of_the_classes_are_warned_about(photo_folder):
    folder = scan_folder(photo_folder({"cat/train": 2, "cat/val": 2, "dog": 2}))
    assert folder.class_names == ("cat", "dog")
    [warning] = layout_warnings(folder)
    assert re.match(r"Folders named like splits lie below 1 of 2 classes \(cat/train, cat/val\): all their", warning)


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


def test_the_same_folders_in_all_classes_are_warned_about(photo_folder):
    folder = scan_folder(photo_folder({f"{site}/{name}": 1 for site in ("site1", "site2") for name in ("neg", "pos")}))
    assert folder.class_names == ("site1", "site2")
    [warning] = layout_warnings(folder)
    assert warning.startswith("Every class holds the same folders (neg, pos): if these are the classes, and site1 and")


def test_a_table_beside_flat_photos_is_named(photo_folder, tmp_path: Path):
    root = photo_folder({"cat": 2})
    for path in root.glob("cat/*.jpg"):
        path.rename(root / path.name)
    (root / "cat").rmdir()
    (root / "labels.csv").write_text("path,label\n", "utf-8")
    with pytest.raises(FolderError, match=re.escape(f"Or name the table of their labels: {root}/labels.csv.")):
        scan_folder(root)
