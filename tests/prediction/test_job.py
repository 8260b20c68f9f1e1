"""Predictions of many inputs: killed, resumed, refused, in shards and over a cluster, and never a row out of place."""

import contextlib
import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest
from command_line import run_regraft
from default_cases import few_by_default
from drawn_photos import draw_photo, write_broken_photos
from trained_runs import TrainedRun

import regraft
from regraft.prediction.job import Job
from regraft.prediction.journal import Writer, read_journal
from regraft.prediction.predict import Options, PredictionSummary, predict
from regraft.prediction.tables.columns import Columns
from regraft.prediction.tables.table import find_table_format


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Forty photos that can be read, then six that cannot and one that is not there."""
    folder = tmp_path_factory.mktemp("many")
    good = [folder / f"{number:02}.jpg" for number in range(40)]
    for number, path in enumerate(good):
        draw_photo(number % 3, seed=900 + number, size=(40, 32), classes=3).save(path)
    return [str(path) for path in (*good, *write_broken_photos(folder), folder / "missing.jpg")]


def listed(folder: Path, photos: list[str], count: int, *, seed: int = 0, broken: float = 0.02) -> Path:
    """A CSV of `count` inputs, a `broken` part of them, at places drawn from `seed`."""
    draw = random.Random(seed)
    names = [draw.choice(photos[40:] if draw.random() < broken else photos[:40]) for _ in range(count)]
    file = folder / "inputs.csv"
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([["path"], *([name] for name in names)])
    return file


def command(source: Path, inputs: Path, out: Path, *words: str) -> list[str]:
    start = [sys.executable, "-m", "regraft", "predict", str(source), str(inputs), "--out", str(out)]
    return [*start, "--resume", "--shard-rows", "256", *words]


def kill_after(words: list[str], folder: Path, shards: int, wait: float) -> bool:
    """Kills the command `wait` seconds after a journal in `folder` tells of `shards`; False where it ended before."""
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and shards_in(folder) < shards:
            time.sleep(0.002)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=wait)
        is_running = process.poll() is None
        process.kill()
    return is_running


def shards_in(folder: Path) -> int:
    return sum(journal.read_bytes().count(b"}\n") for journal in folder.glob("journal-*.jsonl"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_after_a_kill_at_any_moment_the_result_is_that_of_an_uninterrupted_run(
    litert: Path, photos: list[str], tmp_path: Path
):
    """The job has 20 shards. It is killed after each number of them: at once, amid the next, or while merging."""
    inputs, out, draw = listed(tmp_path, photos, 5000), tmp_path / "killed.csv", random.Random(5)
    folder = tmp_path / "killed.csv.partial"
    subprocess.run(command(litert, inputs, tmp_path / "whole.csv"), check=True, stderr=subprocess.DEVNULL)
    whole = (tmp_path / "whole.csv").read_bytes()
    assert whole.count(b"\n") == 5001
    killed = [kill_after(command(litert, inputs, out), folder, shards, draw.uniform(0, 0.02)) for shards in range(21)]
    assert killed.count(True) >= 10  # one that ends before it is killed ends the job; the next finds it finished
    subprocess.run(command(litert, inputs, out), check=True, stderr=subprocess.DEVNULL)
    assert out.read_bytes() == whole
    out.unlink()
    assert [path.name for path in tmp_path.iterdir() if "killed" in path.name] == []


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_job_that_stopped_goes_on_with_the_shards_that_are_missing(
    litert: Path, photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
):
    options = Options(shard_rows=10)
    predict(litert, photos, tmp_path / f"whole{suffix}", options)
    out, write, written = tmp_path / f"out{suffix}", Writer.write, []

    def stop_after_three(self, shard, predictions):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(shard.number)
        write(self, shard, predictions)

    monkeypatch.setattr(Writer, "write", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        predict(litert, photos, out, options)
    assert not out.exists()
    folder = tmp_path / f"out{suffix}.partial"
    with next(folder.glob("journal-*.jsonl")).open("ab") as journal:
        journal.write(b'{"shard": 3, "ro')  # as a kill in the middle of a line leaves it
    (folder / ".writing-regraft-abcdefgh.csv").write_bytes(b"half")
    monkeypatch.setattr(Writer, "write", lambda self, *shard: (written.append(shard[0].number), write(self, *shard)))
    assert predict(litert, photos, out, Options(shard_rows=10, resume=True)).counts["ok"] == 40
    assert written == [0, 1, 2, 3, 4]
    assert out.read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    assert not folder.exists()


def test_a_kill_between_the_last_name_and_the_last_removal_loses_nothing(
    litert: Path, photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def die(*_, **__):
        raise KeyboardInterrupt

    out = tmp_path / "out.csv"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rmdir", die)
        with pytest.raises(KeyboardInterrupt):
            predict(litert, photos, out)
    whole = out.read_bytes()
    assert (tmp_path / "out.csv.partial").is_dir()
    assert predict(litert, photos, out, Options(resume=True)).already_finished
    assert out.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("seed", few_by_default(range(4), 0))
@pytest.mark.parametrize("runtime", ["litert", "tensorflow"])
def test_failures_at_random_places_shift_no_row(
    runtime: str, seed: int, litert: Path, trained: TrainedRun, photos: list[str], tmp_path: Path
):
    draw = random.Random(seed)
    names = [draw.choice(photos[:40] if draw.random() < draw.choice([0.1, 0.9]) else photos[40:]) for _ in range(150)]
    source = litert if runtime == "litert" else trained.folder
    model = regraft.load(source, runtime=runtime)
    alone = {name: model.predict(name)[0] for name in photos}
    predict(source, names, tmp_path / "out.jsonl", Options(runtime=runtime, probabilities=True))
    rows = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    for name, row in zip(names, rows, strict=True):
        expected = alone[name]
        assert (row["path"], row["status"], row["reason"]) == (name, expected.status, expected.reason)
        scores = [row[f"p_{label}"] for label in model.labels] if expected.scores else []
        assert scores == pytest.approx(expected.scores, abs=1e-5)


def test_a_folder_of_shards_has_a_manifest_and_is_the_file_in_pieces(litert: Path, photos: list[str], tmp_path: Path):
    summary = predict(litert, photos, tmp_path / "out", Options(shard_rows=20))
    predict(litert, photos, tmp_path / "out.csv")
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    names = [f"part-{number:06d}.csv" for number in range(3)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["manifest.json", *names]
    assert [shard["file"] for shard in manifest["shards"]] == names
    assert [shard["rows"] for shard in manifest["shards"]] == [20, 20, 7]
    assert manifest["counts"] == summary.counts == {"ok": 40, "missing": 1, "truncated": 2, "unreadable": 4}
    pieces = [(tmp_path / "out" / name).read_text().splitlines() for name in names]
    assert [line for piece in pieces for line in piece[1:]] == (tmp_path / "out.csv").read_text().splitlines()[1:]
    assert summary == PredictionSummary(tmp_path / "out", 47, manifest["counts"])
    again = predict(litert, photos, tmp_path / "out", Options(shard_rows=20, resume=True))
    facts = {"out": f"{tmp_path}/out", "rows": 0, "counts": summary.counts, "already_finished": True, "left_out": {}}
    assert again.as_dict() == facts


def test_force_removes_shards_and_no_file_of_anybody_else(litert: Path, photos: list[str], tmp_path: Path):
    out = tmp_path / "out"
    predict(litert, photos[:3], out, Options(shard_rows=1))
    (out / "notes.txt").write_text("precious")
    predict(litert, photos[:1], out, Options(shard_rows=1, force=True))
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "notes.txt", "part-000000.csv"]


def test_force_with_inputs_that_do_not_exist_loses_nothing(litert: Path, photos: list[str], tmp_path: Path):
    out, empty = tmp_path / "out.csv", tmp_path / "empty"
    empty.mkdir()
    predict(litert, photos, out)
    whole = out.read_bytes()
    assert run_regraft("predict", litert, empty, "--out", out, "--force").code == 2
    assert out.read_bytes() == whole
    begun(litert, photos, tmp_path / "other.csv")
    assert run_regraft("predict", litert, empty, "--out", tmp_path / "other.csv", "--force").code == 2
    assert run_regraft("predict", litert, *photos, "--out", tmp_path / "other.csv", "--resume").code == 0
    assert (tmp_path / "other.csv").read_bytes() == whole


def begun(source: Path, photos: list[str], out: Path) -> None:
    """A job of which nothing is done."""
    with contextlib.suppress(KeyboardInterrupt), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Writer, "write", lambda *_: signal.raise_signal(signal.SIGINT))
        predict(source, photos, out)


def test_a_job_that_was_begun_is_neither_begun_anew_nor_gone_on_with_unasked(
    litert: Path, photos: list[str], tmp_path: Path
):
    out = tmp_path / "out.csv"
    begun(litert, photos, out)
    answer = run_regraft("predict", litert, *photos, "--out", out)
    begin_anew = f"regraft: {out} was begun and not finished: go on with --resume, or begin anew with --force.\n"
    assert (answer.code, answer.stderr) == (2, begin_anew)
    assert run_regraft("predict", litert, *photos, "--out", out, "--resume").code == 0
    assert run_regraft("predict", litert, *photos, "--out", out).code == 2
    assert run_regraft("predict", litert, photos[0], "--out", out, "--force").code == 0
    assert len(out.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "what"),
    [(["--top", "1"], "columns"), (["--no-shrink"], "wanted"), (["--shard-rows", "7"], "shard_rows"), ([], "inputs")],
)
def test_a_job_is_not_gone_on_with_otherwise(
    litert: Path, photos: list[str], tmp_path: Path, words: list[str], what: str
):
    out = tmp_path / "out.csv"
    begun(litert, photos, out)
    inputs = photos if words else photos[:-1]
    answer = run_regraft("predict", litert, *inputs, "--out", out, "--resume", *words)
    assert answer.code == 2
    assert answer.stderr.startswith(f"regraft: --resume: {out} was begun with {what} ")
    assert answer.stderr.endswith("; ask as before, or begin anew with --force.\n")


@pytest.mark.parametrize(
    ("version", "complaint"),
    [
        (None, "was begun by an earlier version of Regraft, whose plan says less; begin anew with --force."),
        (99, "was begun by a later version of Regraft; go on with that, or begin anew with --force."),
    ],
)
def test_a_job_of_another_version_is_not_gone_on_with(
    litert: Path, photos: list[str], tmp_path: Path, version: int | None, complaint: str
):
    out = tmp_path / "out.csv"
    begun(litert, photos, out)
    plan = tmp_path / "out.csv.partial/plan.json"
    values = json.loads(plan.read_text()) | {"version": version, "digest": "of other files"}
    if version is None:
        del values["version"]
    plan.write_text(json.dumps(values))
    answer = run_regraft("predict", litert, *photos, "--out", out, "--resume")
    assert (answer.code, answer.stderr) == (2, f"regraft: --resume: {out} {complaint}\n")
    assert run_regraft("predict", litert, *photos, "--out", out, "--force").code == 0


def test_two_processes_do_not_write_one_file(litert: Path, photos: list[str], tmp_path: Path):
    fcntl = pytest.importorskip("fcntl")
    out = tmp_path / "out.csv"
    begun(litert, photos, out)
    handle = os.open(tmp_path / "out.csv.partial", os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        answer = run_regraft("predict", litert, *photos, "--out", out, "--resume")
    finally:
        os.close(handle)
    assert (answer.code, answer.stderr) == (
        2,
        f"regraft: Another process is writing {out} at this moment; wait for it or stop it.\n",
    )


def test_what_cannot_be_predicted_leaves_nothing_behind(litert: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    answer = run_regraft("predict", litert, tmp_path / "empty", "--out", tmp_path / "out.csv")
    assert (answer.code, answer.stderr) == (2, f"regraft: The folder {tmp_path}/empty holds no images.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_parquet_rows_are_typed(litert: Path, photos: list[str], tmp_path: Path):
    words = ("--all-probabilities", "--embeddings", "--top", 1)
    answer = run_regraft("predict", litert, *photos, "--out", tmp_path / "out.parquet", *words)
    assert answer.code == 0, answer.stderr
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    names = ["path", "status", "reason", "label", "score", "p_bee", "p_cat", "p_dog", "embedding"]
    assert table.column_names == names
    rows = table.to_pylist()
    assert [row["path"] for row in rows] == photos
    assert rows[0]["p_bee"] + rows[0]["p_cat"] + rows[0]["p_dog"] == pytest.approx(1)
    assert len(rows[0]["embedding"]) > 8
    assert rows[-1]["embedding"] is None


def test_a_format_that_is_not_that_of_the_file_is_refused(litert: Path, photos: list[str], tmp_path: Path):
    answer = run_regraft("predict", litert, *photos, "--out", tmp_path / "a.csv", "--format", "jsonl")
    complaint = f"regraft: --format jsonl does not go with {tmp_path}/a.csv; leave one of both out.\n"
    assert (answer.code, answer.stderr) == (2, complaint)
    assert run_regraft("predict", litert, *photos, "--out", tmp_path / "a.v2", "--format", "jsonl").code == 0
    assert len((tmp_path / "a.v2/part-000000.jsonl").read_bytes().splitlines()) == len(photos)


def test_a_header_of_ten_billion_pixels_is_too_large(litert: Path, tmp_path: Path):
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)))
    draw_photo(0, seed=1).save(tmp_path / "large.png")
    answer = run_regraft(
        "predict", litert, bomb, tmp_path / "large.png", "--max-bytes", 2000, "--format", "jsonl", "--top", 1
    )
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["too_large", "too_large"]
    assert rows[0]["reason"] == "too large: 10,000 million pixels, the limit is 179 (--max-pixels goes up to 358)"
    assert rows[1]["reason"].endswith(" bytes, the limit is 2,000")


def test_a_shard_that_lost_its_file_counts_as_not_done(tmp_path: Path):
    job = Job(tmp_path, tmp_path, find_table_format("csv"), Columns(("a", "b")), 10)
    job.shard_file(1).touch()
    facts = '"rows": 1, "counts": {"ok": 1}, "blake2b": "00"'
    job.journal_file.write_text(f'{{"shard": 0, {facts}}}\n{{"shard": 1, {facts}}}\n[]\n{{"shard": 1}}\n{{"shard": 2')
    for number in (2, 3):
        job.shard_file(number).touch()
    with job.journal_file.open("a") as journal:
        journal.write('\n{"shard": 3, "rows": 2, "counts": {"ok": 1}, "blake2b": "00"}')  # which does not add up
    assert list(read_journal(job)) == [1]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_memory_does_not_grow_with_the_number_of_inputs(litert: Path, photos: list[str], tmp_path: Path):
    peaks = []
    for count in (2_000, 20_000):
        inputs = listed(tmp_path, photos, count)
        words = command(litert, inputs, tmp_path / f"{count}.csv")
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        peaks.append(usage.ru_maxrss)
    assert peaks[1] < 1.05 * peaks[0]


def ray_workers() -> list[int]:
    """Processes of Ray that answer a shard at this moment."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdecimal() and b"_answer_shard" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="finds the worker in /proc")
def test_over_ray_the_rows_are_the_same_also_where_a_worker_is_killed(litert: Path, photos: list[str], tmp_path: Path):
    inputs = listed(tmp_path, photos, 5000)
    subprocess.run(command(litert, inputs, tmp_path / "local.csv"), check=True, stderr=subprocess.DEVNULL)
    words = command(litert, inputs, tmp_path / "ray.csv", "--engine", "ray", "--jobs", "2")
    killed = []
    with subprocess.Popen(words, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 200
        while process.poll() is None and time.monotonic() < deadline:
            if not killed and (workers := ray_workers()):
                time.sleep(0.3)
                os.kill(workers[0], signal.SIGKILL)
                killed.append(workers[0])
            time.sleep(0.05)
        process.kill()
        assert process.stderr
        said = process.stderr.read().decode()
    assert (process.returncode, len(killed)) == (0, 1), said
    assert (tmp_path / "ray.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()
