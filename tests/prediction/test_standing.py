"""What lies where a job is to write: never touched unless it is ours, and gone on with only if it is what is asked."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from costless_model import READ, take_its_place

from regraft.errors import RunError, UsageError
from regraft.prediction.predict import Options, PredictionSummary, predict

Answer = Callable[..., PredictionSummary]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder of the user's."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a model that answers by the length of a file, and the cache beside it."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "network").write_text("one")
    take_its_place(monkeypatch, folder)
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def answer(model: Path, tmp_path: Path) -> Answer:
    """Predicts so many photos, two a shard."""
    photos = [tmp_path / f"{number}.jpg" for number in range(6)]
    for number, photo in enumerate(photos):
        photo.write_bytes(b"x" * number)

    def call(out: Path, count: int = 5, **options: Any) -> PredictionSummary:
        READ.clear()
        return predict(model, list(map(str, photos[:count])), out, Options(shard_rows=2, **options))

    return call


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def refused(answer: Answer, out: Path, place: Path, **options: Any) -> str:
    """The one line with which it is refused; nothing below `place` changes."""
    before = sorted(place.rglob("*")), contents(place)
    with pytest.raises(UsageError) as caught:
        answer(out, **options)
    assert (sorted(place.rglob("*")), contents(place)) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write_folder(folder: Path, *names: str) -> None:
    folder.mkdir()
    for name in names:
        (folder / name).write_text("precious")


OLD = "path,status,reason,label,score\nx.jpg,ok,,cat,1.000000"
"""Answers that another machine or an earlier version wrote."""

WAYS: list[dict[str, bool]] = [{}, {"resume": True}, {"force": True}, {"resume": True, "force": True}]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_folder_of_somebody_else_beside_the_file_is_left_alone(answer: Answer, place: Path, way: dict[str, bool]):
    write_folder(place / "a.csv.partial", "mine.txt")
    write_folder(place / ".a.csv.partial.removed", "mine.txt")
    complaint = f"{place}/a.csv.partial is in the way, as Regraft did not make it; move it away, or choose another out."
    assert refused(answer, place / "a.csv", place, **way) == complaint


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("kind", ["link to a folder", "link to nothing", "file"])
def test_what_is_no_folder_where_the_job_would_lie_is_left_alone(
    answer: Answer, place: Path, way: dict[str, bool], kind: str
):
    write_folder(place / "theirs", "mine.txt")
    partial = place / "a.csv.partial"
    partial.write_text("mine") if kind == "file" else partial.symlink_to(
        "theirs" if kind == "link to a folder" else "gone"
    )
    assert refused(answer, place / "a.csv", place, **way).startswith(f"{partial} is in the way, as Regraft did not")


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("manifest", ["", "{}", '{"rows": 3, "files": []}', "[1]", '{"rows": 1, "counts": {}}'])
def test_a_folder_that_another_program_wrote_is_neither_finished_nor_removed(
    answer: Answer, place: Path, way: dict[str, bool], manifest: str
):
    """Spark writes such, for one."""
    write_folder(place / "out", "_SUCCESS", "part-00000-aaa.snappy.parquet", "part-000000.csv")
    (place / "out/manifest.json").write_text(manifest)
    complaint = f"{place}/out/manifest.json is damaged, or none of Regraft's; move it away, or choose another out."
    assert refused(answer, place / "out", place, **way) == complaint
    (place / "out/manifest.json").unlink()
    complaint = f"out must be a new folder or one of shards; {place}/out is a folder with other files in it."
    assert refused(answer, place / "out", place, **way) == complaint


def test_an_empty_folder_is_as_good_as_none(answer: Answer, place: Path):
    (place / "out").mkdir()
    (place / "a.csv.partial").mkdir()
    answer(place / "out")
    answer(place / "a.csv")
    assert sorted(contents(place / "out")) == ["manifest.json", *(f"part-00000{number}.csv" for number in range(3))]
    assert not (place / "a.csv.partial").exists()


def test_files_of_others_in_a_folder_of_ours_are_kept_and_stop_a_job_that_needs_their_name(answer: Answer, place: Path):
    answer(place / "out", count=2)
    for name in ("notes.txt", "part-000001.jsonl", "part-1.csv"):
        (place / "out" / name).write_text("precious")
    answer(place / "out", force=True)
    (place / "out/part-000003.csv").write_text("precious")
    answer(place / "out", count=2, force=True)
    assert sorted(contents(place / "out")) == [
        *("manifest.json", "notes.txt", "part-000000.csv", "part-000001.jsonl", "part-000003.csv", "part-1.csv")
    ]
    (place / "out/part-000002.csv").write_text("precious")
    complaint = f"{place}/out/part-000002.csv is in the way, as Regraft did not make it; move it away, or choose"
    assert refused(answer, place / "out", place, force=True) == f"{complaint} another out."


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("plan.json", "format", "/../../thesis.csv"),
        ("plan.json", "id", "../thesis"),
        ("plan.json", "replaces", {"files": ["../thesis.txt"], "shards": []}),
        ("plan.json", "replaces", {"files": [], "shards": [["/../x.csv", 3]]}),
        ("plan.json", "shard_rows", 0),
        ("plan.json", "model", None),
        ("plan.json", "made_by", "somebody else"),
        ("plan.json", "finished", {"counts": {}}),
        ("asked.json", "id", "../../thesis"),
        ("asked.json", "made_by", None),
    ],
)
def test_a_plan_that_somebody_edited_leads_to_no_file_of_others(
    answer: Answer, place: Path, monkeypatch: pytest.MonkeyPatch, file: str, key: str, value: object
):
    stopped(answer, place / "out", monkeypatch, format="csv")
    (place / "thesis.txt").write_text("precious")
    path = place / "out" / file
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    for way in WAYS:
        complaint = f"{path} is damaged, or none of Regraft's; move it away, or choose another out."
        assert refused(answer, place / "out", place, **way) == complaint


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_text('["other.jpg"]\n' * 5)])
def test_a_damaged_list_of_inputs_is_not_gone_on_with(
    answer: Answer, place: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], object]
):
    stopped(answer, place / "out", monkeypatch)
    (inputs,) = (place / "out").glob("inputs-*.jsonl")
    damage(inputs)
    complaint = f"resume=True: {inputs} is damaged; begin anew with force=True."
    assert refused(answer, place / "out", place, resume=True) == complaint
    assert answer(place / "out", force=True).rows == 5


def stopped(answer: Answer, out: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """A job that was planned, and stopped before its first row."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("regraft.prediction.predict._answer", interrupt)
        answer(out, **options)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "out"])
