"""Which image did what in a run, to disk and back."""

import os
from pathlib import Path

import pytest

from regraft.data.records import Record
from regraft.data.roles import Roles
from regraft.errors import RunError
from regraft.runs.roster import RosterRow, read_roster, write_roster


def record(path: str, class_index: int) -> Record:
    return Record(Path(path), class_index, "", "JPEG", 8, 8, 1, f"fingerprint of {path}", b"")


def test_every_image_with_a_role_comes_back(tmp_path: Path):
    odd_name = os.fsdecode(b'/photos/caf\xe9, "two"\nlines.jpg')
    roles = Roles((record("/photos/a.jpg", 0), record(odd_name, 1)), (record("/photos/b.jpg", 1),), (), "val", ())
    write_roster(tmp_path / "images.csv", roles, ("ant", "bee, wasp"))
    assert read_roster(tmp_path / "images.csv") == [
        RosterRow(Path("/photos/a.jpg"), "ant", "fit", "fingerprint of /photos/a.jpg"),
        RosterRow(Path(odd_name), "bee, wasp", "fit", f"fingerprint of {odd_name}"),
        RosterRow(Path("/photos/b.jpg"), "bee, wasp", "select", "fingerprint of /photos/b.jpg"),
    ]


def test_paths_are_absolute(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_roster(tmp_path / "images.csv", Roles((), (), (record("a.jpg", 0),), "val", ()), ("ant",))
    (row,) = read_roster(tmp_path / "images.csv")
    assert (row.path, row.role) == (tmp_path / "a.jpg", "report")


@pytest.mark.parametrize("content", [None, "path,class\na.jpg,ant\n", "path,class,role,fingerprint\na.jpg,ant\n"])
def test_a_missing_or_damaged_roster_is_named(tmp_path: Path, content: str | None):
    path = tmp_path / "images.csv"
    if content:
        path.write_text(content)
    with pytest.raises(RunError) as caught:
        read_roster(path)
    expected = f"{path} is missing or damaged, so nobody knows what the run was trained on; train again."
    assert str(caught.value) == expected
