"""The bytes of an item, wherever it lies: in a file of its own, or in one that holds many."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regraft.data.file_format import identify_file
from regraft.data.photos import Limits, UnreadablePhoto, read_bytes, too_many_bytes
from regraft.machine.addresses import ADDRESS_NOT_READ, is_address
from regraft.machine.memory import MemoryBudget, decoding_budget, reading_budget
from regraft.prediction.sources.archives import PIECE, in_words
from regraft.prediction.sources.item import Item
from regraft.prediction.sources.kind import Reading
from regraft.prediction.sources.table import find_kind


def read_file(file: str, given: str, max_bytes: int) -> bytes:
    """The bytes of `file`, which the user named `given`. Raises UnreadablePhoto, also where that is an address."""
    try:
        if PIECE < _size_of(file) <= max_bytes and (reason := identify_file(Path(file)).reason):
            raise UnreadablePhoto(reason)
        return read_bytes(Path(file), max_bytes=max_bytes)
    except UnreadablePhoto as error:
        if error.status == "missing" and is_address(given):
            raise UnreadablePhoto(ADDRESS_NOT_READ) from None
        raise


def _size_of(file: str) -> int:
    """Bytes of a regular file; 0 where reading it says why it is none."""
    try:
        status = os.stat(file)  # noqa: PTH116 - Path would change the name
    except (OSError, ValueError):
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


class ItemReader:
    """Reads items; the last archive or shard stays open, as the next item is most likely in it.

    Items of kind "file" may be read by many threads, others by one at a time: a compressed archive is read forward.
    """

    def __init__(self, limits: Limits, reading: Reading | None = None) -> None:
        self.limits, self.reading = limits, reading or Reading()
        self._open_name = ""
        self._open: Any = None
        self._total = decoding_budget().total
        self._in_hand = MemoryBudget(reading_budget().total)

    def __enter__(self) -> ItemReader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            opened, self._open_name, self._open = self._open, "", None
            opened.close()

    @contextmanager
    def room_for(self, item: Item) -> Iterator[None]:
        """Holds the memory of a file for as long as the block lasts, so that threads with large files wait in turn."""
        with self._in_hand.taking(min(_size_of(item.file), self._in_hand.total)):
            yield

    def read(self, item: Item) -> bytes:
        """The encoded photo. Raises UnreadablePhoto where there is none."""
        if item.kind == "broken":
            raise UnreadablePhoto(item.reason, item.status)
        if item.kind == "file":
            return read_file(item.file, item.path, min(self.limits.bytes, self._total))
        if item.size > (most := min(self.limits.bytes, self._total)):
            raise too_many_bytes(item.size, most)
        return self._read_held(item)

    def _read_held(self, item: Item) -> bytes:
        kind = find_kind(item.kind)
        assert kind.open is not None and kind.read is not None
        try:
            if self._open_name != item.file:
                self.__exit__()  # the one before
                self._open = kind.open(item.file)
                self._open_name = item.file
            return kind.read(self._open, item, self.reading)
        except UnreadablePhoto:
            raise
        except kind.damage as error:
            self.__exit__()  # a stream that failed may be anywhere
            reason = f"damaged in its archive: {in_words(error).lower()}"
            status = "missing" if isinstance(error, FileNotFoundError) else "unreadable"
            raise UnreadablePhoto(reason, status) from error
