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


def test_a_pattern_over_all_folders_never_goes_in_circles(tmp_path: Path):
    (deep,) = write_photos(tmp_path / "in/a[b]/deep", "3.jpg")
    (other,) = write_photos(tmp_path / "in/a[b]", "4.jpg")
    write_photos(tmp_path / "in/.hidden", "5.jpg")
    (linked,) = write_photos(tmp_path / "elsewhere", "6.jpg")
    (tmp_path / "in/there").symlink_to(tmp_path / "elsewhere")
    for link, to in (("loop", "."), ("up", ".."), ("a[b]/all", "../../in"), ("a[b]/deep/self", "."), ("me", "me")):
        (tmp_path / "in" / link).symlink_to(to)
    wanted = sorted([deep, other, linked.replace("elsewhere", "in/there")])
    assert paths_of([f"{tmp_path}/in/**/*.jpg"]) == wanted
    assert paths_of([f"{tmp_path}/in/**"]) == wanted
    assert paths_of([f"{tmp_path}/i*/**/**/*.jpg"]) == wanted
    assert paths_of([f"{tmp_path}/**/deep/*.jpg"]) == [deep]


def test_a_pattern_may_begin_where_one_is(tmp_path: Path, monkeypatch):
    write_photos(tmp_path / "below", "3.jpg")
    write_photos(tmp_path, "2.jpg")
    monkeypatch.chdir(tmp_path)
    assert paths_of(["**/*.jpg"]) == ["2.jpg", "below/3.jpg"]
