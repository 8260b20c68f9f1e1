"""Folders with names that no program expects, and paths in odd forms, through every verb."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import pytest
from command_line import run_regraft
from default_cases import few_by_default
from drawn_photos import draw_photo
from trained_runs import FAST, TrainedRun

from regraft.models.backbones import build_backbone

NAMES = {
    "patterns": "work [2024] {a,b} *?",
    "quotes": 'it\'s "x"',
    "percent": "100% %s #1",
    "a line break": "line\nbreak",
    "a tab": "a\tb",
    "no UTF-8": os.fsdecode(b"caf\xe9"),
    "240 letters": "x" * 240,
    "a dash first": "-lead",
    "decomposed letters": "e\u0301t\u00e9",
    "a backslash": "back\\slash",
    "words of a shell": "$HOME `x`; & | <>",
    "a space at the end": "end ",
    "a tilde": "~user",
    "colons": "a::b:c",
    "an archive's name": "x.zip",
    "a table's name": "p.csv",
    "markup": "[bold]x[/bold]",
    "signs from right to left": "\u202eabc\U0001f600",
}
RUNTIMES = ("litert", "saved_model", "onnx", "openvino", "run")
HARD = Path(NAMES["240 letters"], NAMES["a line break"], NAMES["patterns"])
"""A folder below two others, all with names that are hard for programs that write."""
TINY = ("--backbone", "tiny", "--image-size", 32)


@pytest.fixture(scope="module")
def made(trained: TrainedRun, litert: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run, its exports and a few photos, in folders with plain names. To be read only."""
    folder = tmp_path_factory.mktemp("plain")
    for class_index, name in enumerate(("bee", "cat", "dog")):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(6):
            photo = draw_photo(class_index, seed=100 + number, size=(44, 36), classes=3)
            photo.save(folder / "photos" / name / f"{number}.jpg")
    return {"photos": folder / "photos", "run": trained.folder, "litert": litert, "exports": folder / "exports"}


@pytest.fixture(scope="module")
def exported(made: dict[str, Path]) -> dict[str, Path]:
    """`made`, with an export in each of the other formats that takes long to write."""
    for form in ("onnx", "openvino"):
        answer = run_regraft("export", made["run"], "--format", form, "--out", made["exports"] / form)
        assert answer.code == 0, answer.stderr
    more = {form: made["exports"] / form for form in ("onnx", "openvino")}
    return made | more | {"saved_model": made["run"] / "saved_model"}


def copy_to(folder: Path, made: dict[str, Path], *names: str) -> None:
    for name in names:
        shutil.copytree(made[name], folder / name)


def succeed(*words: object) -> None:
    answer = run_regraft(*words)
    assert answer.code == 0, answer.stderr


def check_predicts(model: Path | str, photos: Path | str, out: Path) -> None:
    succeed("predict", model, photos, "--out", out, "--runtime", "auto")
    with out.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["ok"] * 18


@pytest.mark.parametrize("name", few_by_default(NAMES, "patterns", "no UTF-8"))
def test_photos_below_an_odd_folder_are_answered_by_an_export_in_it(name: str, made: dict[str, Path], tmp_path: Path):
    folder = tmp_path / NAMES[name]
    copy_to(folder, made, "photos", "litert")
    succeed("check", folder / "photos")
    check_predicts(folder / "litert", folder / "photos", folder / "out.csv")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_every_runtime_answers_from_an_odd_folder(name: str, exported: dict[str, Path], tmp_path: Path):
    folder = tmp_path / NAMES[name]
    copy_to(folder, exported, "photos", *RUNTIMES)
    for runtime in RUNTIMES:
        check_predicts(folder / runtime, folder / "photos", folder / f"{runtime}.csv")


FORMS = {
    "relative": "{name}/{leaf}",
    "by way of its parent": "{name}/photos/../{leaf}",
    "with a slash at the end": "./{name}/{leaf}/",
    "by a link": "link/{leaf}",
}


