"""What a person sees while a verb runs, and at its end."""

import io
import re
import sys
from pathlib import Path

import pytest

from regraft.cli.console import ConsoleProgress, accuracy_words, show_evaluation, show_training


class Clock:
    """A clock that tests turn on by hand, in place of `time.perf_counter`."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    hand_turned = Clock()
    monkeypatch.setattr("regraft.cli.console.time.perf_counter", hand_turned)
    return hand_turned


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_work_away_from_a_terminal_is_a_line_every_ten_seconds_with_rate_and_time_left(clock: Clock, capsys):
    with ConsoleProgress().work("features", 1_500, "images") as ticker:
        for _ in range(6):
            clock.now += 4
            ticker.advance(100, "loss 0.41")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "features: 300/1,500 images, 25/s, 0:48 left  loss 0.41",
        "features: 600/1,500 images, 25/s, 0:36 left  loss 0.41",
    ]


def test_slow_work_has_a_rate_that_is_not_zero(clock: Clock, capsys):
    with ConsoleProgress().work("features", 100, "images") as ticker:
        clock.now += 20
        ticker.advance()
        clock.now += 20
        ticker.advance(9)
    assert capsys.readouterr().err.splitlines() == [
        "features: 1/100 images, 0.05/s, 33:00 left",
        "features: 10/100 images, 0.25/s, 6:00 left",
    ]


def test_quick_work_says_nothing(clock: Clock, capsys):
    with ConsoleProgress().work("scan", 60, "images") as ticker:
        clock.now += 9
        ticker.advance(60)
    assert capsys.readouterr() == ("", "")


def test_work_on_a_terminal_is_a_bar_that_goes_away(clock: Clock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ConsoleProgress().work("features", 200, "images") as ticker:
        clock.now += 2
        ticker.advance(50, "loss 0.41")
    drawn = terminal.getvalue()
    assert re.search(r"features .*50/200.*images, 25/s  loss 0\.41", re.sub(r"\x1b\[[0-9;]*m", "", drawn))
    assert drawn.endswith("\x1b[2K")  # the line is erased


def test_nothing_to_do_draws_no_bar(monkeypatch: pytest.MonkeyPatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with ConsoleProgress().work("features", 0, "images"):
        pass
    assert terminal.getvalue() == ""


def test_what_is_said_is_a_line_on_stderr(capsys):
    ConsoleProgress().say("Cannot read 1 file.")
    assert capsys.readouterr() == ("", "Cannot read 1 file.\n")


def test_accuracy_is_told_with_its_interval():
    numbers = {"accuracy": 0.9744, "accuracy_low": 0.9349, "accuracy_high": 0.99}
    assert accuracy_words(numbers) == "97.4 % (93.5 to 99.0)"


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
    show_training(TRAINING)
    told = words(capsys.readouterr().out)
    assert "run saved_models/pets accuracy 90.0 % (80.0 to 95.0) on 1,200 val images" in told
    assert "stage kept fine-tuned: fine-tuned is better Trained on 4,000 images." in told
    assert "export saved_models/pets/saved_model/1 agrees on 1,200 photos, largest difference 2.4e-07" in told
    assert "seconds 61.2 (scan 1.2, fine-tune 60.0)" in told
    assert told.endswith(
        "Look at saved_models/pets/report.html Use it regraft predict saved_models/pets PHOTOS --out answers.csv"
    )


def test_a_pretraining_says_what_to_build_on(capsys):
    show_training({**TRAINING, "backbone": "saved_models/pets/backbone.weights.h5"})
    advice = "regraft train PHOTOS --backbone tiny --weights saved_models/pets/backbone.weights.h5"
    assert words(capsys.readouterr().out).endswith(f"Build on {advice}")


def test_the_table_of_an_evaluation_says_how_good_on_what_and_where(capsys):
    show_evaluation(
        {
            "accuracy": 0.5, "accuracy_low": 0.2, "accuracy_high": 0.8, "images": 6, "which_images": "of zoo/test",
            "log_loss": 0.7, "macro_f1": 0.45, "calibration_error": 0.125, "evaluation": "pets/evaluations/now",
        }
    )  # fmt: skip
    assert words(capsys.readouterr().out) == (
        "accuracy 50.0 % (20.0 to 80.0) on 6 images of zoo/test log loss 0.700 nats macro F1 0.450 "
        "calibration error 12.5 % Look at pets/evaluations/now/report.html"
    )


@pytest.mark.parametrize("name", ["[bold]pets", "pets [/]"])
def test_names_are_text_and_no_markup(name: str, capsys):
    numbers = {"accuracy": 0.5, "accuracy_low": 0.2, "accuracy_high": 0.8, "images": 6, "log_loss": 0.7}
    show_evaluation(
        numbers | {"which_images": f"of {name}", "macro_f1": 0.4, "calibration_error": 0.1, "evaluation": Path(name)}
    )
    assert f"on 6 images of {name}" in capsys.readouterr().out
