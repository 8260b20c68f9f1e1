"""One input, small enough that a job can keep a list of a billion of them on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """One input.

    Attributes:
        path: as the user named it, or the archive's or shard's name, "::" and the member's name or number.
        file: what is opened.
        kind: "file" for a photo in a file of its own, "broken" where it is known that there is none, or the row of
            `INPUT_KINDS` that reads it out of `file`.
        offset: where its bytes begin in the (uncompressed) archive or shard, or whatever finds it in `file`.
        size: how many bytes there are.
        reason: why there is no photo.
        status: of a broken item.
    """

    path: str
    file: str = ""
    kind: str = "file"
    offset: int = 0
    size: int = 0
    reason: str = ""
    status: str = "unreadable"

    def to_json(self) -> str:
        """One line without a line break; names that are no UTF-8 come back as they were."""
        return json.dumps([getattr(self, name) for name in self.__slots__])

    @classmethod
    def from_json(cls, line: str | bytes) -> Item:
        """The item that a line of `to_json` describes."""
        return cls(*json.loads(line))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that was found but is no input, such as a text among photos, and the reason."""

    path: str
    reason: str


Found = Item | LeftOut
"""What is found where the user points: it gets a row, or it is counted."""
