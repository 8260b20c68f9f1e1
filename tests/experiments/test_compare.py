"""`compare`, end to end on generated photos, and what it makes of known answers."""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from command_line import run_regraft
from drawn_photos import PhotoFolder

from regraft.errors import FolderError
from regraft.experiments import compare as module

QUICK = ("--backbone", "tiny", "--recipe", "quick", "--set", "head.l2=[0.1]")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Features that other tests do not read: at another place in a batch, their last bit may be another."""
    with patch.dict(os.environ, REGRAFT_CACHE=str(tmp_path_factory.mktemp("cache"))):
        yield


@pytest.fixture(scope="module")
def compared(mixed_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """Three solvers of the head with two seeds each, and the summary that was printed."""
    out = tmp_path_factory.mktemp("compare") / "heads"
    arms = ("--vary", "head.solver=lbfgs,newton-cg,sgd", "--seeds", 2)
    with patch.dict(os.environ, REGRAFT_CACHE=str(out.parent / "cache")):
        answer = run_regraft("compare", mixed_photos, *QUICK, *arms, "--out", out, "--json")
    assert answer.code == 0, answer.stderr
    assert "lbfgs, seed 0: " in answer.stderr
    return out, answer.values


def test_every_arm_has_a_run_for_each_seed(compared):
    out, _ = compared
    runs = sorted(path.relative_to(out / "runs").as_posix() for path in (out / "runs").glob("*/*"))
    assert runs == [f"{arm}/seed-{seed}" for arm in ("lbfgs", "newton-cg", "sgd") for seed in (0, 1)]


def test_the_figures_are_those_of_the_runs(compared):
    out, summary = compared
    for row in summary["arms"]:
        accuracies, losses = [], []
        for seed in (0, 1):
            with np.load(out / "runs" / row["arm"] / f"seed-{seed}" / "stages.npz") as arrays:
                answers, truth = arrays["probabilities"][-1], arrays["truth"]
            accuracies.append((answers.argmax(axis=1) == truth).mean())
            losses.append(-np.log(answers[np.arange(len(truth)), truth]).mean())
        assert row["accuracy"] == pytest.approx(np.mean(accuracies))
        assert (row["accuracy_low"], row["accuracy_high"]) == (min(accuracies), max(accuracies))
        assert row["log_loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert summary["arms"][0].get("verdict") is None
    assert summary["arms"][1]["verdict"].startswith("no evidence of a difference")


def test_arms_share_the_split_of_a_seed_and_the_features_of_a_photo(compared):
    out, _ = compared
    rosters = {(path.parts[-3], path.parts[-2]): path.read_text() for path in (out / "runs").glob("*/*/images.csv")}
    for seed in ("seed-0", "seed-1"):
        assert rosters["lbfgs", seed] == rosters["sgd", seed]
    assert rosters["lbfgs", "seed-0"] != rosters["lbfgs", "seed-1"]
    # The first run computed and kept the features of all photos, and no other had any to add.
    (kept,) = (out.parent / "cache/features").glob("*/*.npz")
    with np.load(kept) as shard:
        assert len(shard["fingerprints"]) == 60


def test_the_files_say_what_the_summary_says(compared):
    out, summary = compared
    assert json.loads((out / "summary.json").read_text()) == summary
    with (out / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["arm"], row["seed"]) for row in rows[:2]] == [("lbfgs", "0"), ("lbfgs", "1")]
    table = (out / "summary.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in table[2:5]] == ["lbfgs", "newton-cg", "sgd"]
    assert summary["pictures"] == ["accuracies.png"]
    assert (out / "accuracies.png").is_file()


@pytest.mark.slow
def test_a_comparison_goes_on_where_it_stopped(mixed_photos: Path, tmp_path: Path, monkeypatch):
    words = ("compare", mixed_photos, *QUICK, "--vary", "head.folds=4,5", "--seeds", 2, "--out", tmp_path / "out")
    real, calls = module._train, []

    def fail_in_the_third(plan, arm, run, seed):
        calls.append((arm.name, seed))
        if len(calls) == 3:
            raise FolderError("a.jpg became unreadable.")
        real(plan, arm, run, seed)

    monkeypatch.setattr(module, "_train", fail_in_the_third)
    answer = run_regraft(*words)
    assert answer.code == 2
    assert answer.stderr.splitlines()[-1] == (
        f"regraft: 4, seed 1: a.jpg became unreadable. Then go on: --resume --out {tmp_path / 'out'}"
    )
    assert run_regraft(*words).stderr.splitlines()[-1].startswith(f"regraft: {tmp_path / 'out'} exists already")
    assert run_regraft(*words, "--resume", "--json").code == 0
    assert calls == [("4", 0), ("5", 0), ("4", 1), ("4", 1), ("5", 1)]
    other = run_regraft(*words[:-6], "--vary", "head.folds=3,5", "--out", tmp_path / "out", "--resume")
    assert other.stderr.splitlines()[-1] == (
        f"regraft: {tmp_path / 'out'} is a comparison of something else; choose another --out."
    )


@pytest.mark.slow
def test_fine_tuned_networks_are_compared_with_their_learning_curves(mixed_photos: Path, tmp_path: Path):
    arms = ("--arm", "none", "--arm", "dropout: regularize.dropout=0.5", "--seeds", 2)
    small = ("--backbone", "tiny", "--epochs", 1, "--set", "head.l2=[0.1]", "--set", "finetune.batch_size=8")
    answer = run_regraft("compare", mixed_photos, *small, *arms, "--out", tmp_path / "out", "--json")
    assert answer.code == 0, answer.stderr
    assert answer.values["pictures"] == ["accuracies.png", "learning_curves.png"]
    with (tmp_path / "out/learning_curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["arm"], row["quantity"], row["seeds"]) for row in rows} == {
        (arm, quantity, "2") for arm in ("none", "dropout") for quantity in ("loss", "select_loss")
    }
    with (tmp_path / "out/comparison.csv").open(newline="") as file:
        assert {row["stage"] for row in csv.DictReader(file)} == {"fine-tuned"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--vary", "head.solvr=a,b"), 'a: A recipe has no key "head.solvr". Did you mean "head.solver"?'),
        (("--vary", "regularize.dropout=0.1,1.5"), '1.5: regularize.dropout: must be in [0, 1); received "1.5".'),
        (("--vary", "seed=1,2"), "The seed cannot be varied: every arm is trained with each of the --seeds."),
        (("--vary", "head.folds=4,5", "--seeds", "0"), "--seeds must be at least 1; received 0."),
        (("--vary", "head.folds=4,5", "--stage", "best"), '--stage must be last or kept; received "best".'),
        (
            ("--vary", "finetune.epochs=0,1", "--set", "schedule.warmup_epochs=0.2"),
            "Some arms fine-tune and some do not; add --stage kept to compare what each would keep.",
        ),
        (
            ("--vary", "head.folds=4,5", "--device", "cpu:2"),
            "--device must be auto, cpu, gpu or tpu to compare; received cpu:2.",
        ),
        (
            ("--vary", "head.folds=4,5", "--backbone", "auto"),
            'model.backbone = "auto" would choose anew for each arm and seed; name the backbone to compare with.',
        ),
        (
            ("--vary", "head.solver=lbfgs,sgd", "--set", "data.folds=3"),
            "data.folds is for train, which judges one model; received 3. Leave it out.",
        ),
        (("--vary", "head.folds=4,5", "--resume"), "--resume needs --out with the folder of a comparison."),
        (
            ("--vary", "head.folds=4,5", "--resume", "--out", "/none"),
            "There is no comparison /none to go on with; leave out --resume.",
        ),
    ],
)
def test_what_does_not_fit_is_one_line_and_nothing_is_written(
    options, message, photo_folder: PhotoFolder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    answer = run_regraft(
        "compare", photo_folder({"cat": 8, "dog": 8}), "--backbone", "tiny", "--recipe", "quick", *options
    )
    assert (answer.code, answer.stderr) == (2, f"regraft: {message}\n")
    assert not Path("saved_models").exists()


def test_an_arm_that_weighs_a_class_that_is_not_there_is_refused_before_training(mixed_photos, tmp_path: Path):
    arms = ("--arm", "plain", "--arm", "weighed: head.class_weights.bees=3")
    answer = run_regraft("compare", mixed_photos, *QUICK, *arms, "--out", tmp_path / "out")
    assert answer.code == 2
    assert 'head.class_weights weighs the class "bees", which is not there' in answer.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()
