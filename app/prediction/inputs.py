"""What is to be predicted: files, folders, patterns, lists, tables, archives and TFRecord shards, as one stream.

Everything is a generator: no list of all inputs is ever held, so that memory does not grow with their number.
"""

from __future__ import annotations

import csv
import glob
import json
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from regraft.data.scan import is_hidden, is_image_name
from regraft.errors import UsageError, did_you_mean
from regraft.prediction.tfrecord import record_places

DAMAGED_ARCHIVE = (
    *(OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError),
    NotImplementedError,  # a zip's member that is packed in a way Python does not know
)
"""What reading an archive raises where it is damaged or cannot be read."""

_TABLES = (".csv", ".tsv", ".parquet")
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


@dataclass(frozen=True, slots=True)
class Item:
    """One input.

    Attributes:
        path: as the user named it, or the archive's or shard's name, "::" and the member's name or number.
        file: what is opened.
        kind: "file", "zip", "tar" (also compressed), "tfrecord", or "broken" where it is known that there is no photo.
        offset: where the bytes begin in the (uncompressed) archive or shard; for "zip" the member's number.
        size: how many there are.
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
        """The item of such a line."""
        return cls(*json.loads(line))


@dataclass(frozen=True)
class Reading:
    """How inputs are to be understood.

    Attributes:
        column: of tables, the one that holds the paths.
        root: the folder that relative paths of tables and of stdin start from; "" is the current one.
        null: whether the paths on stdin end with a null byte instead of a line break.
        feature: of TFRecord examples, the one that holds the encoded photo.
    """

    column: str = "path"
    root: str = ""
    null: bool = False
    feature: str = "image/encoded"


def expand_inputs(inputs: Sequence[str], stdin: Iterable[str] = (), reading: Reading | None = None) -> Iterator[Item]:
    """Every item that is meant, in order.

    Args:
        inputs: a file is taken as it is, also where it is missing; a folder gives the images in it and below, by
            name; a pattern with `*`, `?` or `[` gives the files that match, by name; `-` gives the lines of `stdin`;
            a .csv, .tsv or .parquet file the paths in one of its columns; a .zip or .tar file the images in it, in
            its order; a .tfrecord file its examples.
        stdin: lines, each a file.
        reading: how tables, lists and shards are read.

    Raises:
        UsageError: a folder, pattern, table, archive or shard gives nothing or is damaged, or nothing is left at all.
    """
    reading, found = reading or Reading(), False
    for given in inputs:
        for item in _expand(given, stdin, reading):
            found = True
            yield item
    if not found:
        raise UsageError("There is nothing to predict: name photos, folders, patterns, or - for a list on stdin.")


def _expand(given: str, stdin: Iterable[str], reading: Reading) -> Iterator[Item]:
    name = given.lower()
    if given == "-":
        yield from (_listed(path, reading) for path in _lines(stdin, null=reading.null))
    elif os.path.isdir(given):  # noqa: PTH112 - pathlib's raises where a name is too long for the system
        yield from _some(map(_plain, _images_below(given, ())), f"The folder {given} holds no images.")
    elif any(sign in given for sign in "*?[") and not os.path.exists(given):  # noqa: PTH110 - never raises
        matches = sorted(path for path in glob.glob(given, recursive=True) if Path(path).is_file())  # noqa: PTH207 - absolute patterns
        yield from _some(map(_plain, matches), f"No file matches {given}.")
    elif os.path.isfile(given) and (expand := _reader_of(name)):  # noqa: PTH113 - never raises
        yield from _some(expand(given, reading), f"{given} holds no images.")
    else:
        yield _plain(given)


def _reader_of(name: str) -> Callable[[str, Reading], Iterator[Item]] | None:
    if name.endswith(_TABLES):
        return _rows_of_table
    if name.endswith(".zip"):
        return _members_of_zip
    if name.endswith(_TARS):
        return _members_of_tar
    return _examples if ".tfrecord" in PurePosixPath(name).name else None


def _plain(path: str) -> Item:
    return Item(path, path)


def _listed(path: str, reading: Reading) -> Item:
    """A path of a table or list."""
    if not path:
        return Item(path, kind="broken", reason="empty path", status="missing")
    return Item(path, os.path.join(reading.root, path))  # noqa: PTH118 - Path would change the name


def _lines(stdin: Iterable[str], *, null: bool) -> Iterator[str]:
    if not null:
        yield from (line.rstrip("\r\n") for line in stdin if line.strip())
        return
    rest = ""
    for chunk in stdin:
        *whole, rest = (rest + chunk).split("\0")
        yield from filter(None, whole)
    if rest:
        yield rest


def _some(items: Iterator[Item], complaint: str) -> Iterator[Item]:
    first = next(items, None)
    if first is None:
        raise UsageError(complaint)
    yield first
    yield from items


def _images_below(folder: str, parents: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Paths in the order of their names, as `sorted` would give them; links that lead back up are not followed."""
    status = os.stat(folder)  # noqa: PTH116 - one call for both numbers
    here = (status.st_dev, status.st_ino)
    if here in parents:
        return
    with os.scandir(folder) as entries:
        found = [(entry.name, _is_folder(entry)) for entry in entries if not is_hidden(Path(entry.name))]
    for name, is_folder in sorted(found, key=lambda entry: entry[0] + "/" if entry[1] else entry[0]):
        path = os.path.join(folder, name)  # noqa: PTH118 - Path would change the folder's name
        if is_folder:
            yield from _images_below(path, (*parents, here))
        elif is_image_name(Path(name)):
            yield path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


