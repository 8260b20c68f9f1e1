"""Killing work at its file operations, and what a disk forgets whose plug is pulled."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from killing import KILLED, LOSSES, Point, Tree, call_in_new_process, moments, points_of, run_killed

from regraft.machine.files import sync, write_text

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


def moving(folder: Path) -> None:
    """Makes a file in a folder and moves it out of that, and syncs the other folder alone."""
    (folder / "draft").mkdir()
    write_text(folder / "draft/a.txt", "a")
    (folder / "draft/a.txt").rename(folder / "a.txt")
    sync(folder)


def raising(folder: Path) -> None:
    raise ValueError("no")


def on_a_disk(work: str, do: Callable[[Callable[[], None], Path], Any]) -> Any:
    """What `do` gives for the work below a folder with an old.txt and a gone.txt."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "disk")
        folder.mkdir()
        for file in ("old.txt", "gone.txt"):
            (folder / file).write_text("old")
        return do(lambda: globals()[work](folder), folder)


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(files)}


def states_of(work: str) -> list[object]:
    """Its operations, what a kill leaves at each point, and what each loss leaves at the end."""

    def do(work: Callable[[], None], folder: Path) -> list[object]:
        ended, found = moments(work, folder)
        last = found[-1].trees
        return [ended.operations, [read(moment.trees[None]) for moment in found], [read(last[each]) for each in LOSSES]]

    return on_a_disk(work, do)


def read(tree: Tree) -> dict[str, str]:
    return {name: content.decode() for name, content in tree.items() if isinstance(content, bytes)}


def killed(work: str, loss: str | None = None) -> list[object]:
    """What is found after a real kill at each point, and the exit codes."""

    def at(point: Point) -> tuple[int, dict[str, str]]:
        def do(work: Callable[[], None], folder: Path) -> tuple[int, dict[str, str]]:
            return run_killed(work, folder, point, loss=loss).code, contents(folder)

        return on_a_disk(work, do)

    whole = on_a_disk(work, lambda work, folder: run_killed(work, folder))
    ends = [at(point) for point in points_of(whole)]
    return [[code for code, _ in ends], [found for _, found in ends]]


def all_that_is_found() -> dict[str, object]:
    """For one new process, as that takes its time to start."""
    works = ("careless", "appending", "moving")
    return {work: states_of(work) for work in works} | {
        "killed": killed("careless"),
        "pulled": killed("careless", loss="names"),
        "raising": dataclasses.astuple(on_a_disk("raising", run_killed)),
        "careful": contents_a_careful_writer_leaves(),
    }


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return call_in_new_process("test_killing:all_that_is_found")


def contents_a_careful_writer_leaves() -> dict[str, list[str]]:
    _, found = on_a_disk("careful", moments)
    return {
        str(loss): sorted({read(moment.trees[loss])["old.txt"] for moment in found}) for loss in (None, *LOSSES)
    } | {"at the end": [read(found[-1].trees[loss])["old.txt"] for loss in LOSSES]}


def test_work_is_killed_before_and_after_each_operation_and_nothing_is_written_since(found: dict[str, Any]):
    operations, states, _ = found["careless"]
    assert operations == ["create new.txt", "mkdir inner", "create inner/a.txt", "replace old.txt", "unlink gone.txt"]
    old = {"gone.txt": "old", "old.txt": "old"}
    made = {**old, "new.txt": "new"}
    filled = {**made, "inner/a.txt": "a"}
    replaced = {"gone.txt": "old", "inner/a.txt": "a", "old.txt": "new"}
    last = {"inner/a.txt": "a", "old.txt": "new"}
    emptied, opened = {**old, "new.txt": ""}, {**made, "inner/a.txt": ""}
    assert states == [old, emptied, made, made, made, opened, filled, replaced, replaced, last, last]
    assert found["killed"] == [[KILLED] * 10, states[:-1]]


def test_a_pulled_plug_takes_what_was_not_synced(found: dict[str, Any]):
    old = {"gone.txt": "old", "old.txt": "old"}
    halves = [{"inner/a.txt": "", "old.txt": text} for text in ("", "n")]
    assert found["careless"][2] == [*halves, old]
    appended = [{**old, "old.txt": text} for text in ("old12", "old1234", "old12")]
    assert found["appending"][2] == appended
    assert found["moving"][2] == [{**old, "a.txt": "a"}] * 3
    assert found["pulled"][1] == [old] * 10


def test_a_file_that_is_written_whole_is_the_old_one_or_the_new_one_whatever_is_killed_or_pulled(
    found: dict[str, Any],
):
    assert found["careful"] == {str(loss): ["new", "old"] for loss in (None, *LOSSES)} | {
        "at the end": ["new", "new", "new"]
    }


def test_what_work_raises_is_told(found: dict[str, Any]):
    assert found["raising"] == [1, "ValueError: no", []]
