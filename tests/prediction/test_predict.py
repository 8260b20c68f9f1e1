"""One row for each input, in input order, whatever the input is."""

import csv
import io
import os
import shutil
import sys
from pathlib import Path

import pytest
from command_line import run_regraft
from drawn_photos import draw_photo, write_broken_photos
from trained_runs import TrainedRun

import regraft
from regraft.errors import UsageError
from regraft.machine.drafts import MARK
from regraft.prediction.predict import Options, PredictionSummary, predict, predict_to_pipe

HEADER = ["path", "status", "reason", "label", "score", "label_2", "score_2", "label_3", "score_3"]


@pytest.fixture(scope="module")
def model(trained: TrainedRun) -> regraft.Model:
    return regraft.load(trained.folder)


def write_photos(folder: Path, *names: str) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        draw_photo(seed % 3, seed=700 + seed, size=(40, 32), classes=3).save(folder / name)
    return [str(folder / name) for name in names]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def paths_of(text: str) -> list[str]:
    return [row["path"] for row in rows_of(text)]


def test_broken_and_missing_files_keep_their_place_and_shift_no_row(model: regraft.Model, tmp_path: Path):
    good = write_photos(tmp_path / "good", *(f"{number}.png" for number in range(40)))
    broken = [str(path) for path in write_broken_photos(tmp_path)]
    files = [*good[:5], *broken, *good[5:33], str(tmp_path / "missing.jpg"), str(tmp_path), *good[33:]]
    answers = model.predict(files)
    assert [answer.path for answer in answers] == files
    statuses = ["unreadable", "truncated", "truncated", "unreadable", "unreadable", "unreadable"]
    assert [answer.status for answer in answers if answer.path in broken] == statuses
    assert answers[files.index(str(tmp_path))].reason == "is a directory"
    assert [answer.path for answer in answers if answer.status == "missing"] == [str(tmp_path / "missing.jpg")]
    for answer in answers:
        assert bool(answer.reason) == (not answer.scores) == (answer.status != "ok")
    assert [answer.path for answer in answers if answer.status == "ok"] == good
    for file in [good[0], good[5], good[31], good[33], good[39]]:
        assert answers[files.index(file)] == model.predict(file)[0]


def test_scores_are_probabilities_in_label_order(model: regraft.Model, trained: TrainedRun):
    (answer,) = model.predict([str(trained.photos / "dog/17_turned.jpg")])
    assert sum(answer.scores) == pytest.approx(1)
    assert answer.scores.index(max(answer.scores)) == model.labels.index("dog")
    assert (answer.label, answer.score) == answer.top[0] == ("dog", max(answer.scores))


def test_a_name_too_long_for_the_system_is_missing(model: regraft.Model):
    name = "x" * 300 + ".jpg"
    (answer,) = model.predict([name])
    assert (answer.path, answer.status, answer.reason) == (name, "missing", "file name too long")


def test_a_list_that_is_separated_by_null_bytes_is_one_missing_file(model: regraft.Model):
    name = "a.jpg\0b.jpg\0"
    (answer,) = model.predict([name])
    assert (answer.path, answer.status, answer.reason) == (name, "missing", "embedded null byte")


def test_a_single_text_is_one_input_and_never_its_letters(trained: TrainedRun, model: regraft.Model, tmp_path: Path):
    (photo,) = write_photos(tmp_path, "a.png")
    assert [answer.path for answer in model.predict(photo)] == [photo]
    summary = predict(trained.folder, Path(photo), tmp_path / "out.csv")
    assert summary == PredictionSummary(tmp_path / "out.csv", 1, {"ok": 1})
    pieces: list[bytes] = []
    assert predict_to_pipe(trained.folder, photo, pieces.append) == PredictionSummary(None, 1, {"ok": 1})
    assert b"".join(pieces) == (tmp_path / "out.csv").read_bytes()


def test_what_a_killed_pipe_left_behind_is_swept(trained: TrainedRun, tmp_path: Path, monkeypatch):
    (photo,) = write_photos(tmp_path, "a.png")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen: list[str] = []
    predict_to_pipe(trained.folder, photo, lambda _: seen.extend(path.name for path in tmp_path.glob(".drafting-*")))
    left = tmp_path / seen[0]  # as a kill would have left it
    left.mkdir()
    (left / "inputs.jsonl").write_text("{}")
    (left / MARK).write_text("")
    predict_to_pipe(trained.folder, photo, lambda _: None)
    assert not list(tmp_path.glob(".drafting-*"))


@pytest.mark.parametrize(
    "options",
    [Options(resume=True), Options(engine="ray"), Options(format="parquet")],
    ids=["resume", "ray", "parquet"],
)
def test_what_a_pipe_does_not_take_is_refused(trained: TrainedRun, options: Options):
    complaint = 'resume=True, engine and format="parquet" need out, a file or folder to write to.'
    with pytest.raises(UsageError, match=f"^{complaint}$"):
        predict_to_pipe(trained.folder, "a.png", lambda _: None, options)