def test_a_finished_output_is_finished_for_the_same_and_refused_for_anything_else(
    answer: Answer, model: Path, place: Path, name: str
):
    out = place / name
    answer(out)
    assert answer(out, resume=True) == PredictionSummary(out, 0, {"ok": 5}, already_finished=True)
    assert READ == []
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    for other, options in {
        "inputs": {"count": 4},
        "columns": {"probabilities": True},
        "runtime": {"runtime": "x"},
    }.items():
        complaint = f"resume=True: {out} was made with {other} "
        with pytest.raises(UsageError) as caught:
            answer(out, resume=True, **options)
        assert str(caught.value).startswith(complaint)
        assert str(caught.value).endswith("; ask as before, or begin anew with force=True.")
    (model / "network").write_text("another")
    with pytest.raises(UsageError, match="was made with digest"):
        answer(out, resume=True)
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


def test_a_finished_folder_of_another_format_is_refused(answer: Answer, place: Path):
    answer(place / "out", format="csv")
    complaint = refused(answer, place / "out", place, format="jsonl", resume=True)
    assert 'was made with format ".csv" (now ".jsonl")' in complaint


def test_where_nothing_is_known_of_a_file_it_is_not_called_finished(answer: Answer, place: Path, tmp_path: Path):
    unknown = "may be made of something else, as nothing is known of it here; keep it, or begin anew with force=True."
    (place / "theirs.csv").write_text("precious")
    assert refused(answer, place / "theirs.csv", place, resume=True) == f"resume=True: {place}/theirs.csv {unknown}"
    answer(place / "a.csv")
    with (place / "a.csv").open("a") as file:
        file.write("a line that somebody added")
    assert refused(answer, place / "a.csv", place, resume=True).endswith(unknown)
    answer(place / "a.csv", force=True)
    for record in (tmp_path / "cache/predictions").iterdir():
        record.write_text("[]")
    assert refused(answer, place / "a.csv", place, resume=True).endswith(unknown)


def test_a_file_without_a_cache_is_as_good(
    answer: Answer, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "cache").write_text("no folder")
    assert answer(place / "a.csv").counts == {"ok": 5}
    monkeypatch.setenv("REGRAFT_CACHE", "~nobody-of-this-name/cache")
    assert answer(place / "a.csv", force=True).counts == {"ok": 5}