@pytest.mark.parametrize("form", few_by_default(FORMS, "by way of its parent"))
def test_paths_in_odd_forms_are_those_places(
    form: str, made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / NAMES["patterns"]
    copy_to(folder, made, "photos", "litert")
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    model, photos = (FORMS[form].format(name=folder.name, leaf=leaf) for leaf in ("litert", "photos"))
    check_predicts(model, photos, Path(FORMS[form].format(name=folder.name, leaf="out.csv").rstrip("/")))
    assert (folder / "out.csv").is_file()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_odd_folder_holds_all_that_a_training_reads_and_writes(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / HARD
    copy_to(folder, made, "photos")
    monkeypatch.setenv("REGRAFT_CACHE", str(folder / "cache"))
    weights = folder / "own.weights.h5"
    build_backbone("tiny", image_size=32).save_weights(weights)
    photos, run = folder / "photos", folder / "new/run"
    succeed("train", photos, *TINY, *FAST[2:], "--weights", weights, "--out", run)
    check_predicts(run / "saved_model", photos, folder / "answers.csv")
    for form in ("saved_model", "litert"):
        succeed("export", run, "--format", form, "--out", folder / f"exports/{form}")
        check_predicts(folder / f"exports/{form}", photos, folder / f"{form}.csv")
    succeed("export", run, "--format", "litert", "--out", folder / "exports/litert", "--force")
    succeed("evaluate", run, photos, "--out", folder / "evaluation")
    succeed("augment-preview", photos, "--image-size", 32, "--photos", 1, "--draws", 1, "--out", folder / "sheet.png")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("without_export")
def test_an_odd_folder_holds_what_many_trainings_write(made: dict[str, Path], tmp_path: Path):
    folder = tmp_path / HARD
    copy_to(folder, made, "photos")
    photos = folder / "photos"
    succeed("find-lr", photos, *TINY, "--steps", 10, "--out", folder / "rates")
    arms = ("--vary", "head.solver=lbfgs,newton-cg", "--seeds", 2)
    succeed("compare", photos, *FAST, "--image-size", 32, *arms, "--out", folder / "compared")
    heads = ("--kind", "heads", "--members", 2, "--no-rival", "--set", "data.select_fraction=0.3")
    succeed("ensemble", photos, *FAST, "--image-size", 32, *heads, "--out", folder / "ensemble")


def test_a_run_that_could_not_be_written_is_refused_before_it_is_trained(made: dict[str, Path], tmp_path: Path):
    out = tmp_path / NAMES["no UTF-8"] / "run"
    answer = run_regraft("train", made["photos"], *FAST, "--out", out)
    assert answer.code == 2
    assert answer.stderr.startswith("regraft: A run directory must have a UTF-8 name, as TensorFlow writes to it; ")
    assert len(answer.stderr.splitlines()) == 1


EMPTY = [
    ("check", ""),
    ("train", ""),
    ("train", "photos", "--out", ""),
    ("pretrain", "photos", "--out", ""),
    ("compare", "photos", "--out", ""),
    ("ensemble", ""),
    ("ensemble", "photos", "--out", ""),
    ("ensemble", "a", "b", "--photos", ""),
    ("find-lr", "photos", "--out", ""),
    ("augment-preview", ""),
    ("augment-preview", "photos", "--out", ""),
    ("evaluate", ""),
    ("evaluate", "run", ""),
    ("evaluate", "run", "--out", ""),
    ("threshold", ""),
    ("threshold", "run", "", "--recall", "cat=0.9"),
    ("export", ""),
    ("export", "run", "--out", ""),
    ("export", "run", "--photos", ""),
    ("predict", "", "a.jpg"),
    ("predict", "run", ""),
    ("predict", "run", "a.jpg", "--out", ""),
    ("predict", "run", "a.jpg", "--root", ""),
    ("train", "photos", "--data-dir", ""),
    ("train", "photos", "--recipe", ""),
    ("train", "photos", "--weights", ""),
]


@pytest.mark.parametrize("words", EMPTY, ids=" ".join)
def test_an_empty_path_is_refused_and_never_the_current_folder(
    words: tuple[str, ...], made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    names = {"photos": made["photos"], "run": made["litert"] if words[0] == "predict" else made["run"]}
    answer = run_regraft(*(names.get(word, word) for word in words))
    assert answer.code == 2
    assert len(answer.stderr.splitlines()) == 1
    assert "empty" in answer.stderr or "''" in answer.stderr or '""' in answer.stderr, answer.stderr
    assert list(tmp_path.iterdir()) == []
