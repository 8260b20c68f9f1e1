"""Two runs on the same photos: what each answers, where they differ, and which runs do not go together."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import run_regraft
from refusals import message_of
from trained_runs import TrainedRun

from regraft.data.records import ImageFolder, Record
from regraft.errors import RunError, UsageError
from regraft.experiments import run_comparison as module
from regraft.experiments.run_comparison import compare_runs
from regraft.progress import Silent
from regraft.recipes.recipe import load_recipe
from regraft.runs.digests import write_digests
from regraft.runs.run import Run

ANSWERS = {
    "first": np.array([[0.9, 0.1, 0.0], [0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6], [0.8, 0.1, 0.1]]),
    "second": np.array([[0.1, 0.0, 0.9], [0.5, 0.2, 0.3], [0.5, 0.3, 0.2], [0.2, 0.7, 0.1], [0.0, 0.9, 0.1]]),
}
"""The second run's columns are bee, wasp, ant."""


def make_run(folder: Path, *labels: str) -> Path:
    """A run directory that is finished as far as can be seen."""
    run = Run(folder)
    run.start(load_recipe("quick"), labels, {"root": "zoo"})
    for file in (run.metrics_file, run.model_file):
        file.write_text("{}")
    return folder


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two runs in the classes ant, bee and wasp that answer five photos by `ANSWERS`: two ants, a bee and two wasps."""
    records = tuple(
        Record(Path(f"zoo/{number}.jpg"), truth, "", "JPEG", 8, 8, 1, str(number), bytes(32))
        for number, truth in enumerate((0, 0, 1, 2, 2))
    )
    folder = ImageFolder(Path("zoo"), ("ant", "bee", "wasp"), records)
    monkeypatch.setattr(module, "photos_to_judge", lambda *_: (folder, records, "both runs report on"))
    monkeypatch.setattr(module, "_probabilities", lambda run, *_: ANSWERS[run.folder.name])
    first = make_run(tmp_path / "first", "ant", "bee", "wasp")
    return first, make_run(tmp_path / "second", "bee", "wasp", "ant")


def test_classes_in_another_order_are_aligned_by_name(runs: tuple[Path, Path]):
    """In the order of the first, the second answers ant, bee, bee, wasp, wasp."""
    found = compare_runs(*runs, None, Silent())
    assert (found.first_metrics.accuracy, found.second_metrics.accuracy) == (0.8, 0.8)
    assert found.second_metrics.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 2]]
    duel = found.duel
    assert (duel.both_right, duel.first_alone, duel.second_alone, duel.neither) == (3, 1, 1, 0)
    assert [vars(answer) for answer in found.different] == [
        {"path": "1.jpg", "truth": "ant", "first_label": "ant", "first_score": 0.5,
         "second_label": "bee", "second_score": 0.5},
        {"path": "4.jpg", "truth": "wasp", "first_label": "ant", "first_score": 0.8,
         "second_label": "wasp", "second_score": 0.9},
    ]  # fmt: skip


def test_the_difference_of_the_losses_is_that_of_the_two_metrics(runs: tuple[Path, Path]):
    found = compare_runs(*runs, None, Silent())
    difference = found.second_metrics.log_loss - found.first_metrics.log_loss
    assert found.duel.log_loss.mean == pytest.approx(difference)
    # The scores of the truth: 0.9, 0.5, 0.6, 0.6, 0.1 of the first, 0.9, 0.3, 0.5, 0.7, 0.9 of the second.
    assert difference == pytest.approx(np.log((0.5 * 0.6 * 0.6 * 0.1) / (0.3 * 0.5 * 0.7 * 0.9)) / 5)


def test_a_run_and_itself_answer_every_photo_alike(runs: tuple[Path, Path]):
    found = compare_runs(runs[0], runs[0], None, Silent())
    assert (found.different, found.duel.p_value, found.duel.accuracy.mean) == ((), 1.0, 0.0)


def test_photos_of_one_group_count_as_one(runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch):
    folder, records, which = module.photos_to_judge()
    grouped = tuple(replace(one, group="p" if number in (1, 4) else "") for number, one in enumerate(records))
    monkeypatch.setattr(module, "photos_to_judge", lambda *_: (folder, grouped, which))
    duel = compare_runs(*runs, None, Silent()).duel
    assert (duel.first_alone, duel.second_alone, duel.uneven_groups) == (1, 1, 0)


def test_what_is_written_is_what_is_returned(runs: tuple[Path, Path], tmp_path: Path):
    found = compare_runs(*runs, None, Silent(), out=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["differences.csv", "summary.json"]
    assert json.loads((tmp_path / "out/summary.json").read_text("utf-8")) == found.as_dict()
    with (tmp_path / "out/differences.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["path", "truth", "first_label", "first_score", "second_label", "second_score"]
    assert rows[1:] == [
        ["1.jpg", "ant", "ant", "0.500000", "bee", "0.500000"],
        ["4.jpg", "wasp", "ant", "0.800000", "wasp", "0.900000"],
    ]
    assert found.as_dict()["first"]["run"] == str(runs[0])
    assert found.verdict.startswith(f"{runs[1]} against {runs[0]}: no evidence of a difference (")
    page = found._repr_html_()
    assert "<td>4.jpg</td>" in page
    assert "no evidence of a difference" in page


def test_nothing_is_written_without_a_place_for_it(runs: tuple[Path, Path], tmp_path: Path):
    before = sorted(tmp_path.rglob("*"))
    assert compare_runs(*runs, None, Silent()).as_dict()["comparison"] is None
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_exists_is_refused_before_anything_is_computed(
    runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "photos_to_judge", None)
    told = message_of(RunError, compare_runs, *runs, None, Silent(), out=runs[0])
    assert told == f"{runs[0]} exists already; choose another out."


@pytest.mark.parametrize(
    ("labels", "odd"),
    [
        (("ant", "bee"), "wasp"),
        (("ant", "bee", "wasp", "fly"), "fly"),
        (("ant", "bee", "fly"), "fly, wasp"),
        (tuple(f"{number:02}" for number in range(20)), "00, 01, 02, 03, 04, 05, 06, 07, 08, 09 and 13 more"),
    ],
)
def test_runs_of_other_classes_do_not_go_together(runs: tuple[Path, Path], tmp_path: Path, labels, odd: str):
    other = make_run(tmp_path / "other", *labels)
    told = message_of(UsageError, compare_runs, runs[0], other, None, Silent())
    assert told == f"{runs[0]} and {other} tell different classes apart: only one of them has {odd}."


def test_classes_in_another_writing_are_the_same(runs: tuple[Path, Path], tmp_path: Path):
    other = make_run(tmp_path / "other/second", "Bee", "WASP", "ant ")
    assert compare_runs(runs[0], other, None, Silent()).duel.both_right == 3


@pytest.fixture(scope="module")
def rotated(trained: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared run with its labels in another order, so that it calls each bee a cat, each cat a dog and so on."""
    folder = tmp_path_factory.mktemp("rotated") / "run"
    shutil.copytree(trained.folder, folder, ignore=shutil.ignore_patterns("saved_model"))
    (folder / "labels.txt").write_text("cat\ndog\nbee\n")
    write_digests(folder)
    return folder


@pytest.mark.slow
def test_runs_answer_the_photos_that_both_report_on(trained: TrainedRun, rotated: Path):
    answer = run_regraft("compare", trained.folder, rotated, "--json")
    assert answer.code == 0, answer.stderr
    found = answer.values
    assert (found["images"], found["which_images"]) == (12, "both runs report on")
    assert found["first"]["accuracy"] == trained.metrics["accuracy"]
    calls = {"bee": "cat", "cat": "dog", "dog": "bee"}
    answers = [(row["first_label"], row["first_score"]) for row in found["different"]]
    assert [(row["second_label"], row["second_score"]) for row in found["different"]] == [
        (calls[label], score) for label, score in answers
    ]
    assert len(answers) == 12
