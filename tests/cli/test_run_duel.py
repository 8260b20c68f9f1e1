"""`regraft compare RUN RUN`: which words it takes, and what a person sees."""

from pathlib import Path

import numpy as np
import pytest
from command_line import run_regraft

from regraft.cli.run_duel import OPTIONS_OF_RUNS, is_run, show_duel
from regraft.errors import visible
from regraft.evidence.duel import judge_duel
from regraft.evidence.metrics import measure
from regraft.experiments.run_comparison import DifferentAnswer, RunComparison
from regraft.recipes.recipe import load_recipe
from regraft.runs.run import Run

TRUTH = np.array([0, 0, 1])
FIRST = np.array([[0.75, 0.25], [0.25, 0.75], [0.25, 0.75]])
SECOND = np.array([[0.75, 0.25], [0.75, 0.25], [0.25, 0.75]])


def comparison(name: str, differences: int, folder: Path | None = None) -> RunComparison:
    """Of three photos, the first run wrong on one; photo, classes and the second run have the name."""
    return RunComparison(
        Path("one"), Path(name), Path("zoo"), folder, f"of {name}",
        measure(TRUTH, FIRST, ("cat", "dog")), measure(TRUTH, SECOND, ("cat", "dog")),
        judge_duel(TRUTH, FIRST, SECOND), (DifferentAnswer(name, "cat", name, 0.75, "dog", 0.5),) * differences,
    )  # fmt: skip


def test_a_person_sees_both_the_verdict_and_the_photos_that_are_answered_differently(capsys):
    show_duel(comparison("other", 1))
    # Wilson's intervals of 2 and 3 in 3; log losses (2 ln 4/3 + ln 4) / 3 and ln 4/3; Bonett and Price, 0 and 1 of 3.
    assert capsys.readouterr().out.splitlines() == [
        "       accuracy                 log loss",
        "one    66.7 % (20.8 to 93.9)    0.654",
        "other  100.0 % (43.9 to 100.0)  0.288",
        "",
        "On 3 images of other: 2 both right, 0 the first alone, 1 the second alone, 0 neither.",
        "Accuracy: other against one: no evidence of a difference (-45.6 to +85.6 points); exact McNemar test: p = 1.",
        "Log loss: no evidence of a difference (-1.942 to +1.209 nats).",
        "Only one of them is right on 1 photo; fewer than 6 are never evidence at 5 %.",
        "This is about two trained models; whether a way of training is better, regraft compare FOLDER tells by "
        "several seeds.",
        "",
        "Answered differently: 1 photo.",
        "path   truth  first          second",
        "other  cat    other (0.750)  dog (0.500)",
    ]


def test_ten_photos_are_shown_and_the_others_counted(capsys, tmp_path: Path):
    show_duel(comparison("odd", 10))
    assert capsys.readouterr().out.count("odd (0.750)") == 10
    show_duel(comparison("odd", 12))
    told = capsys.readouterr().out
    assert told.count("odd (0.750)") == 10
    assert told.endswith("And 2 more, which --out writes.\n")
    show_duel(comparison("odd", 12, tmp_path))
    assert capsys.readouterr().out.endswith(f"\nAll are in {tmp_path}/differences.csv\n")
    show_duel(comparison("odd", 0))
    assert capsys.readouterr().out.endswith("They answer every photo alike.\n")


@pytest.mark.parametrize("name", ["[bold]pets", ":smiley:", "a\u202eb", "a\x1b[2Jb", "a\nb"])
def test_names_are_text_and_no_commands_to_the_terminal(name: str, capsys):
    show_duel(comparison(name, 1))
    told = capsys.readouterr().out
    assert told.count(visible(name)) == 5
    assert not set(told) & {"\u202e", "\x1b"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that did not finish."""
    Run(tmp_path / "run").start(load_recipe("quick"), ("cat", "dog"), {"verb": "train", "source": "photos"})
    return tmp_path / "run"


def refusal(*words: object) -> str:
    answer = run_regraft("compare", *words)
    assert (answer.code, answer.stdout, answer.stderr.count("\n")) == (2, "", 1)
    return answer.stderr.removeprefix("regraft: ").removesuffix("\n")


@pytest.mark.parametrize(
    "option",
    [("--vary", "head.folds=4,5"), ("--arm", "none"), ("--seeds", 3), ("--recipe", "balanced"), ("--resume",),
     ("--set", "seed=1"), ("--stage", "kept"), ("--backbone", "tiny"), ("--data-dir", ".")],
)  # fmt: skip
def test_options_that_train_are_refused_also_with_their_default(run: Path, option: tuple[object, ...]):
    told = refusal(run, run, *option)
    assert told == f"{option[0]} is for training on a FOLDER; two runs are compared as they are."


def test_the_help_names_all_options_that_go_with_runs():
    """Of `LABELS` the names are those of the command line; `as_json` is --json."""
    told = " ".join(run_regraft("compare", "--help").stdout.split())
    names = [f"--{name.removeprefix('as_').replace('_', '-')}" for name in OPTIONS_OF_RUNS]
    assert f"Of the options, {', '.join(names[:-1])} and {names[-1]} go with them." in told


def test_two_runs_are_expected_where_the_first_is_one(run: Path, tmp_path: Path):
    form = "Two runs are compared, as in regraft compare RUN RUN [FOLDER]; received"
    assert refusal(run) == f"{form} 1."
    assert refusal(run, run, "photos", "photos") == f"{form} 4."
    (tmp_path / "photos").mkdir()
    assert refusal(tmp_path / "photos", run) == (
        f"compare takes one FOLDER of photos, or RUN RUN [FOLDER]; {tmp_path}/photos is no run directory."
    )
    assert refusal(run, run).startswith(f"{run} is a run that did not finish; continue it: regraft train ")


def test_a_second_that_is_no_run_and_an_export_are_refused_by_name(run: Path, tmp_path: Path):
    for file in ("run/metrics.json", "run/model.keras", "litert/export.json"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("{}")
    assert refusal(run, tmp_path / "no") == f"There is no run directory {tmp_path}/no."
    told = f"{tmp_path}/litert is an export; name the run that it was made of."
    assert refusal(tmp_path / "litert", run) == refusal(run, tmp_path / "litert") == told


def test_what_is_no_run_is_a_folder_of_photos(run: Path, tmp_path: Path):
    assert is_run(str(run))
    assert [is_run(word) for word in (str(tmp_path), "tfds:mnist", "nowhere", "")] == [False] * 4
