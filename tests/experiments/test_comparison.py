"""The figures of a comparison, from answers that are known."""

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from regraft.errors import UsageError
from regraft.experiments.comparison import sum_up, write_trials
from regraft.experiments.trials import ArmResult, Trial
from regraft.machine.files import to_json
from regraft.recipes.arms import Arm
from regraft.runs.run import Run
from regraft.runs.run_metrics import RunMetrics


def trial(seed: int, correct: list[int], *, kept: str = "grafted", photos: str = "abcd") -> Trial:
    stages = [{"objective": 0.5 + seed, "solve_seconds": 2.0}]
    metrics = {"seconds": 10.0 + seed, "stage": kept, "stages": stages}
    losses = np.where(correct, 0.25, 1.25)
    return Trial(
        Run(Path("run")),
        seed,
        kept,
        tuple(photos),
        np.array(correct, bool),
        losses,
        0.125,
        40,
        RunMetrics.from_dict(metrics),
    )


def result(name: str, *trials: Trial) -> ArmResult:
    return ArmResult(Arm(name, {}), list(trials))


FIRST = result("plain", trial(0, [1, 1, 0, 0]), trial(1, [1, 0, 0, 0]))
SECOND = result("other", trial(0, [1, 1, 1, 0], kept="fine-tuned"), trial(1, [1, 1, 0, 0]))


def test_the_figures_of_an_arm_are_means_and_ranges_over_its_seeds():
    plain, other = sum_up(Path("out"), "last", [FIRST, SECOND]).arms
    assert (plain.arm, plain.accuracy, plain.accuracy_low, plain.accuracy_high) == ("plain", 0.375, 0.25, 0.5)
    assert (plain.log_loss, plain.calibration_error, plain.seconds) == (0.875, 0.125, 10.5)
    assert (plain.head_objective, plain.head_seconds, plain.against_first) == (1.0, 2.0, None)
    assert other.kept == {"fine-tuned": 1, "grafted": 1}


def test_what_an_older_run_does_not_say_leaves_a_gap_and_strict_json():
    older = replace(FIRST.trials[1], metrics=RunMetrics.from_dict({"stage": "head", "stages": [{"stage": "head"}]}))
    comparison = sum_up(Path("out"), "last", [result("plain", FIRST.trials[0], older), SECOND])
    plain, other = comparison.arms
    assert (plain.seconds, plain.head_objective, plain.head_seconds) == (None, None, None)
    assert (other.seconds, other.head_objective, other.head_seconds) == (10.5, 1.0, 2.0)
    assert json.loads(to_json(comparison.as_dict()))["arms"][0]["seconds"] is None
    assert comparison.as_markdown().splitlines()[2] == "| plain | 37.5 % (25.0–50.0) | 0.875 | 12.5 % |  |  |"


def test_a_difference_is_that_of_the_same_photos_and_seeds():
    difference = sum_up(Path("out"), "last", [FIRST, SECOND]).arms[1].against_first
    assert (difference.accuracy.mean, difference.log_loss.mean) == (0.25, -0.25)
    assert difference.accuracy.low < 0.25 < difference.accuracy.high
    assert difference.verdict.startswith("no evidence of a difference")


def test_as_dict_is_strict_json_with_documented_keys():
    values = sum_up(Path("out"), "kept", [FIRST, SECOND]).as_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert (values["comparison"], values["stage"], values["seeds"], values["images"]) == ("out", "kept", 2, 4)
    assert list(values) == [
        "comparison", "stage", "seeds", "images", "fixed_split", "arms", "notes", "pictures",
    ]  # fmt: skip
    figures = [
        "arm", "accuracy", "accuracy_low", "accuracy_high", "log_loss", "calibration_error", "seconds",
        "head_objective", "head_seconds", "kept",
    ]  # fmt: skip
    assert list(values["arms"][0]) == figures
    assert list(values["arms"][1]) == [
        *figures, "difference", "difference_low", "difference_high", "verdict", "loss_difference",
        "loss_difference_low", "loss_difference_high", "loss_verdict",
    ]  # fmt: skip


def test_where_classes_are_uneven_a_note_says_what_is_reached_without_looking():
    per_class = [{"class_name": name, "images": images, "recall": 0.5} for name, images in (("ok", 20), ("odd", 1))]
    uneven = replace(FIRST.trials[0], metrics=RunMetrics.from_dict({"stages": [{}], "per_class": per_class}))
    notes = sum_up(Path("out"), "last", [result("plain", uneven)]).notes
    assert 'The classes are of uneven size: always answering "ok" would reach an accuracy of 95.2 %.' in notes


def test_the_markdown_has_a_row_an_arm_and_the_notes():
    lines = sum_up(Path("out"), "last", [FIRST, SECOND]).as_markdown().splitlines()
    assert lines[2] == "| plain | 37.5 % (25.0–50.0) | 0.875 | 12.5 % | 10 |  |"
    assert lines[3].startswith("| other | 62.5 % (50.0–75.0) | 0.625 | 12.5 % | 10 | no evidence of a difference (")
    assert lines[5] == "2 seeds, judged on 4 photos that are the same for each."


def test_a_notebook_shows_the_table_of_the_markdown():
    comparison = sum_up(Path("out"), "last", [result("<plain>", *FIRST.trials), SECOND])
    shown, lines = comparison._repr_html_(), comparison.as_markdown().splitlines()
    rows = [re.findall("<t[hd]>(.*?)</t[hd]>", row) for row in re.findall("<tr>(.*?)</tr>", shown)]
    written = [line.strip("| ").split(" | ") for line in (lines[0], *lines[2:4])]
    assert [[html.unescape(cell) for cell in row] for row in rows] == [written[0], [*written[1], ""], written[2]]
    assert rows[1][0] == "&lt;plain&gt;"
    assert shown.count("<p>") == len(comparison.notes) == 2


def test_arms_that_were_judged_on_other_photos_are_refused():
    third = result("third", trial(0, [1, 1, 0, 0], photos="abcx"), trial(1, [1, 0, 0, 0]))
    with pytest.raises(UsageError, match=r"^third was judged on other photos than plain; vary other keys\.$"):
        sum_up(Path("out"), "last", [FIRST, third])


def test_the_table_has_a_row_for_each_arm_and_seed(tmp_path: Path):
    write_trials(tmp_path / "comparison.csv", [FIRST, SECOND])
    lines = (tmp_path / "comparison.csv").read_text().splitlines()
    assert lines[1] == "plain,0,grafted,0.500000,0.750000,0.125000,10.0,grafted"
    assert [line.split(",")[:2] for line in lines[2:]] == [["plain", "1"], ["other", "0"], ["other", "1"]]
