"""Patterns as inputs."""

from pathlib import Path

from input_photos import paths_of, write_photos


def test_a_pattern_gives_the_files_that_match_by_name(tmp_path: Path):
    names = write_photos(tmp_path, "10.jpg", "2.jpg", "x.png")
    deep = write_photos(tmp_path / "below", "3.jpg")
    assert paths_of([f"{tmp_path}/*.jpg"]) == names[:2]
    assert paths_of([f"{tmp_path}/?.*"]) == names[1:]
    assert paths_of([f"{tmp_path}/**/*.jpg"]) == sorted([*names[:2], *deep])


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path):
    names = write_photos(tmp_path, "[1].jpg", "1.jpg")
    assert paths_of([names[0]]) == names[:1]
