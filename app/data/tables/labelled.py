"""A table of photos as what the rest of the program takes: an `ImageFolder`, each photo with what its row says."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regraft.data.class_names import check_class_names, group_by_key, key_of
from regraft.data.inspection import inspect_photos, record_of
from regraft.data.layout import split_told
from regraft.data.photos import IMAGE_SUFFIXES, MAX_PIXELS
from regraft.data.records import SPLITS, ImageFolder, SetAside
from regraft.data.same_pixels import mark_same_pixels
from regraft.data.tables.column_names import ColumnChoices, Columns, find_columns
from regraft.data.tables.label_table import Table, read_table
from regraft.data.wording import name_some, plural
from regraft.errors import FolderError, option, visible
from regraft.progress import Progress, Silent

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_LEAST_WEIGHT, _MOST_WEIGHT = 1e-6, 1e6

_WITHOUT_SUFFIX = tuple(sorted(IMAGE_SUFFIXES, key=lambda suffix: (suffix not in (".jpg", ".jpeg", ".png"), suffix)))


@dataclass(frozen=True, slots=True)
class _Row:
    """What a row says of one photo, and where it is."""

    path: Path
    label: str
    split: str
    group: str
    weight: float
    where: str

    @property
    def said(self) -> tuple[str, str, str, float]:
        """All that two rows of one photo have to agree on."""
        return self.label, self.split, self.group, self.weight


def scan_table(
    file: Path,
    choices: ColumnChoices | None = None,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    cache: Path | None = None,
    max_pixels: int | None = None,
) -> ImageFolder:
    """The photos that the table `file` names, as `scan_folder` gives those of a folder, in path order.

    A photo whose file is missing or unreadable is set aside with the reason. Labels that are writings of one name
    (`Cat`, `cat`) are one class. A photo that is named twice, with the same words, counts once.

    Raises:
        FolderError: the table is not one of photos, or what it says contradicts itself; the message names the rows.
    """
    choices = choices or ColumnChoices()
    table = read_table(file)
    columns, root = find_columns(table, choices), _root_of(file, choices)
    rows, repeated = _once_each(_rows_of(table, columns, root), table)
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    photos = inspect_photos([row.path for row in rows], limit, workers, progress or Silent(), cache)
    names = group_by_key(row.label for row in rows)
    class_names = sorted(group[0] for group in names.values())
    index_of = {key: class_names.index(group[0]) for key, group in names.items()}
    records, unreadable = [], []
    for row, photo in zip(rows, photos, strict=True):
        if isinstance(photo, str):
            unreadable.append(SetAside(row.path, f"{photo} ({row.where})"))
        else:
            index = index_of[key_of(row.label)]
            records.append(record_of(photo, row.path, index, row.split, group=row.group, weight=row.weight))
    _check_some_are_there(rows, records, table, root)
    return ImageFolder(
        root=root,
        class_names=tuple(class_names),
        records=tuple(mark_same_pixels(records, max_pixels=limit, workers=workers)),
        unreadable=tuple(unreadable),
        alike=tuple(tuple(map(Path, group)) for group in names.values() if len(group) > 1),
        table=file,
        remarks=tuple(_remarks(columns, repeated)),
    )


def _root_of(file: Path, choices: ColumnChoices) -> Path:
    root = Path(choices.root) if choices.root else file.parent
    if not root.is_dir():
        raise FolderError(f"{option('root')} must be the folder where relative paths start; there is none at {root}.")
    return root


# --- rows ---


def _rows_of(table: Table, columns: Columns, root: Path) -> list[_Row]:
    paths, labels = table.column(columns.path), table.column(columns.label)
    _check_filled(table, paths, "path", columns.path, paths)
    _check_filled(table, labels, "label", columns.label, paths)
    if wrong := [row for row, path in enumerate(paths) if "\0" in path]:
        raise FolderError(
            f"{table.name} has a path with a null byte in {table.where(wrong[0])}; no file has such a name."
        )
    _check_names(table, labels, columns.label)
    splits = _splits_of(table, columns.split) if columns.split else [""] * len(paths)
    groups = table.column(columns.group) if columns.group else [""] * len(paths)
    weights = _weights_of(table, columns.weight) if columns.weight else [1.0] * len(paths)
    return [
        _Row(_found(root, path), label, split, group, weight, table.where(row))
        for row, (path, label, split, group, weight) in enumerate(
            zip(paths, labels, splits, groups, weights, strict=True)
        )
    ]


def _check_filled(table: Table, cells: Sequence[str], what: str, column: str, paths: Sequence[str]) -> None:
    if not (empty := [row for row, cell in enumerate(cells) if not cell]):
        return
    first = f"{table.where(empty[0])}{f' ({visible(paths[empty[0]])})' if paths[empty[0]] else ''}"
    more = f" and {len(empty) - 1:,} more" if len(empty) > 1 else ""
    raise FolderError(
        f'{table.name} has no {what} in its column "{column}" in {first}{more}; fill it in or remove the row.'
    )


def _check_names(table: Table, labels: Sequence[str], column: str) -> None:
    """Raises FolderError where labels are measured numbers, which are no classes, or cannot be names."""
    for row, label in enumerate(labels):
        if not label.lstrip("+-").isdigit() and _is_number(label):
            raise FolderError(
                f'{table.name} has the number {label} in its column "{column}" of labels, in {table.where(row)}; '
                f"expected names of classes. Is {option('label_column')} another one?"
            )
    check_class_names(sorted(set(labels)), table.name)


def _is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text))


def _splits_of(table: Table, column: str) -> list[str]:
    """The split of each row, "train", "val" or "test"; "" for all where all cells are empty."""
    cells = table.column(column)
    if not any(cells):
        return cells
    splits = [split_told(cell) for cell in cells]
    if "" in splits:
        row = splits.index("")
        unknown = sorted({cell for cell, split in zip(cells, splits, strict=True) if not split})
        said = name_some([f'"{visible(cell)}"' for cell in unknown])
        raise FolderError(
            f'{table.name} has {said} in its column "{column}", first in {table.where(row)}; expected '
            f"{', '.join(SPLITS[:-1])} or {SPLITS[-1]} in each row."
        )
    return splits


def _weights_of(table: Table, column: str) -> list[float]:
    weights = []
    for row, cell in enumerate(table.column(column)):
        weight = float(cell) if _is_number(cell) else math.nan
        if not _LEAST_WEIGHT <= weight <= _MOST_WEIGHT:
            raise FolderError(
                f'{table.name} has the weight "{visible(cell)}" in its column "{column}", in {table.where(row)}; '
                f"expected a number above 0, from {_LEAST_WEIGHT:g} to {_MOST_WEIGHT:,.0f}."
            )
        weights.append(weight)
    return weights


def _once_each(rows: Sequence[_Row], table: Table) -> tuple[list[_Row], int]:
    """The first row of each photo, in path order, and how many there are besides; they must say the same."""
    first: dict[Path, _Row] = {}
    for row in rows:
        known = first.setdefault(row.path, row)
        if known.said == row.said:
            continue
        if known.label != row.label:
            what = f'the labels "{visible(known.label)}" and "{visible(row.label)}"'
        else:
            what = "one label and another split, group or weight"
        raise FolderError(
            f"{table.name} has {row.path.name} twice, with {what}, in {known.where} and {row.where}; remove one."
        )
    return sorted(first.values(), key=lambda row: row.path.parts), len(rows) - len(first)


# --- files ---


def _found(root: Path, cell: str) -> Path:
    """The file that a cell names: as it stands, or as other systems and catalogues write it.

    That is with the separators of Windows, or without the ending that says its format.
    """
    path = _below(root, cell)
    if os.path.lexists(path):
        return path
    written = [path] if "\\" not in cell else [path, _below(root, cell.replace("\\", "/"))]
    for one in written[1:]:
        if os.path.lexists(one):
            return one
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        candidates = (one.with_name(one.name + suffix) for one in written if one.name for suffix in _WITHOUT_SUFFIX)
        return next((one for one in candidates if os.path.lexists(one)), path)
    return path


def _below(root: Path, cell: str) -> Path:
    return Path(os.path.normpath(root / cell))


def _check_some_are_there(rows: Sequence[_Row], records: Sequence[object], table: Table, root: Path) -> None:
    if records or any(os.path.lexists(row.path) for row in rows):
        return
    raise FolderError(
        f"None of the {plural(len(rows), 'file')} that {table.name} names is there, such as {rows[0].path}; relative "
        f"paths start at {root}: name another folder with {option('root')}."
    )


def _remarks(columns: Columns, repeated: int) -> list[str]:
    remarks = []
    if repeated:
        remarks.append(f"{plural(repeated, 'row')} of the table name a photo again, with the same words: counted once.")
    if columns.like_groups:
        remarks.append(
            f'The column "{columns.like_groups}" looks like one of groups: photos of one group on both sides of a '
            f"split flatter the accuracy; --group '{columns.like_groups}' keeps them together."
        )
    return remarks
