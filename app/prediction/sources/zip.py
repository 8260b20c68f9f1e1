"""A .zip archive: the images in it, in its order."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

from regraft.errors import UsageError
from regraft.prediction.sources.archives import DAMAGED_STREAM, check_stays_inside, is_wanted
from regraft.prediction.sources.item import Item
from regraft.prediction.sources.kind import InputKind, Reading, is_file_named

_DAMAGE = (
    *(*DAMAGED_STREAM, zipfile.BadZipFile),
    NotImplementedError,  # a member that is packed in a way Python does not know
)


def _members(file: str, reading: Reading) -> Iterator[Item]:
    """Items whose `offset` is the number of the member."""
    try:
        with zipfile.ZipFile(file) as archive:
            for number, member in enumerate(archive.infolist()):
                check_stays_inside(file, member.filename)
                if not member.is_dir() and is_wanted(member.filename):
                    path = f"{file}::{member.filename}"
                    if member.flag_bits & 1:
                        yield Item(path, kind="broken", reason="encrypted")
                    else:
                        yield Item(path, file, "zip", number, member.file_size)
    except _DAMAGE as error:
        raise UsageError(f"{file} is no zip archive that can be read: {error}.") from None


def _read(archive: zipfile.ZipFile, item: Item, reading: Reading) -> bytes:
    with archive.open(archive.infolist()[item.offset]) as member:
        return member.read(item.size + 1)  # one more, so that zipfile reaches the end and compares the checksum


KIND = InputKind(recognizes=is_file_named(".zip"), expand=_members, open=zipfile.ZipFile, read=_read, damage=_DAMAGE)
