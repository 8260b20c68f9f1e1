"""What CONTRIBUTING says of adding things is done to a copy of the package that trains and predicts."""

import csv
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from drawn_photos import PhotoFolder, draw_photo

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"^```python\n# (.+?)\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.M | re.S)
TABLES = {
    "BACKBONES": "models/backbones.py",
    "REGULARIZERS": "models/regularizers.py",
    "AUGMENTATIONS": "augment/table.py",
    "INPUT_KINDS": "prediction/sources/table.py",
    "TABLE_FORMATS": "prediction/tables/table.py",
    "REPORTED_METRICS": "evidence/metric_table.py",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with a copy of the package, to which the files and rows of CONTRIBUTING are added, and nothing else."""
    root = tmp_path / "site" / "regraft"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "app", root, ignore=ignore)
    for name in ("models", "augment"):
        shutil.copytree(ROOT / name, root / name, ignore=ignore)
    for title, code in BLOCKS:
        table = TABLES.get(title.removeprefix("a row of "))
        if table is None:
            (root / title.removeprefix("app/")).write_text(code, "utf-8")
            continue
        text = (root / table).read_text("utf-8")
        end = text.index('\n}\n"""Every ') + 1
        (root / table).write_text(text[:end] + code + text[end:], "utf-8")
    return root.parent


def run(package: Path, *words: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(package)}
    command = [sys.executable, "-m", "regraft", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_every_file_has_its_row():
    assert [title for title, _ in BLOCKS] == [
        "models/plain.py",
        "a row of BACKBONES",
        "models/gaussian_noise.py",
        "a row of REGULARIZERS",
        "augment/grayscale.py",
        "a row of AUGMENTATIONS",
        "app/prediction/sources/sqlite.py",
        "a row of INPUT_KINDS",
        "app/prediction/tables/tsv.py",
        "a row of TABLE_FORMATS",
        "a row of REPORTED_METRICS",
    ]


@pytest.mark.slow
def test_what_was_added_has_a_key_a_range_and_an_effect(package: Path, photo_folder: PhotoFolder, tmp_path: Path):
    photos = photo_folder({"cat": 10, "dog": 10})
    small = ("train", photos, "--backbone", "tiny", "--epochs", 1, "--set", "head.l2=[0.1]")
    refused = run(package, *small, "--set", "regularize.gaussian_noise=2", "--out", tmp_path / "no")
    assert (refused.returncode, refused.stderr) == (
        2,
        'regraft: regularize.gaussian_noise: must be in [0, 1]; received "2".\n',
    )
    histories = []
    for name, edits in (("plain", ()), ("noise", ("regularize.gaussian_noise=1",)), ("grey", ("augment.grayscale=1",))):
        chosen = [word for edit in edits for word in ("--set", edit)]
        done = run(package, *small, *chosen, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
        histories.append((tmp_path / name / "history.csv").read_text().splitlines()[1].split(",")[3])
    assert len(set(histories)) == 3


@pytest.mark.slow
def test_photos_of_the_added_input_kind_are_written_in_the_added_format(package: Path, litert: Path, tmp_path: Path):
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
    package: Path, photo_folder: PhotoFolder, tmp_path: Path
):
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
    assert re.search(rf"^Brier score +{expected:.3f} *$", done.stdout, re.M)


@pytest.mark.slow
def test_a_backbone_that_was_added_trains_from_fresh_weights(package: Path, photo_folder: PhotoFolder, tmp_path: Path):
    photos = photo_folder({"cat": 10, "dog": 10})
    assert "plain " in run(package, "backbones").stdout
    words = ("--backbone", "plain", "--weights", "none", "--epochs", 1, "--set", "head.l2=[0.1]")
    done = run(package, "train", photos, *words, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/history.csv").read_text().count("\n") == 2
