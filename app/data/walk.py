"""Everything below a folder of photos, sorted into classes, with what is passed over and why."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from regraft.data.file_format import identify_file
from regraft.data.layout import ClassPlace, find_layout
from regraft.data.passed_over import is_left_by_system, what_file_of_ours, what_of_ours
from regraft.data.photos import IMAGE_SUFFIXES
from regraft.data.records import SetAside
from regraft.errors import FolderError


@dataclass(frozen=True, slots=True)
class ClassFolder:
    """A folder with photos of the class `name`, in a split or ""."""

    path: Path
    split: str
    name: str


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file that is named or begins like an image, in a class folder."""

    path: Path
    folder: ClassFolder


@dataclass(frozen=True, slots=True)
class _Entry:
    """A path and its kind, through links: "file" or "folder", else why it is neither."""

    path: Path
    kind: str


class Walk:
    """What lies below `root`. A file is opened only where its name does not say that it is an image.

    Attributes:
        root: the folder.
        class_folders: in path order, those without a photo too.
        filled: those of them that hold a file.
        images: in class folders, in path order.
        loose: images outside of class folders.
        unreadable: folders that cannot be entered, broken links, pipes and devices, formats that need a plugin.
        not_images: other files, each with what it is.
        hidden: what is hidden or left by a system.
        ours: folders and files that Regraft has written.
        links: links to a folder that they lie in, or that is read anyway.
        remark: a sentence where splits are not called by their names; else "".
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.class_folders: list[ClassFolder] = []
        self.filled: set[ClassFolder] = set()
        self.images: list[ImageFile] = []
        self.loose: list[Path] = []
        self.unreadable: list[SetAside] = []
        self.not_images: list[SetAside] = []
        self.hidden: list[Path] = []
        self.ours: list[SetAside] = []
        self.links: list[Path] = []
        self.remark = ""
        self._above = identities_above(root)

    def find_classes(self) -> None:
        """Fills the attributes.

        Raises:
            FolderError: `root` cannot be entered, or its splits are not as they should be.
        """
        try:
            top = self._without_links_back(self._entries(self.root))
        except OSError as error:
            raise FolderError(f"{self.root} cannot be entered: {_reason(error)}.") from None
        folders = [entry.path for entry in top if entry.kind == "folder"]
        places, self.remark = find_layout(self.root, folders, self)
        for entry in top:
            if entry.path in places:
                self._take_places(entry.path, places[entry.path])
            elif places:
                self._take_loose(entry)
            else:
                self._take_children([entry], "")

    def _without_links_back(self, entries: Iterable[_Entry], *parents: Path) -> list[_Entry]:
        """`entries` but for those that lead to one of `parents`, the root or a folder above it, which are noted."""
        above = self._above | {_identity(parent) for parent in parents}
        kept = []
        for entry in entries:
            if entry.kind == "folder" and _identity(entry.path) in above:
                self.links.append(entry.path)
            else:
                kept.append(entry)
        return kept

    def _take_places(self, top: Path, places: Sequence[ClassPlace]) -> None:
        """The classes of a folder of the root, in the places that the layout says; other files of it are loose."""
        of_path = {place.path: place for place in places}
        if top in of_path:
            inside = self._without_links_back(self._entered(top) or [], top)
            self._take_children(inside, of_path[top].split)
            return
        for entry in self._without_links_back(self._entered(top) or [], top):
            place = of_path.get(entry.path)
            if place is None:
                self._take_loose(entry)
            elif place.class_name:
                self._take_class(ClassFolder(place.path, place.split, place.class_name))
            else:
                inside = self._without_links_back(self._entered(place.path) or [], top, place.path)
                self._take_children(inside, place.split)

    def _take_children(self, entries: Iterable[_Entry], split: str) -> None:
        for entry in entries:
            if entry.kind == "folder":
                self._take_class(ClassFolder(entry.path, split, entry.path.name))
            else:
                self._take_loose(entry)

    def _take_class(self, folder: ClassFolder) -> None:
        """One class folder; none where it cannot be entered, or holds nothing but what Regraft has written."""
        ours_before, is_filled = len(self.ours), False
        if (entries := self._entered(folder.path)) is None:
            return
        for entry in self._files(folder.path, entries):
            is_filled = True
            if self._is_image(entry.path):
                self.images.append(ImageFile(entry.path, folder))
        if is_filled or len(self.ours) == ours_before:
            self.class_folders.append(folder)
        if is_filled:
            self.filled.add(folder)

    def _take_loose(self, entry: _Entry) -> None:
        inside = self._entered(entry.path) or [] if entry.kind == "folder" else [entry]
        for file in self._files(entry.path, inside):
            if self._is_image(file.path):
                self.loose.append(file.path)

    def _is_image(self, path: Path) -> bool:
        """Whether the name or the first bytes are an image's; where they are not, what it is has been noted."""
        if is_image_name(path):
            return True
        reason = identify_file(path).reason
        is_other = reason.startswith("not an image") or reason == "empty file"
        if reason:
            (self.not_images if is_other else self.unreadable).append(SetAside(path, reason))
        return not reason

    def _files(self, top: Path, entries: Sequence[_Entry]) -> Iterator[_Entry]:
        """The files at and below `entries` of the folder `top`, each real folder once, so that link loops end."""
        seen = self._above | {_identity(top.parent), _identity(top)}
        waiting = list(reversed(entries))
        while waiting:
            entry = waiting.pop()
            if entry.kind == "file":
                yield entry
            elif entry.kind != "folder":
                self.unreadable.append(SetAside(entry.path, entry.kind))
            elif (identity := _identity(entry.path)) in seen:
                self.links.append(entry.path)
            else:
                seen.add(identity)
                waiting += reversed(self._entered(entry.path) or [])

    def _entered(self, folder: Path) -> list[_Entry] | None:
        """What is in `folder`; None where it cannot be entered or Regraft has written it, which is noted."""
        try:
            entries = self._entries(folder)
        except OSError as error:
            self.unreadable.append(SetAside(folder, _reason(error)))
            return None
        if what := what_of_ours([entry.path.name for entry in entries]):
            self.ours.append(SetAside(folder, f"{what} of Regraft"))
            return None
        return entries

    def _entries(self, folder: Path) -> list[_Entry]:
        """What is in `folder` by name, but for what is passed over, which is noted. Raises OSError."""
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        self.hidden += [folder / entry.name for entry in entries if is_left_by_system(entry.name)]
        ours = {entry.name: what for entry in entries if (what := what_file_of_ours(entry.name))}
        self.ours += [SetAside(folder / name, f"{what} of Regraft") for name, what in ours.items()]
        kept = [entry for entry in entries if entry.name not in ours and not is_left_by_system(entry.name)]
        return [_Entry(folder / entry.name, _kind(entry)) for entry in kept]

    def folders_in(self, folder: Path) -> list[Path]:
        """See `regraft.data.layout.Looks`; none where it cannot be entered."""
        return [folder / name for name in sorted(_names_in(folder, "folder"))]

    def holds_files(self, folder: Path) -> bool:
        """See `regraft.data.layout.Looks`."""
        return next(_names_in(folder, "file"), "") != ""


def _names_in(folder: Path, kind: str) -> Iterator[str]:
    """The names of what is of this kind, but for what is passed over; none where the folder cannot be entered."""
    try:
        with os.scandir(folder) as found:
            yield from (one.name for one in found if not is_left_by_system(one.name) and _kind(one) == kind)
    except OSError:
        return


def is_image_name(path: Path) -> bool:
    """Whether the name of `path` ends like that of an image that can be read."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def identities_above(root: Path) -> set[tuple[int, int] | Path]:
    """What `root` and each folder above it, where it really lies, have in common with all other paths to them."""
    real = Path(os.path.realpath(root))
    return {_identity(folder) for folder in (real, *real.parents)}


def _kind(entry: os.DirEntry[str]) -> str:
    """What a path leads to, as `_Entry` calls it."""
    try:
        if entry.is_dir():
            return "folder"
        return "file" if entry.is_file() else "a broken link, or not a regular file"
    except OSError:
        return "a broken link, or not a regular file"


def _identity(folder: Path) -> tuple[int, int] | Path:
    """What is the same for all paths to one folder."""
    try:
        state = folder.stat()
    except OSError:
        return folder
    return state.st_dev, state.st_ino


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