# --- tables ---


def _rows_of_table(file: str, reading: Reading) -> Iterator[Item]:
    rows = _column_of_parquet if file.lower().endswith(".parquet") else _column_of_csv
    return (_listed(path, reading) for path in rows(file, reading.column))


def _column_of_csv(file: str, column: str) -> Iterator[str]:
    delimiter = "\t" if file.lower().endswith(".tsv") else ","
    with Path(file).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        try:
            rows = csv.reader(stream, delimiter=delimiter)
            place = _place_of(column, next(rows, []), file)
            for row in rows:
                if row:
                    yield row[place] if place < len(row) else ""
        except csv.Error as error:
            raise UsageError(f"{file} is no CSV file that can be read: {error}.") from None


def _column_of_parquet(file: str, column: str) -> Iterator[str]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(file)
        name = table.schema_arrow.names[_place_of(column, table.schema_arrow.names, file)]
        for batch in table.iter_batches(4096, columns=[name]):
            yield from ("" if value is None else _text(value) for value in batch.column(0).to_pylist())
    except (pyarrow.ArrowException, OSError) as error:
        raise UsageError(f"{file} is no Parquet file that can be read: {str(error).splitlines()[0]}") from None


def _text(value: object) -> str:
    return os.fsdecode(value) if isinstance(value, bytes) else str(value)


def _place_of(column: str, names: Sequence[str], file: str) -> int:
    if column not in names:
        hint = did_you_mean(column, names)
        raise UsageError(
            f'{file} has no column "{column}" (it has: {", ".join(names) or "none"}); name one with --column.{hint}'
        )
    return list(names).index(column)


# --- archives ---


def _members_of_zip(file: str, reading: Reading) -> Iterator[Item]:
    try:
        with zipfile.ZipFile(file) as archive:
            for number, member in enumerate(archive.infolist()):
                _check_stays_inside(file, member.filename)
                if not member.is_dir() and _is_wanted(member.filename):
                    path = f"{file}::{member.filename}"
                    if member.flag_bits & 1:
                        yield Item(path, kind="broken", reason="encrypted")
                    else:
                        yield Item(path, file, "zip", number, member.file_size)
    except DAMAGED_ARCHIVE as error:
        raise UsageError(f"{file} is no zip archive that can be read: {error}.") from None


def _members_of_tar(file: str, reading: Reading) -> Iterator[Item]:
    try:
        with tarfile.open(file) as archive:
            for member in archive:
                archive.members.clear()  # type: ignore[attr-defined]  # they would all stay in memory
                _check_stays_inside(file, member.name)
                if not member.isdir() and _is_wanted(member.name):
                    path = f"{file}::{member.name}"
                    if member.isreg():
                        yield Item(path, file, "tar", member.offset_data, member.size)
                    else:
                        yield Item(path, kind="broken", reason="not a file but a link or device")
    except DAMAGED_ARCHIVE as error:
        raise UsageError(f"{file} is no tar archive that can be read: {error}.") from None


def _is_wanted(name: str) -> bool:
    path = PurePosixPath(name)
    return is_image_name(Path(path.name)) and not any(part.startswith((".", "__MACOSX")) for part in path.parts)


def _check_stays_inside(file: str, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts:
        raise UsageError(
            f"{file} holds {name!r}, a path that climbs out of the archive: it was made to write where it should not. "
            "Leave it out, or unpack it where nothing can happen and name the folder."
        )


# --- TFRecord ---


def _examples(file: str, reading: Reading) -> Iterator[Item]:
    for number, place in enumerate(record_places(Path(file))):
        path = f"{file}::{number}"
        if isinstance(place, str):
            yield Item(path, kind="broken", reason=place, status="truncated")
        else:
            yield Item(path, file, "tfrecord", *place)
