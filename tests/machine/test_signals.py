"""Signals as exceptions: what each raises, what a second one does, and that none is lost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from regraft.machine.signals import Stopped, kept, listening, saying_how_to_go_on, stop_behind

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to speak of")
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def raises_stopped(number: int) -> Iterator[None]:
    with pytest.raises(Stopped) as caught:
        yield
    assert caught.value.number == number


@pytest.mark.parametrize("number", ENDING)
def test_each_signal_that_ends_a_command_raises_one_kind_of_interrupt(number: int):
    before = [signal.getsignal(each) for each in ENDING]
    with raises_stopped(number), listening():
        signal.raise_signal(number)
    assert [signal.getsignal(each) for each in ENDING] == before
    assert issubclass(Stopped, KeyboardInterrupt)


@pytest.mark.parametrize("second", ENDING)
def test_a_second_signal_does_not_interrupt_the_cleaning_up_after_the_first(second: int):
    cleaned = False
    with raises_stopped(signal.SIGTERM), listening():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(second)
            try:
                raise OSError("cleaning up fails on the way")
            except OSError:
                signal.raise_signal(second)
            cleaned = True
    assert cleaned


@pytest.mark.parametrize(("words", "code"), [(["backbones"], 0), (["no-verb"], 2)])
def test_a_command_that_is_done_ends_as_it_would_have(words: list[str], code: int):
    script = (
        "import atexit, signal, sys; from regraft.__main__ import main\n"
        f"atexit.register(signal.raise_signal, signal.SIGTERM); sys.argv = {['regraft', *words]}\n"
        "main()"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == code


def test_a_signal_that_is_ignored_stays_so():
    script = (
        "import signal; from regraft.machine.signals import listening\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "with listening():\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "print('went on')"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == b"went on\n"


class Lingering:
    """Something in whose `__del__` a signal comes."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_that_comes_where_exceptions_are_dropped_comes_again():
    with raises_stopped(signal.SIGTERM), listening():
        lingering = Lingering()
        del lingering
        time.sleep(30)


def test_handlers_that_a_library_puts_in_place_of_ours_are_put_back():
    with raises_stopped(signal.SIGTERM), listening():
        with kept():
            signal.signal(signal.SIGTERM, lambda *_: None)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)


def test_what_was_interrupted_is_found_behind_what_went_wrong_upon_it():
    stop = KeyboardInterrupt()
    try:
        try:
            raise stop
        finally:
            raise AttributeError("half imported")
    except AttributeError as error:
        assert stop_behind(error) is stop
    assert stop_behind(ValueError()) is None
    assert stop_behind(None) is None


def test_the_outermost_advice_is_the_last_note():
    with (
        pytest.raises(KeyboardInterrupt) as caught,
        saying_how_to_go_on("resume the ensemble"),
        saying_how_to_go_on("resume the member"),
    ):
        raise KeyboardInterrupt
    assert caught.value.__notes__ == ["resume the member", "resume the ensemble"]
