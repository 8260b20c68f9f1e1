"""Files that are either whole or not there."""

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from regraft.machine import files
from regraft.machine.files import (
    atomic_file,
    check_makeable,
    digest_file,
    exchange,
    making_folder,
    publish,
    remove_listed,
    write_text,
)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


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


def test_a_file_is_on_the_disk_before_its_name_is_and_the_name_before_it_is_said(tmp_path: Path, monkeypatch):
    done: list[str] = []
    paths: dict[int, str] = {}
    real_open, real_sync, real_replace = os.open, os.fsync, Path.replace

    def noting_open(path, flags, *args, **kwargs):
        handle = real_open(path, flags, *args, **kwargs)
        paths[handle] = Path(path).name
        return handle

    monkeypatch.setattr(os, "open", noting_open)
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append(f"sync {paths[handle]}"), real_sync(handle)))
    monkeypatch.setattr(Path, "replace", lambda path, to: (done.append("replace"), real_replace(path, to))[1])
    with atomic_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        name = temporary.name
    assert done == [f"sync {name}", "replace", f"sync {tmp_path.name}"]


def test_a_long_name_with_many_dots_gets_a_temporary_name_that_fits(tmp_path: Path):
    name = ".".join(["a" * 100, "b" * 100, "c" * 45, "txt"])
    write_text(tmp_path / name, "x")
    assert names_in(tmp_path) == [name]


def test_publishing_syncs_what_is_inside_before_it_gets_its_name(tmp_path: Path, monkeypatch):
    draft = tmp_path / "draft"
    (draft / "inner").mkdir(parents=True)
    (draft / "inner" / "a.txt").write_text("x")
    synced: list[str] = []
    real = files.sync
    monkeypatch.setattr(files, "sync", lambda path: (synced.append(path.name), real(path)))
    publish(draft, tmp_path / "done")
    assert synced == ["a.txt", "inner", "draft", tmp_path.name]
    assert (tmp_path / "done" / "inner" / "a.txt").read_text() == "x"
    assert not draft.exists()


def test_folders_are_made_from_above_and_each_is_on_the_disk_before_the_next(tmp_path: Path, monkeypatch):
    synced: list[tuple[str, bool]] = []
    monkeypatch.setattr(files, "sync", lambda path: synced.append((path.name, (tmp_path / "a/b").exists())))
    files.make_folder(tmp_path / "a/b")
    files.make_folder(tmp_path / "a/b")
    assert synced == [(tmp_path.name, False), ("a", True)]


def test_what_cannot_be_made_is_known_before_it_is_and_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    check_makeable(tmp_path / "a/b/c")
    long = tmp_path / "a" / ("x" * 256) / "c"
    with pytest.raises(OSError, match="File name too long"):
        check_makeable(long)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory"):
        check_makeable(tmp_path / "file/a")

    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "a name nobody knows")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    with pytest.raises(OSError, match="Read-only file system") as caught:
        check_makeable(tmp_path / "a/b")
    assert caught.value.filename == str(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_folders_made_for_work_that_fails_are_taken_back_as_far_as_they_are_empty(tmp_path: Path):
    with pytest.raises(RuntimeError), making_folder(tmp_path / "a/b/c"):
        (tmp_path / "a/notes.txt").touch()
        raise RuntimeError
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "notes.txt"]
    with making_folder(tmp_path / "a/b"):
        pass
    assert (tmp_path / "a/b").is_dir()


def test_only_the_files_of_a_list_are_removed_and_the_folders_that_are_empty_then(tmp_path: Path):
    for name in ("export/model.tflite", "export/deep/one.txt", "export/deep/two.txt", "export/notes.txt", "thesis.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    export = tmp_path / "export"
    assert remove_listed(export, ["model.tflite", "deep/one.txt", "deep/two.txt", "../thesis.txt", "gone.txt"]) == [
        "notes.txt"
    ]
    assert (tmp_path / "thesis.txt").is_file()
    assert remove_listed(export, ["notes.txt"]) == []
    assert names_in(tmp_path) == ["thesis.txt"]


def test_a_listed_file_behind_a_link_to_another_folder_stays(tmp_path: Path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a.txt").write_text("precious")
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "assets").symlink_to(tmp_path / "theirs")
    assert remove_listed(tmp_path / "export", ["assets/a.txt"]) == ["assets"]
    assert (tmp_path / "theirs" / "a.txt").read_text() == "precious"


def test_two_folders_exchange_their_names_or_keep_them(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    can = exchange(tmp_path / "a", tmp_path / "b")
    assert names_in(tmp_path / "a") == (["b"] if can else ["a"])
    assert names_in(tmp_path / "b") == (["a"] if can else ["b"])
    assert can or sys.platform not in ("linux", "darwin")
    assert not exchange(tmp_path / "a", tmp_path / "nowhere")
    assert names_in(tmp_path) == ["a", "b"]


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    # RFC 7693 has no 16-byte example; this one was made by `printf abc | b2sum --length 128`.
    assert digest_file(tmp_path / "a") == "cf4ab791c62b8d2b2109c90275287816"
