"""What CONTRIBUTING says of adding to the tables is done to a copy of the package that trains."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from drawn_photos import PhotoFolder

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"^```python\n# (.+?)\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.M | re.S)
TABLES = {
    "BACKBONES": "models/backbones.py",
    "REGULARIZERS": "models/regularizers.py",
    "AUGMENTATIONS": "augment/table.py",
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
            (root / title).write_text(code, "utf-8")
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
def test_a_backbone_that_was_added_trains_from_fresh_weights(package: Path, photo_folder: PhotoFolder, tmp_path: Path):
    photos = photo_folder({"cat": 10, "dog": 10})
    assert "plain " in run(package, "backbones").stdout
    words = ("--backbone", "plain", "--weights", "none", "--epochs", 1, "--set", "head.l2=[0.1]")
    done = run(package, "train", photos, *words, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/history.csv").read_text().count("\n") == 2
