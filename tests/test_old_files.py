"""What the code wrote before it moved into its packages still opens: layers, runs, ensembles and exports."""

import csv
import importlib
import io
import os
import pkgutil
import subprocess
import sys
import tarfile
from pathlib import Path

import keras
import matplotlib
import numpy as np
import pytest
from command_line import run_regraft
from drawn_photos import draw_photo

import regraft.models

ROOT = Path(__file__).parents[1]
OLD_FILES = Path(__file__).parent / "old_files"
BEFORE_THE_MOVE = "e5d3254"
FORMATS = ("saved_model", "litert", "onnx", "openvino")
PACKAGE = "regraft.models."


@pytest.fixture(autouse=True, scope="module")
def every_class() -> None:
    """Registers every class of the package with Keras, which is all that a `.keras` file asks for."""
    for module in pkgutil.iter_modules(regraft.models.__path__, PACKAGE):
        importlib.import_module(module.name)


def saved(pattern: str) -> list[str]:
    return sorted(path.stem for path in OLD_FILES.glob(pattern))


def answers_of(name: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(OLD_FILES / f"{name}.npz") as arrays:
        return arrays["x"], arrays["expected"]


@pytest.mark.parametrize("name", [name for name in saved("*.keras") if not name.startswith("schedule_")])
def test_an_old_layer_answers_as_it_did(name):
    model = keras.saving.load_model(OLD_FILES / f"{name}.keras")
    assert type(model.layers[-1]).__module__.startswith(PACKAGE)
    x, expected = answers_of(name)
    np.testing.assert_allclose(model(x, training=False), expected, atol=1e-6)


@pytest.mark.parametrize("name", saved("schedule_*.keras"))
def test_an_old_schedule_gives_the_rates_it_gave(name):
    schedule = keras.saving.load_model(OLD_FILES / f"{name}.keras").optimizer._learning_rate
    assert type(schedule).__module__ == "regraft.models.schedules"
    steps, expected = answers_of(name)
    np.testing.assert_allclose([float(schedule(step)) for step in steps], expected, rtol=1e-6)


NEWER = {"BlockStochasticDepth", "PatchTokens", "RotaryPlaces", "TokenMaps", "WindowAttention"}
"""Layers that came after the old code."""


def test_every_registered_class_was_saved_by_the_old_code_or_is_newer():
    registered = {made for made in keras.saving.get_custom_objects().values() if made.__module__.startswith(PACKAGE)}
    registered = {made for made in registered if made.__name__ not in NEWER}
    models = [keras.saving.load_model(OLD_FILES / f"{name}.keras") for name in saved("*.keras")]
    loaded = [layer for model in models for layer in model.layers]
    loaded += [model.optimizer._learning_rate for model in models if getattr(model, "optimizer", None)]
    assert registered == {type(each) for each in loaded if type(each).__module__.startswith(PACKAGE)}


def code_before_the_move(root: Path = ROOT) -> bytes:
    """That code as a tar file. Skips where there is no history or it lacks the commit.

    Raises:
        CalledProcessError: git does not read the history that is there, which must not pass for a reason to skip.
    """
    if not (root / ".git").exists():
        pytest.skip("this is not a git checkout")
    commit = ["git", "rev-parse", "--quiet", "--verify", f"{BEFORE_THE_MOVE}^{{commit}}"]
    asked = subprocess.run(commit, cwd=root, capture_output=True, check=False)
    if asked.returncode == 1:  # it is 128 where git does not work
        pytest.skip(f"this checkout's history does not reach back to {BEFORE_THE_MOVE}")
    asked.check_returncode()
    return subprocess.run(["git", "archive", BEFORE_THE_MOVE], cwd=root, capture_output=True, check=True).stdout


def checkout_before_the_move(folder: Path) -> Path:
    """What to give as PYTHONPATH for `regraft` to be the code before the move."""
    with tarfile.open(fileobj=io.BytesIO(code_before_the_move())) as archive:
        archive.extractall(folder, filter="data")
    package = folder / "links/regraft"
    package.mkdir(parents=True)
    for source in (folder / "models", folder / "augment", *(folder / "app").iterdir()):
        (package / source.name).symlink_to(source)
    return package.parent


def test_only_a_missing_history_is_a_reason_to_skip(tmp_path: Path):
    with pytest.raises(pytest.skip.Exception, match="not a git checkout"):
        code_before_the_move(tmp_path)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    with pytest.raises(pytest.skip.Exception, match="does not reach back"):
        code_before_the_move(tmp_path)
    (tmp_path / ".git/HEAD").write_text("damaged")
    with pytest.raises(subprocess.CalledProcessError):
        code_before_the_move(tmp_path)


@pytest.fixture(scope="module")
def old_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("old") / "photos"
    for class_index, name in enumerate(("bee", "cat")):
        (root / name).mkdir(parents=True)
        for number in range(12):
            draw_photo(class_index, seed=number, size=(44, 36), classes=2).save(root / name / f"{number:02}.png")
    return root


@pytest.fixture(scope="module")
def old_runs(old_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run `quick`, ensembles `heads` and `independent`, exports of the first two, and what the old code answers."""
    folder = tmp_path_factory.mktemp("before_the_move")
    links = checkout_before_the_move(folder / "checkout")
    # The old code lets OpenVINO keep an identifier in the home folder, so it has one of its own.
    own = {"HOME": str(folder), "MPLCONFIGDIR": matplotlib.get_cachedir(), "REGRAFT_CACHE": str(folder / "cache")}
    environment = os.environ | own | {"PYTHONPATH": str(links)}
    command = [sys.executable, OLD_FILES / "write_old_runs.py", old_photos, folder / "out"]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "out"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def assert_same_answers(answered: Path, expected: Path) -> None:
    rows, before = rows_of(answered), rows_of(expected)
    assert len(rows) == len(before) == 24
    assert list(rows[0]) == list(before[0])
    for row, old in zip(rows, before, strict=True):
        for column, value in old.items():
            if is_number(value):
                assert float(row[column]) == pytest.approx(float(value), abs=1e-5)
            else:
                assert row[column] == value


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["quick", "heads", "independent"])
def test_a_run_from_before_the_move_answers_as_it_did(old_runs: Path, old_photos: Path, tmp_path: Path, name: str):
    words = ("--out", tmp_path / "now.csv", "--all-probabilities", "--runtime", "tensorflow")
    answer = run_regraft("predict", old_runs / name, old_photos, *words)
    assert answer.code == 0, answer.stderr
    assert_same_answers(tmp_path / "now.csv", old_runs / f"{name}.csv")
    assert run_regraft("evaluate", old_runs / name).code == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [*FORMATS, "heads_litert"])
def test_an_export_from_before_the_move_answers_as_it_did(old_runs: Path, old_photos: Path, tmp_path: Path, name: str):
    words = ("--out", tmp_path / "now.csv", "--all-probabilities")
    answer = run_regraft("predict", old_runs / name, old_photos, *words)
    assert answer.code == 0, answer.stderr
    assert (tmp_path / "now.csv").read_bytes() == (old_runs / f"{name}.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", FORMATS)
def test_a_run_from_before_the_move_is_exported_again(old_runs: Path, tmp_path: Path, name: str):
    answer = run_regraft("export", old_runs / "quick", "--format", name, "--out", tmp_path / "again", "--json")
    assert answer.code == 0, answer.stderr
    assert (tmp_path / "again").is_dir()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_ensemble_from_before_the_move_is_exported_again(old_runs: Path, tmp_path: Path):
    answer = run_regraft("export", old_runs / "heads", "--format", "litert", "--out", tmp_path / "again", "--json")
    assert answer.code == 0, answer.stderr
