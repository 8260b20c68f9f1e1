"""What makes way for an export: an export of ours, and nothing that anybody else has put there."""

import json
import os
from pathlib import Path

import pytest

from regraft.errors import UsageError, as_options
from regraft.exports.export import Export, read_export
from regraft.exports.format import find_format
from regraft.exports.place import Place
from regraft.machine.drafts import draft_of


def write_export(folder: Path, network: bytes = b"network", format: str = "litert") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    form = find_format(format)
    for name in (form.file, *form.more_files):
        (folder / name).write_bytes(network)
    (folder / "README.md").write_text("The card.")
    Export(folder, format, "float32", ("a", "b"), 32, 1.0, 0, "").write()
    return folder


def as_of_version_1(folder: Path) -> Path:
    values = json.loads((folder / "export.json").read_text())
    values = {name: values[name] for name in values.keys() - {"files", "digest"}} | {"format_version": 1}
    (folder / "export.json").write_text(json.dumps(values))
    return folder


def put(folder: Path, *, force: bool = True) -> None:
    """Puts a new export there, as `regraft export` does."""
    place = Place(folder, find_format("litert"), force=force)
    place.check()
    with draft_of(place.target, RuntimeError("busy")) as draft:
        write_export(draft, b"new")
        place.take(draft)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def complaint(folder: Path, *, force: bool = True) -> str:
    before = tree(folder.parent)
    with pytest.raises(UsageError) as caught:
        put(folder, force=force)
    assert tree(folder.parent) == before
    assert len(str(caught.value).splitlines()) == 1
    return as_options(caught.value.text)


@pytest.mark.parametrize("format", ["litert", "onnx", "openvino"])
@pytest.mark.parametrize("old", [False, True])
def test_an_export_makes_way_where_that_is_asked_for(format: str, old: bool, tmp_path: Path):
    folder = write_export(tmp_path / "export", format=format)
    (folder / "runtimes.json").write_text("{}")
    if old:
        as_of_version_1(folder)
    assert complaint(folder, force=False) == f"{folder} exists already; choose another --out or add --force."
    put(folder)
    assert (folder / "model.tflite").read_bytes() == b"new"
    assert read_export(folder).format == "litert"
    assert sorted(tree(tmp_path)) == [
        f"export/{name}" for name in ("README.md", "export.json", "labels.txt", "model.tflite")
    ]


def test_a_folder_of_others_stays_as_it_is(tmp_path: Path):
    folder = tmp_path / "work"
    (folder / "thesis").mkdir(parents=True)
    (folder / "thesis/a.txt").write_text("precious")
    assert complaint(folder) == (
        f"{folder} holds what no export does (thesis/a.txt), so it is not replaced; move that away or choose another "
        "--out."
    )


@pytest.mark.parametrize("old", [False, True])
def test_what_others_put_into_an_export_keeps_it_from_making_way(old: bool, tmp_path: Path):
    folder = write_export(tmp_path / "export")
    if old:
        as_of_version_1(folder)
    (folder / "notes.txt").write_text("precious")
    (folder / "empty").mkdir()
    (folder / "link").symlink_to(tmp_path)
    assert "holds what no export does (empty, link, notes.txt)" in complaint(folder)


def test_a_description_that_is_damaged_proves_nothing(tmp_path: Path):
    folder = write_export(tmp_path / "export")
    (folder / "export.json").write_text("{")
    assert "holds what no export does (README.md, export.json, labels.txt and 1 more)" in complaint(folder)


def test_a_file_stays(tmp_path: Path):
    (tmp_path / "file").write_text("precious")
    assert complaint(tmp_path / "file") == f"{tmp_path}/file is no folder, so no export; choose another --out."
    assert complaint(tmp_path / "file/export") == (
        f"{tmp_path}/file/export cannot be made: {tmp_path}/file is a file; choose another --out."
    )


@pytest.mark.parametrize("force", [False, True])
def test_the_current_folder_and_those_above_it_stay(force: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    export = write_export(tmp_path / "export")
    (export / "inside").mkdir()
    for current, out in ((export, "."), (export / "inside", ".."), (tmp_path, "/")):
        monkeypatch.chdir(current)
        with pytest.raises(UsageError) as caught:
            put(Path(out), force=force)
        assert as_options(caught.value.text) == (
            f"{out} is or holds the current folder, so it is not replaced; choose another --out."
        )
        assert Path.cwd() == current
        assert (export / "model.tflite").read_bytes() == b"network"


def test_an_empty_folder_and_what_a_killed_writer_left_make_way(tmp_path: Path):
    (tmp_path / "export").mkdir()
    put(tmp_path / "export")
    (tmp_path / "export/.writing-regraft-abcd1234.json").write_text("half")
    put(tmp_path / "export")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export"]
    assert (tmp_path / "export/.writing-regraft-abcd1234.json").exists() is False


def test_a_link_is_followed_and_stays(tmp_path: Path):
    folder = write_export(tmp_path / "disk/export")
    (tmp_path / "link").symlink_to(folder)
    put(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (folder / "model.tflite").read_bytes() == b"new"
    (tmp_path / "loop").symlink_to("loop")
    assert "loop is no folder" in complaint(tmp_path / "loop")


def test_who_looks_finds_the_old_export_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """After every call of the system that moves or removes something, as a process that is killed there leaves it."""
    folder = write_export(tmp_path / "export", b"old")
    found: set[bytes] = set()

    def watched(real):
        def call(*arguments, **options):
            answer = real(*arguments, **options)
            export = read_export(folder)
            found.add((export.folder / "model.tflite").read_bytes())
            return answer

        return call

    for name in ("rename", "unlink", "rmdir", "fsync"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    put(folder)
    assert found == {b"old", b"new"}


def test_what_came_while_it_was_made_stays(tmp_path: Path):
    folder = write_export(tmp_path / "export")
    place = Place(folder, find_format("litert"), force=True)
    place.check()
    with draft_of(place.target, RuntimeError("busy")) as draft:
        write_export(draft, b"new")
        (folder / "notes.txt").write_text("precious")
        with pytest.raises(UsageError, match=r"holds what no export does \(notes.txt\)"):
            place.take(draft)
    assert (folder / "model.tflite").read_bytes() == b"network"


def test_a_name_that_is_too_long_is_refused_before_the_work(tmp_path: Path):
    with pytest.raises(OSError, match="File name too long"):
        Place(tmp_path / "new/deep" / ("x" * 300), find_format("litert"), force=False).check()
    assert list(tmp_path.iterdir()) == []
