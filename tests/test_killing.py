"""Killing work at its file operations, and what a disk forgets whose plug is pulled."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest
from killing import LOSSES, Ended, Point, call_in_new_process, points_of, run_killed

from regraft.machine.files import write_text

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the names of open files in /proc")


def careless(folder: Path) -> None:
    """Writes a file, a folder with a file, and renames over an old one, and syncs nothing."""
    (folder / "new.txt").write_text("new")
    (folder / "inner").mkdir()
    (folder / "inner/a.txt").write_text("a")
    (folder / "new.txt").replace(folder / "old.txt")
    (folder / "gone.txt").unlink()


def careful(folder: Path) -> None:
    """As `write_text` does it: bytes, name, folder."""
    write_text(folder / "old.txt", "new")


def appending(folder: Path) -> None:
    with (folder / "old.txt").open("a") as file:
        file.write("12")
        file.flush()
        os.fsync(file.fileno())
        file.write("3456")


def found(work: str, point: Point | None, loss: str | None) -> tuple[Ended, dict[str, str]]:
    """How it ended over an old.txt and a gone.txt, and what each file holds then."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "disk")
        folder.mkdir()
        for file in ("old.txt", "gone.txt"):
            (folder / file).write_text("old")
        ended = run_killed(lambda: globals()[work](folder), folder, point, loss=loss)
        files = [path for path in folder.rglob("*") if path.is_file()]
        return ended, {str(path.relative_to(folder)): path.read_text() for path in sorted(files)}


def after_each_operation_of_a_careless_writer() -> list[object]:
    whole, _ = found("careless", None, None)
    return [whole.operations, [found("careless", point, None)[1] for point in points_of(whole)]]


def after_its_end() -> dict[str, dict[str, str]]:
    return {f"{work} {loss}": found(work, None, loss)[1] for work in ("careless", "appending") for loss in LOSSES}


def contents_a_careful_writer_leaves() -> dict[str, list[str]]:
    whole, _ = found("careful", None, None)
    return {
        str(loss): sorted({found("careful", point, loss)[1]["old.txt"] for point in points_of(whole)} | {"old"})
        for loss in (None, *LOSSES)
    } | {"at the end": [found("careful", None, loss)[1]["old.txt"] for loss in LOSSES]}


def test_work_is_killed_before_and_after_each_operation_and_nothing_is_written_since():
    operations, states = call_in_new_process("test_killing:after_each_operation_of_a_careless_writer")
    assert operations == ["create new.txt", "mkdir inner", "create inner/a.txt", "replace old.txt", "unlink gone.txt"]
    old = {"gone.txt": "old", "old.txt": "old"}
    made = {**old, "new.txt": "new"}
    filled = {**made, "inner/a.txt": "a"}
    replaced = {"gone.txt": "old", "inner/a.txt": "a", "old.txt": "new"}
    last = {"inner/a.txt": "a", "old.txt": "new"}
    emptied, opened = {**old, "new.txt": ""}, {**made, "inner/a.txt": ""}
    assert states == [old, emptied, made, made, made, opened, filled, replaced, replaced, last]


def test_a_pulled_plug_takes_what_was_not_synced():
    ends = call_in_new_process("test_killing:after_its_end")
    assert ends["careless bytes"] == {"inner/a.txt": "", "old.txt": ""}
    assert ends["careless half"] == {"inner/a.txt": "", "old.txt": "n"}
    assert ends["careless names"] == {"gone.txt": "old", "old.txt": "old"}
    assert ends["appending bytes"] == {"gone.txt": "old", "old.txt": "old12"}
    assert ends["appending half"] == {"gone.txt": "old", "old.txt": "old1234"}


def test_a_file_that_is_written_whole_is_the_old_one_or_the_new_one_whatever_is_killed_or_pulled():
    left = call_in_new_process("test_killing:contents_a_careful_writer_leaves")
    assert left == {str(loss): ["new", "old"] for loss in (None, *LOSSES)} | {"at the end": ["new", "new", "new"]}


def test_what_work_raises_is_told(tmp_path: Path):
    def work() -> None:
        raise ValueError("no")

    assert run_killed(work, tmp_path) == Ended(1, "ValueError: no", ())
