"""A .tar archive, also compressed: the images in it, in its order.

What is damaged costs the members that it touches: the next header whose checksum fits is looked for, and a row says
where something was lost.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from functools import partial
from typing import IO, Self

from regraft.data.file_format import FIRST_BYTES
from regraft.data.photos import UnreadablePhoto
from regraft.machine.sizes import show_size
from regraft.prediction.sources.archives import (
    PIECE,
    check_first_bytes,
    check_stays_inside,
    in_words,
    member,
    no_archive,
)
from regraft.prediction.sources.item import Found, Item, LeftOut
from regraft.prediction.sources.kind import InputKind, Reading, is_file_named

MOST_HEADER_BYTES = 1 << 20
"""Of names and other facts that stand before a member. File systems know no name of over 4,096 bytes."""

_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_BLOCK = tarfile.BLOCKSIZE
_FACTS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)


class _LongFacts(tarfile.HeaderError):
    """More stands before a member than any file system would take."""

    def __init__(self, header: tarfile.TarInfo) -> None:
        super().__init__(f"a name of {show_size(header.size)}")
        self.blocks = -(-header.size // _BLOCK)


class _Header(tarfile.TarInfo):
    """A member's header that takes little memory, whatever sizes it states."""

    def _proc_member(self, archive: tarfile.TarFile) -> Self:
        """As tarfile calls it, for each header it has read."""
        if self.size < 0:
            raise tarfile.HeaderError("a negative size")
        if self.type in _FACTS and self.size > MOST_HEADER_BYTES:
            raise _LongFacts(self)
        if self.type == tarfile.GNUTYPE_SPARSE:
            self._pass_over_map(archive)
        return super()._proc_member(archive)  # type: ignore[misc]

    def _pass_over_map(self, archive: tarfile.TarFile) -> None:
        """Leaves out where the holes are, of which there may be any number: sparse members are not read."""
        structs, goes_on, size = self._sparse_structs  # type: ignore[has-type]
        while goes_on:
            block = _stream(archive).read(_BLOCK)
            goes_on = len(block) == _BLOCK and bool(block[504])
        self._sparse_structs = (structs, False, size)

    def _proc_gnusparse_10(self, following: tarfile.TarInfo, *_: object) -> None:
        following.sparse = ()  # type: ignore[assignment]  # as above, of another way to say it


def _open(file: str) -> tarfile.TarFile:
    return tarfile.open(file, tarinfo=_Header)


def _members(file: str, reading: Reading) -> Iterator[Found]:
    """Items whose `offset` is a place in the uncompressed bytes."""
    try:
        archive = _open(file)
    except Exception as error:  # damage makes tarfile and what unpacks raise nearly any type
        raise no_archive(file, "tar archive", error) from None
    with archive:
        for found in _walk(archive, file):
            if not isinstance(found, tarfile.TarInfo):
                yield found
                continue
            check_stays_inside(file, found.name)
            if not found.isdir():
                yield from member(_item(found, file), found.name, partial(_start_of, archive, found))


def _item(found: tarfile.TarInfo, file: str) -> Item:
    path = f"{file}::{found.name}"
    if not found.isreg():
        return Item(path, kind="broken", reason="not a file but a link or device")
    if found.issparse():
        return Item(path, kind="broken", reason="a sparse file; unpack its archive and name the folder")
    return Item(path, file, "tar", found.offset_data, found.size)


def _start_of(archive: tarfile.TarFile, found: tarfile.TarInfo) -> bytes:
    stream = _stream(archive)
    stream.seek(found.offset_data)
    return stream.read(min(found.size, FIRST_BYTES))


def _walk(archive: tarfile.TarFile, file: str) -> Iterator[tarfile.TarInfo | Found]:
    """Each member with a header that fits its checksum, and a broken item where something was lost."""
    place, is_lost = 0, False
    try:
        while block := _block_at(_stream(archive), place):
            if not block.strip(b"\0"):  # the end mark
                yield from _behind_the_end(archive, file)
                return
            blocks = 1  # to the next header, or to where one may be
            if not is_lost or block[257:262] == b"ustar":
                try:
                    yield _member(archive, block, place)
                    is_lost, blocks = False, (archive.offset - place) // _BLOCK
                except (tarfile.HeaderError, ValueError, RecursionError) as error:
                    if not is_lost:
                        yield _damage(file, place, f"damaged here: {in_words(error)}")
                    is_lost, blocks = True, 1 + getattr(error, "blocks", 0)
            place += blocks * _BLOCK
    except Exception as error:  # see above
        yield _damage(file, place, f"damaged from here on: {in_words(error)}")


def _block_at(stream: IO[bytes], place: int) -> bytes:
    """The block at `place`; b"" at the end of the archive. Raises ReadError where it breaks off."""
    if stream.tell() != place:
        stream.seek(place - 1 if place else 0)
        if place and not stream.read(1):
            raise tarfile.ReadError("it breaks off")
    block = stream.read(_BLOCK)
    if 0 < len(block) < _BLOCK:
        raise tarfile.ReadError("it breaks off")
    return block


def _member(archive: tarfile.TarFile, block: bytes, place: int) -> tarfile.TarInfo:
    """The member whose first header is `block`; `archive.offset` is then where the next one begins."""
    header = _Header.frombuf(block, archive.encoding or "utf-8", archive.errors or "surrogateescape")
    header.offset = place
    found = header._proc_member(archive)
    archive.pax_headers = {}  # said of all that follow, and never cleared: nothing of it matters to photos
    if archive.offset <= place:
        raise tarfile.HeaderError("it leads back")
    return found


def _behind_the_end(archive: tarfile.TarFile, file: str) -> Iterator[LeftOut]:
    """Reads on, as compressed archives have their checksum there; what unpacks raises where it does not fit."""
    is_more = False
    while chunk := _stream(archive).read(PIECE):
        is_more = is_more or bool(chunk.strip(b"\0"))
    if is_more:
        yield LeftOut(file, "more behind the end of the archive, as where several were joined; unpack it")


def _damage(file: str, place: int, reason: str) -> Item:
    return Item(f"{file}::byte {place}", kind="broken", reason=f"the archive is {reason}")


def _stream(archive: tarfile.TarFile) -> IO[bytes]:
    assert archive.fileobj is not None
    return archive.fileobj  # type: ignore[return-value]


def _read(archive: tarfile.TarFile, item: Item, reading: Reading) -> bytes:
    stream = _stream(archive)
    stream.seek(item.offset)
    if item.size > PIECE:
        check_first_bytes(stream.read(FIRST_BYTES), item.size)
        stream.seek(item.offset)
    data = stream.read(item.size)
    if len(data) < item.size:
        raise UnreadablePhoto("its archive breaks off in it", "truncated")
    return data


KIND = InputKind(
    recognizes=is_file_named(*_SUFFIXES),
    expand=_members,
    open=_open,
    read=_read,
    damage=(Exception,),  # of nearly any type, as above
)
