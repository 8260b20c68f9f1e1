"""Many image files, inspected at once: what each is, or why it cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

from regraft.data.photos import Photo, UnreadablePhoto, inspect_photo
from regraft.data.records import Record
from regraft.data.scan_cache import ScanCache
from regraft.machine.threads import map_ordered
from regraft.progress import Progress


def inspect_photos(
    paths: Sequence[Path],
    max_pixels: int,
    workers: int | None,
    progress: Progress,
    cache: Path | None,
) -> list[Photo | str]:
    """What each file is, in order, or why it cannot be read; from threads: Pillow decodes without Python's lock.

    Args:
        paths: the files.
        max_pixels: a larger photo cannot be read.
        workers: threads; by default one per core.
        progress: who is told.
        cache: a file that remembers photos from one scan to the next; None for none.
    """
    memory = ScanCache(cache)
    known = {path: photo for path, photo in memory.recall(paths).items() if photo.width * photo.height <= max_pixels}
    unknown, inspect = [path for path in paths if path not in known], partial(_photo_or_reason, max_pixels=max_pixels)
    answers: dict[Path, Photo | str] = dict(known)
    with progress.work("scan", len(unknown), "images") as ticker:
        for path, answer in zip(unknown, map_ordered(inspect, unknown, workers=workers), strict=True):
            answers[path] = answer
            ticker.advance()
    memory.remember({path: answers[path] for path in unknown})
    return [answers[path] for path in paths]


def _photo_or_reason(path: Path, *, max_pixels: int) -> Photo | str:
    try:
        return inspect_photo(path, max_pixels=max_pixels)
    except UnreadablePhoto as refusal:
        return str(refusal)  # the exception itself would keep the file's bytes alive


def record_of(
    photo: Photo, path: Path, class_index: int, split: str = "", *, group: str = "", weight: float = 1.0
) -> Record:
    """The record of a photo at `path`."""
    values = {field.name: getattr(photo, field.name) for field in fields(Photo)}
    return Record(path=path, class_index=class_index, split=split, group=group, weight=weight, **values)
