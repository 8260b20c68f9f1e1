"""The bytes of an item, wherever it lies: in a file, an archive or a TFRecord shard."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from regraft.data.photos import Limits, UnreadablePhoto, read_bytes, too_many_bytes
from regraft.prediction.inputs import DAMAGED_ARCHIVE, Item
from regraft.prediction.tfrecord import bytes_feature


class ItemReader:
    """Reads items; the last archive or shard stays open, as the next item is most likely in it.

    Files may be read by many threads, `held` items by one at a time: a compressed archive is read forward.
    """

    def __init__(self, limits: Limits, *, feature: str) -> None:
        self.limits, self.feature = limits, feature
        self._open_name, self._open, self._close = "", None, []  # type: str, Any, list[Callable[[], None]]

    def __enter__(self) -> ItemReader:
        return self

    def __exit__(self, *_: object) -> None:
        for close in self._close:
            close()
        self._open_name, self._close = "", []

    def read(self, item: Item) -> bytes:
        """The encoded photo. Raises UnreadablePhoto where there is none."""
        if item.kind == "broken":
            raise UnreadablePhoto(item.reason, item.status)
        if item.kind == "file":
            return read_bytes(Path(item.file), max_bytes=self.limits.bytes)
        if item.size > self.limits.bytes:
            raise too_many_bytes(item.size, self.limits.bytes)
        try:
            return self._read_held(item)
        except DAMAGED_ARCHIVE as error:
            self.__exit__()  # a stream that failed may be anywhere
            reason = f"damaged in its archive: {str(error).lower() or type(error).__name__}"
            raise UnreadablePhoto(
                reason, "missing" if isinstance(error, FileNotFoundError) else "unreadable"
            ) from error

    def _read_held(self, item: Item) -> bytes:
        stream = self._stream(item)
        if item.kind == "zip":
            with stream.open(stream.infolist()[item.offset]) as member:
                return member.read(item.size + 1)
        stream.seek(item.offset)
        data = stream.read(item.size)
        if len(data) < item.size:
            raise UnreadablePhoto("its archive breaks off in it", "truncated")
        if item.kind == "tar":
            return data
        try:
            return bytes_feature(data, self.feature)
        except ValueError as error:
            raise UnreadablePhoto(str(error)) from error

    def _stream(self, item: Item) -> Any:
        if self._open_name != item.file:
            self.__exit__()
            self._open = _OPENERS[item.kind](item.file, self._close)
            self._open_name = item.file
        return self._open


def _open_zip(file: str, close: list[Callable[[], None]]) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(file)
    close.append(archive.close)
    return archive


def _open_tar(file: str, close: list[Callable[[], None]]) -> IO[bytes]:
    """The uncompressed bytes of the archive, which can be sought."""
    archive = tarfile.open(file)  # noqa: SIM115 - it stays open for the items that follow
    close.append(archive.close)
    assert archive.fileobj is not None
    return archive.fileobj  # type: ignore[return-value]


def _open_file(file: str, close: list[Callable[[], None]]) -> IO[bytes]:
    stream = Path(file).open("rb")  # noqa: SIM115 - it stays open for the items that follow
    close.append(stream.close)
    return stream


_OPENERS: dict[str, Callable[[str, list[Callable[[], None]]], Any]] = {
    "zip": _open_zip,
    "tar": _open_tar,
    "tfrecord": _open_file,
}
