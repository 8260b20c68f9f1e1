"""Signals that end a command, as one exception in the main thread, so that it cleans up behind itself.

Only programs call `listening`: the command line and the scripts that it starts. Functions that are called from Python
leave signals as they are.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_ENDING = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")  # from the keyboard, from a scheduler, from a terminal that is closed
    if hasattr(signal, name)
)
_SECONDS_UNTIL_AGAIN = 0.05


class Stopped(KeyboardInterrupt):
    """A signal came that ends the command: `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def listening() -> Iterator[None]:
    """Has SIGINT, SIGTERM and SIGHUP raise `Stopped` while the block runs; those that are ignored stay so.

    One that comes while an earlier one is being obeyed changes nothing: cleaning up takes seconds at most. Nothing
    happens in another thread than the main one, which alone can take signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    unraisable = sys.unraisablehook
    with kept():
        for number in _ENDING:
            if signal.getsignal(number) != signal.SIG_IGN:  # as that of a shell's background job, and of nohup
                signal.signal(number, _stop)
        sys.unraisablehook = lambda lost: _come_again(lost.exc_value) or unraisable(lost)
        try:
            yield
        finally:
            sys.unraisablehook = unraisable


def ignore() -> None:
    """Has those signals change nothing from now on: the command is done, and libraries that end may take seconds."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def kept() -> Iterator[None]:
    """Puts the handlers of the signals back after the block: some libraries put their own in their place."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:  # not set by Python
                signal.signal(number, handler)


@contextmanager
def saying_how_to_go_on(advice: str) -> Iterator[None]:
    """Notes on what interrupts the block how to go on; the command line says what the outermost such block notes."""
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.add_note(advice)
        raise


def stop_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """The interrupt that `error` is, or that it happened upon: what is interrupted halfway may fail in other ways."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _stop(number: int, frame: FrameType | None) -> None:
    if not isinstance(stop_behind(sys.exception()), Stopped):
        raise Stopped(number)


def _come_again(lost: Any) -> bool:
    """Whether `lost` is a `Stopped` raised where exceptions are dropped, as in `__del__`; then it comes again."""
    if not isinstance(lost, Stopped):
        return False
    timer = threading.Timer(_SECONDS_UNTIL_AGAIN, os.kill, (os.getpid(), lost.number))
    timer.daemon = True
    timer.start()
    return True
