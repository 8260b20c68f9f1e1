"""What a scan of a folder finds, refuses and remembers."""

import os
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from drawn_photos import draw_photo
from PIL import Image

import regraft.data.scan
from regraft.data.records import ImageFolder, Record, SetAside
from regraft.data.scan import (
    deep_spreads,
    imbalance,
    name_some,
    plural,
    require_trainable,
    scan_folder,
    show_path,
    training_counts,
    training_obstacles,
    training_warnings,
)
from regraft.errors import FolderError


def names_of(folder: ImageFolder, paths) -> list[str]:
    return [path.relative_to(folder.root).as_posix() for path in paths]


def image_names(folder: ImageFolder) -> list[str]:
    return names_of(folder, [record.path for record in folder.records])


def folder_of(counts: dict[str, int], **fields) -> ImageFolder:
    """A scanned folder without files: `counts` images of each "class" or "split/class"."""
    class_names = tuple(sorted({Path(place).name for place in counts}))
    records = [
        Record(
            Path("photos", place, f"{number}.jpg"),
            class_names.index(Path(place).name),
            place.split("/")[0] if "/" in place else "",
            *("JPEG", 64, 48, 1, f"{place}{number}", bytes(32)),
        )
        for place, count in counts.items()
        for number in range(count)
    ]
    return ImageFolder(Path("photos"), class_names, tuple(records), **fields)


def test_classes_without_splits(photo_folder):
    folder = scan_folder(photo_folder({"dog": 1, "cat": 2}))
    assert folder.class_names == ("cat", "dog")
    assert folder.splits == ()
    assert image_names(folder) == ["cat/000.jpg", "cat/001.jpg", "dog/000.jpg"]
    assert [record.class_index for record in folder.records] == [0, 0, 1]
    assert {(record.format, record.mode, record.width, record.height) for record in folder.records} == {
        ("JPEG", "RGB", 64, 48)
    }


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("train", "val", "test"), ("Training", "VALID", "Testing"), ("TRAIN", "validation", "test")],
)
def test_splits_by_any_usual_name(photo_folder, train, val, test):
    root = photo_folder({f"{split}/{name}": 1 for split in (train, val, test) for name in ("cat", "dog")})
    folder = scan_folder(root)
    assert folder.splits == ("train", "val", "test")
    assert [len(folder.split(split)) for split in folder.splits] == [2, 2, 2]
    assert {(record.path.parent.name, record.class_index) for record in folder.records} == {
        ("cat", 0),
        ("dog", 1),
    }


def test_a_class_called_train_is_a_class(photo_folder):
    assert scan_folder(photo_folder({"bus": 1, "train": 1})).class_names == ("bus", "train")


def test_images_lie_at_any_depth_in_their_class(photo_folder):
    root = photo_folder({"cat/2021/may": 1, "cat": 1, "dog": 1})
    folder = scan_folder(root)
    assert folder.class_names == ("cat", "dog")
    assert image_names(folder) == ["cat/000.jpg", "cat/2021/may/000.jpg", "dog/000.jpg"]


def test_everything_that_is_no_photo_is_listed_and_not_used(photo_folder):
    root = photo_folder({"cat": 2, "dog": 2, ".git": 1, "cat/__MACOSX": 1})
    (root / "cat" / "notes.txt").write_text("notes")
    (root / "cat" / "photo").write_bytes((root / "cat" / "000.jpg").read_bytes())
    (root / "cat" / "Thumbs.db").write_bytes(b"x")
    (root / "dog" / "._000.jpg").write_bytes(b"x")
    (root / "dog" / "broken.JPG").write_bytes(b"")
    (root / "labels.csv").write_text("x")
    draw_photo(0, seed=9).save(root / "cover.png")
    folder = scan_folder(root)
    assert len(folder.records) == 4
    assert names_of(folder, folder.not_images) == ["cat/notes.txt", "cat/photo", "labels.csv"]
    assert names_of(folder, folder.hidden) == [".git", "cat/Thumbs.db", "cat/__MACOSX", "dog/._000.jpg"]
    assert names_of(folder, folder.loose) == ["cover.png"]
    assert folder.unreadable == (SetAside(root / "dog" / "broken.JPG", "empty file"),)


