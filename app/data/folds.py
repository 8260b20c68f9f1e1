"""Folds: every photo is judged once, by a model that was trained on the others, and the model that ships on all."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from regraft.data.duplicates import Likeness
from regraft.data.records import ImageFolder, Record, in_path_order
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
        FolderError: there are fewer groups of photos than folds, or the model of a fold would never see a class.
    """
    by_content = sorted(folder.records, key=lambda record: (record.fingerprint, record.class_index))
    likeness = likeness or Likeness(by_content)
    fold_of = _assign(by_content, likeness.group(by_content), folder.class_names, folds, seed)

    def learners(records: Sequence[Record]) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
        if not needs_selection:
            return in_path_order(records), ()
        return hold_out(records, select_fraction, seed=seed, likeness=likeness)

    parts = []
    for fold in range(folds):
        rest, held = (
            [record for record, of in zip(by_content, fold_of, strict=True) if (of == fold) == there]
            for there in (False, True)
        )
        fit, select = learners(rest)
        _check_seen(fit, by_content, folder.class_names, folds)
        words = (f"Reported on fold {fold + 1} of {folds}: {plural(len(held), 'image')}, which nothing else sees.",)
        parts.append(Roles(fit, select, in_path_order(held), REPORTED_ON_FOLDS, words))
    fit, select = learners(by_content)
    notes = _notes(folder, folds, fit, select)
    return Roles(fit, select, in_path_order(by_content), REPORTED_ON_FOLDS, notes), tuple(parts)


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
    for index in np.unique(classes):
        if len(np.unique(groups[classes == index])) < 2:
            raise FolderError(
                f'Class "{class_names[index]}" has all its photos in one group, so the model of one fold would never '
                "see it; add photos of other groups, or train without data.folds."
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
    _spread(fold_of, groups, classes, folds)
    return fold_of


def _spread(fold_of: np.ndarray, groups: np.ndarray, classes: np.ndarray, folds: int) -> None:
    """Moves groups in `fold_of` until each class is in two folds, as each fold's model must have seen it.

    A group that holds other classes may leave one of these in a single fold, so it goes where that happens least, and
    the search goes on; it ends after as many moves as there are classes, done or not.
    """
    for _ in range(classes.max() + 1):
        held = np.zeros((folds, classes.max() + 1), int)  # how many groups of each class are in each fold
        np.add.at(held, tuple(np.unique([groups, fold_of, classes], axis=1)[1:]), 1)
        if not len(alone := np.flatnonzero((held > 0).sum(axis=0) == 1)):
            return
        of_class = classes == alone[0]
        here = fold_of[of_class][0]
        moves = [(group, to) for group in np.unique(groups[of_class]) for to in range(folds) if to != here]
        group, to = min(moves, key=lambda move: _cost_of(move, here, held, fold_of, groups, classes))
        fold_of[groups == group] = to


def _cost_of(
    move: tuple[int, int], here: int, held: np.ndarray, fold_of: np.ndarray, groups: np.ndarray, classes: np.ndarray
) -> tuple[int, int, int]:
    """What speaks against moving a group from `here`: how many classes are then in one fold, its size, the fold's."""
    group, to = move
    after, its = held.copy(), np.unique(classes[groups == group])
    after[here, its] -= 1
    after[to, its] += 1
    return int(((after > 0).sum(axis=0) == 1).sum()), int((groups == group).sum()), int((fold_of == to).sum())


def _check_seen(fit: Sequence[Record], records: Sequence[Record], class_names: Sequence[str], folds: int) -> None:
    """Raises FolderError where what the model of a fold learns from lacks a class of `records`."""
    unseen = {record.class_index for record in records} - {record.class_index for record in fit}
    if unseen:
        raise FolderError(
            f'With data.folds {folds}, the model of one fold would never see class "{class_names[min(unseen)]}", whose '
            "photos share their groups with other classes; take more folds, or add photos of it in other groups."
        )


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
