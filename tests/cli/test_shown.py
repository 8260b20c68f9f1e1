"""What a person sees while a verb runs, and at its end."""

from pathlib import Path

import numpy as np
import pytest

from regraft.cli.shown import CommandLineProgress, accuracy_words, show_evaluation, show_prediction, show_training
from regraft.errors import option
from regraft.evidence.metrics import measure
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
    assert "export saved_models/pets/saved_model/1 agrees on 1,200 photos, largest difference 2.4e-07" in told
    assert "seconds 61.2 (scan 1.2, fine-tune 60.0)" in told
    assert told.endswith(
        "Look at saved_models/pets/report.html Use it regraft predict saved_models/pets PHOTOS --out answers.csv"
    )


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


@pytest.mark.parametrize("name", ["[bold]pets", "pets [/]"])
def test_names_are_text_and_no_markup(name: str, capsys):
    show_evaluation(evaluation(f"of {name}", name))
    assert f"on 2 images of {name}" in capsys.readouterr().out


def test_what_became_of_the_inputs_is_told_on_stderr(capsys):
    show_prediction(PredictionSummary(Path("a.csv"), 3, {"ok": 2, "missing": 1}))
    show_prediction(PredictionSummary(Path("a.csv"), 0, {}, already_finished=True))
    assert capsys.readouterr() == ("", "2 ok, 1 missing in a.csv\n")
