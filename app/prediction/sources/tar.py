"""A .tar archive, also compressed: the images in it, in its order."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator

from regraft.data.photos import UnreadablePhoto
from regraft.errors import UsageError
from regraft.prediction.sources.archives import DAMAGED_STREAM, check_stays_inside, is_wanted
from regraft.prediction.sources.item import Item
from regraft.prediction.sources.kind import InputKind, Reading, is_file_named

_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_DAMAGE = (*DAMAGED_STREAM, tarfile.TarError)


def _members(file: str, reading: Reading) -> Iterator[Item]:
    """Items whose `offset` is a place in the uncompressed bytes."""
    try:
        with tarfile.open(file) as archive:
            for member in archive:
                archive.members.clear()  # type: ignore[attr-defined]  # they would all stay in memory
                check_stays_inside(file, member.name)
                if not member.isdir() and is_wanted(member.name):
                    path = f"{file}::{member.name}"
                    if member.isreg():
                        yield Item(path, file, "tar", member.offset_data, member.size)
                    else:
                        yield Item(path, kind="broken", reason="not a file but a link or device")
    except _DAMAGE as error:
        raise UsageError(f"{file} is no tar archive that can be read: {error}.") from None


def _read(archive: tarfile.TarFile, item: Item, reading: Reading) -> bytes:
    stream = archive.fileobj
    assert stream is not None
    stream.seek(item.offset)
    data = stream.read(item.size)
    if len(data) < item.size:
        raise UnreadablePhoto("its archive breaks off in it", "truncated")
    return data


KIND = InputKind(recognizes=is_file_named(*_SUFFIXES), expand=_members, open=tarfile.open, read=_read, damage=_DAMAGE)
