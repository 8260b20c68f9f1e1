"""Names of plain characters for folders whose own names are not."""

import os
from pathlib import Path

import pytest

from regraft.machine.plain_names import plain_name

ODD = [
    "work [2024]",
    "a*?",
    "back\\slash",
    "line\nbreak",
    "tab\t",
    "ü",
    os.fsdecode(b"caf\xe9"),
    "quote\"s'",
    "100% #1",
]


@pytest.mark.parametrize("name", ODD)
def test_a_folder_with_an_odd_name_has_a_plain_one_too_while_the_block_runs(name: str, tmp_path: Path):
    (tmp_path / name).mkdir()
    (tmp_path / name / "a.txt").write_text("x")
    with plain_name(tmp_path / name) as plain:
        assert set(str(plain)) <= set("/abcdefghijklmnopqrstuvwxyz0123456789._-")
        assert (plain / "a.txt").read_text() == "x"
        (plain / "b.txt").write_text("y")
    assert (tmp_path / name / "b.txt").read_text() == "y"
    assert not plain.exists()


def test_a_plain_path_is_taken_as_it_is(tmp_path: Path):
    with plain_name(tmp_path) as plain:
        assert plain == tmp_path


def test_without_proc_a_link_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = Path.is_dir
    monkeypatch.setattr(Path, "is_dir", lambda path: "/proc/self" not in str(path) and real(path))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    odd = tmp_path / "work [2024]"
    odd.mkdir()
    with plain_name(odd) as plain:
        assert plain.is_symlink()
        assert plain.samefile(odd)
        assert "[" not in str(plain)
    assert list(tmp_path.iterdir()) == [odd]
