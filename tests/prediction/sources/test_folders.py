"""Folders as inputs."""

import os
import sys
from pathlib import Path

import pytest
from input_photos import paths_of, write_photos

from regraft.prediction.sources.expand import LeftOutCount, expand_inputs


def test_a_folder_gives_the_images_in_it_and_below_by_name(tmp_path: Path):
    wanted = write_photos(tmp_path / "in", "b.JPG", "sub.png")
    below = write_photos(tmp_path / "in/a/deep", "z.webp", "a.tif")
    write_photos(tmp_path / "in", ".hidden.jpg")
    write_photos(tmp_path / "in/.thumbnails", "x.jpg")
    (tmp_path / "in/notes.txt").touch()
    assert paths_of([str(tmp_path / "in")]) == sorted(below + wanted)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_folder_is_walked_through_links_but_never_in_circles(tmp_path: Path):
    (wanted,) = write_photos(tmp_path / "in/deep", "a.jpg")
    (linked,) = write_photos(tmp_path / "elsewhere", "b.jpg")
    (tmp_path / "in/deep/up").symlink_to(tmp_path / "in")
    (tmp_path / "in/deep/outside").symlink_to(tmp_path)
    (tmp_path / "in/self").symlink_to(tmp_path / "in/self")
    (tmp_path / "in/there").symlink_to(tmp_path / "elsewhere")
    assert paths_of([str(tmp_path / "in")]) == [wanted, str(tmp_path / "in/there/b.jpg")]
    assert Path(linked).samefile(tmp_path / "in/there/b.jpg")


def test_every_file_below_a_folder_is_an_input_or_counted_with_its_reason(tmp_path: Path):
    (photo,) = write_photos(tmp_path / "in", "a.jpg")
    (odd,) = write_photos(tmp_path / "in/deep", "photo.jpg")
    Path(odd).rename(tmp_path / "in/deep/photo.dat")
    phone = tmp_path / "in/b.HEIC"
    phone.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    words = {
        "notes.txt": b"words",
        "empty": b"",
        "film.mov": b"\0\0\0\x14ftypqt  ",
        "more.zip": b"PK\3\4",
        ".x.jpg": b"",
    }
    for name, data in words.items():
        (tmp_path / "in" / name).write_bytes(data)
    write_photos(tmp_path / "in/@eaDir", "thumb.jpg")
    write_photos(tmp_path / "in/run", "confusion_matrix.png")
    for name in ("recipe.toml", "environment.json", "labels.txt"):
        (tmp_path / "in/run" / name).touch()
    write_photos(tmp_path / "in", "augment_preview.png")
    os.mkfifo(tmp_path / "in/pipe")
    (tmp_path / "in/gone").symlink_to(tmp_path / "nowhere")
    left_out = LeftOutCount()
    found = [item.path for item in expand_inputs(str(tmp_path / "in"), left_out=left_out)]
    assert found == [photo, str(phone), str(tmp_path / "in/deep/photo.dat")]
    assert left_out.counts == {
        "hidden, or left by a system": 2,
        "a broken link, or not a file": 2,
        "empty file": 1,
        "not an image that is read: a video": 1,
        "holds photos or paths itself; name it to have them answered": 1,
        "not an image (text?)": 1,
        "a run of Regraft": 1,
        "a sheet of augmented photos of Regraft": 1,
    }


def test_what_is_left_out_is_said_with_names_and_on_request_one_by_one(tmp_path: Path):
    write_photos(tmp_path, "a.jpg")
    for name in ("1.txt", "2.txt", "3.txt"):
        (tmp_path / name).write_text("words")
    told: list[str] = []
    left_out = LeftOutCount(told.append)
    assert len(list(expand_inputs(str(tmp_path), left_out=left_out))) == 1
    assert str(left_out) == f"3 not an image (text?) ({tmp_path}/1.txt, {tmp_path}/2.txt, ...)"
    assert told == [f"Left out {tmp_path}/{number}.txt: not an image (text?)." for number in (1, 2, 3)]


def test_a_file_in_a_folder_that_is_only_listed_is_left_out_as_not_permitted(tmp_path: Path, monkeypatch):
    write_photos(tmp_path, "a.jpg")
    (tmp_path / "barred").touch()
    ask = os.stat

    def refuse(path, *rest, **options):
        if str(path).endswith("barred"):
            raise PermissionError(13, "Permission denied")
        return ask(path, *rest, **options)

    monkeypatch.setattr(os, "stat", refuse)
    left_out = LeftOutCount()
    assert len(list(expand_inputs(str(tmp_path), left_out=left_out))) == 1
    assert left_out.counts == {"permission denied": 1}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root enters every folder")
def test_a_folder_that_cannot_be_entered_is_one_row(tmp_path: Path):
    (photo,) = write_photos(tmp_path, "z.jpg")
    (tmp_path / "closed").mkdir(mode=0)
    closed, found = expand_inputs(str(tmp_path))
    assert (closed.path, closed.status) == (str(tmp_path / "closed"), "unreadable")
    assert closed.reason == "the folder cannot be read: permission denied"
    assert found.path == photo
