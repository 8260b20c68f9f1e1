"""Drafts, and the removal of those whose process is gone."""

import os
from pathlib import Path

import pytest

from regraft.machine import drafts
from regraft.machine.drafts import MARK, draft_folder, draft_of, publish_instead, sweep
from regraft.machine.files import atomic_file, publish


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_published_stays_and_the_rest_goes(tmp_path: Path):
    with draft_folder(tmp_path) as draft:
        (draft / "a.txt").write_text("x")
        (draft.parent / "scratch").touch()
        publish(draft, tmp_path / "done")
    assert names_in(tmp_path) == ["done"]
    assert names_in(tmp_path / "done") == ["a.txt"]


def test_a_failure_leaves_nothing(tmp_path: Path):
    with pytest.raises(RuntimeError, match="halfway"), draft_folder(tmp_path) as draft:
        (draft / "a.txt").write_text("x")
        raise RuntimeError("halfway")
    assert names_in(tmp_path) == []


def test_what_a_living_writer_holds_is_left_alone(tmp_path: Path):
    with draft_folder(tmp_path) as draft, atomic_file(tmp_path / "b.txt") as temporary:
        sweep(tmp_path)
        assert draft.is_dir()
        assert temporary.is_file()


@pytest.mark.parametrize("of_mark", [None, 40, 0], ids=["all of the mark", "a part of it", "its name"])
@pytest.mark.parametrize("holds", [(), (MARK,), (MARK, "draft/model.bin")], ids=["nothing", "mark", "work"])
def test_the_draft_of_a_dead_process_is_swept(holds, of_mark, tmp_path: Path):
    left = tmp_path / ".drafting-abcd1234"
    left.mkdir()
    with draft_folder(tmp_path) as draft:
        mark = (draft.parent / MARK).read_bytes()
    for name in holds:
        (left / name).parent.mkdir(exist_ok=True)
        (left / name).write_bytes(mark[:of_mark])
    (tmp_path / ".writing-regraft-abcd1234.csv").write_text("half")
    sweep(tmp_path)
    assert names_in(tmp_path) == []


def test_what_bears_the_name_alone_belongs_to_somebody_else(tmp_path: Path):
    for name in (".drafting-abcd1234", ".drafting-notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("precious")
    (tmp_path / ".drafting-abcd1234" / MARK).write_text("a mark of somebody else")
    (tmp_path / ".drafting-efgh5678").mkdir()
    (tmp_path / ".drafting-efgh5678" / "thesis.txt").write_text("precious")
    (tmp_path / ".writing-my-thesis.txt").write_text("precious")
    (tmp_path / ".writing-chapters.txt").write_text("precious")
    (tmp_path / ".writing-regraft-abcd1234.txt").symlink_to(tmp_path / ".writing-my-thesis.txt")
    before = sorted(tmp_path.rglob("*"))
    sweep(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


# --- one at a time ---


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
@pytest.mark.timeout(20)
def test_a_pipe_that_nobody_writes_to_holds_up_no_sweep(tmp_path: Path):
    os.mkfifo(tmp_path / ".writing-regraft-abcdefgh")
    sweep(tmp_path)
    assert names_in(tmp_path) == [".writing-regraft-abcdefgh"]


def test_what_one_makes_nobody_else_makes_meanwhile(tmp_path: Path):
    with draft_of(tmp_path / "a", RuntimeError("busy")):
        with pytest.raises(RuntimeError, match="busy"), draft_of(tmp_path / "a", RuntimeError("busy")):
            pass
        with draft_of(tmp_path / "b", RuntimeError("busy")) as other:
            assert other.is_dir()
    with draft_of(tmp_path / "a", RuntimeError("busy")) as draft:
        publish(draft, tmp_path / "a")
    assert names_in(tmp_path) == ["a"]


def test_the_draft_of_a_dead_process_keeps_nobody_out(tmp_path: Path):
    with draft_of(tmp_path / "a", RuntimeError("busy")) as draft:
        holder, mark = draft.parent, (draft.parent / MARK).read_bytes()
    (holder / "draft").mkdir(parents=True)
    (holder / MARK).write_bytes(mark)
    with draft_of(tmp_path / "a", RuntimeError("busy")) as draft:
        assert draft.parent == holder


def test_a_draft_that_no_lock_tells_to_be_dead_keeps_nobody_out_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("regraft.machine.locks.fcntl", None)
    with draft_of(tmp_path / "a", RuntimeError("busy")) as one, draft_of(tmp_path / "a", RuntimeError("busy")) as other:
        assert one.parent != other.parent
    assert names_in(tmp_path) == []


# --- one in the place of another ---


def write_export(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text(text)
    return folder


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_new_folder_takes_the_place_of_an_old_one(can_exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if not can_exchange:
        monkeypatch.setattr(drafts, "exchange", lambda *_: False)
    target = write_export(tmp_path / "a", "old")
    with draft_folder(tmp_path) as draft:
        publish_instead(write_export(draft, "new"), target, ["a.txt"])
        assert (target / "a.txt").read_text() == "new"
    assert names_in(tmp_path) == ["a"]
    assert names_in(target) == ["a.txt"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_what_somebody_put_into_the_old_one_meanwhile_is_kept(
    can_exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if not can_exchange:
        monkeypatch.setattr(drafts, "exchange", lambda *_: False)
    target = write_export(tmp_path / "a", "old")
    (target / "notes.txt").write_text("precious")
    (tmp_path / "a.1").touch()
    with draft_folder(tmp_path) as draft:
        publish_instead(write_export(draft, "new"), target, ["a.txt"])
    assert (target / "a.txt").read_text() == "new"
    assert names_in(tmp_path) == ["a", "a.1", "a.2"]
    assert names_in(tmp_path / "a.2") == ["notes.txt"]


def test_where_the_new_one_does_not_come_the_old_one_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(path: Path, to: Path) -> Path:
        if path.name == "draft":
            raise KeyboardInterrupt
        return real(path, to)

    real = Path.rename
    monkeypatch.setattr(drafts, "exchange", lambda *_: False)
    monkeypatch.setattr(Path, "rename", fail)
    target = write_export(tmp_path / "a", "old")
    with pytest.raises(KeyboardInterrupt), draft_folder(tmp_path) as draft:
        publish_instead(write_export(draft, "new"), target, ["a.txt"])
    assert (target / "a.txt").read_text() == "old"
    assert names_in(tmp_path) == ["a"]


def test_a_sweep_puts_back_what_a_killed_process_had_moved_away_and_nothing_over_another(tmp_path: Path):
    with draft_folder(tmp_path) as draft:
        mark = (draft.parent / MARK).read_bytes()
    holder = tmp_path / ".drafting-abcd1234"
    (holder / "replaced").mkdir(parents=True)
    (holder / MARK).write_bytes(mark)
    for name in ("a", "b"):
        write_export(holder / "replaced" / name, "old")
    write_export(tmp_path / "b", "new")
    sweep(tmp_path)
    assert {name: (tmp_path / name / "a.txt").read_text() for name in names_in(tmp_path)} == {"a": "old", "b": "new"}
