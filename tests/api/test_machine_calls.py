"""What is asked of this machine."""

import json
from pathlib import Path

import pytest
from command_line import run_regraft

import regraft
from regraft.errors import UsageError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds the features of one network in two files of 1,000 bytes."""
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("REGRAFT_CACHE_LIMIT", "3GB")
    folder = tmp_path / "cache/features" / ("a" * 24)
    folder.mkdir(parents=True)
    for letter in "bc":
        (folder / f"{letter * 24}.npz").write_bytes(b"x" * 1_000)
    return tmp_path / "cache"


def test_the_cache_is_told_to_a_person_and_to_a_program(cache: Path):
    told = run_regraft("cache")
    assert (told.code, told.stderr) == (0, "")
    assert " ".join(told.stdout.split()).startswith("files size removed features 2 2 kB what backbones made of photos")
    assert told.stdout.endswith(f"{cache}: 2 kB, limit 3.0 GB\n")
    assert run_regraft("cache", "--json").values == json.loads(json.dumps(regraft.cache().as_dict()))


@pytest.mark.parametrize(("trim", "left"), [("1.5kB", 1), (1_500, 1), ("1GB", 2), ("all", 0), (0, 0), ("0", 0)])
def test_room_is_made_as_far_as_it_is_asked_for(cache: Path, trim, left: int):
    report = regraft.cache(trim=trim)
    assert len(list(cache.glob("features/*/*.npz"))) == report.parts[0].files == left
    assert report.parts[0].removed_bytes == 1_000 * (2 - left)


def test_the_command_line_says_what_was_removed(cache: Path):
    assert " 1 1 kB 1 (1 kB) what" in " ".join(run_regraft("cache", "--trim", "1kB").stdout.split())


@pytest.mark.parametrize("trim", ["some", "-1", ""])
def test_what_is_no_size_is_refused(cache: Path, trim: str):
    with pytest.raises(UsageError) as caught:
        regraft.cache(trim=trim)
    assert str(caught.value) == f'trim must be a size such as 500MB or 2GB, or all; received "{trim}".'
    with pytest.raises(UsageError, match="trim must be at least 0; received -1"):
        regraft.cache(trim=-1)
    assert len(list(cache.glob("features/*/*.npz"))) == 2
