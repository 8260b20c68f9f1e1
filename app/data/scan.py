"""A folder of photos, one sub-folder per class: what is in it, found without TensorFlow or touching a file."""

from __future__ import annotations

import os
import stat
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Literal
from unicodedata import category

from regraft.data.photos import IMAGE_SUFFIXES, MAX_PIXELS, Photo, UnreadablePhoto, inspect_photo
from regraft.data.records import ImageFolder, Record, SetAside
from regraft.data.rendering import Spread
from regraft.data.scan_cache import ScanCache
from regraft.errors import FolderError
from regraft.machine.threads import map_ordered
from regraft.progress import Progress, Silent

HEAVY_IMBALANCE = 10
"""A largest class this many times as large as the smallest is worth a warning."""

_SPLIT_OF_NAME = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_HIDDEN_NAMES = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
_LAYOUT = "FOLDER/<class>/*.jpg or FOLDER/{train,val,test}/<class>/*.jpg"
_UNREADABLE_SHOWN = 20
_UNFIT_FOR_A_LABEL = frozenset({"Cc", "Cs"})  # control characters, and bytes that are not UTF-8


def scan_folder(
    root: Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    cache: Path | None = None,
    max_pixels: int | None = None,
) -> ImageFolder:
    """What is in `root`, laid out as root/<class>/ or root/{train,val,test}/<class>/.

    Class folders are searched to any depth, through links too. Splits are recognised, in upper or lower
    case, by a train or training folder that holds folders. A class folder without a file names a class too,
    except in val and test. Records come in path order, whatever the `workers` (threads; by default one per core).

    `cache` is a file that remembers readable photos by path, size and time of change, so that the next scan
    need not decode them; where it cannot be used, the scan does without. A photo of over `max_pixels` (by default
    `regraft.data.photos.MAX_PIXELS`) is unreadable.

    Raises:
        FolderError: no such folder, no images, another layout, or splits that name different classes.
    """
    root = Path(root)
    _check_is_folder(root)
    walk = _Walk(root)
    walk.find_classes()
    class_names = _name_classes(walk)
    _check_has_images(walk)
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    photos = _inspect([file.path for file in walk.images], limit, workers, progress or Silent(), ScanCache(cache))
    return _image_folder(walk, class_names, photos)


def require_trainable(folder: ImageFolder) -> list[str]:
    """The warnings to give before training on `folder`.

    Raises:
        FolderError: only one class, or a class without a training image.
    """
    if obstacles := training_obstacles(folder):
        raise FolderError(obstacles[0])
    return training_warnings(folder)


def training_obstacles(folder: ImageFolder) -> list[str]:
    """Why nothing can be trained on `folder`; empty where something can."""
    obstacles = []
    if len(folder.class_names) < 2:
        only = "".join(f'"{name}" alone' for name in folder.class_names) or "none"
        obstacles.append(f"Expected two or more classes; found {only}. Add a folder of photos for each class.")
    for name, count in training_counts(folder).items():
        if count == 0:
            obstacles.append(f'Class "{name}" has no readable training image. Add photos or remove its folder.')
    return obstacles


def training_warnings(folder: ImageFolder) -> list[str]:
    """What makes training on `folder` worse than it could be, the gravest first."""
    counts = training_counts(folder)
    return [*_unreadable_warning(folder), *_lone_image_warnings(counts), *_imbalance_warning(counts)]


def training_counts(folder: ImageFolder) -> dict[str, int]:
    """Training images by class name, zeros included; all images where there are no splits."""
    records = folder.split("train") if folder.splits else folder.records
    counts = Counter(record.class_index for record in records)
    return {name: counts[index] for index, name in enumerate(folder.class_names)}


def deep_spreads(folder: ImageFolder) -> list[Spread]:
    """The lowest and highest value of each training image in deep grey whose file does not say its range."""
    records = folder.split("train") if folder.splits else folder.records
    return [(one.lowest, one.highest) for one in records if one.lowest is not None and one.highest is not None]


def imbalance(counts: Mapping[str, int]) -> float:
    """Images of the largest class for each one of the smallest that has any; 1 where all are empty."""
    present = [count for count in counts.values() if count]
    return max(present) / min(present) if present else 1.0


def plural(count: int, noun: str) -> str:
    """`1 class`, `3 photos`, `0 entries`."""
    if count == 1:
        return f"1 {noun}"
    stem = f"{noun[:-1]}ie" if noun.endswith("y") else f"{noun}e" if noun.endswith("s") else noun
    return f"{count:,} {stem}s"


def name_some(names: Sequence[str], *, shown: int = 3) -> str:
    """`a.jpg, b.jpg, c.jpg and 2 more`."""
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def show_path(path: Path, root: Path) -> str:
    """`path`, relative to `root` where it is below it, as one line that any terminal can print."""
    text = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    return "".join(letter if letter.isprintable() else "?" for letter in text)