def test_folders_beside_the_splits_are_loose(photo_folder):
    root = photo_folder({"train/cat": 1, "train/dog": 1, "extra/cat": 1})
    draw_photo(0, seed=9).save(root / "train" / "cover.png")
    folder = scan_folder(root)
    assert len(folder.records) == 2
    assert names_of(folder, folder.loose) == ["extra/cat/000.jpg", "train/cover.png"]


def test_unlabelled_test_images_are_loose(photo_folder):
    root = photo_folder({"train/cat": 1, "train/dog": 1, "test": 2})
    folder = scan_folder(root)
    assert folder.splits == ("train",)
    assert names_of(folder, folder.loose) == ["test/000.jpg", "test/001.jpg"]


def test_an_empty_class_folder_is_listed(photo_folder):
    folder = scan_folder(photo_folder({"train/cat": 1, "train/dog": 1, "val/cat": 1, "val/dog": 0, "val/old": 0}))
    assert folder.class_names == ("cat", "dog")
    assert names_of(folder, folder.empty_folders) == ["val/dog", "val/old"]


def test_an_empty_class_folder_without_splits_is_a_class_without_images(photo_folder):
    folder = scan_folder(photo_folder({"cat": 1, "dog": 1, "fox": 0}))
    assert folder.class_names == ("cat", "dog", "fox")
    assert names_of(folder, folder.empty_folders) == ["fox"]
    assert training_counts(folder) == {"cat": 1, "dog": 1, "fox": 0}


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"train/cat": 1, "train/dog": 1, "val/cat": 1}, "same class folders in every split.*val lacks dog"),
        (
            {"train/cat": 1, "val/cat": 1, "val/fox": 1, "test/cat": 1},
            "test lacks fox; train lacks fox",
        ),
        ({"val/cat": 1, "test/cat": 1}, r"has test/, val/ but not a train/ folder"),
        ({"train": 1, "test": 1}, r"has test/, train/ but not class folders in train/"),
        ({"train/cat": 1, "Training/cat": 1}, r"one train folder in .*; found Training/ and train/\. Join"),
        ({"": 2}, "has 2 images outside class folders. Move each into a folder named after its class"),
        ({"cat": 0, "dog": 0}, "No images in "),
    ],
)
def test_a_layout_that_cannot_be_meant_is_refused_in_one_line(photo_folder, counts, message):
    with pytest.raises(FolderError, match=message) as caught:
        scan_folder(photo_folder(counts))
    assert "\n" not in str(caught.value)


