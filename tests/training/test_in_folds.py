"""In folds every number is about a model that had not seen the photo, and the model that ships has seen all."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest

import regraft
from regraft.inference.trained import load_model
from regraft.machine.arrays import read_arrays
from regraft.machine.files import read_csv
from regraft.runs.photos_now import rows_of
from regraft.training import in_folds as module

QUICK = {"recipe": "quick", "backbone": "tiny", "image_size": 16, "set": {"head.l2": [0.1]}, "progress": False}
FOLDED = {**QUICK, "set": {"data.folds": 3}}
ONE_MODEL = r"^data\.folds is for train, which judges one model; received 3\. Leave it out\.$"
pytestmark = pytest.mark.usefixtures("without_export")


@pytest.fixture
def photos(photo_folder) -> Path:
    return photo_folder({"cat": 9, "dog": 6})


def test_the_figures_are_those_of_the_models_of_the_folds(photos: Path, tmp_path: Path):
    run = regraft.train(photos, folds=3, out=tmp_path / "run", **QUICK)
    metrics, parts = run.metrics, [regraft.Run(run.folder / "folds" / str(number)) for number in (1, 2, 3)]
    assert (metrics.images, metrics.reported_on, len(metrics.folds)) == (15, "folds", 3)
    answers = [read_arrays(part.stages_file) for part in parts]
    right = [(each["probabilities"][0].argmax(axis=1) == each["truth"]).sum() for each in answers]
    assert metrics.accuracy == sum(right) / 15
    assert [round(row["accuracy"] * row["images"]) for row in metrics.folds] == right
    page = (run.folder / "report.html").read_text("utf-8")
    assert "of 15 photos each by a model that had not seen it" in page
    assert "it never trained on" not in page
    table = {row["path"]: row for row in read_csv(run.folder / "predictions.csv")}
    assert len(table) == 15
    judged = [row for part in parts for row in rows_of(part, "report")]
    assert sorted(row.path.relative_to(photos).as_posix() for row in judged) == sorted(table)
    for part in parts:
        seen = {row.fingerprint for row in rows_of(part, "fit", "select")}
        assert seen.isdisjoint(row.fingerprint for row in rows_of(part, "report"))
        assert len(seen) == 10
    assert len(rows_of(run, "fit")) == len(rows_of(run, "report")) == 15
    assert metrics.stages[0].report_accuracy != metrics.stages[0].report_accuracy  # nothing is said of what it has seen


def test_the_model_that_ships_is_that_of_all_photos(photos: Path, photo_folder, tmp_path: Path):
    """Judged on other photos, a model of the same training photos has the same head."""
    run = regraft.train(photos, folds=3, out=tmp_path / "run", **QUICK)
    others = photo_folder({"val/cat": 2, "val/dog": 2}, name="others", seed=9)
    (others / "train").symlink_to(photos)
    whole = regraft.train(others, out=tmp_path / "whole", **QUICK)
    for ours, theirs in zip(load_model(run).get_weights(), load_model(whole).get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_training_that_was_broken_off_in_a_fold_goes_on_with_the_next(photos: Path, tmp_path: Path, monkeypatch):
    whole = regraft.train(photos, folds=3, out=tmp_path / "whole", **QUICK)
    trained, train_fold = [], module._train_fold

    def break_off(session, run, roles, train_stages):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(run.folder.name)
        train_fold(session, run, roles, train_stages)

    monkeypatch.setattr(module, "_train_fold", break_off)
    with pytest.raises(KeyboardInterrupt):
        regraft.train(photos, folds=3, out=tmp_path / "run", **QUICK)

    def go_on(session, run, roles, train_stages):
        trained.append(run.folder.name)
        train_fold(session, run, roles, train_stages)

    monkeypatch.setattr(module, "_train_fold", go_on)
    run = regraft.train(photos, out=tmp_path / "run", resume=True, progress=False, recipe="quick")
    assert trained == ["1", "2", "3"]
    assert (run.folder / "predictions.csv").read_bytes() == (whole.folder / "predictions.csv").read_bytes()
    assert run.metrics.folds == whole.metrics.folds


@pytest.mark.slow
def test_each_fold_and_the_last_training_start_from_the_same_weights_and_random_states(
    photos: Path, tmp_path: Path, monkeypatch
):
    """So a run that goes on after some folds, which it then does not train, comes to the same model."""
    starts, train_fold, judge_in_folds = [], module._train_fold, module.judge_in_folds

    def look(session) -> None:
        states = [variable.numpy() for variable in session.model.variables]
        starts.append([*states, random.getstate()[1]])

    def look_and_train(session, *of_fold):
        look(session)
        seeds, weights = session.model.get_layer("dropout").seed_generator.state, session.model.get_weights()
        before = seeds.numpy()
        train_fold(session, *of_fold)
        assert (seeds.numpy() != before).any()
        assert any((one != other).any() for one, other in zip(weights, session.model.get_weights(), strict=True))
        random.random()  # as Keras does for a layer that is built without a seed

    def look_around(session, train_stages):
        look(session)
        judged = judge_in_folds(session, train_stages)
        look(session)
        return judged

    monkeypatch.setattr(module, "_train_fold", look_and_train)
    monkeypatch.setattr(module, "judge_in_folds", look_around)
    noisy = {**QUICK, "recipe": "balanced", "set": {"head.l2": [0.1], "regularize.dropout": 0.5}}
    run = regraft.train(photos, out=tmp_path / "run", **noisy, epochs=1, folds=2)
    assert len(starts) == 4
    for later in starts[1:]:
        for state, same in zip(later, starts[0], strict=True):
            np.testing.assert_array_equal(state, same)
    names = read_arrays(run.folder / "folds/2/stages.npz")["names"].tolist()
    assert names == ["head", "fine-tuned"]
    assert {row["stage"] for row in run.metrics.folds} <= {*names}
    assert len(rows_of(run, "select")) > 0


def test_nothing_judges_the_model_on_what_it_has_seen(photos: Path, photo_folder, tmp_path: Path):
    run = regraft.train(photos, folds=3, out=tmp_path / "run", **QUICK)
    twin = shutil.copytree(run.folder, tmp_path / "twin")
    refused = (
        lambda: regraft.evaluate(run, progress=False),
        lambda: regraft.compare_runs(run, run, progress=False),
        lambda: regraft.threshold(run, recall={"cat": 0.9}, progress=False),
        lambda: regraft.ensemble([run, twin], out=tmp_path / "both", progress=False),
    )
    for call in refused:
        with pytest.raises(regraft.RegraftError, match="was judged in folds, and its own model has learned from all"):
            call()
    others = photo_folder({"cat": 2, "dog": 2}, name="others", seed=4)
    with pytest.raises(regraft.RegraftError, match=r"it can have no threshold; train without data\.folds for one\.$"):
        regraft.threshold(run, others, recall={"cat": 0.9}, progress=False)
    assert regraft.evaluate(run, others, out=tmp_path / "judged", progress=False).metrics.images == 4


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda photos: regraft.train(photos, folds=1, **QUICK), "must be 0, for none, or at least 2"),
        (lambda photos: regraft.train(photos, folds=16, **QUICK), "data.folds is 16, and there are 15 groups"),
        (
            lambda photos: regraft.train(photos, folds=3, **{**QUICK, "set": {"data.fit": "auto"}}),
            'data.fit and model.backbone cannot be "auto"',
        ),
        (lambda photos: regraft.ensemble(photos, kind="heads", **FOLDED), ONE_MODEL),
        (lambda photos: regraft.ensemble(photos, budget="1h", **{**FOLDED, "recipe": "balanced"}), ONE_MODEL),
        (lambda photos: regraft.compare(photos, vary={"head.l2": [[0.1], [1.0]]}, **FOLDED), ONE_MODEL),
        (lambda photos: regraft.compare(photos, vary={"data.folds": [0, 3]}, **QUICK), ONE_MODEL),
        (lambda photos: regraft.pretrain(photos, set={"data.folds": 3}, progress=False), ONE_MODEL),
        (lambda photos: regraft.find_lr(photos, **{**FOLDED, "recipe": "balanced"}), ONE_MODEL),
    ],
)
def test_what_does_not_go_with_folds_is_one_line(call, words, photos: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(regraft.RegraftError, match=words):
        call(photos)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
