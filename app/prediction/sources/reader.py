"""The bytes of an item, wherever it lies: in a file of its own, or in one that holds many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regraft.data.photos import Limits, UnreadablePhoto, read_bytes, too_many_bytes
from regraft.prediction.sources.item import Item
from regraft.prediction.sources.kind import Reading
from regraft.prediction.sources.table import find_kind


class ItemReader:
    """Reads items; the last archive or shard stays open, as the next item is most likely in it.

    Items of kind "file" may be read by many threads, others by one at a time: a compressed archive is read forward.
    """

    def __init__(self, limits: Limits, reading: Reading | None = None) -> None:
        self.limits, self.reading = limits, reading or Reading()
        self._open_name = ""
        self._open: Any = None

    def __enter__(self) -> ItemReader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            opened, self._open_name, self._open = self._open, "", None
            opened.close()

    def read(self, item: Item) -> bytes:
        """The encoded photo. Raises UnreadablePhoto where there is none."""
        if item.kind == "broken":
            raise UnreadablePhoto(item.reason, item.status)
        if item.kind == "file":
            return read_bytes(Path(item.file), max_bytes=self.limits.bytes)
        if item.size > self.limits.bytes:
            raise too_many_bytes(item.size, self.limits.bytes)
        return self._read_held(item)

    def _read_held(self, item: Item) -> bytes:
        kind = find_kind(item.kind)
        assert kind.open is not None and kind.read is not None
        try:
            if self._open_name != item.file:
                self.__exit__()
                self._open = kind.open(item.file)
                self._open_name = item.file
            return kind.read(self._open, item, self.reading)
        except kind.damage as error:
            self.__exit__()  # a stream that failed may be anywhere
            reason = f"damaged in its archive: {str(error).lower() or type(error).__name__}"
            status = "missing" if isinstance(error, FileNotFoundError) else "unreadable"
            raise UnreadablePhoto(reason, status) from error
