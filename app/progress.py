"""How long work tells the world that it is alive, without knowing who listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Ticker(Protocol):
    """Receives the steps of one piece of work."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """`count` more units are done; `note` is a short live text such as "loss 0.41"."""


class Progress(Protocol):
    """Receives what a verb is doing. The command line draws it; the library stays silent."""

    def work(self, name: str, total: int, unit: str) -> AbstractContextManager[Ticker]:
        """A context for `total` units of work, such as `work("features", 397, "images")`."""

    def say(self, text: str) -> None:
        """One line that a user should see, such as a warning."""


class _SilentTicker:
    def advance(self, count: int = 1, note: str = "") -> None:
        """Ignored."""


class Silent:
    """The `Progress` of a library call: says nothing."""

    @contextmanager
    def work(self, name: str, total: int, unit: str) -> Iterator[Ticker]:
        """Ignored."""
        yield _SilentTicker()

    def say(self, text: str) -> None:
        """Ignored."""
