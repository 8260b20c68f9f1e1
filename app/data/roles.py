"""The role of each image: who is trained on, who chooses, who is reported on, so that no number flatters itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from regraft.data.duplicates import Likeness
from regraft.data.records import SPLITS, ImageFolder, Record, in_path_order
from regraft.data.wording import plural
from regraft.errors import FolderError, UsageError


@dataclass(frozen=True, slots=True)
class Roles:
    """Which images do what in one run; no image, no duplicate of it and no image of its group has two roles.

    Attributes:
        fit: the images that weights are trained on.
        select: the selection photos, which choose between stages; empty where none are needed.
        report: the images behind the reported numbers, which nothing else sees.
        report_name: "test" or "val".
        notes: plain sentences, which images are behind which number, what was left out, what is missing.
    """

    fit: tuple[Record, ...]
    select: tuple[Record, ...]
    report: tuple[Record, ...]
    report_name: str
    notes: tuple[str, ...]


def plan_roles(
    folder: ImageFolder,
    *,
    val_fraction: float,
    select_fraction: float,
    needs_selection: bool,
    seed: int,
    likeness: Likeness | None = None,
) -> Roles:
    """The roles of the images of `folder`.

    A test split is reported on where there is one, else val, else `val_fraction` of the images, which do
    not depend on `needs_selection`. The selection photos are val where it is not reported on, else, if
    they are needed, `select_fraction` of the training images. `likeness` is that of the folder's images, where it is
    known already.

    Raises:
        UsageError: a fraction is not in (0, 1).
        FolderError: there is nothing to report on, or a class is left without a training image.
    """
    _check_fraction("val_fraction", val_fraction)
    _check_fraction("select_fraction", select_fraction)
    likeness = likeness or Likeness(folder.records)
    given_fit, given_select, report = _given_or_held_out(folder, val_fraction, seed, likeness)
    select = _without_duplicates(given_select, report, likeness)
    fit = _without_duplicates(given_fit, select + report, likeness)
    notes = _left_out_notes(len(given_fit) - len(fit), len(given_select) - len(select), _or_grouped(folder))
    if needs_selection and not select:
        fit, select = hold_out(fit, select_fraction, seed=seed, likeness=likeness)
    _check_classes(folder, fit, report)
    report_name = "test" if folder.split("test") else "val"
    notes += _group_notes(fit, select, report)
    role_notes = _role_notes(folder, fit, select, report, needs_selection=needs_selection)
    return Roles(fit, select, report, report_name, (*role_notes, *notes, *_absence_notes(folder, report)))


def hold_out(
    records: Sequence[Record], fraction: float, *, seed: int, likeness: Likeness | None = None
) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """`records` in two parts (kept, held), each in path order; about `fraction` of every class is held.

    Duplicates stay together, and images of one `group`, so a class is within half of its last group of the exact
    share. A class of two or more groups has images on both sides (unless all of them are shared with other classes);
    a class of one group is kept. The parts depend on what the files contain and on `seed`, not on their order or place.

    Raises:
        UsageError: `fraction` is not in (0, 1).
    """
    _check_fraction("fraction", fraction)
    by_content = sorted(records, key=lambda record: (record.fingerprint, record.class_index))
    groups = (likeness or Likeness(by_content)).group(by_content)
    is_held = _choose_groups(_class_counts(by_content, groups), fraction, seed)[groups]
    parts: tuple[list[Record], list[Record]] = ([], [])
    for record, held in zip(by_content, is_held, strict=True):
        parts[int(held)].append(record)
    kept, held_out = map(in_path_order, parts)
    return kept, held_out


def _class_counts(records: Sequence[Record], groups: np.ndarray) -> np.ndarray:
    """int64 [groups, classes]: how many images of each class a group holds."""
    classes = np.array([record.class_index for record in records], np.int64)
    shape = (int(np.append(groups, -1).max()) + 1, int(np.append(classes, -1).max()) + 1)
    counts = np.zeros(shape, np.int64)
    np.add.at(counts, (groups, classes), 1)
    return counts


def _choose_groups(counts: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """The held groups, bool [groups], of `counts` [groups, classes].

    The classes with the fewest groups of their own go first: the others can still put their own groups on
    the side that a shared group left empty.
    """
    held, decided = np.zeros((2, len(counts)), bool)
    is_shared = (counts > 0).sum(axis=1) > 1
    own_groups = (counts[~is_shared] > 0).sum(axis=0)
    for class_index in np.argsort(own_groups, kind="stable"):
        members = np.flatnonzero(counts[:, class_index])
        undecided = np.random.default_rng([seed, class_index]).permutation(members[~decided[members]])
        if len(members) > 1:
            _choose_for_class(held, counts[:, class_index], members, undecided, fraction)
        decided[members] = True
    _mend_one_sided(held, counts)
    return held


def _mend_one_sided(held: np.ndarray, counts: np.ndarray) -> None:
    """Moves groups so that each class has one that is kept and, where that takes none of these away, one that is held.

    What is needed where groups hold several classes: the choice for one class may have taken the last of another.
    """
    has = counts > 0
    for class_index in np.flatnonzero(has.any(axis=0)):
        members = np.flatnonzero(has[:, class_index])
        if held[members].all():
            held[members[np.argmin(counts[members].sum(axis=1))]] = False
    for class_index in np.flatnonzero(~has[held].any(axis=0)):
        if has[held, class_index].any():  # by what was moved for another class
            continue
        members = np.flatnonzero(has[:, class_index])
        spare = [group for group in members if has[np.flatnonzero(~held)].sum(axis=0)[has[group]].min() > 1]
        if spare:
            held[min(spare, key=lambda group: counts[group].sum())] = True


def _choose_for_class(
    held: np.ndarray, sizes: np.ndarray, members: np.ndarray, undecided: np.ndarray, fraction: float
) -> None:
    """Sets `held` for the `undecided` groups of one class, each taken where it brings the share nearer."""
    missing = fraction * sizes.sum() - sizes[held].sum()
    for group in undecided:
        if abs(missing - sizes[group]) < abs(missing):
            held[group] = True
            missing -= sizes[group]
    is_one_sided = held[members].all() or not held[members].any()
    if is_one_sided and len(undecided):
        smallest = undecided[np.argmin(sizes[undecided])]
        held[smallest] = not held[smallest]


def _given_or_held_out(
    folder: ImageFolder, val_fraction: float, seed: int, likeness: Likeness
) -> tuple[tuple[Record, ...], ...]:
    train, val, test = (folder.split(name) for name in SPLITS)
    if test:
        return train, val, test
    if val:
        return train, (), val
    fit, report = hold_out(folder.records, val_fraction, seed=seed, likeness=likeness)
    return fit, (), report


def _without_duplicates(
    records: tuple[Record, ...], others: tuple[Record, ...], likeness: Likeness
) -> tuple[Record, ...]:
    groups = likeness.group(others + records)
    is_new = ~np.isin(groups[len(others) :], groups[: len(others)])
    return tuple(record for record, new in zip(records, is_new, strict=True) if new)


def _check_fraction(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise UsageError(f"{name} must be between 0 and 1, both excluded; received {value}.")


def _check_classes(folder: ImageFolder, fit: Sequence[Record], report: Sequence[Record]) -> None:
    if not report:
        what = "photos of two groups" if any(one.group for one in folder.records) else "two different photos"
        raise FolderError(f"Expected images to report on; no class has {what}. Add photos.")
    if absent := _absent_classes(folder, fit):
        raise FolderError(
            f"Each class needs a training image; {absent} has none that is not also, exactly or nearly, "
            f"among the images that are reported or chosen on{_or_grouped(folder)}. Add photos of it."
        )


def _absent_classes(folder: ImageFolder, records: Sequence[Record]) -> str:
    present = {record.class_index for record in records}
    return ", ".join(f'"{name}"' for index, name in enumerate(folder.class_names) if index not in present)


def _role_notes(
    folder: ImageFolder,
    fit: Sequence[Record],
    select: Sequence[Record],
    report: Sequence[Record],
    *,
    needs_selection: bool,
) -> list[str]:
    notes = [f"Reported on {_images(report, folder)}, which nothing else sees."]
    if select:
        use = "Choices are made on" if needs_selection else "There is nothing to choose: not used are"
        notes.append(f"{use} {_images(select, folder)}.")
    return [*notes, f"Trained on {plural(len(fit), 'image')}."]


def _images(records: Sequence[Record], folder: ImageFolder) -> str:
    split = records[0].split
    whence = f"of {split}" if split in ("val", "test") else f"held out of {split or folder.name}"
    return f"{plural(len(records), 'image')} {whence}"


def _or_grouped(folder: ImageFolder) -> str:
    return ", or in one group with these" if any(one.group for one in folder.records) else ""


def _left_out_notes(fit_count: int, select_count: int, or_grouped: str) -> list[str]:
    counts = (("training", fit_count, "reported or chosen on"), ("val", select_count, "reported on"))
    return [
        f"Left out of {name}: {plural(count, 'image')}, as exact or near-duplicates of images {use}{or_grouped}."
        for name, count, use in counts
        if count
    ]


def _group_notes(*parts: Sequence[Record]) -> list[str]:
    """How many groups there are, whose photos have been kept together."""
    groups = {record.group for part in parts for record in part if record.group}
    return [f"No group of photos is on two sides: {plural(len(groups), 'group')} in all."] if groups else []


def _absence_notes(folder: ImageFolder, report: Sequence[Record]) -> list[str]:
    absent = _absent_classes(folder, report)
    return [f"No image of {absent} is reported on: nothing is known about how well it is told."] if absent else []
