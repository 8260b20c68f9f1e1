"""Files that are either whole or not there."""

import os
import stat
from pathlib import Path

import pytest

from regraft.machine.files import atomic_file, write_text


def test_the_file_appears_when_the_block_ends(tmp_path: Path):
    with atomic_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        assert not (tmp_path / "a.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(RuntimeError, match="halfway"), atomic_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError("halfway")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.parametrize("name", ["model.keras", "tiny.weights.h5", "epoch_00001.npz", "plain"])
def test_the_temporary_file_lies_beside_it_with_the_same_suffixes(name, tmp_path: Path):
    with atomic_file(tmp_path / name) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffixes == Path(name).suffixes


def test_the_file_has_the_permissions_of_any_new_file(tmp_path: Path):
    (tmp_path / "usual").touch()
    write_text(tmp_path / "written", "x")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "written")]
    assert modes[0] == modes[1]


def test_text_is_utf_8_with_line_ends_as_given(tmp_path: Path):
    write_text(tmp_path / "a.txt", "naïve\nλ\n")
    assert (tmp_path / "a.txt").read_bytes() == "naïve\nλ\n".encode()


def test_a_file_name_of_another_encoding_passes_through_where_asked(tmp_path: Path):
    write_text(tmp_path / "a.txt", os.fsdecode(b"caf\xe9"), errors="surrogateescape")
    assert (tmp_path / "a.txt").read_bytes() == b"caf\xe9"
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "b.txt", os.fsdecode(b"caf\xe9"))
    assert not (tmp_path / "b.txt").exists()


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "no" / "a.txt", "x")
