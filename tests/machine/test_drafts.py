"""Drafts, and the removal of those whose process is gone."""

from pathlib import Path

import pytest

from regraft.machine.drafts import MARK, draft_folder, sweep
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


@pytest.mark.parametrize("holds", [(), (MARK,), (MARK, "draft/model.bin")], ids=["nothing", "mark", "work"])
def test_the_draft_of_a_dead_process_is_swept(holds, tmp_path: Path):
    left = tmp_path / ".drafting-abcd1234"
    left.mkdir()
    with draft_folder(tmp_path) as draft:
        mark = (draft.parent / MARK).read_bytes()
    for name in holds:
        (left / name).parent.mkdir(exist_ok=True)
        (left / name).write_bytes(mark)
    (tmp_path / ".writing-abcd1234.csv").write_text("half")
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
    (tmp_path / ".writing-abcd1234.txt").symlink_to(tmp_path / ".writing-my-thesis.txt")
    before = sorted(tmp_path.rglob("*"))
    sweep(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
