"""From what the user names to records, and from records to what TensorFlow reads."""

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_photos import draw_photo
from PIL import Image

from regraft.data.photos import read_upright_rgb
from regraft.data.records import ImageFolder, Record
from regraft.data.rendering import Rendering
from regraft.data.sources import data_fingerprint, labels_of, load_source, tensorflow_path, upright_size
from regraft.errors import FolderError
from regraft.progress import Silent


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def load(root: Path) -> ImageFolder:
    return load_source(str(root), data_dir=None, progress=Silent())


def record_of(path: Path, *, format: str = "JPEG", mode: str = "RGB", orientation: int = 1) -> Record:
    return Record(path, 0, "", format, 40, 30, orientation, "f" * 32, b"", mode)


def test_a_folder_is_scanned_and_labels_follow_its_records(photo_folder):
    folder = load(photo_folder({"ant": 2, "bee": 1}))
    assert folder.class_names == ("ant", "bee")
    labels = labels_of(folder.records)
    assert (labels.tolist(), labels.dtype) == ([0, 0, 1], np.int64)


def test_a_database_of_somebody_else_is_not_written_to(photo_folder, own_cache: Path):
    own_cache.mkdir()
    with closing(sqlite3.connect(own_cache / "scans.sqlite")) as database:
        database.execute("CREATE TABLE scanners (name)")
    before = (own_cache / "scans.sqlite").read_bytes()
    assert len(load(photo_folder({"ant": 2, "bee": 1})).records) == 3
    assert (own_cache / "scans.sqlite").read_bytes() == before


def test_the_fingerprint_does_not_depend_on_where_the_folder_lies(photo_folder, tmp_path: Path):
    root = photo_folder({"ant": 2, "bee": 1})
    shutil.copytree(root, tmp_path / "copy")
    assert data_fingerprint(load(root)) == data_fingerprint(load(tmp_path / "copy"))


def test_the_fingerprint_changes_with_an_image_its_class_and_its_split(photo_folder):
    folder = load(photo_folder({"ant": 2, "bee": 1}))
    first, *others = folder.records
    changes = [replace(first, fingerprint="0" * 32), replace(first, class_index=1), replace(first, split="train")]
    folders = [folder, replace(folder, records=tuple(others))]
    folders += [replace(folder, records=(change, *others)) for change in changes]
    assert len({data_fingerprint(each) for each in folders}) == 5


@pytest.mark.parametrize(("orientation", "size"), [(1, (30, 40)), (4, (30, 40)), (5, (40, 30)), (8, (40, 30))])
def test_the_upright_size_is_height_and_width_after_turning(orientation, size):
    assert upright_size(record_of(Path("a.jpg"), orientation=orientation)) == size


def test_what_tensorflow_reads_is_given_as_it_is(tmp_path: Path):
    assert tensorflow_path(record_of(tmp_path / "a.jpg")) == tmp_path / "a.jpg"


def test_what_it_does_not_read_becomes_a_lossless_copy_in_the_cache(tmp_path: Path, own_cache: Path):
    path = tmp_path / "a.tif"
    draw_photo(0, seed=1, size=(40, 30)).save(path)
    copy = tensorflow_path(record_of(path, format="TIFF"))
    assert copy == own_cache / "transcoded" / f"{'f' * 32}.3_white_auto.png"
    np.testing.assert_array_equal(np.asarray(Image.open(copy)), read_upright_rgb(path))
    path.unlink()
    assert tensorflow_path(record_of(path, format="TIFF")) == copy  # made once


def test_a_transparent_photo_has_a_copy_for_each_background(tmp_path: Path):
    path = tmp_path / "a.png"
    Image.new("RGBA", (2, 2), (9, 9, 9, 0)).save(path)
    record = replace(record_of(path, format="PNG", mode="RGBA"), transparent=True)
    assert tensorflow_path(record, Rendering("none")) == path
    for background, color in (("white", 255), ("black", 0), ("#010101", 1)):
        assert (np.asarray(Image.open(tensorflow_path(record, Rendering(background)))) == color).all()


def test_a_photo_that_broke_since_the_scan_is_named(tmp_path: Path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"")
    with pytest.raises(FolderError) as caught:
        tensorflow_path(record_of(path, format="TIFF"))
    assert str(caught.value) == f"{path} became unreadable: empty file."


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, own_cache: Path):
    own_cache.touch()
    path = tmp_path / "a.tif"
    draw_photo(0, seed=1).save(path)
    with pytest.raises(FolderError) as caught:
        tensorflow_path(record_of(path, format="TIFF"))
    folder = own_cache / "transcoded"
    assert str(caught.value) == f"The cache {folder} cannot be written: {os.strerror(20)}."
