"""What a person sees while a verb runs, and at its end."""

import io
import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from regraft.cli.shown import (
    CommandLineProgress,
    accuracy_words,
    live_comparison,
    print_json,
    show_check,
    show_comparison,
    show_ensemble,
    show_evaluation,
    show_prediction,
    show_training,
)
from regraft.data.check import build_report
from regraft.data.records import ImageFolder
from regraft.errors import option, visible
from regraft.evidence.metrics import measure
from regraft.evidence.requirements import parse_requirements
from regraft.experiments.evaluate import Evaluation
from regraft.prediction.predict import PredictionSummary
from regraft.runs.run_metrics import RunMetrics


def test_accuracy_is_told_with_its_interval():
    numbers = RunMetrics(accuracy=0.9744, accuracy_low=0.9349, accuracy_high=0.99)
    assert accuracy_words(numbers) == "97.4 % (93.5 to 99.0)"


def test_a_sentence_names_options_with_their_dashes(capsys):
    CommandLineProgress().say(f"{option('budget', '20m')}: snapshot.")
    assert capsys.readouterr() == ("", "--budget 20m: snapshot.\n")


def words(text: str) -> str:
    return " ".join(text.split())


TRAINING = {
    "run": "saved_models/pets",
    "accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "images": 1_200, "reported_on": "val",
    "stage": "fine-tuned", "stage_reason": "fine-tuned is better",
    "notes": ["Trained on 4,000 images."],
    "export": {"folder": "saved_models/pets/saved_model/1", "images": 1_200, "largest_difference": 2.4e-7},
    "seconds": 61.25, "seconds_by_phase": {"scan": 1.25, "fine-tune": 60.0},
}  # fmt: skip


def test_the_table_of_a_training_says_how_good_on_what_why_where_and_how_long(capsys):
    show_training(RunMetrics.from_dict(TRAINING))
    told = words(capsys.readouterr().out)
    assert "run saved_models/pets accuracy 90.0 % (80.0 to 95.0) on 1,200 val images" in told
    assert "stage kept fine-tuned: fine-tuned is better Trained on 4,000 images." in told
    assert "export saved_models/pets/saved_model/1 proven on 1,200 photos, largest difference 2.4e-07" in told
    sample = TRAINING["export"] | {"images": 500, "reported": 1_200, "sample_seed": 3}
    show_training(RunMetrics.from_dict(TRAINING | {"export": sample}))
    told = words(capsys.readouterr().out)
    assert "proven on 500 of 1,200 reported photos, drawn by class, seed 3, largest difference 2.4e-07" in told
    assert "seconds 61.2 (scan 1.2, fine-tune 60.0)" in told
    assert told.endswith(
        "Look at saved_models/pets/report.html Use it regraft predict saved_models/pets PHOTOS --out answers.csv"
    )


def class_of(name: str, images: int, recall: float) -> dict[str, object]:
    return {"class_name": name, "images": images, "recall": recall}


UNEVEN = {
    "accuracy": 60 / 63, "balanced_accuracy": 0.5, "images": 63,
    "per_class": [class_of("ok", 60, 1.0), class_of("defect", 3, 0.0)],
}  # fmt: skip


def test_uneven_classes_are_told_with_their_mean_and_what_is_reached_without_looking(capsys):
    show_training(RunMetrics.from_dict(TRAINING | UNEVEN))
    told = words(capsys.readouterr().out)
    assert (
        "balanced 50.0 %, the mean over the classes of what is found; never found: defect "
        'always answering "ok" would reach an accuracy of 95.2 % stage kept' in told
    )
    truth = np.array([0] * 9 + [1])
    metrics = measure(truth, np.array([[0.75, 0.25]] * 10), ["cat", "dog"])
    show_evaluation(Evaluation(Path("pets"), Path("zoo"), Path("out"), "of zoo", metrics))
    told = words(capsys.readouterr().out)
    assert "balanced 50.0 %, the mean over the classes of what is found; never found: dog" in told
    assert 'always answering "cat" would reach an accuracy of 90.0 %' in told


