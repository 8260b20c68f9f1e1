"""From what the user names to an `ImageFolder`: a folder as it is, a table, or a tensorflow-datasets name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from regraft.data.groups import compile_pattern, with_groups
from regraft.data.left_out import account_for
from regraft.data.photos import DECODING, UnreadablePhoto, tensorflow_reads, transcode_to_png
from regraft.data.records import ImageFolder, Record
from regraft.data.rendering import Rendering
from regraft.data.scan import scan_folder
from regraft.data.tables.beside import find_metadata, scan_metadata
from regraft.data.tables.column_names import ColumnChoices
from regraft.data.tables.label_table import is_table
from regraft.data.tables.labelled import scan_table
from regraft.errors import FolderError, UsageError, option
from regraft.machine.cache import cache_folder, hold, touch
from regraft.progress import Progress

TFDS_PREFIX = "tfds:"


@dataclass(frozen=True, slots=True)
class SourceChoices:
    """What is told of how photos get their labels and groups.

    Attributes:
        columns: of a table.
        group_pattern: see `with_groups`; None for none.
        may_lack_groups: whether it is all the same where the pattern matches no photo.
        max_pixels: a larger photo is unreadable; by default `regraft.data.photos.MAX_PIXELS`.
    """

    columns: ColumnChoices = field(default_factory=ColumnChoices)
    group_pattern: str | None = None
    may_lack_groups: bool = False
    max_pixels: int | None = None


def load_source(
    source: str, *, data_dir: Path | None, progress: Progress, choices: SourceChoices | None = None
) -> ImageFolder:
    """The photos of `source`: as `scan_remembered`, or `tfds:NAME[:VERSION]`, which is first written out as a folder.

    Raises:
        FolderError: there is no such folder, table or dataset, or it holds no images.
    """
    if source.startswith(TFDS_PREFIX):
        from regraft.data.tfds import write_out

        source = str(write_out(source.removeprefix(TFDS_PREFIX), data_dir=data_dir, progress=progress))
    return scan_remembered(Path(source), progress, choices=choices)


def scan_remembered(
    source: Path, progress: Progress, *, account: bool = True, choices: SourceChoices | None = None
) -> ImageFolder:
    """What `source` holds, with the cache's memory of photos that earlier scans have decoded.

    That is what `scan_folder`, `scan_table` or, of a folder with tables beside its photos, `scan_metadata` gives.

    Args:
        source: the folder, or a table.
        progress: who is told.
        account: whether that includes one line on the files that are not used, where there are any.
        choices: how labels and groups are found.

    Raises:
        FolderError: as `scan_folder` and `scan_table`; or there are no groups of the kind that is asked for.
        UsageError: the group pattern is no pattern.
    """
    choices = choices or SourceChoices()
    if choices.group_pattern is not None:
        compile_pattern(choices.group_pattern)  # a mistake is told before a long scan
    cache, limit = cache_folder() / "scans.sqlite", choices.max_pixels
    if is_table(source) and not source.is_dir():
        folder = scan_table(source, choices.columns, progress=progress, cache=cache, max_pixels=limit)
    elif tables := find_metadata(source, choices.columns):
        folder = scan_metadata(source, tables, choices.columns, progress=progress, cache=cache, max_pixels=limit)
    else:
        _check_is_told_no_columns(source, choices.columns)
        folder = scan_folder(source, progress=progress, cache=cache, max_pixels=limit)
    if choices.group_pattern is not None:
        folder = with_groups(folder, choices.group_pattern, may_miss=choices.may_lack_groups)
    if account and (line := account_for(folder)):
        progress.say(line)
    return folder


def _check_is_told_no_columns(source: Path, columns: ColumnChoices) -> None:
    for name, value in columns.told.items():
        if source.is_dir():
            hint = f"; {option('group_pattern')} finds groups in paths" if name == "group" else ""
            raise UsageError(f"{option(name, value)} is for tables; {source} is a folder{hint}.")


def data_fingerprint(folder: ImageFolder) -> str:
    """32 hexadecimal digits that change with any image, its class, split, group or weight; not with where it lies."""
    lines = sorted(
        f"{one.fingerprint} {folder.class_names[one.class_index]} {one.split}"
        + (f" {one.group!r} {one.weight}" if one.group or one.weight != 1 else "")
        for one in folder.records
    )
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


def labels_of(records: Sequence[Record]) -> np.ndarray:
    """int64 [N]: the class of each record."""
    return np.array([record.class_index for record in records], np.int64)


def upright_size(record: Record) -> tuple[int, int]:
    """(height, width) in pixels of the photo as it is meant to be seen."""
    turned = record.orientation >= 5
    return (record.width, record.height) if turned else (record.height, record.width)


def is_plain_jpeg(record: Record) -> bool:
    """Whether the file is an upright JPEG that TensorFlow reads, so that it can be cropped while decoding."""
    return tensorflow_reads(record) and record.format != "PNG" and record.orientation == 1


def tensorflow_path(record: Record, rendering: Rendering | None = None, *, max_pixels: int | None = None) -> Path:
    """A file TensorFlow decodes to the upright photo: the original, or a lossless copy kept in the cache.

    Raises:
        FolderError: the photo became unreadable since it was scanned, or the cache cannot be written.
    """
    if tensorflow_reads(record, rendering):
        return record.path
    seen = (rendering or Rendering()).token
    copy = cache_folder() / "transcoded" / f"{record.fingerprint}.{DECODING}_{seen}.png"
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        hold(copy.parent)  # it is read as long as a training goes on
        if copy.is_file():
            touch(copy)
        else:
            transcode_to_png(record.path, copy, rendering=rendering, max_pixels=max_pixels)
    except UnreadablePhoto as error:
        raise FolderError(f"{record.path} became unreadable: {error}.") from error
    except OSError as error:
        raise FolderError(f"The cache {copy.parent} cannot be written: {error.strerror}.") from error
    return copy