def test_the_command_answers_every_file_and_ends_with_exit_0(trained: TrainedRun):
    answer = run_regraft("predict", trained.folder, trained.photos, "nowhere.jpg")
    assert (answer.code, answer.stderr) == (0, "60 ok, 4 unreadable, 2 truncated, 1 missing\n")
    rows = rows_of(answer.stdout)
    assert list(rows[0]) == HEADER
    assert [row["path"] for row in rows[:-1]] == sorted(map(str, trained.photos.rglob("*.*")))
    assert rows[-1]["path"] == "nowhere.jpg"
    assert all(row["reason"] and not row["label"] for row in rows if row["status"] != "ok")
    right = sum(row["label"] == Path(row["path"]).parent.name for row in rows)
    assert right >= 45


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are no text")
def test_names_come_back_as_they_are(trained: TrainedRun, tmp_path: Path):
    odd = ["a,b.png", 'say "x".png', " two  spaces .png", "日本.png", "new\nline.png", os.fsdecode(b"caf\xe9.png")]
    files = write_photos(tmp_path / "odd", *odd)
    answer = run_regraft("predict", trained.folder, tmp_path / "odd", "--out", tmp_path / "answers.csv")
    assert (answer.code, answer.stdout, answer.stderr) == (0, "", f"6 ok in {tmp_path}/answers.csv\n")
    written = (tmp_path / "answers.csv").read_text("utf-8", errors="surrogateescape")
    assert paths_of(written) == sorted(files)
    assert paths_of(run_regraft("predict", trained.folder, tmp_path / "odd").stdout) == sorted(files)
    listed = "".join(f"{file}\n" for file in files if "\n" not in file)
    assert paths_of(run_regraft("predict", trained.folder, "-", stdin=listed).stdout) == listed.splitlines()


def test_the_answers_file_is_not_overwritten_without_force(trained: TrainedRun, tmp_path: Path):
    (photo,) = write_photos(tmp_path, "a.png")
    out = tmp_path / "answers.csv"
    out.write_text("path,status,reason,label,score\n")
    refused = run_regraft("predict", trained.folder, photo, "--out", out)
    complaint = f"regraft: {out} exists already; choose another --out or add --force.\n"
    assert (refused.code, refused.stdout, refused.stderr) == (2, "", complaint)
    assert out.read_text() == "path,status,reason,label,score\n"
    assert run_regraft("predict", trained.folder, photo, "--out", out, "--force").code == 0
    assert paths_of(out.read_text()) == [photo]


@pytest.mark.parametrize(
    ("out", "complaint"),
    [
        ("nowhere/answers.csv", "{out} cannot be written: No such file or directory."),
        ("a.png/answers.csv", "{out} cannot be written: Not a directory."),
        (".", "--out must be a new folder or one of shards; {out} is a folder with other files in it."),
        (
            "answers.txt",
            "--out must end with one of .csv, .jsonl, .parquet, or be a folder with --format; received {out}.",
        ),
    ],
)
def test_a_place_that_takes_no_file_is_refused(trained: TrainedRun, tmp_path: Path, out: str, complaint: str):
    (photo,) = write_photos(tmp_path, "a.png")
    answer = run_regraft("predict", trained.folder, photo, "--out", tmp_path / out, "--force")
    assert (answer.code, answer.stdout) == (2, "")
    assert answer.stderr == f"regraft: {complaint.format(out=tmp_path / out)}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_model_with_code_in_it_is_said_to_be_that_and_not_damaged(trained: TrainedRun, tmp_path: Path):
    import keras

    shutil.copytree(trained.folder, tmp_path / "run", ignore=shutil.ignore_patterns("saved_model"))
    code = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x)])
    code.save(tmp_path / "run/model.keras")
    (tmp_path / "run/files.json").unlink()  # as of a run from before there were digests
    answer = run_regraft("evaluate", tmp_path / "run")
    assert (answer.code, answer.stdout) == (2, "")
    assert answer.stderr == (
        f"regraft: {tmp_path}/run/model.keras has a Lambda layer, which is code of whoever made the file, and not run. "
        "Regraft writes none; open the file with Keras if you trust it.\n"
    )


def test_labels_of_another_run_are_refused(trained: TrainedRun, tmp_path: Path):
    shutil.copytree(trained.folder, tmp_path / "run", ignore=shutil.ignore_patterns("saved_model"))
    (tmp_path / "run/labels.txt").write_text("bee\ncat\n")
    (tmp_path / "run/files.json").unlink()  # as of a run from before there were digests
    answer = run_regraft("evaluate", tmp_path / "run")
    assert (answer.code, answer.stdout) == (2, "")
    assert answer.stderr == (
        f"regraft: {tmp_path}/run/model.keras answers 3 numbers per photo, and {tmp_path}/run/labels.txt names 2 "
        "classes: one of both is of another run.\n"
    )


