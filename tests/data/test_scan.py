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

import regraft.data.inspection
from regraft.data import file_format, scan_cache
from regraft.data.readiness import assess, training_counts
from regraft.data.records import ImageFolder, SetAside
from regraft.data.scan import deep_spreads, scan_folder
from regraft.data.wording import show_path
from regraft.errors import FolderError


def names_of(folder: ImageFolder, paths) -> list[str]:
    return [path.relative_to(folder.root).as_posix() for path in paths]


def image_names(folder: ImageFolder) -> list[str]:
    return names_of(folder, [record.path for record in folder.records])


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
    assert len(folder.records) == 5
    assert {show_path(aside.path, root): aside.reason for aside in folder.not_images} == {
        "cat/notes.txt": "not an image (text?)",
        "labels.csv": "not an image (text?)",
    }
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


def test_a_link_to_the_root_or_above_it_is_no_class(photo_folder):
    root = photo_folder({"train/cat": 1, "train/dog": 1, "val/cat": 1, "val/dog": 1})
    for link, to in (("all", "."), ("train/all", ".."), ("train/here", "."), ("val/above", "../..")):
        (root / link).symlink_to(to, target_is_directory=True)
    (root / "val/dog/outside").symlink_to(root.parent.parent, target_is_directory=True)
    folder = scan_folder(root)
    assert folder.class_names == ("cat", "dog")
    assert image_names(folder) == [
        *("train/cat/000.jpg", "train/dog/000.jpg"),
        *("val/cat/000.jpg", "val/dog/000.jpg"),
    ]
    assert names_of(folder, folder.links) == ["all", "train/all", "train/here", "val/above", "val/dog/outside"]


def test_a_sheet_of_augmented_photos_is_none_of_them(photo_folder):
    root = photo_folder({"cat": 1, "dog": 1})
    for place in (root, root / "cat"):
        draw_photo(0, seed=9).save(place / "augment_preview.png")
    folder = scan_folder(root)
    assert image_names(folder) == ["cat/000.jpg", "dog/000.jpg"]
    sheets = [root / "augment_preview.png", root / "cat/augment_preview.png"]
    assert folder.ours == tuple(SetAside(path, "a sheet of augmented photos of Regraft") for path in sheets)
    assert folder.loose == ()


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


