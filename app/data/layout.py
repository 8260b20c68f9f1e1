"""How a folder of photos is laid out: where its splits are, and what looks like splits or classes in a wrong place."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from regraft.data.class_names import key_of
from regraft.data.records import ImageFolder
from regraft.data.wording import name_some, show_path
from regraft.errors import FolderError

LAYOUT = "FOLDER/<class>/*.jpg or FOLDER/{train,val,test}/<class>/*.jpg"

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


def find_splits(root: Path, holds_folders: Mapping[Path, bool]) -> dict[Path, str]:
    """The folders that are splits, with the plain names of these; empty where they are classes.

    Args:
        root: of the photos.
        holds_folders: the folders in it, with whether they hold folders.

    Raises:
        FolderError: two folders are one split, or the folders are splits and not as they should be.
    """
    named = {path: split for path in holds_folders if (split := split_named(path.name))}
    with_classes = {split for path, split in named.items() if holds_folders[path]}
    if "train" in with_classes:
        _check_one_each(root, named)
        return named
    if named and len(named) == len(holds_folders):
        names = ", ".join(f"{path.name}/" for path in named)
        lack = "a train/ folder" if with_classes and "train" not in named.values() else "class folders in train/"
        raise FolderError(f"Expected {LAYOUT}; {root} has {names} but not {lack}.")
    _check_not_all_resemble_splits(root, holds_folders)
    return {}


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
            f"{name_some(sorted(alike))}. Lay the photos out as {' and '.join(wanted)}."
        )


def layout_warnings(folder: ImageFolder) -> list[str]:
    """What looks like a split, but is read as a class or as a part of one; a table says itself what is what."""
    if folder.table:
        return []
    below = _folders_below_classes(folder)
    return [*_split_like_classes(folder, below), *_splits_below_classes(folder, below)]


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


def _folders_below_classes(folder: ImageFolder) -> dict[str, set[str]]:
    """The names of the folders with photos that lie directly in class folders, by class."""
    below: defaultdict[str, set[str]] = defaultdict(set)
    root_depth = len(folder.root.parts)
    for record in folder.records:
        parts, depth = record.path.parts, root_depth + (2 if record.split else 1)  # of what lies in a class folder
        if len(parts) > depth + 1:
            below[folder.class_names[record.class_index]].add(parts[depth])
    return below
