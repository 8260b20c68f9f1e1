"""Progress that keeps what is said."""

from __future__ import annotations

from regraft.progress import Silent


class Listening(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)
