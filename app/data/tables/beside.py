"""Tables that lie beside the photos that they name, as `metadata.csv` in the convention of ImageFolder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from regraft.data.class_names import group_by_key, key_of
from regraft.data.layout import split_resembled
from regraft.data.records import ImageFolder, in_path_order
from regraft.data.same_pixels import mark_same_pixels
from regraft.data.tables.column_names import ColumnChoices, find_columns
from regraft.data.tables.label_table import READERS, read_table
from regraft.data.tables.labelled import scan_table
from regraft.errors import FolderError

_STEM = "metadata"
_FILE_NAME = "file_name"
"""The column that makes a table of that name one of photos."""


def find_metadata(root: Path, choices: ColumnChoices) -> dict[str, Path]:
    """The tables called `metadata` in `root`, or in the folders of its splits, that say the labels of photos; by split.

    The key is "" for one in `root`. A table without labels, as of captions, is none.
    """
    if (found := _labels_in(root, choices)) is not None:
        return {"": found}
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir() and split_resembled(path.name))
    except OSError:
        return {}
    tables = {split_resembled(path.name): _labels_in(path, choices) for path in folders}
    known = {split: table for split, table in tables.items() if table}
    return known if len(known) == len(folders) and "train" in known else {}


def scan_metadata(root: Path, tables: Mapping[str, Path], choices: ColumnChoices, **options: Any) -> ImageFolder:
    """The photos that the tables of `find_metadata` name; `options` are those of `scan_table`."""
    parts = {split: scan_table(file, choices, **options) for split, file in tables.items()}
    said = f"Labels are those of {', '.join(file.relative_to(root).as_posix() for file in tables.values())}."
    if "" in parts:
        return replace(parts[""], remarks=(said, *parts[""].remarks))
    spelled = group_by_key(name for part in parts.values() for name in part.class_names)
    names = tuple(sorted(group[0] for group in spelled.values()))
    index_of = {key: names.index(group[0]) for key, group in spelled.items()}
    records = [
        replace(record, split=split, class_index=index_of[key_of(part.class_names[record.class_index])])
        for split, part in parts.items()
        for record in part.records
    ]
    marked = mark_same_pixels(records, max_pixels=options.get("max_pixels"), workers=options.get("workers"))
    return ImageFolder(
        root=root,
        class_names=names,
        records=in_path_order(marked),
        unreadable=tuple(aside for part in parts.values() for aside in part.unreadable),
        alike=tuple(tuple(map(Path, group)) for group in spelled.values() if len(group) > 1),
        remarks=(said, *(remark for part in parts.values() for remark in part.remarks)),
    )


def _labels_in(folder: Path, choices: ColumnChoices) -> Path | None:
    """The table of labels in this folder."""
    for suffix in READERS:
        file = folder / f"{_STEM}{suffix}"
        try:
            table = read_table(file)
            path = choices.path or next(name for name in table.columns if name.strip().lower() == _FILE_NAME)
            columns = find_columns(table, replace(choices, path=path))
        except (FolderError, StopIteration):
            continue
        if not columns.is_label_named:
            continue  # the only other column may hold captions
        return file
    return None
