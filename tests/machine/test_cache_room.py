"""What is in the cache, and what goes when room is made."""

import json
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from regraft.machine.cache import unheld
from regraft.machine.cache_room import keep_within_limit, read_cache, trim_cache

A, B = "a" * 24, "b" * 24
FINGERPRINT = "0123456789abcdef" * 2


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of ours, 100 bytes each, the one that is named first the one that was not used for longest."""
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("REGRAFT_CACHE_LIMIT", "1GB")
    for age, name in enumerate(
        [f"features/{A}/{A}.npz", f"transcoded/{FINGERPRINT}.png", f"features/{A}/{B}.npz", f"features/{B}/{A}.npz"]
    ):
        put(tmp_path / "cache" / name, age=4 - age)
    (tmp_path / "cache/transcoded/.in-use").touch()
    write_tables(tmp_path / "cache/scans.sqlite", "photos_3")
    made = {"version": 3, "out": "/a.csv", "blake2b": "", "made_of": {}}
    (put(tmp_path / f"cache/predictions/{FINGERPRINT}.json", age=9)).write_text(json.dumps(made))
    put(tmp_path / "cache/tfds/digits-1.0.0-12345678/train/3/000.png", age=9)
    return tmp_path / "cache"


def put(path: Path, *, age: float) -> Path:
    """A file of 100 bytes that was last used so many hours ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 100)
    used = time.time() - 3_600 * age
    os.utime(path, (used, used))
    return path


def write_tables(file: Path, *names: str) -> None:
    with closing(sqlite3.connect(file)) as database:
        for name in names:
            database.execute(f"CREATE TABLE {name} (path PRIMARY KEY)")


def left(cache: Path) -> list[str]:
    """The files that are left, of features and transcoded photos."""
    found = (
        path.relative_to(cache).as_posix() for part in ("features", "transcoded") for path in cache.glob(f"{part}/**/*")
    )
    return sorted(
        name.replace(A, "A").replace(B, "B") for name in found if (cache / name).is_file() and ".in-use" not in name
    )


def test_the_report_counts_each_kind(cache: Path):
    report = read_cache()
    assert [(part.name, part.files, part.bytes) for part in report.parts] == [
        ("features", 3, 300), ("transcoded", 1, 100), ("scans", 1, 12_288), ("predictions", 1, 61),
        ("tables", 0, 0),
        ("tfds", 1, 100),
    ]  # fmt: skip
    assert (report.folder, report.bytes, report.limit_bytes) == (str(cache), 12_849, 10**9)
    assert report.as_dict()["bytes"] == 12_849


def test_an_empty_cache_is_reported_and_not_made(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "none"))
    assert read_cache().bytes == trim_cache(0).bytes == 0
    assert not (tmp_path / "none").exists()


def test_what_was_not_used_for_longest_goes_first(cache: Path):
    report = trim_cache(250)
    assert left(cache) == ["features/A/B.npz", "features/B/A.npz"]
    assert [(part.removed_files, part.removed_bytes) for part in report.parts] == [(1, 100), (1, 100)] + 4 * [(0, 0)]
    os.utime(cache / f"features/{A}/{B}.npz")
    trim_cache(100)
    assert left(cache) == ["features/A/B.npz"]


def test_what_fits_stays(cache: Path):
    trim_cache(400)
    assert len(left(cache)) == 4


def test_all_is_what_can_be_made_again_and_no_photo_that_runs_look_at(cache: Path):
    trim_cache(0)
    assert left(cache) == []
    assert not (cache / "scans.sqlite").exists()
    assert not list(cache.glob("predictions/*"))
    assert not (cache / "features" / A).exists()
    assert read_cache().bytes == 100  # the photo of a data set


def test_files_of_others_stay_wherever_the_cache_is(cache: Path, tmp_path: Path):
    outside = put(tmp_path / "photo.png", age=99)
    others = [
        put(cache / name, age=99)
        for name in ("letter.txt", "features/letter.npz", f"features/{A}/letter.npz", f"features/x/{A}.npz",
                     "transcoded/cat.png", f"{FINGERPRINT}.png", f"features/{A}/{A}.npz.bak", "photos/scans.sqlite",
                     "predictions/letter.json")
    ]  # fmt: skip
    link = cache / f"transcoded/{FINGERPRINT[::-1]}.png"
    link.symlink_to(outside)
    trim_cache(0)
    assert all(path.exists() for path in (*others, outside, link))


def test_files_of_others_stay_though_their_names_are_like_ours(tmp_path: Path, monkeypatch):
    """As in a home folder that somebody has taken for the cache."""
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    others = [
        put(tmp_path / name, age=99) for name in (f"transcoded/{FINGERPRINT}.png", f"predictions/{FINGERPRINT}.json")
    ]
    write_tables(tmp_path / "scans.sqlite", "photos_3", "scanners")
    for _ in range(2):
        assert trim_cache(0).bytes == 0
    assert all(path.exists() for path in (*others, tmp_path / "scans.sqlite"))
    assert not (tmp_path / "transcoded/.in-use").exists()


def test_what_a_running_training_holds_stays_and_is_named(cache: Path):
    with unheld(cache / "transcoded"):  # whoever has the lock: another one cannot have it
        report = trim_cache(0)
    assert left(cache) == [f"transcoded/{FINGERPRINT}.png"]
    assert [part.name for part in report.parts if part.in_use] == ["transcoded"]


def test_the_limit_spares_what_was_just_made(cache: Path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE_LIMIT", "150")
    keep_within_limit(cache, cache / "features" / A)
    assert left(cache) == ["features/A/A.npz", "features/A/B.npz"]


def test_without_a_limit_all_stays(cache: Path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE_LIMIT", "none")
    keep_within_limit(cache, cache / "features" / A)
    assert len(left(cache)) == 4


def test_what_a_killed_process_left_half_written_goes_after_a_day(cache: Path):
    old = put(cache / f"features/{A}/.writing-regraft-abc123.npz", age=25)
    new = put(cache / f"features/{A}/.writing-regraft-def456.npz", age=1)
    odd = put(cache / f"features/{A}/.writing-letter.txt", age=25)
    trim_cache(10**6)
    assert (old.exists(), new.exists(), odd.exists()) == (False, True, True)
    assert len(left(cache)) == 4 + 2