@dataclass(frozen=True, slots=True)
class _ClassFolder:
    path: Path
    split: str


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    split: str
    class_name: str


class _Walk:
    """Everything below `root`, sorted into classes by name alone; no file is opened."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.class_folders: list[_ClassFolder] = []
        self.filled: set[_ClassFolder] = set()
        self.images: list[_File] = []
        self.unreadable: list[SetAside] = []
        self.not_images: list[Path] = []
        self.hidden: list[Path] = []
        self.loose: list[Path] = []

    def find_classes(self) -> None:
        visible = self._visible(self.root)
        splits = _find_splits(self.root, [path for path in visible if _kind(path) == "folder"])
        for path in visible:
            if path in splits:
                self._take_children(self._visible(path), splits[path])
            elif splits:
                self._take_loose(path)
            else:
                self._take_children([path], "")

    def _take_children(self, paths: Iterable[Path], split: str) -> None:
        for path in paths:
            if _kind(path) == "folder":
                self._take_class(_ClassFolder(path, split))
            else:
                self._take_loose(path)

    def _take_class(self, folder: _ClassFolder) -> None:
        self.class_folders.append(folder)
        for path in self._files(folder.path):
            self.filled.add(folder)
            if is_image_name(path):
                self.images.append(_File(path, folder.split, folder.path.name))
            else:
                self.not_images.append(path)

    def _take_loose(self, path: Path) -> None:
        for file in self._files(path):
            (self.loose if is_image_name(file) else self.not_images).append(file)

    def _files(self, top: Path) -> Iterator[Path]:
        """The visible files at and below `top`, each real folder once, so that link loops end."""
        seen = {os.path.realpath(parent) for parent in (self.root, top.parent)}
        waiting = [top]
        while waiting:
            path = waiting.pop()
            match _kind(path):
                case "file":
                    yield path
                case "folder":
                    if (real := os.path.realpath(path)) not in seen:
                        seen.add(real)
                        waiting += reversed(self._visible(path))
                case _:
                    self.unreadable.append(SetAside(path, "a broken link, or not a regular file"))

    def _visible(self, folder: Path) -> list[Path]:
        try:
            paths = sorted(folder.iterdir())
        except OSError as error:
            self.unreadable.append(SetAside(folder, (error.strerror or str(error)).lower()))
            return []
        self.hidden += [path for path in paths if is_hidden(path)]
        return [path for path in paths if not is_hidden(path)]


def is_image_name(path: Path) -> bool:
    """Whether the name of `path` ends like that of an image that can be read."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def _kind(path: Path) -> Literal["file", "folder", "neither"]:
    """What `path` leads to; neither where it is a broken link, a device or in a folder not to be entered."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return "neither"
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "neither"


def is_hidden(path: Path) -> bool:
    """Whether `path` is a file or folder that scans pass over."""
    return path.name.startswith(".") or path.name.lower() in _HIDDEN_NAMES


def _check_is_folder(root: Path) -> None:
    if not root.exists():
        raise FolderError(f"No such folder: {root}. Expected {_LAYOUT}.")
    if not root.is_dir():
        raise FolderError(f"Expected a folder laid out as {_LAYOUT}; {root} is a file.")


def _find_splits(root: Path, folders: Sequence[Path]) -> dict[Path, str]:
    """The folders of `root` that are splits, with the plain names of these; empty where they are classes."""
    named = {path: _SPLIT_OF_NAME[path.name.lower()] for path in folders if path.name.lower() in _SPLIT_OF_NAME}
    with_classes = {split for path, split in named.items() if _holds_folders(path)}
    if "train" in with_classes:
        _check_one_each(root, named)
        return named
    if named and len(named) == len(folders):
        names = ", ".join(f"{path.name}/" for path in named)
        lack = "a train/ folder" if with_classes and "train" not in named.values() else "class folders in train/"
        raise FolderError(f"Expected {_LAYOUT}; {root} has {names} but not {lack}.")
    return {}


def _check_one_each(root: Path, named: Mapping[Path, str]) -> None:
    names = defaultdict(list)
    for path, split in named.items():
        names[split].append(f"{path.name}/")
    for split, spellings in names.items():
        if len(spellings) > 1:
            raise FolderError(f"Expected one {split} folder in {root}; found {' and '.join(spellings)}. Join them.")


def _holds_folders(path: Path) -> bool:
    try:
        return any(_kind(child) == "folder" and not is_hidden(child) for child in path.iterdir())
    except OSError:
        return False


def _name_classes(walk: _Walk) -> tuple[str, ...]:
    folders: defaultdict[str, set[str]] = defaultdict(set)
    names: set[str] = set()
    for folder in walk.class_folders:
        folders[folder.split].add(folder.path.name)
        if folder.split in ("", "train") or folder in walk.filled:
            names.add(folder.path.name)
    lacking = {split: sorted(names - present) for split, present in folders.items() if names - present}
    if lacking:
        said = "; ".join(f"{split} lacks {name_some(missing)}" for split, missing in lacking.items())
        raise FolderError(f"Expected the same class folders in every split of {walk.root}; {said}.")
    if unfit := sorted(name for name in names if _UNFIT_FOR_A_LABEL.intersection(map(category, name))):
        raise FolderError(
            f"Class folders must have UTF-8 names without control characters; received {unfit[0]!r} in {walk.root}."
        )
    return tuple(sorted(names))


def _check_has_images(walk: _Walk) -> None:
    if walk.images or walk.unreadable:
        return
    if walk.loose:
        raise FolderError(
            f"Expected {_LAYOUT}; {walk.root} has {plural(len(walk.loose), 'image')} outside class folders. "
            "Move each into a folder named after its class."
        )
    raise FolderError(f"No images in {walk.root}. Expected {_LAYOUT}.")


def _image_folder(walk: _Walk, class_names: tuple[str, ...], photos: Sequence[Photo | str]) -> ImageFolder:
    records, unreadable = [], list(walk.unreadable)
    class_indices = {name: index for index, name in enumerate(class_names)}
    for file, photo in zip(walk.images, photos, strict=True):
        if isinstance(photo, str):
            unreadable.append(SetAside(file.path, photo))
        else:
            records.append(_record(file, class_indices[file.class_name], photo))
    inhabited = {(record.split, record.class_index) for record in records}
    empty = [
        folder.path
        for folder in walk.class_folders
        if (folder.split, class_indices.get(folder.path.name)) not in inhabited
    ]
    return ImageFolder(
        root=walk.root,
        class_names=class_names,
        records=tuple(records),
        unreadable=tuple(sorted(unreadable, key=lambda aside: aside.path)),
        not_images=tuple(walk.not_images),
        empty_folders=tuple(empty),
        hidden=tuple(sorted(walk.hidden)),
        loose=tuple(walk.loose),
    )


def _record(file: _File, class_index: int, photo: Photo) -> Record:
    values = {field.name: getattr(photo, field.name) for field in fields(Photo)}
    return Record(path=file.path, class_index=class_index, split=file.split, **values)


def _inspect(
    paths: Sequence[Path],
    max_pixels: int,
    workers: int | None,
    progress: Progress,
    cache: ScanCache,
) -> list[Photo | str]:
    """One answer for each path, in order, from threads: Pillow decodes without the interpreter's lock."""
    known = {path: photo for path, photo in cache.recall(paths).items() if photo.width * photo.height <= max_pixels}
    unknown, inspect = [path for path in paths if path not in known], partial(_photo_or_reason, max_pixels=max_pixels)
    answers: dict[Path, Photo | str] = dict(known)
    with progress.work("scan", len(unknown), "images") as ticker:
        for path, answer in zip(unknown, map_ordered(inspect, unknown, workers=workers), strict=True):
            answers[path] = answer
            ticker.advance()
    cache.remember({path: answers[path] for path in unknown})
    return [answers[path] for path in paths]


