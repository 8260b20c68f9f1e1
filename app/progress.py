"""How long work tells the world that it is alive: a bar in a terminal or a notebook, lines in a log, or nothing."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from regraft.errors import as_keywords, visible

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_UPDATES = 0.2


class Ticker(Protocol):
    """Receives the steps of one piece of work."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """`count` more units are done; `note` is a short live text such as "loss 0.41"."""


class Progress(Protocol):
    """Receives what a call is doing."""

    def work(self, name: str, total: int, unit: str) -> AbstractContextManager[Ticker]:
        """A context for `total` units of work, such as `work("features", 397, "images")`."""

    def say(self, text: str) -> None:
        """One line that a user should see, such as a warning; arguments in it are marked by `regraft.errors.option`."""


class _SilentTicker:
    def advance(self, count: int = 1, note: str = "") -> None:
        """Ignored."""


SILENT: Ticker = _SilentTicker()
"""Who hears of steps and says nothing."""


class Silent:
    """The `Progress` that says nothing."""

    @contextmanager
    def work(self, name: str, total: int, unit: str) -> Iterator[Ticker]:
        """Ignored."""
        yield SILENT

    def say(self, text: str) -> None:
        """Ignored."""


class Shown:
    """Shows progress: a bar in a terminal or a notebook; elsewhere a plain line on stderr every ten seconds."""

    @contextmanager
    def work(self, name: str, total: int, unit: str) -> Iterator[Ticker]:
        """Shows how far `name` is, its rate in `unit` per second and the time left."""
        if _in_notebook() and total:
            with _notebook_bar(name, total, unit) as ticker:
                yield ticker
        elif sys.stderr.isatty() and total:
            with _terminal_bar(name, total, unit) as ticker:
                yield ticker
        else:
            yield _Lines(name, total, unit)

    def say(self, text: str) -> None:
        """One line on stderr."""
        print(visible(self.words(text)), file=sys.stderr)

    def words(self, text: str) -> str:
        """`text` as it is written here: with arguments as Python writes them."""
        return as_keywords(text)


class _Pace:
    """How much is done, and how fast."""

    def __init__(self, name: str, total: int, unit: str) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.done = 0
        self.started = self.last = time.perf_counter()

    def count(self, count: int, *, every: float) -> bool:
        """Takes in `count` units; whether it is time to show them."""
        self.done += count
        now = time.perf_counter()
        if now - self.last < every:
            return False
        self.last = now
        return True

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.done / max(time.perf_counter() - self.started, 1e-9)

    def text(self, note: str) -> str:
        """Such as "features: 64/397 images, 120/s, 0:03 left"."""
        pace = ""
        if self.done:
            left = _clock((self.total - self.done) / max(self.rate, 1e-9))
            pace = f", {_per_second(self.rate)}, {left} left"
        return visible(f"{self.name}: {self.done:,}/{self.total:,} {self.unit}{pace}  {note}".rstrip())


class _Lines:
    def __init__(self, name: str, total: int, unit: str) -> None:
        self._pace = _Pace(name, total, unit)

    def advance(self, count: int = 1, note: str = "") -> None:
        if self._pace.count(count, every=_SECONDS_BETWEEN_LINES):
            print(self._pace.text(note), file=sys.stderr, flush=True)


class _TerminalBar:
    def __init__(self, progress: Any, task: Any, unit: str) -> None:
        self.progress, self.task, self.unit = progress, task, unit
        self._pace = _Pace("", 0, unit)

    def advance(self, count: int = 1, note: str = "") -> None:
        self._pace.count(count, every=0.0)
        words = visible(f"{self.unit}, {_per_second(self._pace.rate)}  {note}")
        self.progress.update(self.task, advance=count, note=words)


@contextmanager
def _terminal_bar(name: str, total: int, unit: str) -> Iterator[Ticker]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description:<10}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _TerminalBar(progress, progress.add_task(visible(name), total=total, note=visible(unit)), unit)


class _NotebookBar:
    def __init__(self, pace: _Pace, handle: Any) -> None:
        self._pace, self._handle = pace, handle

    def advance(self, count: int = 1, note: str = "") -> None:
        if self._pace.count(count, every=_SECONDS_BETWEEN_UPDATES):
            self._handle.update(_Html(_bar_html(self._pace, note)))


class _Html:
    """What a notebook shows as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _repr_html_(self) -> str:
        return self.text


@contextmanager
def _notebook_bar(name: str, total: int, unit: str) -> Iterator[Ticker]:
    """A bar in the output of the cell, which is gone afterwards as a terminal's is."""
    from IPython.display import display

    pace = _Pace(name, total, unit)
    handle = display(_Html(_bar_html(pace, "")), display_id=True)
    try:
        yield _NotebookBar(pace, handle)
    finally:
        handle.update(_Html(""))


def _bar_html(pace: _Pace, note: str) -> str:
    words = html.escape(pace.text(note)) if pace.done else html.escape(visible(pace.name))
    return f'<progress value="{pace.done}" max="{pace.total}"></progress> <code>{words}</code>'


def _in_notebook() -> bool:
    """Whether this process is the kernel of a notebook; asks nothing of those that have not started IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython and hasattr(ipython, "get_ipython") else None
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)  # Colab's is a subclass


def _per_second(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
