"""Folds: every photo is judged once, by a model that was trained on the others, and the model that ships on all."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from regraft.data.duplicates import Likeness
from regraft.data.records import ImageFolder, Record
from regraft.data.roles import Roles, hold_out
from regraft.data.wording import plural
from regraft.errors import FolderError

REPORTED_ON_FOLDS = "folds"
"""What a run says that it is reported on where each photo was judged in its fold: its own model has seen them all."""


def plan_folds(
    folder: ImageFolder,
    *,
    folds: int,
    select_fraction: float,
    needs_selection: bool,
    seed: int,
    likeness: Likeness | None = None,
) -> tuple[Roles, tuple[Roles, ...]]:
    """The roles of the model that ships, which learns from all photos of `folder`, and those of each fold's.

    Every photo is in one fold, whatever its split, with its duplicates and its group; the classes have about the same
    shares in all. Selection photos are held out of those that are learned from. The folds depend on what the files
    contain and on `seed`, not on their order or place.

    Raises:
        FolderError: there are fewer groups of photos than folds, or a class all of whose photos are in one group.
    """
    by_content = sorted(folder.records, key=lambda record: (record.fingerprint, record.class_index))
    likeness = likeness or Likeness(by_content)
    fold_of = _assign(by_content, likeness.group(by_content), folder.class_names, folds, seed)

    def learners(records: Sequence[Record]) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
        if not needs_selection:
            return _in_path_order(records), ()
        return hold_out(records, select_fraction, seed=seed, likeness=likeness)

    parts = []
    for fold in range(folds):
        rest, held = (
            [record for record, of in zip(by_content, fold_of, strict=True) if (of == fold) == there]
            for there in (False, True)
        )
        fit, select = learners(rest)
        words = (f"Reported on fold {fold + 1} of {folds}: {plural(len(held), 'image')}, which nothing else sees.",)
        parts.append(Roles(fit, select, _in_path_order(held), REPORTED_ON_FOLDS, words))
    fit, select = learners(by_content)
    notes = _notes(folder, folds, fit, select)
    return Roles(fit, select, _in_path_order(by_content), REPORTED_ON_FOLDS, notes), tuple(parts)


def _assign(
    records: Sequence[Record], groups: np.ndarray, class_names: Sequence[str], folds: int, seed: int
) -> np.ndarray:
    """Int [N]: the fold of each record; those of a group share one."""
    classes = np.array([record.class_index for record in records])
    if (count := len(np.unique(groups))) < folds:
        raise FolderError(
            f"data.folds is {folds}, and there are {plural(count, 'group')} of photos that must stay together; "
            "take fewer folds or add photos."
        )
    if (most := int(np.bincount(classes).max())) < folds:
        raise FolderError(
            f"data.folds is {folds}, and no class has more than {plural(most, 'photo')}; take at most {most} folds or "
            "add photos."
        )
    fold_of = np.zeros(len(records), int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer images than folds is missing in some
        parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(classes, classes, groups)
        for fold, (_, held) in enumerate(parts):
            fold_of[held] = fold
    for index, name in enumerate(class_names):
        of_class = classes == index
        if not of_class.any():
            continue  # which is an obstacle of its own
        its_groups = np.unique(groups[of_class])
        if len(its_groups) < 2:
            raise FolderError(
                f'Class "{name}" has all its photos in one group, so the model of one fold would never see it; add '
                "photos of other groups, or train without data.folds."
            )
        if len(np.unique(fold_of[of_class])) == 1:  # as each fold's model must have seen the class
            smallest = min(its_groups, key=lambda group: (groups == group).sum())
            sizes = np.bincount(fold_of, minlength=folds).astype(float)
            sizes[fold_of[of_class][0]] = np.inf
            fold_of[groups == smallest] = int(sizes.argmin())
    return fold_of


def _in_path_order(records: Sequence[Record]) -> tuple[Record, ...]:
    return tuple(sorted(records, key=lambda record: record.path.parts))


def _notes(folder: ImageFolder, folds: int, fit: Sequence[Record], select: Sequence[Record]) -> tuple[str, ...]:
    count = len(folder.records)
    notes = [
        f"Each of the {count:,} images was judged once, by one of {folds} models that were trained like this one on "
        "the other folds: the figures are of these models.",
        f"The model that ships was trained on {plural(len(fit), 'image')}"
        + (f" and chosen on {len(select):,}" if select else "")
        + "; none is left that it has not seen, and it has seen more than the models that were judged.",
    ]
    if folder.splits:
        notes.append(f"The splits {', '.join(folder.splits)} were not regarded.")
    if groups := {record.group for record in folder.records if record.group}:
        notes.append(f"No group of photos is in two folds: {plural(len(groups), 'group')} in all.")
    return tuple(notes)
