"""A .zip archive: the images in it, in its order."""

from __future__ import annotations

import bz2
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import IO

from regraft.data.file_format import FIRST_BYTES
from regraft.data.photos import UnreadablePhoto
from regraft.errors import UsageError, option
from regraft.machine.memory import decoding_budget
from regraft.machine.sizes import show_size
from regraft.prediction.sources.archives import (
    BAD_CHECKSUM,
    PIECE,
    check_first_bytes,
    check_stays_inside,
    member,
    no_archive,
)
from regraft.prediction.sources.item import Found, Item, LeftOut
from regraft.prediction.sources.kind import InputKind, Reading, is_file_named

_END, _END_BYTES = b"PK\5\6", 22
_END_64, _LOCATOR_64_BYTES = b"PK\6\6", 20
_MOST_COMMENT_BYTES = 65_535
_BYTES_FOR_A_BYTE = 16
"""How much memory zipfile takes for a byte of the directory, at most: its least entry has 47, its object some 700."""


def _members(file: str, reading: Reading) -> Iterator[Found]:
    """Items whose `offset` is the number of the member."""
    _check_directory(file)
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:  # a damaged directory makes zipfile raise nearly any type
        raise no_archive(file, "zip archive", error) from None
    with archive:
        for number, entry in enumerate(archive.infolist()):
            path = f"{file}::{entry.filename}"
            check_stays_inside(file, entry.filename)
            if not entry.filename:
                yield LeftOut(path, "it has no name")
            elif not entry.is_dir():
                item = Item(path, file, "zip", number, entry.file_size)
                if entry.flag_bits & 1:
                    item = Item(path, kind="broken", reason="encrypted")
                yield from member(item, entry.filename, lambda entry=entry: _start_of(archive, entry))  # type: ignore[misc]


def _start_of(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with _opened(archive, entry) as stream:
        return stream.read(FIRST_BYTES)


@contextmanager
def _opened(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    """The member's bytes, unpacked as they are read: of bzip2, zipfile unpacks a million times what it has read."""
    if entry.compress_type != zipfile.ZIP_BZIP2:
        with archive.open(entry) as stream:
            yield stream
        return
    packed = copy(entry)
    packed.compress_type, packed.file_size = zipfile.ZIP_STORED, entry.compress_size
    packed.CRC = None  # type: ignore[assignment]  # of what is unpacked; bzip2 has one of its own
    with archive.open(packed) as stream, bz2.BZ2File(stream) as unpacked:
        yield unpacked


def _read(archive: zipfile.ZipFile, item: Item, reading: Reading) -> bytes:
    entry = archive.infolist()[item.offset]
    if (entry.file_size, f"{item.file}::{entry.filename}") != (item.size, item.path):
        raise UnreadablePhoto("its archive has changed since it was listed")
    try:
        with _opened(archive, entry) as stream:
            data = _all_of(stream, item.size)
    except NotImplementedError as error:
        raise UnreadablePhoto("packed in a way that is not read; unpack its archive and name the folder") from error
    except zipfile.BadZipFile as error:
        if "CRC" in str(error):
            raise UnreadablePhoto(BAD_CHECKSUM) from error
        raise
    if entry.compress_type == zipfile.ZIP_BZIP2 and zlib.crc32(data) != entry.CRC:
        raise UnreadablePhoto(BAD_CHECKSUM)
    if len(data) != item.size:
        raise UnreadablePhoto(f"damaged in its archive: {len(data):,} of {item.size:,} bytes")
    return data


def _all_of(stream: IO[bytes], size: int) -> bytes:
    """All `size` bytes, piece by piece, as zipfile would hold them twice.

    Raises:
        UnreadablePhoto: it is large and begins as no photo does.
    """
    whole = io.BytesIO(stream.read(min(size, PIECE)))
    check_first_bytes(whole.getvalue(), size)
    whole.seek(0, io.SEEK_END)
    most = size + 1  # one more, so that zipfile reaches the end and compares the checksum
    while piece := stream.read(min(most - whole.tell(), PIECE)):
        whole.write(piece)
    return whole.getvalue()


# --- the directory, which zipfile takes into memory as a whole ---


def _check_directory(file: str) -> None:
    """Raises UsageError where the directory alone would take more memory than there is for it."""
    needed, total = _BYTES_FOR_A_BYTE * _directory_bytes(file), decoding_budget().total
    if needed > total:
        raise UsageError(
            f"The directory of {file} would take {show_size(needed)} of memory, the limit is {show_size(total)}: "
            f"pack fewer files into one archive, or give more by {option('max_memory')}."
        )


def _directory_bytes(file: str) -> int:
    """How large an archive says that its directory is; 0 where it says nothing, which zipfile finds out."""
    with Path(file).open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(size - _END_BYTES - _MOST_COMMENT_BYTES - _LOCATOR_64_BYTES, 0))
        tail = stream.read()
        place = tail.rfind(_END)
        if place < 0:
            return 0
        stated = int.from_bytes(tail[place + 12 : place + 16], "little")
        if stated < 0xFFFFFFFF or place < _LOCATOR_64_BYTES:
            return min(stated, size)
        stream.seek(min(int.from_bytes(tail[place - 12 : place - 4], "little"), size))
        end = stream.read(48)
    return min(int.from_bytes(end[40:48], "little"), size) if end.startswith(_END_64) else size


KIND = InputKind(
    recognizes=is_file_named(".zip"),
    expand=_members,
    open=zipfile.ZipFile,
    read=_read,
    damage=(Exception,),  # of nearly any type, as of a damaged directory
)
