"""Which column of a table says what: as it is told, or by the names that people give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regraft.data.tables.label_table import Table
from regraft.data.wording import name_some
from regraft.errors import FolderError, did_you_mean, option, visible

_PATHS = (
    *("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_name"),
    *("image_file", "image_id", "img", "img_path", "img_name", "photo", "picture", "id"),
)
_LABELS = (
    *("label", "class", "category", "target", "class_name", "label_name", "species", "breed", "diagnosis"),
    "labels",
)
_SPLITS = ("split", "subset", "set", "partition")
_GROUPS = ("group", "group_id")
_WEIGHTS = ("weight", "sample_weight")
_LIKE_GROUPS = (
    *("patient", "subject", "animal", "individual", "person", "camera", "lesion", "plant", "tree", "site", "location"),
    *("video", "burst", "session", "sequence", "scene"),
)
_ARGUMENTS = {"path": "path_column", "label": "label_column", "group": "group", "root": "root"}
_NAMES_SHOWN, _LETTERS_SHOWN = 20, 60


@dataclass(frozen=True, slots=True)
class ColumnChoices:
    """What is told of a table; what is None is found by the usual names.

    Attributes:
        root: where relative paths start; by default the folder of the table.
        path: the column of paths.
        label: the column of labels.
        group: the column whose equal cells are never torn apart.
        wishes: those of these columns that are found by the usual names where there is no such column.
    """

    root: str | None = None
    path: str | None = None
    label: str | None = None
    group: str | None = None
    wishes: frozenset[str] = frozenset()

    @property
    def told(self) -> dict[str, str]:
        """What is told and no wish, by the argument that tells it."""
        values = {argument: getattr(self, what) for what, argument in _ARGUMENTS.items() if what not in self.wishes}
        return {argument: value for argument, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the columns of a table, "" for one that it has not.

    Attributes:
        path, label, split, group, weight: see the module.
        is_label_named: whether the labels' column has a usual name or was told, and is not just the one that was left.
        like_groups: a column that nobody named and that looks like one of groups, as `patient_id`.
    """

    path: str
    label: str
    split: str = ""
    group: str = ""
    weight: str = ""
    like_groups: str = ""
    is_label_named: bool = True


def find_columns(table: Table, choices: ColumnChoices) -> Columns:
    """The columns of `table`.

    Raises:
        FolderError: there is no such column, or none with a usual name.
    """
    _check_not_nested(table, choices)
    usual = {_key(name): name for name in reversed(table.columns)}
    path = _told(table, choices, "path") or _first(usual, _PATHS)
    if not path:
        raise FolderError(f"{_of(table)} has no column of paths: name it with {option('path_column')}. {_has(table)}")
    split, weight = _first(usual, _SPLITS), _first(usual, _WEIGHTS)
    group = _told(table, choices, "group") or _first(usual, _GROUPS)
    told_label = _told(table, choices, "label")
    label = told_label or _label_of(table, usual, {path, split, weight, group})
    named = [name for name in (path, label, group) if name]
    if len(set(named)) < len(named):
        raise FolderError(f"{_of(table)}: paths, labels and groups must be in columns of their own. {_has(table)}")
    split, weight = ("" if name in named else name for name in (split, weight))
    taken = {*named, split, weight}
    like = "" if group else next((name for name in table.columns if name not in taken and _is_like_groups(name)), "")
    is_named = bool(told_label) or _key(label) in _LABELS
    return Columns(path, label, split, group, weight, like, is_named)


def _check_not_nested(table: Table, choices: ColumnChoices) -> None:
    """Raises FolderError where what is told, or called like labels or paths, holds several values in a cell."""
    wanted = {*_PATHS, *_LABELS, *(_key(name) for name in (choices.path, choices.label, choices.group) if name)}
    if found := [name for name in table.nested if _key(name) in wanted]:
        raise FolderError(
            f'{_of(table)} has several values in a cell of its column "{visible(found[0])}"; expected text or a number.'
        )


def _label_of(table: Table, usual: dict[str, str], taken: set[str]) -> str:
    """The column with the first usual name, or else the only one that is left."""
    if found := next((usual[name] for name in _LABELS if usual.get(name, "") not in ("", *taken)), ""):
        return found
    left = [name for name in table.columns if name not in taken]
    if len(left) != 1:
        raise FolderError(f"{_of(table)} has no column of labels: name it with {option('label_column')}. {_has(table)}")
    return left[0]


def _told(table: Table, choices: ColumnChoices, what: str) -> str:
    """The column that is told, also in another case; "" where none is, or only a wish for one that is not there."""
    name: str | None = getattr(choices, what)
    if name is None or name in table.columns:
        return name or ""
    if same := [known for known in table.columns if _key(known) == _key(name)]:
        return same[0]
    if what in choices.wishes:
        return ""
    hint = did_you_mean(name, table.columns)
    raise FolderError(
        f'{_of(table)} has no column "{visible(name)}" for {option(_ARGUMENTS[what])}. {_has(table)}{hint}'
    )


def _first(usual: dict[str, str], names: Sequence[str]) -> str:
    return next((usual[name] for name in names if name in usual), "")


def _key(name: str) -> str:
    return "_".join(name.strip().lower().replace("-", " ").replace("_", " ").split())


def _is_like_groups(name: str) -> bool:
    return _key(name).removesuffix("_id") in _LIKE_GROUPS


def _of(table: Table) -> str:
    return visible(table.name)


def _has(table: Table) -> str:
    """The names of the columns, in words, and what may be wrong where there is but one."""
    shown = [visible(name[:_LETTERS_SHOWN]) for name in table.columns]
    doubt = " No comma, semicolon, tab or bar parts its first line." if table.delimiter and len(shown) == 1 else ""
    return f"It has: {name_some(shown, shown=_NAMES_SHOWN)}.{doubt}"
