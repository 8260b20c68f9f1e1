"""Training, end to end: from a folder of photos to a finished run, whatever happens on the way."""

import csv
import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from command_line import run_regraft
from drawn_photos import PhotoFolder, draw_photo
from trained_runs import FAST, TRAINING, TrainedRun

import regraft.training.network
from regraft.errors import ExportError, UsageError
from regraft.recipes.recipe import load_recipe
from regraft.runs.roster import read_roster
from regraft.runs.run import Run
from regraft.training.finetune import DivergedError
from regraft.training.resolving import resolve
from regraft.training.session import Request, Session
from regraft.training.train import train_photos

ROOT = Path(__file__).parents[2]


def documented_files() -> list[str]:
    """Every name in the first column of the table of docs/runs.md, "`a.csv`, `.png`" spelled out."""
    table = (ROOT / "docs/runs.md").read_text("utf-8").partition("## A run directory")[2].partition("\n## ")[0]
    names: list[str] = []
    for cell in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE):
        for name in re.findall(r"`(.+?)`", cell):
            names.append(name if not name.startswith(".") else Path(names[-1]).stem + name)
    return names


def weights_of(run: Path) -> list[np.ndarray]:
    import keras

    import regraft.models.preprocessing  # noqa: F401 - registers the layers a model may hold

    return keras.saving.load_model(run / "model.keras", compile=False).get_weights()


def assert_same_training(run: Path, other: Path) -> None:
    """Every weight and every loss of two runs is the same, bit for bit."""
    for left, right in zip(weights_of(run), weights_of(other), strict=True):
        np.testing.assert_array_equal(left, right)
    assert losses_of(run) == losses_of(other)


def losses_of(run: Path) -> list[tuple[str, ...]]:
    with (run / "history.csv").open(newline="") as file:
        return [(row["epoch"], row["loss"], row["select_loss"]) for row in csv.DictReader(file)]


def test_a_run_directory_holds_what_the_documentation_lists_and_nothing_else(trained: TrainedRun):
    documented = documented_files()
    only_sometimes = {
        *("checkpoints/", "evaluations/", "exports/", "stages.npz", "snapshots/", "folds/", "decision.json"),
        *("ensemble.json", "members/", "disagreement.csv", "members_curve.csv", "members_curve.png"),
    }
    assert only_sometimes < set(documented)
    expected = {name.partition("/")[0] for name in documented if name not in only_sometimes}
    assert {path.name for path in trained.folder.iterdir()} == expected
    assert (trained.folder / "saved_model/1").is_dir()


def refuse_constant(name: str) -> None:
    raise AssertionError(f"{name} is not strict JSON")


def test_the_answer_for_a_program_is_one_strict_json_object_and_the_same_as_metrics_json(trained: TrainedRun):
    answer = json.loads(trained.answer.stdout, parse_constant=refuse_constant)
    written = json.loads((trained.folder / "metrics.json").read_text(), parse_constant=refuse_constant)
    assert answer == written
    assert trained.answer.stdout.count("\n") == 1


def test_metrics_say_which_stage_how_good_within_what_and_how_long(trained: TrainedRun):
    metrics = trained.metrics
    assert metrics["run"] == str(trained.folder)
    assert [row["stage"] for row in metrics["stages"]] == ["head", "fine-tuned"]
    assert metrics["stage"] == "fine-tuned"
    assert metrics["stage_reason"].startswith("fine-tuned is better on the 9 selection photos (loss ")
    assert 0 <= metrics["accuracy_low"] < metrics["accuracy"] < metrics["accuracy_high"] <= 1
    correct = np.trace(np.array(metrics["confusion"]))
    assert (metrics["images"], metrics["accuracy"]) == (12, correct / 12)
    assert metrics["reported_on"] == "val"
    phases = ["scan", "start", "features", "head", "fine-tune", "judge", "save", "report", "export"]
    assert list(metrics["seconds_by_phase"]) == phases
    assert all(seconds >= 0 for seconds in metrics["seconds_by_phase"].values())
    rounding = 0.0005 * (len(phases) + 1)
    assert (
        sum(metrics["seconds_by_phase"].values()) <= metrics["seconds"] + rounding
    )  # one clock, and no phase in another