def test_a_full_disk_is_one_line_that_says_how_to_go_on(answer: Answer, place: Path, monkeypatch: pytest.MonkeyPatch):
    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(RunError) as caught:
        patch.setattr("regraft.prediction.delivery._merge", fill)
        answer(place / "a.csv")
    advice = "Make room and go on with resume=True."
    assert str(caught.value) == f"{place}/a.csv cannot be written: No space left on device. {advice}"
    assert answer(place / "a.csv", resume=True).rows == 5


def test_a_folder_that_lacks_a_shard_or_has_another_is_not_called_finished(answer: Answer, place: Path):
    answer(place / "out")
    shard = place / "out/part-000001.csv"
    whole = shard.read_text()
    shard.write_text(whole.replace("ok", "no"))
    advice = "put it back, or begin anew with force=True."
    changed = f"resume=True: {shard} was changed since it was made; {advice}"
    assert refused(answer, place / "out", place, resume=True) == changed
    shard.unlink()
    assert refused(answer, place / "out", place, resume=True) == f"resume=True: {shard} is missing; {advice}"
    shard.write_text(whole)
    assert answer(place / "out", resume=True).already_finished


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.csv", "path\nx.jpg\n"), ("a.jsonl", '{"path": "x.jpg"}\n'), ("a.jsonl", "[1]"), ("a.parquet", "PAR1")],
)
def test_a_file_without_answers_is_not_replaced_by_force(answer: Answer, place: Path, name: str, text: str):
    """As the list of the inputs would be, given by mistake."""
    (place / name).write_text(text)
    complaint = (
        f"{place}/{name} holds no answers of Regraft, so force=True does not replace it; move it away, or choose"
    )
    assert refused(answer, place / name, place, force=True) == f"{complaint} another out."


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_answers_and_an_empty_file_are_replaced_by_force(answer: Answer, place: Path, name: str):
    (place / name).touch()
    assert answer(place / name, count=2, force=True).rows == 2
    assert answer(place / name, count=3, force=True).rows == 3


def test_force_replaces_answers_whoever_made_them_and_only_when_the_new_ones_are_whole(
    answer: Answer, place: Path, monkeypatch: pytest.MonkeyPatch
):
    (place / "a.csv").write_text(OLD)
    exists = f"{place}/a.csv exists already; choose another out or add force=True."
    assert refused(answer, place / "a.csv", place) == exists
    stopped(answer, place / "a.csv", monkeypatch, force=True)
    assert (place / "a.csv").read_text() == OLD
    assert answer(place / "a.csv", resume=True).rows == 5
    assert len((place / "a.csv").read_text().splitlines()) == 6


@pytest.mark.parametrize("stop", ["planning.write_plan", "predict._answer", "delivery._remove_working_files"])
def test_a_file_that_somebody_writes_while_the_job_is_stopped_is_his(
    answer: Answer, place: Path, monkeypatch: pytest.MonkeyPatch, stop: str
):
    (place / "a.csv").write_text(OLD)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(f"regraft.prediction.{stop}", interrupt)
        patch.setattr("regraft.prediction.planning.remove", lambda *_: None)  # as a kill would have it
        answer(place / "a.csv", force=True)
    (place / "a.csv").write_text("mine")
    complaint = f"{place}/a.csv was written since the job for it began; move it away"
    assert refused(answer, place / "a.csv", place, resume=True) == f"{complaint}."
    (place / "a.csv").write_text(f"{OLD},")
    anew = "or begin anew with force=True, which writes over it."
    assert refused(answer, place / "a.csv", place, resume=True) == f"{complaint}, {anew}"
    assert answer(place / "a.csv", force=True).rows == 5
    assert [path.name for path in place.iterdir()] == ["a.csv"]


