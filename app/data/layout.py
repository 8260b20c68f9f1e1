"""How a folder of photos is laid out: where its splits are, and what looks like splits or classes in a wrong place."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from regraft.data.class_names import key_of
from regraft.data.records import ImageFolder
from regraft.data.wording import name_some, show_path
from regraft.errors import FolderError

LAYOUT = "FOLDER/<class>/*.jpg or FOLDER/{train,val,test}/<class>/*.jpg"

_TABLE_INSTEAD = " Or name a table of paths, labels and splits instead of the folder."

_SPLIT_OF_NAME = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_WORD = re.compile(r"[a-z]+")
_MORE_WORDS = {"eval": "val", "evaluation": "val", "dev": "val", "holdout": "test"}
_ENDINGS = ("set", "data", "images", "imgs", "split")  # as in testset and TrainImages


def split_named(name: str) -> str:
    """Which split a folder of this name is: "train", "val" or "test", or "" where it is none."""
    return _SPLIT_OF_NAME.get(key_of(name), "")


def split_told(word: str) -> str:
    """Which split a word in a table means, as `split_named` and such as "dev"; "" where it is none."""
    return (_SPLIT_OF_NAME | _MORE_WORDS).get(key_of(word), "")


def split_resembled(name: str) -> str:
    """The split that a name reminds of, as "Test Set", "seg_test" and "test1" do of test; else ""."""
    known = _SPLIT_OF_NAME | _MORE_WORDS
    words = _WORD.findall(key_of(name))
    beginnings = [word.removesuffix(ending) for word in words for ending in ("", *_ENDINGS)]
    return next((known[word] for word in beginnings if word in known), "")


@dataclass(frozen=True, slots=True)
class ClassPlace:
    """A folder with photos of one class, or, where `class_name` is "", one whose folders are classes.

    `split` is "train", "val", "test", or "" where there are none.
    """

    path: Path
    split: str
    class_name: str = ""


class Looks(Protocol):
    """What the layout is read from."""

    def folders_in(self, folder: Path) -> Sequence[Path]:
        """The folders in `folder`, by name, but for what is passed over."""

    def holds_files(self, folder: Path) -> bool:
        """Whether files lie in it, but for what is passed over."""


def find_layout(root: Path, folders: Sequence[Path], looks: Looks) -> tuple[dict[Path, list[ClassPlace]], str]:
    """Where the classes are, by the folder of `root` that they lie in, and a sentence where that is not plain.

    Nothing is found where `folders` are the classes themselves. Splits may be called by other names (`Training Set`,
    `seg_train`), lie in a folder of the same name (`seg_train/seg_train`), or in the folders of the classes
    (`cat/train`).

    Args:
        root: of the photos.
        folders: those that lie in it.
        looks: what is in folders.

    Raises:
        FolderError: two folders are one split, or the folders are splits and not as they should be.
    """
    named = {path: split for path in folders if (split := split_named(path.name))}
    with_classes = {split for path, split in named.items() if looks.folders_in(path)}
    if "train" in with_classes:
        _check_one_each(root, named)
        return _as_places(root, named | _resembled_splits(folders, looks, named), looks)
    if named and len(named) == len(folders):
        names = ", ".join(f"{path.name}/" for path in named)
        lack = "a train/ folder" if with_classes and "train" not in named.values() else "class folders in train/"
        raise FolderError(f"Expected {LAYOUT}; {root} has {names} but not {lack}.{_TABLE_INSTEAD}")
    if resembled := _resembled_splits(folders, looks, named):
        return _as_places(root, resembled, looks)
    _check_not_all_resemble_splits(root, folders)
    return _splits_in_classes(root, folders, looks)


def _as_places(root: Path, splits: Mapping[Path, str], looks: Looks) -> tuple[dict[Path, list[ClassPlace]], str]:
    """The splits, each at the folder whose folders are classes, and a sentence where one is not called train or so."""
    places = {path: _innermost(path, split, looks) for path, split in splits.items()}
    odd = {show_path(place, root): splits[path] for path, place in places.items() if key_of(place.name) != splits[path]}
    is_plain = all(split_named(path.name) and path == place for path, place in places.items())
    said = ", ".join(f"{name}/ as {split}" for name, split in odd.items())
    found = {path: [ClassPlace(place, splits[path])] for path, place in places.items()}
    return found, "" if is_plain or not said else f"Folders are read as splits: {said}."


def _innermost(path: Path, split: str, looks: Looks) -> Path:
    """The folder of the classes: `path`, or the only folder in it that is called like the split, as it unpacks."""
    inner = looks.folders_in(path)
    wraps = len(inner) == 1 and not looks.holds_files(path) and split_resembled(inner[0].name) == split
    return inner[0] if wraps and looks.folders_in(inner[0]) else path


def _resembled_splits(folders: Sequence[Path], looks: Looks, named: Mapping[Path, str]) -> dict[Path, str]:
    """Folders that are splits by other names, beside those that are `named`: train, and others with classes of it."""
    alike = {**named, **{path: split for path in folders if (split := split_resembled(path.name))}}
    classes = {
        path: {key_of(one.name) for one in looks.folders_in(_innermost(path, split, looks))}
        for path, split in alike.items()
    }
    of_train = [path for path, split in alike.items() if split == "train"]
    others = [path for path in alike if path not in named and path not in of_train]
    shared = {path: alike[path] for path in others if len(of_train) == 1 and classes[path] & classes[of_train[0]]}
    if not shared or len({alike[path] for path in (*named, *shared)}) < len({*named, *shared}):
        return {}
    return {of_train[0]: "train", **shared}


def _splits_in_classes(root: Path, folders: Sequence[Path], looks: Looks) -> tuple[dict[Path, list[ClassPlace]], str]:
    """The splits that lie in the folders of the classes, where there is nothing else in any; else nothing."""
    if len(folders) < 2 or any(looks.holds_files(path) for path in folders):
        return {}, ""
    inner = {path: looks.folders_in(path) for path in folders}
    splits = {path: [split_named(one.name) for one in places] for path, places in inner.items()}
    if not all(
        found and all(found) and len(set(found)) == len(found) and "train" in found for found in splits.values()
    ):
        return {}, ""
    found = {
        path: [ClassPlace(place, split, path.name) for place, split in zip(inner[path], splits[path], strict=True)]
        for path in folders
    }
    first = next(iter(found.values()))
    said = ", ".join(f"{show_path(one.path, root)}/ as {one.split} of {one.class_name}" for one in first)
    return found, f"Splits lie in the folders of the classes: {said}, and so on."


def _check_one_each(root: Path, named: Mapping[Path, str]) -> None:
    names = defaultdict(list)
    for path, split in named.items():
        names[split].append(f"{path.name}/")
    for split, spellings in names.items():
        if len(spellings) > 1:
            raise FolderError(f"Expected one {split} folder in {root}; found {' and '.join(spellings)}. Join them.")


def _check_not_all_resemble_splits(root: Path, folders: Iterable[Path]) -> None:
    """Raises FolderError where every class would be the name of a split: nobody wants to tell train from test."""
    alike = {path.name: split_resembled(path.name) for path in folders}
    if {"train"} < set(alike.values()) and all(alike.values()):
        wanted = [f"{split}/<class>/" for split in ("train", "val", "test") if split in alike.values()]
        raise FolderError(
            f"Expected {LAYOUT}; the folders of {root} look like splits and not like classes: "
            f"{name_some(sorted(alike))}. Lay the photos out as {' and '.join(wanted)}.{_TABLE_INSTEAD}"
        )


def layout_warnings(folder: ImageFolder) -> list[str]:
    """What looks like a split, but is read as a class or as a part of one; a table says itself what is what."""
    if folder.table:
        return []
    below = _folders_below_classes(folder)
    return [
        *_split_like_classes(folder, below),
        *_splits_below_classes(folder, below),
        *_classes_below_classes(folder, below),
    ]


def wrapper_advice(folder: ImageFolder) -> str:
    """Where the only class folder holds what look like the classes or splits: the words that say so; else ""."""
    inner = sorted({name for names in _folders_below_classes(folder).values() for name in names})
    if folder.table or len(folder.class_names) != 1 or len(inner) < 2:
        return ""
    wrapper = show_path(folder.root / folder.class_names[0], Path())
    return f" It holds the folders {name_some(inner)}: name {wrapper} instead of {folder.root} if these are meant."


def _split_like_classes(folder: ImageFolder, below: Mapping[str, set[str]]) -> list[str]:
    alike = {name: split for name in folder.class_names if (split := split_resembled(name))}
    is_vehicle = len(alike) == 1 and next(iter(alike)).lower() == "train" and not below.get(next(iter(alike)))
    all_one_word = len(alike) == len(folder.class_names) and len(set(alike.values())) == 1  # as tested, not_tested
    if not alike or is_vehicle or all_one_word:
        return []
    return [
        f"Named like a split, but read as a class: {name_some(list(alike))}. "
        "Splits are the folders train/, val/ and test/, with the class folders in them."
    ]


def _splits_below_classes(folder: ImageFolder, below: Mapping[str, set[str]]) -> list[str]:
    found = {name: sorted(filter(split_resembled, names)) for name, names in below.items()}
    if not (found := {name: inner for name, inner in found.items() if inner and name not in ("train", "val", "test")}):
        return []
    name, inner = next(iter(found.items()))
    shown = name_some([f"{name}/{one}" for one in inner])
    return [
        f"Folders named like splits lie below {len(found):,} of {len(folder.class_names):,} classes ({shown}): "
        f"all their photos are read as one set. Lay them out as train/{name}/ to keep them apart."
    ]


def _classes_below_classes(folder: ImageFolder, below: Mapping[str, set[str]]) -> list[str]:
    """Where all classes hold folders of the same names, as years or sites with the same classes in each."""
    inner = {frozenset(below.get(name, ())) for name in folder.class_names}
    if len(folder.class_names) < 2 or len(inner) > 1 or len(names := sorted(next(iter(inner)))) < 2:
        return []
    if any(map(split_resembled, names)):
        return []
    first = folder.class_names[0]
    return [
        f"Every class holds the same folders ({name_some(names)}): if these are the classes, and {first} and the like "
        f"say where photos are from, lay them out as {names[0]}/{first}/, or name them in a table with a column group."
    ]


def _folders_below_classes(folder: ImageFolder) -> dict[str, set[str]]:
    """The names of the folders with photos that lie directly in class folders, by class."""
    below: defaultdict[str, set[str]] = defaultdict(set)
    root_depth = len(folder.root.parts)
    for record in folder.records:
        parts, depth = record.path.parts, root_depth + (2 if record.split else 1)  # of what lies in a class folder
        if len(parts) > depth + 1:
            below[folder.class_names[record.class_index]].add(parts[depth])
    return below
