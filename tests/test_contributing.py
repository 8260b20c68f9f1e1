"""What CONTRIBUTING says of adding something is done to a copy of the package, in which it then works."""

import csv
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from drawn_photos import PhotoFolder, draw_photo
from trained_runs import TrainedRun

ROOT = Path(__file__).parents[1]
BLOCKS = dict(re.findall(r"^```python\n# (.+?)\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.M | re.S))
"""The blocks of code that begin with the name of a file, or with "a row of" a table."""

TABLES = {
    "AUGMENTATIONS": "augment/table.py",
    "BACKBONES": "models/backbones.py",
    "FORMATS": "app/exports/table.py",
    "INPUT_KINDS": "app/prediction/sources/table.py",
    "REGULARIZERS": "models/regularizers.py",
    "REPORTED_METRICS": "app/evidence/metric_table.py",
    "TABLE_FORMATS": "app/prediction/tables/table.py",
}
"""Where each table is that gets a row."""

Copy = Callable[..., Path]


@pytest.fixture
def copy_with(tmp_path: Path) -> Copy:
    """A function that copies the package, adds these blocks of CONTRIBUTING and nothing else, and gives its folder."""

    def make(*titles: str) -> Path:
        root = tmp_path / "site" / "regraft"
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "app", root, ignore=ignore)
        for name in ("models", "augment"):
            shutil.copytree(ROOT / name, root / name, ignore=ignore)
        for title in titles:
            table = title.removeprefix("a row of ")
            if table == title:
                installed(root, title).write_text(BLOCKS[title], "utf-8")
            else:
                add_row(installed(root, TABLES[table]), table, BLOCKS[title])
        return root.parent

    return make


def installed(root: Path, path: str) -> Path:
    """Where a file of the checkout is in the installed package `root`."""
    return root / path.removeprefix("app/")


def add_row(file: Path, table: str, row: str) -> None:
    """Adds `row` at the end of `table`, a dict, list or tuple in `file`."""
    text = file.read_text("utf-8")
    start = re.search(rf"^{table}\b.*= [{{\[(]\n", text, re.M)
    assert start, f"{file} has no table {table}"
    end = start.end() + len(re.split(r"^[}\])]$", text[start.end() :], maxsplit=1, flags=re.M)[0])
    file.write_text(text[:end] + row + text[end:], "utf-8")


def run(package: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return run_with(package, "-m", "regraft", *words)


def run_python(package: Path, code: str, *words: object) -> subprocess.CompletedProcess[str]:
    return run_with(package, "-c", code, *words)


def run_with(package: Path, *words: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(package)}
    command = [sys.executable, "-P", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_every_block_is_a_file_that_is_not_there_or_a_row_of_a_table_that_is():
    rows = [title.removeprefix("a row of ") for title in BLOCKS if title.startswith("a row of ")]
    assert sorted(rows) == sorted(TABLES)
    files = [title for title in BLOCKS if not title.startswith("a row of ")]
    assert files
    assert [name for name in files if (ROOT / name).exists() or not (ROOT / name).parent.is_dir()] == []


@pytest.mark.slow
def test_what_was_added_has_a_key_a_range_and_an_effect(copy_with: Copy, photo_folder: PhotoFolder, tmp_path: Path):
    package = copy_with(
        *("models/gaussian_noise.py", "a row of REGULARIZERS", "augment/grayscale.py", "a row of AUGMENTATIONS")
    )
    photos = photo_folder({"cat": 10, "dog": 10})
    small = (photos, "--backbone", "tiny", "--epochs", 1, "--set", "head.l2=[0.1]")
    refused = run(package, "train", *small, "--set", "regularize.gaussian_noise=2", "--out", tmp_path / "no")
    assert (refused.returncode, refused.stderr) == (
        2,
        'regraft: regularize.gaussian_noise: must be in [0, 1]; received "2".\n',
    )
    arms = {"plain": "augment.grayscale=0", "noise": "regularize.gaussian_noise=1", "grey": "augment.grayscale=1"}
    named = [word for name, edit in arms.items() for word in ("--arm", f"{name}: {edit}")]
    done = run(package, "compare", *small, *named, "--seeds", 1, "--out", tmp_path / "compared")
    assert done.returncode == 0, done.stderr
    histories = [tmp_path / "compared/runs" / name / "seed-0/history.csv" for name in arms]
    assert len({file.read_text().splitlines()[1].split(",")[3] for file in histories}) == 3


@pytest.mark.slow
def test_a_format_that_was_added_is_exported_proven_and_answers(copy_with: Copy, trained: TrainedRun, tmp_path: Path):
    package = copy_with("app/exports/keras.py", "a row of FORMATS")
    out, photos = tmp_path / "export", sorted(trained.photos.rglob("*.png"))
    assert "saved_model|litert|onnx|openvino|keras" in run(package, "export", "--help").stdout
    done = run(package, "export", trained.folder, "--format", "keras", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["same_label"] == facts["images"] == trained.metrics["images"]
    assert {path.name for path in out.iterdir()} >= {"model.keras", "export.json", "labels.txt", "README.md"}
    assert 'keras.saving.load_model("model.keras")' in (out / "README.md").read_text("utf-8")
    words = ("--format", "jsonl", "--all-probabilities", "--embeddings")
    answers = [run(package, "predict", source, *photos, *words) for source in (out, trained.folder)]
    rows = [[json.loads(line) for line in answer.stdout.splitlines()] for answer in answers]
    assert [len(each) for each in rows] == [len(photos)] * 2, answers[0].stderr
    for ours, theirs in zip(*rows, strict=True):
        assert ours["label"] == theirs["label"]
        assert ours["p_cat"] == pytest.approx(theirs["p_cat"], abs=1e-5)
        assert ours["embedding"] == pytest.approx(theirs["embedding"], abs=1e-4)


@pytest.mark.slow
def test_photos_of_the_added_input_kind_are_written_in_the_added_format(copy_with: Copy, litert: Path, tmp_path: Path):
    package = copy_with(
        *(
            "app/prediction/sources/sqlite.py",
            "a row of INPUT_KINDS",
            "app/prediction/tables/tsv.py",
            "a row of TABLE_FORMATS",
        )
    )
    photos = [draw_photo(seed % 3, seed=seed, size=(40, 32), classes=3) for seed in range(6)]
    encoded: list[bytes | None] = [None]
    with closing(sqlite3.connect(tmp_path / "photos.sqlite")) as database:
        for seed, photo in enumerate(photos):
            photo.save(tmp_path / f"{seed}.png")
            encoded.append((tmp_path / f"{seed}.png").read_bytes())
        database.execute("CREATE TABLE photos (image BLOB)")
        database.executemany("INSERT INTO photos VALUES (?)", [[image] for image in encoded])
        database.commit()
    out = ("--out", tmp_path / "answers.tsv", "--shard-rows", 4)
    done = run(package, "predict", litert, tmp_path / "photos.sqlite", *out)
    assert (done.returncode, done.stderr) == (0, f"6 ok, 1 unreadable in {tmp_path}/answers.tsv\n")
    header, empty, *rows = (tmp_path / "answers.tsv").read_text().splitlines()
    assert header.split("\t")[:5] == ["path", "status", "reason", "label", "score"]
    assert empty.split("\t")[:4] == [f"{tmp_path}/photos.sqlite::1", "unreadable", "empty file", ""]
    usual = run(package, "predict", litert, f"{tmp_path}/?.png").stdout.splitlines()[1:]
    assert [row.split("\t")[1:] for row in rows] == [row.split(",")[1:] for row in usual]
    piped = run(package, "predict", litert, tmp_path / "photos.sqlite", "--format", "tsv")
    assert piped.stdout == (tmp_path / "answers.tsv").read_text()
    assert "--format csv|jsonl|parquet|tsv" in run(package, "predict", "--help").stdout


@pytest.mark.slow
def test_a_metric_that_was_added_is_in_the_json_on_the_page_and_printed(
    copy_with: Copy, photo_folder: PhotoFolder, tmp_path: Path
):
    package = copy_with("a row of REPORTED_METRICS")
    photos, trained, judged = photo_folder({"cat": 10, "dog": 10}), tmp_path / "run", tmp_path / "judged"
    quick = ("--recipe", "quick", "--backbone", "tiny", "--set", "head.l2=[0.1]")
    done = run(package, "train", photos, *quick, "--out", trained)
    assert done.returncode == 0, done.stderr
    done = run(package, "evaluate", trained, "--out", judged)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((judged / "predictions.csv").read_text("utf-8").splitlines()))
    missing = [1 - float(row["score" if row["correct"] == "true" else "score_2"]) for row in rows]
    expected = sum(2 * each**2 for each in missing) / len(rows)  # of two classes, the other has what is missing
    for folder in (trained, judged):
        metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
        assert metrics["brier_score"] == pytest.approx(expected, abs=1e-5)
        assert f"<dt>Brier score</dt><dd>{expected:.3f}<small>squared" in (folder / "report.html").read_text("utf-8")
    code = "import pathlib, sys, regraft; run = regraft.Run(pathlib.Path(sys.argv[1])); "
    code += "print(*(each.metrics.value('brier_score') for each in (run, regraft.evaluate(run, progress=False))))"
    in_python = run_python(package, code, trained)
    assert [float(word) for word in in_python.stdout.split()] == pytest.approx([expected] * 2, abs=1e-5), (
        in_python.stderr
    )
    assert re.search(rf"^Brier score +{expected:.3f} *$", done.stdout, re.M)


@pytest.mark.slow
def test_a_backbone_that_was_added_trains_from_fresh_weights_and_opens_again(
    copy_with: Copy, photo_folder: PhotoFolder, tmp_path: Path
):
    package = copy_with("models/plain.py", "a row of BACKBONES")
    photos = photo_folder({"cat": 10, "dog": 10})
    assert "plain " in run(package, "backbones").stdout
    words = (
        "--backbone",
        "plain",
        "--epochs",
        1,
        "--set",
        "head.l2=[0.1]",
    )  # no --weights: it has none
    done = run(package, "train", photos, *words, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/history.csv").read_text().count("\n") == 2
    answered = run(package, "predict", tmp_path / "run", photos, "--format", "jsonl")
    rows = [json.loads(line) for line in answered.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["ok"] * 20, answered.stderr
