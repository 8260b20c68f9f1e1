"""`ensemble` on a folder of photos: each kind, what it leaves, what it refuses, and going on after a kill."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import keras
import numpy as np
import pytest
from command_line import run_regraft
from scipy.special import softmax
from trained_runs import TrainedRun

from regraft.inference.trained import open_trained
from regraft.recipes.recipe import load_recipe
from regraft.runs.checkpoints import load_snapshot
from regraft.runs.roster import read_roster
from regraft.training.finetune import schedule_of

HEADS = (
    *("--backbone", "tiny", "--recipe", "quick", "--set", "head.l2=[0.1]"),
    *("--set", "data.select_fraction=0.3", "--kind", "heads", "--members", 3),
)
NETWORKS = (
    *("--backbone", "tiny", "--seed", 3, "--set", "finetune.batch_size=8", "--set", "optimizer.learning_rate=0.003"),
    *("--set", "data.select_fraction=0.3", "--set", "head.l2=[0.1]"),
)


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Features that other tests do not read: at another place in a batch, their last bit may be another."""
    with patch.dict(os.environ, REGRAFT_CACHE=str(tmp_path_factory.mktemp("cache"))):
        yield


def ensemble(photos: Path, out: Path, *words: object) -> dict:
    answer = run_regraft("ensemble", photos, *words, "--out", out, "--json")
    assert answer.code == 0, answer.stderr
    return answer.values


