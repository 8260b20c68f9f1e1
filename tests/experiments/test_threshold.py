"""`regraft threshold`: chosen on selection photos, measured on reported ones, in force from then on, and taken away."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import run_regraft
from drawn_photos import PhotoFolder
from trained_runs import FAST, TrainedRun

import regraft
from regraft.evidence.decision import decision_of
from regraft.evidence.operating_point import rates_of
from regraft.exports.export import Export
from regraft.machine.files import write_csv
from regraft.recipes.recipe import edit_recipe
from regraft.runs.digests import write_digests
from regraft.runs.photos_now import rows_of
from regraft.runs.run import Run


@pytest.fixture
def run(trained: TrainedRun, tmp_path: Path) -> Run:
    """A copy of `trained`, which keeps the fine-tuned stage, without its export."""
    shutil.copytree(trained.folder, tmp_path / "run", ignore=shutil.ignore_patterns("saved_model"))
    return Run(tmp_path / "run")


def test_a_point_is_found_on_selection_photos_reported_on_others_and_followed(run: Run):
    (run.exports / "made_before").mkdir(parents=True)
    Export(run.exports / "made_before", "onnx", "float32", ("bee", "cat", "dog"), 32, 1.0, 0, "").write()
    answer = run_regraft("threshold", run.folder, "--recall", "cat=1.0", "--json")
    assert answer.code == 0, answer.stderr
    assert answer.stderr.splitlines()[-1] == (
        "These decide otherwise, as when they were made; export the run again: made_before."
    )
    found = json.loads(answer.stdout)
    selected, reported = rows_of(run, "select"), rows_of(run, "report")
    assert found["chosen_on"] == f"{len(selected)} selection photos"
    assert found["chosen"]["recall"]["value"] == 1.0
    assert found["chosen"]["recall"]["photos"] == sum(row.class_name == "cat" for row in selected)
    assert found["reported"]["recall"]["photos"] == sum(row.class_name == "cat" for row in reported)
    with pytest.warns(UserWarning, match="made_before decides otherwise than the run does by now"):
        model = regraft.load(run, runtime="tensorflow")
    answers = model.predict([row.path for row in reported])
    scores = np.array([each.scores for each in answers])
    point = decision_of(run)
    assert (point.label, point.at_least) == (1, found["at_least"])
    assert [model.labels.index(each.label) for each in answers] == point.answers(scores).tolist()
    assert [each.score for each in answers] == scores[np.arange(len(scores)), point.answers(scores)].tolist()
    truth = np.array([model.labels.index(row.class_name) for row in reported])
    assert rates_of(1, truth, point.answers(scores)).recall.count == found["reported"]["recall"]["count"]
    assert rates_of(1, truth, scores.argmax(axis=1)).recall.count == found["before"]["recall"]["count"]
    evaluation = regraft.evaluate(run, progress=False)
    assert evaluation.metrics.accuracy == found["accuracy"]
    assert evaluation.decision.startswith('"cat" from a probability of ')
    again = run_regraft("threshold", run.folder, "--clear")
    assert again.stdout == f"The label of {run.folder} is the most probable class again.\n"
    assert again.stderr == ""  # that export decides as the run does again
    assert decision_of(run) is None


@pytest.mark.usefixtures("without_export")
def test_a_run_without_selection_photos_takes_a_folder_it_has_not_seen(photo_folder: PhotoFolder, tmp_path: Path):
    photos, others = photo_folder({"ant": 8, "bee": 8}), photo_folder({"ant": 5, "bee": 4}, name="others", seed=1)
    out = tmp_path / "run"
    assert run_regraft("train", photos, *FAST, "--out", out).code == 0
    refused = run_regraft("threshold", out, "--recall", "bee=0.9")
    assert refused.code == 2
    assert refused.stderr.splitlines() == [
        f"regraft: {out} has no selection photos; name a labelled folder that it has not seen: regraft threshold RUN "
        "FOLDER ..."
    ]
    assert not (out / "decision.json").exists()
    for photo in (photos / "bee").iterdir():  # which the run knows, so nothing is chosen on them
        shutil.copy(photo, others / "bee" / f"known_{photo.name}")
    answer = run_regraft("threshold", out, others, "--false-alarms", "bee=0")
    assert answer.code == 0, answer.stderr
    assert "9 photos of others, 4 of them of that class" in answer.stdout


def test_nothing_is_chosen_on_other_photos_of_groups_that_the_run_knows(run: Run, photo_folder: PhotoFolder):
    """As if the run, which knows none of these photos, had been trained with groups, and on patients p0 and p1."""
    run.recipe_file.write_text(edit_recipe(run.recipe, {"data.group_pattern": "p?[0-9]+_"}).to_toml(), "utf-8")
    rows = run.roster_file.read_text("utf-8").splitlines()
    groups = ["group", *(f"p{number % 2}_" for number in range(len(rows) - 1))]
    run.roster_file.write_text("".join(f"{row},{group}\n" for row, group in zip(rows, groups, strict=True)), "utf-8")
    write_digests(run.folder)
    others = photo_folder({"bee": 6, "cat": 6}, name="others", seed=1)
    for number, photo in enumerate(sorted(others.rglob("*.*"))):
        photo.rename(photo.with_name(f"p{number % 6 // 2}_{photo.name}"))  # two of each class of p0, p1 and p2
    answer = run_regraft("threshold", run.folder, others, "--recall", "bee=0.5", "--json")
    assert answer.code == 0, answer.stderr
    assert answer.values["chosen_on"] == "4 photos of others"


def test_photos_to_choose_on_and_photos_that_moved_are_named_as_for_evaluate(
    run: Run, photo_folder: PhotoFolder, tmp_path: Path
):
    others, table = photo_folder({"bee": 3, "cat": 4}, name="others", seed=1), tmp_path / "table.csv"
    pairs = [(path, path.parent.name) for path in sorted(others.rglob("*.*"))]
    moved = [(row.path, row.class_name) for row in rows_of(run, "select", "report")]
    found = regraft.threshold(run, pairs, recall={"cat": 0.5}, photos=moved, progress=False)
    assert (found.chosen.recall.photos, found.chosen.false_alarms.photos) == (4, 3)
    assert found.reported.recall.photos == sum(row.class_name == "cat" for row in rows_of(run, "report"))
    write_csv(table, ("where", "what"), [(str(path.relative_to(others)), label) for path, label in pairs])
    columns = ("--root", others, "--path-column", "where", "--label-column", "what")
    answer = run_regraft("threshold", run.folder, table, *columns, "--recall", "cat=0.5", "--json")
    assert answer.code == 0, answer.stderr
    assert answer.values["chosen_on"] == "7 photos of table.csv"
    assert {**answer.values, "chosen_on": found.chosen_on, "before": 0} == {**found.as_dict(), "before": 0,
        "accuracy_before": found.accuracy, "balanced_accuracy_before": found.balanced_accuracy}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recall", "cat"), '--recall expects CLASS=SHARE, such as melanoma=0.95; received "cat".'),
        (("--recall", "cats=0.9"), '--recall names the class "cats", which is not there (there are bee, cat, dog).'),
        ((), "by one of --recall, --precision, --false-alarms, of one class; received 0."),
        (("--clear", "--recall", "cat=0.9"), "--clear takes the decision away; leave --recall, --precision, "),
        (("--clear",), "has no decision to take away: its label is the most probable class."),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_and_writes_nothing(trained: TrainedRun, arguments, message):
    before = sorted(trained.folder.iterdir())
    answer = run_regraft("threshold", trained.folder, *arguments)
    assert answer.code == 2
    (line,) = answer.stderr.splitlines()
    assert message in line
    assert sorted(trained.folder.iterdir()) == before


def test_a_number_is_what_python_takes_too(trained: TrainedRun):
    with pytest.raises(regraft.UsageError, match="recall must be a class and a number, such as "):
        regraft.threshold(trained.folder, recall={"cat": "much"})