@pytest.mark.parametrize(
    ("classes", "accuracy", "balanced", "told"),
    [
        ([(30, 0.9), (30, 0.9)], 0.9, 0.9, False),
        ([(40, 0.9), (20, 0.87)], 0.89, 0.885, False),
        ([(46, 0.9), (14, 0.9)], 0.9, 0.9, True),
        ([(30, 1.0), (30, 1.0), (20, 0.4)], 0.86, 0.8, True),
        ([(50, 1.0)] * 19 + [(2, 0.0)], 0.998, 0.95, True),
        ([(50, 1.0)] * 19 + [(5, 1.0)], 1.0, 1.0, True),
        ([(20, 1.0)] * 49 + [(20, 0.0)], 0.98, 0.98, True),
        ([(30, 0.9), (0, None)], 0.9, 0.9, False),
        ([], 0.9, 0.9, False),
    ],
)
def test_classes_of_like_size_that_are_found_alike_need_no_more_than_the_accuracy(
    classes, accuracy, balanced, told, capsys
):
    per_class = [class_of(f"class {place}", images, recall) for place, (images, recall) in enumerate(classes)]
    show_training(
        RunMetrics.from_dict(TRAINING | {"accuracy": accuracy, "balanced_accuracy": balanced, "per_class": per_class})
    )
    assert ("balanced" in capsys.readouterr().out) == told


def test_a_class_that_is_never_found_is_named_also_where_all_are_of_one_size(capsys):
    per_class = [class_of(f"class {place}", 20, float(place > 0)) for place in range(50)]
    show_training(
        RunMetrics.from_dict(TRAINING | {"accuracy": 0.98, "balanced_accuracy": 0.98, "per_class": per_class})
    )
    told = words(capsys.readouterr().out)
    assert "balanced 98.0 %, the mean over the classes of what is found; never found: class 0 stage kept" in told


def test_a_pretraining_says_what_to_build_on(capsys):
    show_training(RunMetrics.from_dict(TRAINING | {"backbone": "saved_models/pets/backbone.weights.h5"}))
    advice = "regraft train PHOTOS --backbone tiny --weights saved_models/pets/backbone.weights.h5"
    assert words(capsys.readouterr().out).endswith(f"Build on {advice}")


def evaluation(which_images: str, folder: str = "pets/evaluations/now") -> Evaluation:
    """Of two photos, one right with 0.75 and one wrong with 0.75."""
    metrics = measure(np.array([0, 0]), np.array([[0.75, 0.25], [0.25, 0.75]]), ["cat", "dog"])
    return Evaluation(Path("pets"), Path("zoo"), Path(folder), which_images, metrics)


def test_the_table_of_an_evaluation_says_how_good_on_what_and_where(capsys):
    show_evaluation(evaluation("of zoo/test"))
    # Wilson's interval of 1 in 2; the log loss is (ln 4/3 + ln 4) / 2; F1 is 2/3 and 0; sure by 0.75, right by half.
    assert words(capsys.readouterr().out) == (
        "accuracy 50.0 % (9.5 to 90.5) on 2 images of zoo/test log loss 0.837 nats macro F1 0.333 "
        "calibration error 25.0 % Look at pets/evaluations/now/report.html"
    )


def test_bounds_that_were_required_are_counted(capsys):
    found = evaluation("of zoo")
    required = [each.judge(found.metrics) for each in parse_requirements(["accuracy>=0.5", "images>2"], ["cat", "dog"])]
    show_evaluation(replace(found, required=tuple(required)))
    assert "calibration error 25.0 % required 1 of 2 met Look at" in words(capsys.readouterr().out)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def comparison(name: str) -> SimpleNamespace:
    """Of two arms of one seed; the first has the name."""
    figures = {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6, "log_loss": 1.0, "seconds": 2.0}
    trial = SimpleNamespace(seed=0, accuracy=0.5, metrics=SimpleNamespace(seconds=2.0))
    arms = [
        SimpleNamespace(arm=each, trials=[trial], against_first=SimpleNamespace(verdict=name), **figures)
        for each in (name, "other")
    ]
    return SimpleNamespace(arms=arms, notes=[name], folder=name, pictures=["a.png"])


