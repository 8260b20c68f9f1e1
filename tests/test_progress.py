"""Progress: a bar in a terminal or a notebook, a line now and then in a log, nothing where nobody asked."""

import io
import re
import sys
from types import ModuleType

import pytest

from regraft.errors import option
from regraft.progress import Shown, Silent


class Clock:
    """A clock that tests turn on by hand, in place of `time.perf_counter`."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    hand_turned = Clock()
    monkeypatch.setattr("regraft.progress.time.perf_counter", hand_turned)
    return hand_turned


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_work_away_from_a_terminal_is_a_line_every_ten_seconds_with_rate_and_time_left(clock: Clock, capsys):
    with Shown().work("features", 1_500, "images") as ticker:
        for _ in range(6):
            clock.now += 4
            ticker.advance(100, "loss 0.41")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "features: 300/1,500 images, 25/s, 0:48 left  loss 0.41",
        "features: 600/1,500 images, 25/s, 0:36 left  loss 0.41",
    ]


def test_before_the_first_unit_is_done_there_is_no_rate_but_a_sign_of_life(clock: Clock, capsys):
    with Shown().work("head", 36, "solutions") as ticker:
        clock.now += 20
        ticker.advance(0, "iteration 7")
    assert capsys.readouterr().err == "head: 0/36 solutions  iteration 7\n"


def test_slow_work_has_a_rate_that_is_not_zero(clock: Clock, capsys):
    with Shown().work("features", 100, "images") as ticker:
        clock.now += 20
        ticker.advance()
        clock.now += 20
        ticker.advance(9)
    assert capsys.readouterr().err.splitlines() == [
        "features: 1/100 images, 0.05/s, 33:00 left",
        "features: 10/100 images, 0.25/s, 6:00 left",
    ]


def test_quick_work_says_nothing(clock: Clock, capsys):
    with Shown().work("scan", 60, "images") as ticker:
        clock.now += 9
        ticker.advance(60)
    assert capsys.readouterr() == ("", "")


def test_work_on_a_terminal_is_a_bar_that_goes_away(clock: Clock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Shown().work("features", 200, "images") as ticker:
        clock.now += 2
        ticker.advance(50, "loss 0.41")
    drawn = terminal.getvalue()
    assert re.search(r"features .*50/200.*images, 25/s  loss 0\.41", re.sub(r"\x1b\[[0-9;]*m", "", drawn))
    assert drawn.endswith("\x1b[2K")  # the line is erased


def test_nothing_to_do_draws_no_bar(monkeypatch: pytest.MonkeyPatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Shown().work("features", 0, "images"):
        pass
    assert terminal.getvalue() == ""


def test_what_is_said_is_a_line_on_stderr(capsys):
    Shown().say("Cannot read 1 file.")
    assert capsys.readouterr() == ("", "Cannot read 1 file.\n")


def test_a_sentence_names_arguments_as_python_writes_them(capsys):
    Shown().say(f"{option('budget', '20m')}: snapshot.")
    assert capsys.readouterr().err == 'budget="20m": snapshot.\n'


def test_silence_is_silent(capsys):
    silent = Silent()
    with silent.work("features", 10, "images") as ticker:
        ticker.advance(5, "note")
    silent.say("Cannot read 1 file.")
    assert capsys.readouterr() == ("", "")


class Handle:
    """What `IPython.display.display` gives back: the output of a cell, which can be changed."""

    def __init__(self, shown: list[str]) -> None:
        self.shown = shown

    def update(self, value) -> None:
        self.shown.append(value._repr_html_())


class ZMQInteractiveShell:
    """The shell of a kernel."""


class Shell(ZMQInteractiveShell):
    """The shell of Google Colab."""


@pytest.mark.parametrize("shell", [ZMQInteractiveShell, Shell])
def test_work_in_a_notebook_is_a_bar_in_the_cell_that_goes_away(shell, clock: Clock, monkeypatch, capsys):
    shown: list[str] = []
    ipython, display = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = shell  # type: ignore[attr-defined]

    def show(value, *, display_id: bool) -> Handle:
        shown.append(value._repr_html_())
        return Handle(shown)

    display.display = show  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    with Shown().work("features", 200, "images") as ticker:
        clock.now += 2
        ticker.advance(50, "loss <0.41>")
    assert shown == [
        '<progress value="0" max="200"></progress> <code>features</code>',
        '<progress value="50" max="200"></progress> '
        "<code>features: 50/200 images, 25/s, 0:06 left  loss &lt;0.41&gt;</code>",
        "",
    ]
    assert capsys.readouterr() == ("", "")


def test_an_ipython_in_a_terminal_is_no_notebook(clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys):
    class TerminalInteractiveShell:
        """The shell of `ipython`."""

    ipython = ModuleType("IPython")
    ipython.get_ipython = TerminalInteractiveShell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    with Shown().work("features", 200, "images") as ticker:
        clock.now += 11
        ticker.advance(100)
    assert capsys.readouterr().err == "features: 100/200 images, 9.1/s, 0:11 left\n"
