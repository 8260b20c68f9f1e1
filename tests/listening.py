"""Progress that keeps what is said."""

from __future__ import annotations

from regraft.progress import Silent


class Listening(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


class Watcher:
    """Counts what it hears."""

    def __init__(self) -> None:
        self.done, self.notes = 0, []

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        self.notes += [note] if note else []