def results(name: str) -> list[SimpleNamespace]:
    return [SimpleNamespace(arm=SimpleNamespace(name=each.arm), trials=each.trials) for each in comparison(name).arms]


def ensemble(name: str) -> RunMetrics:
    figures = {"accuracy": 0.5, "log_loss": 1.0, "calibration_error": 0.1}
    found = {
        "kind": "heads", "members": 1, "combine": "mean", "soup": "greedy", "verdict": name, "ensemble": figures,
        "member_rows": [{**figures, "name": name, "share": 1.0}],
        "gains": {"best member": {"mean": 0.0, "low": 0.0, "high": 0.0, "words": name}},
    }  # fmt: skip
    return RunMetrics.from_dict({"run": name, "ensemble": found})


ODD_NAMES = ("[bold]pets", "pets [/]", "[/x]", ":smiley:", "a\u202eb", "a\x1b[2Jb", "a\nb")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_are_text_and_neither_markup_nor_commands_to_the_terminal(name: str, capsys):
    shown = visible(name)
    show_evaluation(evaluation(f"of {name}", name))
    show_comparison(comparison(name))
    with live_comparison() as show:
        show(results("other")[:1] + results(name)[:1])
    show_training(RunMetrics.from_dict(TRAINING | {"run": name, "notes": [name], "stage_reason": name}))
    show_ensemble(ensemble(name))
    show_check(build_report(ImageFolder(Path("x"), (name, "other"), ())))
    print_json({"name": name})
    CommandLineProgress().say(name)
    told = capsys.readouterr()
    for words in (
        f"on 2 images of {shown}",
        f"{shown} 50.0 % 40.0-60.0",
        f"fine-tuned: {shown} {shown}",
        f"{shown} 1.00 50.0 %",
        f"best member: {shown} {shown} Look at",
        f"{shown} 0",
    ):
        assert words in " ".join(told.out.split())
    assert told.err.splitlines() == [f"{shown}, seed 0: 50.0 % in 2 s", shown]
    assert not set(told.out + told.err) & {"\u202e", "\x1b"}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_stay_names_in_a_table_that_is_drawn_on_a_terminal(name: str, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    with live_comparison() as show:
        show(results(name))
    with CommandLineProgress().work(name, 2, name) as ticker:
        ticker.advance(1, name)
    assert visible(name) in terminal.getvalue()
    assert "\u202e" not in terminal.getvalue()
    assert "\x1b[2J" not in terminal.getvalue()


def test_what_is_to_be_copied_into_a_shell_is_quoted(capsys):
    show_training(RunMetrics.from_dict(TRAINING | {"run": "my pets/it's"}))
    command = capsys.readouterr().out.rpartition("Use it    ")[2]
    assert shlex.split(command) == ["regraft", "predict", "my pets/it's", "PHOTOS", "--out", "answers.csv"]


def test_what_became_of_the_inputs_is_told_on_stderr(capsys):
    show_prediction(PredictionSummary(Path("a.csv"), 3, {"ok": 2, "missing": 1}))
    show_prediction(PredictionSummary(Path("a.csv"), 0, {}, already_finished=True))
    assert capsys.readouterr() == ("", "2 ok, 1 missing in a.csv\n")


def test_costs_and_folds_are_told_where_there_are_any(capsys):
    numbers = {"accuracy": 0.5, "accuracy_low": 0.2, "accuracy_high": 0.8, "images": 6, "reported_on": "val"}
    show_training(
        RunMetrics(**numbers, mean_cost=0.25, mean_cost_most_probable=1.5, decision="the least expected cost")
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "on 6 val images" in said
    assert "label the least expected cost" in said
    assert "mean cost 0.250; of the most probable class 1.500" in said
    show_training(RunMetrics(**numbers, mean_cost=0.25))  # of a file that somebody edited
    assert "mean cost" not in capsys.readouterr().out
    show_training(RunMetrics(**numbers, folds=({"fold": 1}, {"fold": 2})))
    assert "on 6 images, each judged out of 2 folds by a model without it" in " ".join(capsys.readouterr().out.split())