def _photo_or_reason(path: Path, *, max_pixels: int) -> Photo | str:
    try:
        return inspect_photo(path, max_pixels=max_pixels)
    except UnreadablePhoto as refusal:
        return str(refusal)  # the exception itself would keep the file's bytes alive


def _unreadable_warning(folder: ImageFolder) -> list[str]:
    if not folder.unreadable:
        return []
    names = [f"{show_path(aside.path, folder.root)} ({aside.reason})" for aside in folder.unreadable]
    listed = name_some(names, shown=_UNREADABLE_SHOWN)
    return [f"Cannot read {plural(len(names), 'file')}, which training leaves out: {listed}."]


def _lone_image_warnings(counts: Mapping[str, int]) -> list[str]:
    return [
        f'Class "{name}" has one training image: too few to learn from, and none to test on. Add photos.'
        for name, count in counts.items()
        if count == 1
    ]


def _imbalance_warning(counts: Mapping[str, int]) -> list[str]:
    if imbalance(counts) < HEAVY_IMBALANCE:
        return []
    present = sorted((count, name) for name, count in counts.items() if count)
    (fewest, smallest), (most, largest) = present[0], present[-1]
    return [
        f'Class "{largest}" has {most:,} training images and "{smallest}" {fewest:,}: '
        "add photos of the rare classes, or expect them to be overlooked."
    ]