def test_the_fine_tuned_network_learned_something(trained: TrainedRun):
    assert trained.metrics["accuracy"] >= 8 / 12  # a guess gets 4


def test_every_photo_has_one_role_and_no_reported_one_was_learned_or_chosen_from(trained: TrainedRun):
    roster = read_roster(trained.folder / "images.csv")
    by_role = {role: {row.fingerprint for row in roster if row.role == role} for role in ("fit", "select", "report")}
    assert {role: len(prints) for role, prints in by_role.items()} == {"fit": 39, "select": 9, "report": 12}
    assert len(set.union(*by_role.values())) == len(roster) == 60
    assert all(row.path.is_file() and row.class_name == row.path.parent.name for row in roster)


def test_an_exact_copy_of_a_reported_photo_is_not_trained_on(photo_folder: PhotoFolder, tmp_path: Path, without_export):
    photos = photo_folder({"train/ant": 4, "train/bee": 4, "val/ant": 2, "val/bee": 2})
    copy = photos / "train/ant/copy.jpg"
    copy.write_bytes((photos / "val/ant/000.jpg").read_bytes())
    answer = run_regraft("train", photos, *FAST, "--out", tmp_path / "run", "--json")
    roster = read_roster(tmp_path / "run/images.csv")
    assert copy not in {row.path for row in roster}
    assert [row.path.parent.parent.name for row in roster] == ["train"] * 8 + ["val"] * 4
    note = "Left out of training: 1 image, as exact or near-duplicates of images reported or chosen on."
    assert note in answer.values["notes"]


def test_broken_files_are_named_and_training_goes_on_without_them(trained: TrainedRun):
    broken = ["bomb.gif", "cut.jpg", "cut.png", "empty.jpg", "text.jpg", "zero_width.gif"]
    set_aside = trained.metrics["set_aside"]
    assert [row["path"] for row in set_aside] == [str(trained.photos / "cat" / name) for name in broken]
    assert all(row["reason"] for row in set_aside)
    assert trained.answer.stderr.startswith(f"60 photos in {trained.photos}; left out: 6 files that cannot be read (")
    assert all(f"cat/{name}: " in trained.answer.stderr for name in broken)
    said = [line for line in trained.answer.stderr.splitlines() if not line.startswith("fine-tune: ")]
    assert [line.partition(" (")[0] for line in said[1:]] == [  # beside the progress, of which a slow machine sees more
        "6 photos with transparency",
        "6 photos in grey of 16 or 32 bits",
    ]


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("fit", {"tiff.tif", "cmyk.jpg", "deep.png", "web.webp", "bitmap.bmp", "turned.jpg", "first.gif"}),
        ("report", {"cmyk.jpg", "grey_alpha.png", "palette.png", "turned.jpg", 'a "b", c é.jpg'}),
    ],
)
def test_odd_formats_are_trained_and_reported_on(trained: TrainedRun, role: str, names: set[str]):
    roster = read_roster(trained.folder / "images.csv")
    assert names <= {row.path.name[3:] for row in roster if row.role == role}


def test_the_record_says_how_to_repeat_the_run(trained: TrainedRun):
    run = Run(trained.folder)
    assert run.class_names == ("bee", "cat", "dog")
    assert (run.recipe.seed, run.recipe.finetune.epochs, run.recipe.data.image_size) == (3, 3, 32)
    assert (run.recipe.model.weights, run.recipe.finetune.batch_norm) == ("shipped", "frozen")
    environment = run.environment
    assert environment["command"].startswith(f"regraft train {trained.photos} --backbone tiny --seed 3")
    assert environment["root"] == str(trained.photos)
    assert {"regraft", "python", "tensorflow", "keras"} <= set(environment["versions"])


def test_the_same_seed_gives_the_same_weights_bit_for_bit(
    trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_export
):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "another cache"))
    answer = run_regraft("train", trained.photos, *TRAINING, "--out", tmp_path / "again")
    assert answer.code == 0, answer.stderr
    assert_same_training(tmp_path / "again", trained.folder)


