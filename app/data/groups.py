"""Groups of photos that must not be parted: those of one patient, animal or camera, as their paths say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from regraft.data.records import ImageFolder, Record, group_keys
from regraft.data.wording import plural, show_path
from regraft.errors import FolderError, UsageError, option


def with_groups(folder: ImageFolder, pattern: str, *, may_miss: bool = False) -> ImageFolder:
    r"""`folder` with the group of each photo: what `pattern` captures of its path below the root.

    Args:
        folder: what a scan found.
        pattern: a regular expression that is searched for, such as `IMG_(\d+)_`. What its brackets capture is the
            group, or all that it matches where it has none. A photo that does not match has no group.
        may_miss: whether all photos may be without a group.

    Raises:
        UsageError: it is no regular expression.
        FolderError: no photo matches.
    """
    expression = compile_pattern(pattern)
    groups = [_captured(expression, record, folder) for record in folder.records]
    if may_miss and not any(groups):
        return folder
    if folder.records and not any(groups):
        first = show_path(folder.records[0].path, folder.root)
        raise FolderError(
            f"{option('group_pattern', pattern)} matches none of the {plural(len(groups), 'photo')}; it is searched "
            f"for in paths such as {first}."
        )
    records = tuple(replace(record, group=group) for record, group in zip(folder.records, groups, strict=True))
    return replace(folder, records=records, remarks=(*folder.remarks, *_without_group(folder, records)))


def group_numbers(records: Sequence[Record]) -> np.ndarray | None:
    """Int [N]: the same for records of one group, and another for each that has none; None where none has one."""
    if not any(record.group for record in records):
        return None
    return np.unique(group_keys(records), return_inverse=True)[1]


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression. Raises UsageError where it is none."""
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(
            f"{option('group_pattern')} must be a regular expression, such as '^([^_]+)_'; received {pattern!r}: "
            f"{error}."
        ) from None


def _captured(expression: re.Pattern[str], record: Record, folder: ImageFolder) -> str:
    path = record.path
    text = path.relative_to(folder.root).as_posix() if path.is_relative_to(folder.root) else path.as_posix()
    if not (match := expression.search(text)):
        return ""
    captured = [part for part in match.groups() if part is not None]
    return "/".join(captured) if captured else match.group()


def _without_group(folder: ImageFolder, records: tuple[Record, ...]) -> list[str]:
    alone = [record for record in records if not record.group]
    if not alone:
        return []
    first = show_path(alone[0].path, folder.root)
    return [f"{plural(len(alone), 'photo')} without a group (such as {first}): the pattern does not match them."]
