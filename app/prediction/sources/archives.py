"""What zip and tar archives have in common: which members get a row, which none, and which archives are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from regraft.data.file_format import FIRST_BYTES, identify
from regraft.data.passed_over import is_left_by_system
from regraft.data.photos import UnreadablePhoto
from regraft.data.walk import is_image_name
from regraft.errors import UsageError
from regraft.prediction.sources.item import Found, Item, LeftOut

BAD_CHECKSUM = "damaged in its archive: its checksum does not fit"
LEFT_BY_SYSTEM = "hidden, or left by a system"
MORE_FILES = "holds photos or paths itself; name it to have them answered"

PIECE = 1 << 20
"""Bytes that are unpacked at a time."""

MOST_WORDS = 200
"""Letters of another library's message that are shown; some quote what they have read."""

_HOLD_MORE = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".csv", ".tsv", ".parquet", ".tfrecord")


def member(item: Item, name: str, first_bytes: Callable[[], bytes]) -> Iterator[Found]:
    """The member `item` of an archive, or why it gets no row. Of names that say nothing, the content decides.

    Args:
        item: the member, or why it has no photo.
        name: within the archive.
        first_bytes: reads `FIRST_BYTES` of the member. May raise anything.
    """
    if any(is_left_by_system(part) for part in PurePosixPath(name).parts):
        yield LeftOut(item.path, LEFT_BY_SYSTEM)
    elif is_image_name(Path(name)):
        yield item
    elif item.kind == "broken":
        yield LeftOut(item.path, item.reason)
    elif reason := _why_no_photo(name, first_bytes):
        yield LeftOut(item.path, reason)
    else:
        yield item


def _why_no_photo(name: str, first_bytes: Callable[[], bytes]) -> str:
    if holds_more(name):
        return MORE_FILES
    try:
        found = identify(first_bytes())
    except Exception as error:  # a damaged archive makes its reader raise nearly any type
        return f"damaged in its archive: {in_words(error)}"
    return "" if found.name else found.reason


def holds_more(name: str) -> bool:
    """Whether a file of this name is an archive, a shard or a table, which is read only where it is named itself."""
    stem = name.lower().removesuffix(".gz").removesuffix(".bz2").removesuffix(".xz")
    return stem.endswith(_HOLD_MORE) or ".tfrecord-" in Path(stem).name


def check_first_bytes(first: bytes, size: int) -> None:
    """Raises UnreadablePhoto where a photo of over `PIECE` bytes begins as none does: the rest need not be unpacked."""
    if size > PIECE and (reason := identify(first[:FIRST_BYTES]).reason):
        raise UnreadablePhoto(reason)


def check_stays_inside(file: str, name: str) -> None:
    """Raises UsageError where unpacking the member would write outside the folder it is unpacked to."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts:
        raise UsageError(
            f"{file} holds {name!r}, a path that climbs out of the archive: it was made to write where it should not. "
            "Leave it out, or unpack it where nothing can happen and name the folder."
        )


def no_archive(file: str, kind: str, error: Exception) -> UsageError:
    """The error for a file that is not what its name says, or too damaged to begin with."""
    return UsageError(f"{file} is no {kind} that can be read: {in_words(error)}.")


def in_words(error: Exception) -> str:
    """What another library complains of, as a part of a line of ours."""
    words = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    return words.removesuffix(".") if len(words) <= MOST_WORDS else f"{words[:MOST_WORDS]}..."
