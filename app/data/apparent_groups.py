"""Groups that nobody named and that photos show: names that begin alike, and bursts of one camera.

Photos of one patient, animal or camera position are often called `P012_01.jpg`, `P012_02.jpg`. Where they lie on both
sides of a split, an accuracy says less than it seems to.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from regraft.data.records import ImageFolder, Record
from regraft.data.roles import Roles
from regraft.data.wording import plural, show_path

_SEPARATORS = "_- ."
_MOST_PARTS = 3
_LEAST_GROUPS = 5
_IN_GROUPS, _LARGEST = 0.6, 0.34
_BURST_SECONDS = 2.0
_LEAST_BURSTS = 3


@dataclass(frozen=True, slots=True)
class ApparentGroups:
    """Groups that photos show.

    Attributes:
        by_path: the key of the group of each record, by its path; records that are in none are left out.
        what: what they are, in words, such as "names that begin alike".
        remedy: what keeps them together.
    """

    by_path: Mapping[Path, str]
    what: str
    remedy: str


def find_apparent_groups(folder: ImageFolder) -> ApparentGroups | None:
    """The groups that the names of `folder`'s photos show, or else their bursts; None where neither does."""
    return _by_names(folder) or _by_bursts(folder.records)


def straddling_warning(folder: ImageFolder, roles: Roles) -> list[str]:
    """One sentence where apparent groups are trained on and judged; none where groups are named already."""
    if any(record.group for record in folder.records) or not (found := find_apparent_groups(folder)):
        return []
    sides: defaultdict[str, set[str]] = defaultdict(set)
    members: defaultdict[str, list[Record]] = defaultdict(list)
    for side, records in (("fit", roles.fit), ("select", roles.select), ("report", roles.report)):
        for record in records:
            if key := found.by_path.get(record.path):
                sides[key].add(side)
                members[key].append(record)
    both = [key for key, of_key in sides.items() if len(of_key) > 1]
    if not both:
        return []
    example = " and ".join(show_path(record.path, folder.root) for record in members[both[0]][:2])
    return [
        f"{plural(len(both), 'apparent group')} of photos ({found.what}, such as {example}) would be trained on and "
        f"judged, which flatters the accuracy if they show one patient, animal or scene each: {found.remedy}."
    ]


# --- names ---


def _by_names(folder: ImageFolder) -> ApparentGroups | None:
    """The groups of the fewest parts of names that are neither the classes nor photos of their own."""
    for separator in _SEPARATORS:
        parted = [record.path.stem.split(separator) for record in folder.records]
        for parts in range(1, _MOST_PARTS + 1):
            keys = [separator.join(one[:parts]) if len(one) > parts else "" for one in parted]
            if _are_groups(keys, folder):
                by_path = {record.path: key for record, key in zip(folder.records, keys, strict=True) if key}
                pattern = _pattern(separator, parts)
                remedy = f"--group-pattern '{pattern}' keeps each on one side"
                return ApparentGroups(by_path, "names that begin alike", remedy)
    return None


def _are_groups(keys: Sequence[str], folder: ImageFolder) -> bool:
    """Whether most photos share their key with another, in many groups of which none is most of the photos.

    Where numbers begin anew in each class, `000` of one and of another have no more in common than that.
    """
    sizes = Counter(key for key in keys if any(letter.isdigit() for letter in key))
    shared = [size for size in sizes.values() if size > 1]
    of_class = Counter((key, one.class_index) for key, one in zip(keys, folder.records, strict=True) if key in sizes)
    within = {key for (key, _), size in of_class.items() if size > 1}
    is_many = len(shared) >= max(_LEAST_GROUPS, 2 * len(folder.class_names) + 1) and 2 * len(within) >= len(shared)
    return is_many and sum(shared) >= _IN_GROUPS * len(keys) and max(shared) <= _LARGEST * len(keys)


def _pattern(separator: str, parts: int) -> str:
    """What captures the first parts of a file name: `([^/_]+_[^/_]+)_[^/]*$` for two."""
    sign = re.escape(separator) if separator != "-" else "-"
    part = f"[^/{separator}]+"
    return f"({sign.join([part] * parts)}){sign}[^/]*$"


# --- bursts ---


def _by_bursts(records: Sequence[Record]) -> ApparentGroups | None:
    """Photos that one camera took within two seconds of one another, one after the other."""
    by_camera: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.taken is not None:
            by_camera[record.camera].append(record)
    by_path: dict[Path, str] = {}
    bursts = 0
    for camera, taken in by_camera.items():
        for burst in _runs_of(sorted(taken, key=lambda record: (record.taken, record.path.parts))):
            if len(burst) > 1:
                bursts += 1
                by_path |= {record.path: f"{camera} {bursts}" for record in burst}
    if bursts < _LEAST_BURSTS:
        return None
    remedy = "give each burst a name of its own in the column group of a table"
    return ApparentGroups(by_path, "taken by one camera within 2 seconds", remedy)


def _runs_of(ordered: Sequence[Record]) -> list[list[Record]]:
    """Parts of records by time in which none is more than two seconds after the one before."""
    runs: list[list[Record]] = []
    last = float("-inf")
    for record in ordered:
        taken = record.taken or 0.0
        if taken - last <= _BURST_SECONDS:
            runs[-1].append(record)
        else:
            runs.append([record])
        last = taken
    return runs
