"""From what the user names to an `ImageFolder`: a folder as it is, or a tensorflow-datasets name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from regraft.data.left_out import account_for
from regraft.data.photos import DECODING, UnreadablePhoto, tensorflow_reads, transcode_to_png
from regraft.data.records import ImageFolder, Record
from regraft.data.rendering import Rendering
from regraft.data.scan import scan_folder
from regraft.errors import FolderError
from regraft.machine.cache import cache_folder, hold, touch
from regraft.progress import Progress

TFDS_PREFIX = "tfds:"


def load_source(
    source: str, *, data_dir: Path | None, progress: Progress, max_pixels: int | None = None
) -> ImageFolder:
    """Scans `source`: the path of a folder, or `tfds:NAME[:VERSION]`, which is first written out as one.

    Raises:
        FolderError: there is no such folder or dataset, or it holds no images.
    """
    if source.startswith(TFDS_PREFIX):
        from regraft.data.tfds import write_out

        root = write_out(source.removeprefix(TFDS_PREFIX), data_dir=data_dir, progress=progress)
    else:
        root = Path(source)
    return scan_remembered(root, progress, max_pixels=max_pixels)


def scan_remembered(
    root: Path, progress: Progress, *, account: bool = True, max_pixels: int | None = None
) -> ImageFolder:
    """`scan_folder`, with the cache's memory of photos that earlier scans have decoded.

    Args:
        root: the folder.
        progress: who is told.
        account: whether that includes one line on the files that are not used, where there are any.
        max_pixels: see `scan_folder`.

    Raises:
        FolderError: as `scan_folder`.
    """
    folder = scan_folder(root, progress=progress, cache=cache_folder() / "scans.sqlite", max_pixels=max_pixels)
    if account and (line := account_for(folder)):
        progress.say(line)
    return folder


def data_fingerprint(folder: ImageFolder) -> str:
    """32 hexadecimal digits that change with any image, its class or its split; not with where the folder lies."""
    lines = sorted(f"{r.fingerprint} {folder.class_names[r.class_index]} {r.split}" for r in folder.records)
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