@pytest.fixture
def locked(monkeypatch):
    """A function that has the system refuse to list folders of these names; root may list what others may not."""
    scandir = os.scandir

    def lock(*names):
        def list_or_refuse(path):
            if Path(path).name in names:
                raise PermissionError(13, "Permission denied", str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", list_or_refuse)

    return lock


def test_a_folder_that_cannot_be_entered_is_one_row_and_no_class(photo_folder, locked):
    root = photo_folder({"cat": 1, "dog": 1, "dog/old": 1, "private": 1})
    locked("private", "old")
    folder = scan_folder(root)
    assert folder.unreadable == (
        SetAside(root / "dog/old", "permission denied"),
        SetAside(root / "private", "permission denied"),
    )
    assert (folder.class_names, folder.empty_folders) == (("cat", "dog"), ())
    assert image_names(folder) == ["cat/000.jpg", "dog/000.jpg"]


def test_a_photo_folder_that_cannot_be_entered_is_refused(photo_folder, locked):
    root = photo_folder({"cat": 1, "dog": 1})
    locked("photos")
    with pytest.raises(FolderError, match=r"photos cannot be entered: permission denied\."):
        scan_folder(root)


def test_a_class_that_a_split_lacks_because_it_is_locked_is_named_so(photo_folder, locked):
    root = photo_folder({"train/cat": 1, "train/dog": 1, "val/cat": 1, "val/dog": 1})
    locked("cat")
    folder = scan_folder(root)
    assert folder.class_names == ("dog",)
    (root / "val" / "cat").rename(root / "val" / "Cat")
    with pytest.raises(FolderError, match=r"train lacks Cat\. Cannot enter train/cat: permission denied\."):
        scan_folder(root)


def test_what_vanishes_during_the_scan_is_set_aside(photo_folder, monkeypatch):
    root = photo_folder({"cat": 2, "dog": 1, "dog/old": 1})
    scandir, inspect = os.scandir, regraft.data.inspection.inspect_photo

    def list_what_goes(path):
        if path.name == "old":
            path.rename(path.with_name("gone"))
        return scandir(path)

    def inspect_what_went(path, **limits):
        if path.name == "001.jpg":
            path.unlink()
        return inspect(path, **limits)

    monkeypatch.setattr(os, "scandir", list_what_goes)
    monkeypatch.setattr(regraft.data.inspection, "inspect_photo", inspect_what_went)
    folder = scan_folder(root)
    assert image_names(folder) == ["cat/000.jpg", "dog/000.jpg"]
    assert folder.unreadable == (
        SetAside(root / "cat/001.jpg", "no such file or directory"),
        SetAside(root / "dog/old", "no such file or directory"),
    )


def test_threads_do_not_change_the_order(photo_folder, monkeypatch):
    root = photo_folder({"cat": 6, "dog": 6})
    expected = scan_folder(root, workers=1)
    inspect = regraft.data.inspection.inspect_photo

    def inspect_early_files_slowly(path, **limits):
        time.sleep(0.02 if path.name < "002" else 0)
        return inspect(path, **limits)

    monkeypatch.setattr(regraft.data.inspection, "inspect_photo", inspect_early_files_slowly)
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
    monkeypatch.setattr(regraft.data.inspection, "inspect_photo", refuse_to_inspect)
    assert scan_folder(root, cache=cache) == first


def test_the_cache_notices_a_changed_file(photo_folder, tmp_path):
    root, cache = photo_folder({"cat": 2, "dog": 2}), tmp_path / "scan.sqlite"
    scan_folder(root, cache=cache)
    draw_photo(1, seed=77, size=(30, 20)).save(root / "cat" / "000.jpg")
    assert scan_folder(root, cache=cache).records[0].width == 30
    assert scan_folder(root, cache=cache) == scan_folder(root)


def test_a_photo_whose_plugin_has_gone_is_unreadable_though_an_earlier_scan_has_read_it(
    photo_folder, tmp_path, monkeypatch
):
    root, cache = photo_folder({"cat": 2, "dog": 2}), tmp_path / "scan.sqlite"
    draw_photo(1, seed=77).save(root / "cat" / "a.avif")
    assert not scan_folder(root, cache=cache).unreadable
    for module in (file_format, scan_cache):
        monkeypatch.setattr(module, "can_read", lambda name: name != "AVIF")
    (refused,) = scan_folder(root, cache=cache).unreadable
    assert (refused.path.name, refused.reason) == ("a.avif", f"a photo in AVIF, which needs {file_format.PHONE_EXTRA}")


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


def test_the_cache_notices_a_photo_of_the_same_size_by_its_time(photo_folder, tmp_path):
    root, cache = photo_folder({"cat": 1, "dog": 1}), tmp_path / "scan.sqlite"
    cat, dog = root / "cat/000.jpg", root / "dog/000.jpg"
    length = max(cat.stat().st_size, dog.stat().st_size)
    for path in (cat, dog):  # bytes after the end mark belong to no picture
        path.write_bytes(path.read_bytes().ljust(length, b"\0"))
    before, other = scan_folder(root, cache=cache).records
    state = cat.stat()
    cat.write_bytes(dog.read_bytes())
    os.utime(cat, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert cat.stat().st_size == state.st_size
    after, _ = scan_folder(root, cache=cache).records
    assert before.fingerprint != after.fingerprint == other.fingerprint


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


@pytest.mark.shared
def test_real_ants_and_bees(shared):
    folder = scan_folder(shared / "data" / "hymenoptera")
    assert folder.class_names == ("ants", "bees")
    assert [len(folder.split(name)) for name in ("train", "val")] == [244, 153]
    assert (assess(folder).obstacles, assess(folder).warnings) == ((), ())