def refusal(*words: object) -> str:
    answer = run_regraft("ensemble", *words)
    assert answer.code == 2, answer.stderr
    return answer.stderr.splitlines()[-1].removeprefix("regraft: ")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def views(run: Path, count: int = 8) -> np.ndarray:
    size = open_trained(run).reader.image_size
    return np.random.default_rng(0).uniform(0, 255, (count, size, size, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def heads(mixed_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """Three heads on one frozen backbone, exported."""
    folder = tmp_path_factory.mktemp("ensembles") / "heads"
    answer = run_regraft("ensemble", mixed_photos, *HEADS, "--out", folder, "--json")
    assert answer.code == 0, answer.stderr
    return TrainedRun(folder, mixed_photos, answer)


def test_an_ensemble_is_a_run_like_any_other(heads: TrainedRun, trained: TrainedRun):
    left = {path.name for path in heads.folder.iterdir()}
    only_here = {"ensemble.json", "disagreement.csv", "members_curve.csv", "members_curve.png"}
    assert left - only_here == {path.name for path in trained.folder.iterdir()} - {"history.csv"}
    assert heads.answer.values == heads.metrics
    evaluated = run_regraft("evaluate", heads.folder, "--json").values
    assert evaluated["accuracy"] == heads.metrics["accuracy"] == heads.metrics["ensemble"]["ensemble"]["accuracy"]
    assert heads.metrics["export"]["largest_difference"] < 1e-5
    assert "The ensemble" in (heads.folder / "report.html").read_text("utf-8")


def test_the_report_of_an_ensemble_names_what_it_is_measured_against(heads: TrainedRun):
    facts = heads.metrics["ensemble"]
    assert [row["name"] for row in facts["member_rows"]] == ["head 1", "head 2", "head 3"]
    assert [row["share"] for row in facts["member_rows"]] == pytest.approx([1 / 3] * 3)
    assert set(facts["gains"]) == {"best member", "mean member", "single model of the same budget"}
    accuracies = [row["accuracy"] for row in facts["member_rows"]]
    gain = facts["ensemble"]["accuracy"] - np.mean(accuracies)
    assert facts["gains"]["mean member"]["mean"] == pytest.approx(gain)
    assert facts["curve"][0]["accuracy"] == pytest.approx(np.mean(accuracies))
    assert facts["verdict"].endswith(".")
    curve = rows_of(heads.folder / "members_curve.csv")
    assert [row["members"] for row in curve] == ["1", "2", "3"]
    table = rows_of(heads.folder / "disagreement.csv")
    assert [float(row[row["member"]]) for row in table] == [0.0, 0.0, 0.0]


def test_heads_share_the_backbone_in_the_combined_graph(heads: TrainedRun):
    model = open_trained(heads.folder).model
    trunk = model.get_layer("trunk_0").count_params()
    width = model.get_layer("trunk_0").output_shape[-1]
    assert model.count_params() == trunk + 3 * 3 * (width + 1) + 3 + 1


def test_predictions_of_an_ensemble_say_how_far_members_disagree(heads: TrainedRun):
    photos = sorted((heads.photos / "bee").iterdir())[:3]
    answer = run_regraft("predict", heads.folder, *photos, "nowhere.jpg", "--uncertainty")
    assert answer.code == 0, answer.stderr
    rows = list(csv.DictReader(answer.stdout.splitlines()))
    reader = open_trained(heads.folder).reader
    from regraft.models.combine_members import with_members

    images = np.stack([reader.read(photo) for photo in photos])
    whole, *members = np.moveaxis(softmax(np.asarray(with_members(open_trained(heads.folder).model)(images)), -1), 1, 0)
    for place, row in enumerate(rows[:3]):
        p = whole[place]
        assert float(row["entropy"]) == pytest.approx(-(p * np.log(p)).sum(), abs=1e-4)
        others = np.mean([member[place].argmax() != p.argmax() for member in members])
        assert float(row["disagreement"]) == pytest.approx(others)
        assert float(row["mutual_information"]) >= 0
    assert (rows[3]["status"], rows[3]["entropy"], rows[3]["disagreement"]) == ("missing", "", "")


def test_a_single_model_has_entropy_alone(trained: TrainedRun):
    photo = next((trained.photos / "dog").iterdir())
    (row,) = csv.DictReader(run_regraft("predict", trained.folder, photo, "--uncertainty").stdout.splitlines())
    assert float(row["entropy"]) > 0
    assert (row["disagreement"], row["mutual_information"]) == ("", "")


def test_unknown_is_an_answer(heads: TrainedRun):
    # The rate is so high that the bar is far above what most photos reach.
    answer = run_regraft("predict", heads.folder, heads.photos / "cat", "--unknown-at", 0.9)
    assert answer.code == 0, answer.stderr
    rows = [row for row in csv.DictReader(answer.stdout.splitlines()) if row["status"] == "ok"]
    unknown = [row for row in rows if row["label"] == "unknown"]
    assert len(unknown) > len(rows) / 2
    assert {row["guess"] for row in unknown} <= {"bee", "cat", "dog"}
    assert all(row["possible"] == "" for row in unknown)
    assert all(row["label"] == row["guess"] == row["possible"] for row in rows if row not in unknown)
    broken = [row for row in csv.DictReader(answer.stdout.splitlines()) if row["status"] != "ok"]
    assert {(row["label"], row["guess"], row["possible"]) for row in broken} == {("", "", "")}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--unknown-at", 0.001),
            "--unknown-at 0.001 needs at least 999 photos that the model was neither trained nor ",
        ),
        (("--unknown-at", 2), "--unknown-at must be between 0 and 1, both excluded; received 2."),
        (("--unknown-at", 0.5, "--views", "flip"), "--unknown-at is calibrated for one look at each photo; leave "),
        (("--uncertainty", "--views", "ten"), "--uncertainty asks each member once; leave --views and --draws out."),
    ],
)
def test_what_predict_cannot_say_is_refused(heads: TrainedRun, words, message):
    answer = run_regraft("predict", heads.folder, heads.photos, *words)
    assert answer.code == 2
    assert answer.stderr.startswith(f"regraft: {message}")


