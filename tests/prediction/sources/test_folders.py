"""Folders as inputs."""

import sys
from pathlib import Path

import pytest
from input_photos import paths_of, write_photos


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
    (tmp_path / "in/self").symlink_to(tmp_path / "in/self")
    (tmp_path / "in/there").symlink_to(tmp_path / "elsewhere")
    assert paths_of([str(tmp_path / "in")]) == [wanted, str(tmp_path / "in/there/b.jpg")]
    assert Path(linked).samefile(tmp_path / "in/there/b.jpg")