def test_no_folder_is_refused(tmp_path):
    with pytest.raises(FolderError, match=r"No such folder: .*none"):
        scan_folder(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(FolderError, match="file is a file"):
        scan_folder(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FolderError, match=r"No images in .*empty"):
        scan_folder(tmp_path / "empty")


def test_only_unreadable_images_are_a_finding_and_not_a_refusal(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.jpg").write_bytes(b"")
    folder = scan_folder(tmp_path)
    assert folder.records == ()
    assert names_of(folder, folder.empty_folders) == ["cat"]


def test_link_loops_end(photo_folder):
    root = photo_folder({"cat": 1, "dog": 1})
    (root / "cat" / "up").symlink_to(root, target_is_directory=True)
    (root / "cat" / "self").symlink_to(root / "cat", target_is_directory=True)
    (root / "dog" / "cats").symlink_to(root / "cat", target_is_directory=True)
    folder = scan_folder(root)
    assert image_names(folder) == ["cat/000.jpg", "dog/000.jpg", "dog/cats/000.jpg"]


def test_linked_class_folders_and_images_are_followed(photo_folder, tmp_path):
    store = photo_folder({"cats": 2}, name="store")
    root = photo_folder({"dog": 1})
    (root / "cat").symlink_to(store / "cats", target_is_directory=True)
    (root / "dog" / "linked.jpg").symlink_to(store / "cats" / "000.jpg")
    assert image_names(scan_folder(root)) == ["cat/000.jpg", "cat/001.jpg", "dog/000.jpg", "dog/linked.jpg"]


def test_broken_links_and_pipes_are_set_aside(photo_folder):
    root = photo_folder({"cat": 1, "dog": 1})
    (root / "cat" / "gone.jpg").symlink_to(root / "nowhere.jpg")
    (root / "cat" / "loop.jpg").symlink_to(root / "cat" / "loop.jpg")
    os.mkfifo(root / "dog" / "pipe.jpg")
    folder = scan_folder(root)
    assert names_of(folder, [aside.path for aside in folder.unreadable]) == [
        "cat/gone.jpg",
        "cat/loop.jpg",
        "dog/pipe.jpg",
    ]


def test_a_class_folder_that_may_not_be_listed_is_set_aside(photo_folder, monkeypatch):
    root = photo_folder({"cat": 1, "dog": 1})
    listed = Path.iterdir

    def forbid(self):
        if self.name == "dog":
            raise PermissionError(13, "Permission denied", str(self))
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", forbid)
    folder = scan_folder(root)
    assert folder.unreadable == (SetAside(root / "dog", "permission denied"),)
    assert names_of(folder, folder.empty_folders) == ["dog"]


def test_threads_do_not_change_the_order(photo_folder, monkeypatch):
    root = photo_folder({"cat": 6, "dog": 6})
    expected = scan_folder(root, workers=1)
    inspect = regraft.data.scan.inspect_photo

    def inspect_early_files_slowly(path, **limits):
        time.sleep(0.02 if path.name < "002" else 0)
        return inspect(path, **limits)

    monkeypatch.setattr(regraft.data.scan, "inspect_photo", inspect_early_files_slowly)
    assert scan_folder(root, workers=8) == expected


def test_progress_counts_every_image(photo_folder):
    steps = []

    class Ticker:
        def advance(self, count=1, note=""):
            steps.append(count)

    class Listener:
        @contextmanager
        def work(self, name, total, unit):
            steps.append((name, total, unit))
            yield Ticker()

        def say(self, text):
            raise AssertionError(text)

    scan_folder(photo_folder({"cat": 2, "dog": 1}), progress=Listener())
    assert steps == [("scan", 3, "images"), 1, 1, 1]


def refuse_to_inspect(path):
    raise AssertionError(f"{path} was read again")


def test_a_second_scan_reads_no_photo_again(photo_folder, tmp_path, monkeypatch):
    root, cache = photo_folder({"cat": 2, "dog": 2}), tmp_path / "new" / "scan.sqlite"
    first = scan_folder(root, cache=cache)
    monkeypatch.setattr(regraft.data.scan, "inspect_photo", refuse_to_inspect)
    assert scan_folder(root, cache=cache) == first


def test_the_cache_notices_a_changed_file(photo_folder, tmp_path):
    root, cache = photo_folder({"cat": 2, "dog": 2}), tmp_path / "scan.sqlite"
    scan_folder(root, cache=cache)
    draw_photo(1, seed=77, size=(30, 20)).save(root / "cat" / "000.jpg")
    assert scan_folder(root, cache=cache).records[0].width == 30
    assert scan_folder(root, cache=cache) == scan_folder(root)


def test_a_photo_over_the_limit_is_unreadable_though_an_earlier_scan_has_read_it(photo_folder, tmp_path):
    root, cache = photo_folder({"cat": 2, "dog": 2}), tmp_path / "scan.sqlite"
    draw_photo(1, seed=77, size=(300, 200)).save(root / "cat" / "large.jpg")
    assert not scan_folder(root, cache=cache).unreadable
    (refused,) = scan_folder(root, cache=cache, max_pixels=50_000).unreadable
    assert refused.path.name == "large.jpg"
    assert refused.reason.endswith("(--max-pixels)")
    assert not scan_folder(root, cache=cache, max_pixels=60_000).unreadable


def test_the_range_of_a_set_is_that_of_its_training_photos(photo_folder):
    root = photo_folder({"train/cat": 2, "train/dog": 2, "val/cat": 1, "val/dog": 1})
    for split, top in (("train", 900), ("val", 60_000)):
        Image.fromarray(np.array([[5, top]], np.uint16)).save(root / split / "cat" / "deep.png")
    assert deep_spreads(scan_folder(root)) == [(5.0, 900.0)]


def test_the_cache_does_not_remember_refusals(photo_folder, tmp_path):
    root, cache = photo_folder({"cat": 1, "dog": 1}), tmp_path / "scan.sqlite"
    (root / "cat" / "bad.jpg").write_bytes(b"x")
    for _ in range(2):
        assert len(scan_folder(root, cache=cache).unreadable) == 1


@pytest.mark.parametrize("spoil", ["garbage", "folder", "other columns", "locked", "file for a folder"])
def test_a_cache_that_cannot_be_used_changes_nothing(photo_folder, tmp_path, monkeypatch, spoil):
    root, cache = photo_folder({"cat": 1, "dog": 1}), tmp_path / "scan.sqlite"
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda file: connect(file, timeout=0.01))
    other = connect(cache if spoil in ("other columns", "locked") else ":memory:")
    match spoil:
        case "garbage":
            cache.write_bytes(b"no database" * 1000)
        case "folder":
            cache.mkdir()
        case "other columns":
            other.execute("CREATE TABLE photos_1 (path)")
        case "locked":
            other.execute("BEGIN EXCLUSIVE")
        case _:
            (tmp_path / "file").write_text("x")
            cache = tmp_path / "file" / "scan.sqlite"
    try:
        assert scan_folder(root, cache=cache) == scan_folder(root)
    finally:
        other.close()


def test_file_names_that_are_not_text_work(photo_folder, tmp_path):
    root = photo_folder({"cat": 1, "dog": 1})
    (root / "cat" / "000.jpg").rename(root / "cat" / os.fsdecode(b"\xff\n.jpg"))
    for _ in range(2):
        folder = scan_folder(root, cache=tmp_path / "scan.sqlite")
        assert len(folder.records) == 2
    assert show_path(folder.records[0].path, root) == "cat/??.jpg"


def test_one_class_cannot_be_trained_on():
    with pytest.raises(FolderError, match='two or more classes; found "cat" alone'):
        require_trainable(folder_of({"cat": 3}))


def test_a_class_without_a_training_image_cannot_be_trained_on():
    with pytest.raises(FolderError, match='Class "dog" has no readable training image'):
        require_trainable(folder_of({"train/cat": 3, "train/dog": 0, "val/dog": 2}))
    assert len(training_obstacles(folder_of({"cat": 0}))) == 2


def test_a_good_folder_gives_no_warning():
    assert require_trainable(folder_of({"cat": 20, "dog": 3})) == []


def test_one_image_and_imbalance_are_warned_about():
    warnings = require_trainable(folder_of({"cat": 30, "dog": 3, "fox": 1}))
    assert len(warnings) == 2
    assert 'Class "fox" has one training image' in warnings[0]
    assert 'Class "cat" has 30 training images and "fox" 1' in warnings[1]


def test_few_unreadable_files_are_named_and_the_rest_counted():
    asides = tuple(SetAside(Path("photos", f"{number}.jpg"), "empty file") for number in range(22))
    [warning] = training_warnings(folder_of({"cat": 3, "dog": 3}, unreadable=asides))
    named = ", ".join(f"{number}.jpg (empty file)" for number in range(20))
    assert warning == f"Cannot read 22 files, which training leaves out: {named} and 2 more."


def test_imbalance_is_largest_over_smallest_of_those_present():
    assert imbalance({"cat": 12, "dog": 3, "fox": 0}) == 4
    assert imbalance({}) == 1


def test_words_for_people():
    assert [plural(1, "class"), plural(2, "class"), plural(0, "photo"), plural(1234, "entry")] == [
        "1 class",
        "2 classes",
        "0 photos",
        "1,234 entries",
    ]
    assert name_some(["a", "b", "c"]) == "a, b, c"
    assert name_some(["a", "b", "c", "d"]) == "a, b, c and 1 more"
    assert show_path(Path("/x/y"), Path("/z")) == "/x/y"


@pytest.mark.shared
def test_real_ants_and_bees(shared):
    folder = scan_folder(shared / "data" / "hymenoptera")
    assert folder.class_names == ("ants", "bees")
    assert [len(folder.split(name)) for name in ("train", "val")] == [244, 153]
    assert require_trainable(folder) == []
