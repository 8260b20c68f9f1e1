"""The files of a run, read."""

from pathlib import Path

import pytest

from regraft.errors import RunError
from regraft.runs.reading import read_file, read_json


def test_an_object_is_read_as_it_was_written(tmp_path: Path):
    (tmp_path / "a.json").write_text('{"a": [1, "é"]}', "utf-8")
    assert read_json(tmp_path / "a.json") == {"a": [1, "é"]}


@pytest.mark.parametrize("content", [b"[1]", b"{", b"\xff", b"[" * 100_000, None])
def test_what_is_no_object_is_named(tmp_path: Path, content: bytes | None):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(RunError, match=r"a\.json is missing or damaged; train again\."):
        read_json(tmp_path / "a.json")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(RunError, match="There is no run directory"):
        read_file(tmp_path / "run" / "labels.txt", str)