def test_a_run_without_its_calibration_says_so(heads: TrainedRun):
    file = heads.folder / "calibration.npz"
    aside = file.rename(file.with_suffix(".aside"))
    answer = run_regraft("predict", heads.folder, heads.photos, "--unknown-at", 0.5)
    aside.rename(file)
    assert answer.code == 2
    assert "calibration.npz is missing or damaged, which --unknown-at needs; train again." in answer.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--kind", "bag"), '--kind must be one of independent, snapshot, heads, ema, swa, soup; received "bag".'),
        (("--combine", "vote"), '--combine must be one of mean, logits, weights, greedy; received "vote".'),
        (("--soup", "cold"), '--soup must be one of greedy, uniform; received "cold".'),
        (("--members", 1), "--members must be at least 2; received 1."),
        (("--kind", "ema", "--members", 3), "--kind ema averages along one run; --members must be 1, received 3."),
        (("--jobs", 0), "--jobs must be at least 1; received 0."),
        (("--engine", "spark"), '--engine must be local or ray; received "spark".'),
        (
            ("--recipe", "quick"),
            "--kind independent needs epochs of fine-tuning, as the head alone comes out the same each time; raise "
            "--epochs or use --kind heads.",
        ),
        (
            ("--kind", "snapshot", "--members", 3, "--epochs", 8),
            "--members 3 snapshots: schedule.cycles must divide the epochs (8), so be one of 1, 2, 4, 8; received 3.",
        ),
        (
            ("--kind", "snapshot", "--members", 4, "--epochs", 2),
            "--members 4 snapshots: schedule.cycles must divide the epochs (2), so be one of 1, 2; received 4.",
        ),
        (
            ("--kind", "swa", "--members", 4, "--epochs", 4),
            "--kind swa averages the last 4 epochs, so needs more than those; has 4.",
        ),
        (
            ("--kind", "heads", "--member", "wide: model.alpha=2"),
            "--member goes with --kind independent or soup; received heads.",
        ),
        (
            ("--member", "odd: model.backbone=nothing, seed"),
            '--set expects section.key=value; received "seed".',
        ),
        (
            ("--member", "large: data.image_size=96"),
            "--member large: data.image_size cannot vary, as all members look at the same photos in the same way, and ",
        ),
        (("--member", ": seed=1"), '--member expects "NAME: KEY=VALUE, KEY=VALUE" or "NAME"; received ": seed=1".'),
        (("--member", "a: head.depth=1"), '--member a: A recipe has no key "head.depth".'),
        (
            ("--set", "cost.cat->dog=3", "--set", "finetune.sampling=balanced"),
            "ensemble cannot take class weights out of the scores",
        ),
    ],
)
def test_plans_that_do_not_fit_are_refused_before_anything_is_trained(mixed_photos: Path, tmp_path, words, message):
    assert refusal(mixed_photos, "--backbone", "tiny", *words, "--out", tmp_path / "out").startswith(message)
    assert not (tmp_path / "out").exists()


def test_folders_and_runs_do_not_mix(mixed_photos: Path, heads: TrainedRun):
    message = f"ensemble takes one folder of photos or several run directories; {mixed_photos} is not a run directory."
    assert refusal(mixed_photos, heads.folder) == message
    assert refusal(mixed_photos, mixed_photos) == message