DIES_IN_THE_SECOND_EPOCH = """
import os, signal
from regraft.cli import main as cli
from regraft.training import finetune

class Dying(finetune._Bookkeeping):
    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        if len(self.history) == 1 and batch == 2:
            os.kill(os.getpid(), signal.SIGKILL)

finetune._Bookkeeping = Dying
cli.main()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_to_the_weights_of_one_that_was_not(
    trained: TrainedRun, tmp_path: Path, without_export, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))  # features depend, in their last bit, on who kept them
    run = tmp_path / "killed"
    words = ["train", trained.photos, *TRAINING, "--out", run]
    python = [sys.executable, "-c", DIES_IN_THE_SECOND_EPOCH]
    killed = subprocess.run([*python, *map(str, words)], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["epoch_00001.npz"]

    refused = run_regraft("predict", run, trained.photos)
    assert (refused.code, refused.stdout) == (2, "")
    advice = f"continue it: regraft train {trained.photos} --resume --out {run}"
    assert refused.stderr == f"regraft: {run} is a run that did not finish; {advice}\n"

    resumed = run_regraft("train", trained.photos, "--resume", "--out", run)  # all else the run knows itself
    assert resumed.code == 0, resumed.stderr
    assert f"\nContinuing {run} with its own recipe.\n" in resumed.stderr
    assert_same_training(run, trained.folder)
    assert {path.name for path in run.iterdir()} == {path.name for path in trained.folder.iterdir()} - {"saved_model"}


def raise_full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("regraft.training.resumable.write_roster", marks=pytest.mark.slow),
        pytest.param("keras.Model.save", marks=pytest.mark.slow),
        pytest.param("regraft.evidence.report.judgement.write_report", marks=pytest.mark.slow),
        "regraft.training.finish.write_json",
    ],
)
def test_a_full_disk_leaves_a_run_that_does_not_load_and_can_be_resumed(
    photo_folder: PhotoFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_export, step: str
):
    photos, run = photo_folder({"ant": 4, "bee": 4}), tmp_path / "run"
    with monkeypatch.context() as full:
        full.setattr(step, raise_full_disk)
        answer = run_regraft("train", photos, *FAST, "--out", run, "--json")
    advice = f"Make room and continue: --resume --out {run}"
    complaint = f"regraft: {run} cannot be written: No space left on device. {advice}\n"
    assert (answer.code, answer.stdout, answer.stderr) == (2, "", complaint)
    refused = run_regraft("predict", run, photos)
    assert (refused.code, refused.stdout) == (2, "")
    assert run_regraft("train", photos, "--resume", "--out", run).code == 0
    assert run_regraft("evaluate", run).code == 0


def refuse_export(*_: object, **__: object) -> None:
    raise ExportError("The export's scores differ from the trained model's by up to 1.")


def test_a_run_whose_export_is_refused_is_finished_all_the_same_and_resuming_tries_again(
    photo_folder: PhotoFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_export
):
    photos, run = photo_folder({"ant": 4, "bee": 4}), Run(tmp_path / "run")
    with monkeypatch.context() as refusing:
        refusing.setattr("regraft.training.finish.export_proven", refuse_export)
        answers = [run_regraft("train", photos, *words, "--out", run.folder) for words in (FAST, ("--resume",))]
    reason = "The export's scores differ from the trained model's by up to 1."
    advice = f"its model.keras answers; --resume --out {run.folder} tries it again."
    for answer in answers:
        complaint = answer.stderr.splitlines()[-1]
        assert (answer.code, complaint) == (1, f"regraft: {reason} The run is finished without it: {advice}")
    assert Run(run.folder).metrics.export == {"reason": reason}
    assert {"predictions.csv", "report.html", "model.keras"} <= {path.name for path in run.folder.iterdir()}
    measured = run_regraft("evaluate", run.folder, "--json").values
    assert measured["accuracy"] == Run(run.folder).metrics.accuracy
    weights = run.model_file.read_bytes()
    resumed = run_regraft("train", photos, "--resume", "--out", run.folder)
    assert resumed.code == 0, resumed.stderr
    assert resumed.stderr == f"Continuing the export of {run.folder} with its own recipe.\n"
    assert Run(run.folder).metrics.export["folder"] == "nowhere"
    assert run.model_file.read_bytes() == weights
    assert not run.checkpoints.exists()
    again = run_regraft("train", photos, "--resume", "--out", run.folder)
    assert again.stderr == f"regraft: {run.folder} is finished; there is nothing to resume.\n"


def test_a_fine_tuning_that_diverges_leaves_the_head_and_the_reason(
    photo_folder: PhotoFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_export
):
    reason = "The training loss is no longer a number; lower optimizer.learning_rate."

    def diverge(model: keras.Model, *_: object, **__: object) -> None:
        model.set_weights([array * np.nan for array in model.get_weights()])
        raise DivergedError(reason)

    monkeypatch.setattr("regraft.training.network.fine_tune", diverge)
    options = ("--backbone", "tiny", "--epochs", 1, "--set", "head.l2=[0.1]")
    photos, run = photo_folder({"ant": 8, "bee": 8}), tmp_path / "run"
    answer = run_regraft("train", photos, *options, "--out", run)
    assert answer.code == 0, answer.stderr
    assert answer.stderr == f"Fine-tuning failed, so the solved head is kept: {reason}\n"
    metrics = Run(run).metrics
    assert (metrics.stage, [stage.stage for stage in metrics.stages]) == ("head", ["head"])
    assert metrics.stage_reason == f"fine-tuning failed: {reason.rstrip('.')}"
    assert all(np.isfinite(array).all() for array in weights_of(run))


@pytest.mark.parametrize("purpose", ["member", "trial"])
def test_a_run_that_needs_its_fine_tuned_network_fails_without_it(
    photo_folder: PhotoFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, purpose: str
):
    def diverge(*_: object, **__: object) -> None:
        raise DivergedError("The training loss is no longer a number.")

    monkeypatch.setattr("regraft.training.network.fine_tune", diverge)
    recipe = load_recipe("balanced", {"model.backbone": "tiny", "head.l2": [0.1], "finetune.epochs": 1})
    full = Request(str(photo_folder({"ant": 8, "bee": 8})), recipe)
    with pytest.raises(UsageError, match="no longer a number"):
        train_photos(getattr(full, purpose)(recipe, tmp_path / "run"))


def test_a_run_that_is_being_written_is_left_alone(photo_folder: PhotoFolder, tmp_path: Path, without_export):
    photos, run = photo_folder({"ant": 4, "bee": 4}), Run(tmp_path / "run")
    run.start(resolve(load_recipe("quick", {"model.backbone": "tiny"})), ("ant", "bee"), {"verb": "train"})
    with run.held():
        resumed = run_regraft("train", photos, "--resume", "--out", run.folder)
    busy = f"regraft: Another process is writing {run.folder} at this moment; wait for it or stop it.\n"
    assert (resumed.code, resumed.stderr) == (2, busy)


@pytest.mark.slow
def test_a_photo_that_vanishes_during_training_ends_in_one_line_and_can_be_put_back(
    photo_folder: PhotoFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_export
):
    photos, run = photo_folder({"ant": 4, "bee": 4}), tmp_path / "run"
    options = [*FAST, "--epochs", 1, "--set", "data.val_fraction=0.1"]
    train_network = regraft.training.network.train_network

    def lose_a_photo_first(session: Session) -> None:
        session.roles.fit[0].path.rename(tmp_path / "lost.jpg")
        train_network(session)

    with monkeypatch.context() as losing:
        losing.setattr("regraft.training.network.train_network", lose_a_photo_first)
        answer = run_regraft("train", photos, *options, "--out", run)
    assert (answer.code, answer.stdout) == (2, "")
    assert answer.stderr.startswith("regraft: A photo changed or vanished during training (")
    assert answer.stderr.endswith(f"put it back and continue: --resume --out {run}\n")
    assert answer.stderr.count("\n") == 1
    (missing,) = {row.path for row in read_roster(run / "images.csv")} - set(photos.rglob("*.jpg"))
    (tmp_path / "lost.jpg").rename(missing)
    assert run_regraft("train", photos, "--resume", "--out", run).code == 0


def test_a_class_with_one_image_is_trained_on_with_a_warning(photo_folder: PhotoFolder, tmp_path: Path, without_export):
    photos = photo_folder({"ant": 5, "bee": 5, "wasp": 1})
    answer = run_regraft("train", photos, *FAST, "--out", tmp_path / "run", "--json")
    assert answer.code == 0
    warning = 'Class "wasp" has one training image: too few to learn from, and none to test on. Add photos.\n'
    assert answer.stderr == warning
    (lone,) = [row for row in read_roster(tmp_path / "run/images.csv") if row.class_name == "wasp"]
    assert lone.role == "fit"
    assert 'No image of "wasp" is reported on: nothing is known about how well it is told.' in answer.values["notes"]


def test_the_quick_recipe_chooses_nothing_and_trains_on_every_photo_it_does_not_report_on(
    photo_folder: PhotoFolder, tmp_path: Path, without_export
):
    answer = run_regraft("train", photo_folder({"ant": 5, "bee": 5}), *FAST, "--out", tmp_path / "run")
    assert answer.code == 0
    assert answer.stderr == ""
    metrics = Run(tmp_path / "run").metrics
    assert (metrics.stage, metrics.stage_reason) == ("head", "it is the only stage")
    assert [row.role for row in read_roster(tmp_path / "run/images.csv")] == ["fit"] * 8 + ["report"] * 2
    assert "accuracy    " in answer.stdout
    assert f"regraft predict {tmp_path}" in answer.stdout.replace("\n", "")


@pytest.mark.parametrize(
    ("purpose", "select", "left"),
    [
        ("full", 0, {"model.keras", "calibration.npz", "predictions.csv", "confusion_matrix.csv", "report.html"}),
        ("member", 2, {"model.keras", "calibration.npz", "stages.npz"}),
        ("single", 2, {"model.keras", "calibration.npz", "stages.npz"}),
        ("trial", 0, {"stages.npz"}),
    ],
)
def test_a_run_leaves_what_its_purpose_needs(
    photo_folder: PhotoFolder, tmp_path: Path, without_export, purpose: str, select: int, left: set[str]
):
    recipe = load_recipe("quick", {"model.backbone": "tiny", "head.l2": [0.1], "data.select_fraction": 0.2})
    full = Request(str(photo_folder({"ant": 6, "bee": 6})), recipe, out=tmp_path / "run")
    request = full if purpose == "full" else getattr(full, purpose)(recipe, tmp_path / "run")
    run = train_photos(request)
    always = {"recipe.toml", "environment.json", "labels.txt", "images.csv", "files.json", "metrics.json"}
    assert {path.name for path in run.folder.iterdir()} - {"confusion_matrix.png"} == always | left
    assert [row.role for row in read_roster(run.roster_file)].count("select") == select
    assert (run.metrics.stage, run.metrics.learned_from_select) == ("head", False)
    assert (run.metrics.export is None) == (purpose != "full")


@pytest.mark.slow
@pytest.mark.parametrize(("purpose", "kept"), [("member", "fine-tuned"), ("single", "head")])
def test_a_member_keeps_its_last_stage_and_a_single_model_its_better_one(
    photo_folder: PhotoFolder, tmp_path: Path, purpose: str, kept: str
):
    edits = {"model.backbone": "tiny", "head.l2": [0.1], "finetune.epochs": 1, "optimizer.learning_rate": 0.1}
    recipe = load_recipe("balanced", edits | {"finetune.batch_size": 4, "data.select_fraction": 0.3})
    full = Request(str(photo_folder({"ant": 12, "bee": 12})), recipe)
    run = train_photos(getattr(full, purpose)(recipe, tmp_path / "run"))
    assert (run.metrics.stage, run.metrics.learned_from_select) == (kept, False)


@pytest.mark.slow
def test_a_pretrained_backbone_serves_another_training(photo_folder: PhotoFolder, tmp_path: Path, without_export):
    photos = photo_folder({"ant": 6, "bee": 6}, size=(32, 32))
    # These two rebuild the graph of the backbone.
    noise = ("--set", "regularize.stochastic_depth=0.8", "--set", "regularize.conv_dropconnect=0.1")
    words = ("--epochs", 2, "--set", "finetune.batch_size=8", *noise, "--out", tmp_path / "many")
    pretrained = run_regraft("pretrain", photos, *words, "--json")
    assert pretrained.code == 0, pretrained.stderr
    assert pretrained.values["stage"] == "pretrained"
    backbone = tmp_path / "many/backbone.weights.h5"
    assert pretrained.values["backbone"] == str(backbone)
    answer = run_regraft("train", photos, *FAST, "--weights", backbone, "--out", tmp_path / "run")
    assert answer.code == 0, answer.stderr
    assert Run(tmp_path / "run").recipe.model.weights == str(backbone)
    learned, used = weights_of(tmp_path / "many"), weights_of(tmp_path / "run")
    assert all(np.array_equal(left, right) for left, right in zip(learned[:-2], used[:-2], strict=True))


@pytest.mark.slow
def test_features_that_follow_from_a_seed_are_not_taken_for_those_of_another(
    photo_folder: PhotoFolder, tmp_path: Path, without_export
):
    photos = photo_folder({"cat": 12, "dog": 12})
    edits = ("regularize.fractional_head_pooling=1.4", "data.split_seed=0")
    options = [*FAST, "--image-size", 56, *(word for edit in edits for word in ("--set", edit))]
    for seed in (0, 1):  # with one cache
        run, measured = tmp_path / f"seed{seed}", tmp_path / f"measured{seed}"
        assert run_regraft("train", photos, *options, "--seed", seed, "--out", run).code == 0
        assert run_regraft("evaluate", run, "--out", measured).code == 0
        said, answered = (scores_in(folder / "predictions.csv") for folder in (run, measured))
        np.testing.assert_allclose(said, answered, atol=1e-5)


def scores_in(file: Path) -> list[float]:
    """The scores of "cat", which is the first label or not."""
    with file.open(newline="") as rows:
        return [float(row["score" if row["label"] == "cat" else "score_2"]) for row in csv.DictReader(rows)]


def test_the_users_files_stay_as_they_are(photo_folder: PhotoFolder, tmp_path: Path, without_export):
    photos = photo_folder({"ant": 3, "bee": 3})
    draw_photo(0, seed=77).save(photos / "ant/scan.tif")
    before = {path: path.read_bytes() if path.is_file() else None for path in photos.rglob("*")}
    assert run_regraft("train", photos, *FAST, "--out", tmp_path / "run").code == 0
    assert {path: path.read_bytes() if path.is_file() else None for path in photos.rglob("*")} == before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are no text")
def test_names_that_are_not_utf8_are_trained_on_and_kept(photo_folder: PhotoFolder, tmp_path: Path, without_export):
    root = photo_folder({"ant": 6, "bee": 6})
    photos = root.rename(root.with_name(os.fsdecode(b"\xe9t\xe9")))
    for path in list(photos.glob("ant/*.jpg")):
        path.rename(path.with_name(os.fsdecode(b"caf\xe9 ") + path.name))
    broken = photos / "bee" / os.fsdecode(b"\xff.jpg")
    broken.touch()
    run = tmp_path / "run"
    answer = run_regraft("train", photos, *FAST, "--epochs", 1, "--out", run, "--json")
    assert answer.code == 0, answer.stderr
    assert answer.values == json.loads((run / "metrics.json").read_text("utf-8"))
    assert answer.values["set_aside"] == [{"path": str(broken), "reason": "empty file"}]
    assert Run(run).environment["root"] == str(photos)
    assert {row.path for row in read_roster(run / "images.csv")} == {*photos.glob("ant/*"), *photos.glob("bee/0*")}


@pytest.mark.slow
def test_a_network_of_two_backbones_is_fine_tuned_exported_and_opened_again(photo_folder: PhotoFolder, tmp_path: Path):
    photos, edits = photo_folder({"ant": 12, "bee": 12}), {"data.image_size": 32, "head.l2": [0.1], "head.folds": 2}
    edits |= {"finetune.epochs": 1, "finetune.batch_size": 8, "model.weights": ["shipped", "none"]}
    run = regraft.train(
        photos, backbone="tiny+mobilenet", recipe="balanced", set=edits, out=tmp_path / "run", progress=False
    )
    assert [stage.stage for stage in run.metrics.stages] == ["head", "fine-tuned"]
    assert run.metrics.export["same_label"] == run.metrics.export["images"]
    answers = regraft.load(tmp_path / "run").predict(sorted(photos.rglob("*.jpg")))
    assert {answer.status for answer in answers} == {"ok"}