def test_a_file_that_somebody_writes_while_the_job_works_is_his(
    answer: Answer, place: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr("regraft.prediction.delivery.remember", lambda *_: (place / "a.csv").write_text("mine"))
        with pytest.raises(UsageError, match=r"a\.csv was written since the job for it began"):
            answer(place / "a.csv")
    assert (place / "a.csv").read_text() == "mine"
    (place / "a.csv").unlink()
    assert answer(place / "a.csv", resume=True).rows == 5


def test_what_a_kill_left_before_anything_was_asked_goes_also_where_the_old_file_stays(answer: Answer, place: Path):
    answer(place / "a.csv")
    (place / "a.csv.partial").mkdir()
    (place / "a.csv.partial/.writing-regraft-abcdefgh.json").write_text("half")
    with pytest.raises(UsageError, match="was made with inputs"):
        answer(place / "a.csv", count=4, resume=True)
    assert [path.name for path in place.iterdir()] == ["a.csv"]


def test_an_output_that_was_changed_while_it_was_finished_is_kept(
    answer: Answer, place: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("regraft.prediction.delivery._remove_working_files", interrupt)
        answer(place / "a.csv")
    whole = (place / "a.csv").read_text()
    (place / "a.csv").write_text("mine")
    assert "a.csv was written since the job for it began;" in refused(answer, place / "a.csv", place, resume=True)
    (place / "a.csv").unlink()
    assert answer(place / "a.csv", resume=True).rows == 5
    assert contents(place) == {"a.csv": whole}


# --- places that are no plain file or folder ---


@pytest.mark.parametrize("name", ["a.csv", "out"])
def test_a_link_is_followed_and_stays(answer: Answer, place: Path, name: str):
    (place / "far").mkdir()
    (place / name).symlink_to(place / "far" / name)
    answer(place / name)
    answer(place / name, count=2, force=True)
    assert answer(place / name, count=2, resume=True).already_finished
    assert (place / name).is_symlink()
    assert [path.name for path in (place / "far").iterdir()] == [name]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("name", ["pipe.csv", "pipe"])
def test_a_pipe_or_a_device_is_refused(answer: Answer, place: Path, name: str, way: dict[str, bool]):
    os.mkfifo(place / name)
    (place / "null.csv").symlink_to("/dev/null")
    for out in (place / name, Path("/dev/null"), place / "null.csv"):
        assert refused(answer, out, place, **way) == (
            f"out must be a file or a folder; {out} is a pipe or a device: without out, answers go to stdout."
        )


def test_a_link_to_itself_is_refused(answer: Answer, place: Path):
    (place / "a.csv").symlink_to("a.csv")
    assert refused(answer, place / "a.csv", place) == (
        f"out must be a file or a folder; {place}/a.csv is a link to itself."
    )


# --- what earlier versions left ---


def earlier_job(folder: Path, out: str) -> None:
    """As version 2 left a job of three shards, of which one was done."""
    write_folder(folder, "inputs.jsonl", "journal.jsonl", "part-000000.csv", "notes.txt")
    plan = {"version": 2, "source": "run", "inputs": ["a.jpg"], "columns": ["path"], "unknown_at": None}
    plan |= {"format": ".csv", "shard_rows": 2, "digest": "00", "model": {}, "rows": 5, "wanted": {}}
    (folder / "plan.json").write_text(json.dumps(plan))


def test_a_job_of_version_2_is_not_gone_on_with_and_begun_anew_by_force(answer: Answer, place: Path):
    earlier_job(place / "out", "out")
    complaint = f"resume=True: {place}/out was begun by an earlier version of Regraft, whose plan says less; begin anew"
    assert refused(answer, place / "out", place, resume=True) == f"{complaint} with force=True."
    answer(place / "out", count=1, force=True)
    assert sorted(contents(place / "out")) == ["manifest.json", "notes.txt", "part-000000.csv"]
    earlier_job(place / "a.csv.partial", "a.csv")
    answer(place / "a.csv", force=True)
    assert contents(place / "a.csv.partial") == {"notes.txt": "precious"}


def test_a_folder_that_version_2_finished_is_not_called_finished_and_begun_anew_by_force(answer: Answer, place: Path):
    write_folder(place / "out", "part-000000.csv", "part-000001.csv", "part-000002.csv")
    shards = [{"file": f"part-00000{number}.csv", "rows": 2, "counts": {"ok": 2}, "blake2b": "00"} for number in (0, 1)]
    manifest = {"rows": 4, "counts": {"ok": 4}, "columns": ["path"], "shards": shards}
    (place / "out/manifest.json").write_text(json.dumps(manifest))
    assert refused(answer, place / "out", place, resume=True) == (
        f"resume=True: {place}/out may be made of something else, as another version of Regraft made it; keep it, or "
        "begin anew with force=True."
    )
    answer(place / "out", count=1, force=True)
    assert sorted(contents(place / "out")) == ["manifest.json", "part-000000.csv", "part-000002.csv"]