def test_learning_rates_at_the_ends_of_cycles_are_those_of_the_paper():
    recipe = load_recipe(
        "balanced",
        {
            "schedule.name": "cyclic",
            "schedule.cycles": 5,
            "finetune.epochs": 10,
            "optimizer.learning_rate": 0.1,
            "finetune.snapshots": 5,
        },
    )
    assert recipe.snapshot_epochs == [2, 4, 6, 8, 10]
    steps = 37  # batches an epoch
    schedule = schedule_of(recipe, steps)
    length = 10 * steps // 5
    for cycle in range(5):
        for t in (1, 2, length // 2, length):  # t counts from 1, as in Huang et al. 2017, eq. 2
            paper = 0.1 / 2 * (np.cos(np.pi * (t - 1) / length) + 1)
            assert float(schedule(cycle * length + t - 1)) == pytest.approx(paper, rel=2e-5)


def test_snapshots_fit_the_epochs():
    assert load_recipe("balanced", {"finetune.snapshots": 3}).snapshot_epochs == [6, 7, 8]
    from regraft.errors import UsageError

    with pytest.raises(UsageError, match=r"^finetune.snapshots must be at most the number of epochs \(8\); rec"):
        load_recipe("balanced", {"finetune.snapshots": 9})


DIES_IN_THE_THIRD_CYCLE = """
import os, signal
from regraft.cli import main as cli
from regraft.training import finetune

class Dying(finetune._Bookkeeping):
    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        if len(self.history) == 2 and batch == 1:
            os.kill(os.getpid(), signal.SIGKILL)

finetune._Bookkeeping = Dying
cli.main()
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_snapshot_ensemble_killed_in_its_third_cycle_ends_with_the_same_snapshots(
    mixed_photos: Path, tmp_path: Path, without_export
):
    words = (*NETWORKS, "--kind", "snapshot", "--members", 3, "--epochs", 3, "--no-rival")
    whole = ensemble(mixed_photos, tmp_path / "whole", *words)
    command = [
        sys.executable,
        "-c",
        DIES_IN_THE_THIRD_CYCLE,
        "ensemble",
        mixed_photos,
        *words,
        "--out",
        tmp_path / "cut",
    ]
    killed = subprocess.run(list(map(str, command)), capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    snapshots = tmp_path / "cut/members/cyclic/snapshots"
    assert sorted(path.name for path in snapshots.iterdir()) == ["epoch_00001.npz", "epoch_00002.npz"]
    assert "--resume --out" in refusal(tmp_path / "cut", "--out", tmp_path / "other")
    resumed = ensemble(mixed_photos, tmp_path / "cut", "--resume")  # all else the run knows itself
    assert resumed["ensemble"]["member_rows"][0]["accuracy"] == whole["ensemble"]["member_rows"][0]["accuracy"]
    weights = []
    for epoch in range(1, 4):
        pair = [
            np.load(tmp_path / name / f"members/cyclic/snapshots/epoch_{epoch:05d}.npz") for name in ("whole", "cut")
        ]
        for key in pair[0].files:
            np.testing.assert_array_equal(pair[0][key], pair[1][key])
        weights.append([pair[0][key] for key in pair[0].files])
    for one, other in pairwise(weights):
        assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def independent(mixed_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """Two members with networks of their own and the single model of their budget, combined without a temperature."""
    folder = tmp_path_factory.mktemp("ensembles") / "independent"
    words = (*NETWORKS, "--members", 2, "--epochs", 2, "--no-calibrate")
    answer = run_regraft("ensemble", mixed_photos, *words, "--out", folder, "--json")
    assert answer.code == 0, answer.stderr
    return TrainedRun(folder, mixed_photos, answer)


@pytest.mark.slow
def test_members_differ_in_their_seed_and_share_their_split(independent: TrainedRun):
    members = [independent.folder / "members" / name for name in ("member-1", "member-2", "same-budget")]
    recipes = [load_recipe(str(member / "recipe.toml")) for member in members]
    assert [recipe.seed for recipe in recipes] == [3, 4, 3]
    assert [recipe.finetune.epochs for recipe in recipes] == [2, 2, 4]
    rosters = [read_roster(member / "images.csv") for member in members]
    assert rosters[0] == rosters[1] == rosters[2] == read_roster(independent.folder / "images.csv")
    one, other = (open_trained(member).model.get_weights() for member in members[:2])
    assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.slow
def test_the_exported_ensemble_is_the_mean_of_its_exported_members(independent: TrainedRun, tmp_path: Path):
    import tensorflow as tf

    photos = [path.read_bytes() for path in sorted((independent.photos / "dog").glob("*turned.jpg"))]
    assert photos
    scores = []
    for place in ("members/member-1", "members/member-2", ""):
        out = tmp_path / (place or "whole").replace("/", "-")
        answer = run_regraft("export", independent.folder / place, "--out", out)
        assert answer.code == 0, answer.stderr
        served = tf.saved_model.load(str(out / "1")).signatures["serving_default"]
        scores.append(served(image_bytes=tf.constant(photos))["scores"].numpy())
    np.testing.assert_allclose(scores[2], (scores[0] + scores[1]) / 2, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("combine", ["logits", "weights", "greedy"])
def test_members_that_exist_can_be_combined_otherwise(independent: TrainedRun, tmp_path: Path, without_export, combine):
    members = [independent.folder / "members" / name for name in ("member-1", "member-2")]
    answer = run_regraft("ensemble", *members, "--combine", combine, "--out", tmp_path / "out", "--json")
    assert answer.code == 0, answer.stderr
    facts = answer.values["ensemble"]
    assert sum(row["share"] for row in facts["member_rows"]) == pytest.approx(1.0)
    assert facts["combine"] == combine


@pytest.mark.slow
def test_a_finished_member_is_not_trained_again(independent: TrainedRun, tmp_path: Path, without_export):
    import shutil

    copy = shutil.copytree(independent.folder, tmp_path / "copy")
    (copy / "metrics.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in copy.glob("members/*/model.keras")}
    again = ensemble(independent.photos, copy, "--resume")
    assert {path: path.stat().st_mtime_ns for path in copy.glob("members/*/model.keras")} == before
    assert again["ensemble"]["ensemble"] == independent.metrics["ensemble"]["ensemble"]
    assert again["ensemble"]["calibrate"] is False


@pytest.mark.slow
def test_a_uniform_soup_is_the_average_of_its_members(independent: TrainedRun, tmp_path: Path, without_export):
    members = [independent.folder / "members" / name for name in ("member-1", "member-2")]
    answer = run_regraft(
        "ensemble",
        *members,
        "--kind",
        "soup",
        "--soup",
        "uniform",
        "--no-calibrate",
        "--out",
        tmp_path / "soup",
        "--json",
    )
    assert answer.code == 0, answer.stderr
    one, other, soup = (open_trained(run).model for run in (*members, tmp_path / "soup"))
    reestimated = answer.values["ensemble"]["batch_norm"] == "reestimated"
    for a, b, mixed in zip(one.weights, other.weights, soup.weights, strict=True):
        if a.dtype == "float32" and not (reestimated and "moving" in a.path):
            np.testing.assert_allclose(np.asarray(mixed), (np.asarray(a) + np.asarray(b)) / 2, atol=1e-6)
    assert answer.values["ensemble"]["speed"]["ratio"] > 0.5
    assert answer.values["ensemble"]["curve"] == []


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "members"), [("ema", 1), ("soup", 2)])
def test_averages_along_and_across_runs_leave_one_network(mixed_photos, tmp_path, without_export, kind, members):
    summary = ensemble(
        mixed_photos, tmp_path / "out", *NETWORKS, "--kind", kind, "--members", members, "--epochs", 3, "--no-rival"
    )
    facts = summary["ensemble"]
    assert facts["batch_norm"] in ("kept", "reestimated")
    assert facts["batch_norm_kept_loss"] > 0
    assert len(facts["member_rows"]) == members
    count = keras.saving.load_model(tmp_path / "out/model.keras", compile=False).count_params()
    folder = next((tmp_path / "out/members").iterdir())
    assert count == keras.saving.load_model(folder / "model.keras", compile=False).count_params()


@pytest.mark.slow
def test_an_average_of_epochs_is_their_mean(mixed_photos, tmp_path, without_export):
    ensemble(
        mixed_photos, tmp_path / "out", *NETWORKS, "--kind", "swa", "--members", 2, "--epochs", 3, "--no-rival",
        "--no-calibrate", "--set", "finetune.label_smoothing=0",
    )  # fmt: skip
    run = tmp_path / "out/members/constant"
    assert sorted(path.name for path in (run / "snapshots").iterdir()) == ["epoch_00002.npz", "epoch_00003.npz"]
    model = open_trained(run).model
    kernels = []
    for epoch in (2, 3):
        load_snapshot(model, run / f"snapshots/epoch_{epoch:05d}.npz")
        kernels.append([np.asarray(weight) for weight in model.weights if weight.path.endswith("/kernel")])
    averaged = open_trained(tmp_path / "out").model
    found = [np.asarray(weight) for weight in averaged.weights if weight.path.endswith("/kernel")]
    for one, other, mean in zip(*kernels, found, strict=True):
        if one.ndim == 4:  # not the head, whose temperature each snapshot has of its own
            np.testing.assert_allclose(mean, (one + other) / 2, atol=1e-6)


@pytest.mark.slow
def test_members_may_have_other_backbones(mixed_photos, tmp_path, without_export):
    variants = ("--member", "small: finetune.epochs=2", "--member", "fresh: model.weights=none")
    words = ("--backbone", "tiny", "--set", "head.l2=[0.1]", "--set", "finetune.batch_size=8", "--epochs", 1)
    summary = ensemble(mixed_photos, tmp_path / "out", *words, *variants, "--members", 2)
    recipes = [load_recipe(str(tmp_path / f"out/members/{name}/recipe.toml")) for name in ("member-1", "member-2")]
    assert [recipe.model.weights for recipe in recipes] == ["shipped", "none"]
    assert [recipe.finetune.batch_norm for recipe in recipes] == ["frozen", "adaptive"]
    assert load_recipe(str(tmp_path / "out/members/same-budget/recipe.toml")).finetune.epochs == 2 + 1
    assert json.loads((tmp_path / "out/ensemble.json").read_text())["variants"][1]["name"] == "fresh"
    assert summary["ensemble"]["same_budget"]["accuracy"] > 0