def test_a_damaged_model_is_said_to_be_damaged(trained: TrainedRun, tmp_path: Path):
    shutil.copytree(trained.folder, tmp_path / "run", ignore=shutil.ignore_patterns("saved_model"))
    whole = (tmp_path / "run/model.keras").read_bytes()
    (tmp_path / "run/model.keras").write_bytes(whole[: len(whole) // 2])
    answer = run_regraft("predict", tmp_path / "run", trained.photos)
    assert (answer.code, answer.stdout) == (2, "")
    complaint = "is not what the run was finished with, so it is damaged or edited; put it back or train again."
    assert answer.stderr == f"regraft: {tmp_path}/run/model.keras {complaint}\n"


@pytest.mark.parametrize(
    ("counts", "all_failed", "some_failed"),
    [
        ({"ok": 2}, False, False),
        ({"ok": 1, "missing": 1}, False, True),
        ({"missing": 2}, True, True),
        ({}, False, False),
    ],
)
def test_a_summary_says_whether_all_or_some_inputs_failed(counts: dict[str, int], all_failed: bool, some_failed: bool):
    summary = PredictionSummary(None, sum(counts.values()), counts)
    assert (summary.all_failed, summary.some_failed) == (all_failed, some_failed)


def test_the_exit_code_is_3_when_nothing_and_if_strict_when_not_all_was_answered(trained: TrainedRun, tmp_path: Path):
    photo, *failing = [*write_photos(tmp_path, "a.png"), "https://a.org/b.jpg", "gone.jpg"]
    for words, code in (([*failing], 3), ([photo, *failing], 0), ([photo, *failing, "--strict"], 3)):
        answer = run_regraft("predict", trained.folder, *words)
        assert (answer.code, paths_of(answer.stdout)) == (code, [word for word in words if word != "--strict"])
    reasons = [row["reason"] for row in rows_of(answer.stdout)]
    assert reasons == [
        *("", "addresses are not read; download it first and name the file"),
        "no such file or directory",
    ]


def test_what_gets_no_row_is_counted_in_one_line_and_named_on_request(trained: TrainedRun, tmp_path: Path):
    write_photos(tmp_path / "in", "a.png")
    (tmp_path / "in/notes.txt").write_text("words")
    (tmp_path / "in/b.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    line = f"No row for 1 file: 1 not an image (text?) ({tmp_path}/in/notes.txt).\n"
    answer = run_regraft("predict", trained.folder, tmp_path / "in")
    assert answer.stderr == f"{line}1 ok, 1 unreadable\n"
    told = run_regraft("predict", trained.folder, tmp_path / "in", "--verbose").stderr
    assert told.startswith(f"Left out {tmp_path}/in/notes.txt: not an image (text?).\n{line}")
    summary = predict(trained.folder, tmp_path / "in", tmp_path / "answers.csv")
    assert summary.left_out == {"not an image (text?)": 1}


@pytest.mark.parametrize("name", ["answers.csv", "parts"])
def test_an_answer_that_is_written_among_its_photos_is_not_left_out_of_itself(
    trained: TrainedRun, tmp_path: Path, name: str
):
    write_photos(tmp_path / "in", "a.png")
    (tmp_path / "same").symlink_to(tmp_path / "in")
    for options in (Options(), Options(force=True)):
        summary = predict(trained.folder, tmp_path / "same", tmp_path / "in" / name, options)
        assert (summary.rows, dict(summary.left_out)) == (1, {})


def test_an_apostrophe_is_for_csv_alone_and_part_of_the_plan(trained: TrainedRun, tmp_path: Path):
    (photo,) = write_photos(tmp_path, "=a.png")
    safe = ("predict", trained.folder, "=a.png", "--spreadsheet-safe")
    refused = run_regraft(*safe, "--out", tmp_path / "a.jsonl")
    complaint = "--spreadsheet-safe is for CSV alone: spreadsheets run nothing of a .jsonl file. Leave it out."
    assert (refused.code, refused.stderr) == (2, f"regraft: {complaint}\n")
    assert paths_of(run_regraft(*safe).stdout) == ["'=a.png"]
    assert paths_of(run_regraft(*safe[:-1]).stdout) == ["=a.png"]
    assert photo.endswith("/=a.png")


@pytest.mark.parametrize("value", ["lots", "0", "-4G", "1e999"])
def test_an_amount_of_memory_that_is_none_is_refused(trained: TrainedRun, value: str):
    answer = run_regraft("predict", trained.folder, "a.jpg", "--max-memory", value)
    complaint = f"--max-memory must be a number of bytes, such as \"4G\"; received '{value}'."
    assert (answer.code, answer.stderr) == (2, f"regraft: {complaint}\n")


@pytest.mark.parametrize(("force", "words"), [(False, "and --resume"), (True, "and --resume instead of --force")])
def test_who_interrupts_a_prediction_is_told_what_goes_on_and_does_not_begin_anew(
    trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool, words: str
):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("regraft.prediction.predict.predict", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        regraft.predict(trained.folder, "a.jpg", out=tmp_path / "a.csv", force=force, progress=False)
    assert caught.value.__notes__ == [f"go on with the same command {words}"]
