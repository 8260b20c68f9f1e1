"""Whether a folder can be trained on, and what should be put right first: one verdict for `check` and for training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from regraft.data.apparent_groups import straddling_warning
from regraft.data.class_names import look_alikes, unseen_in
from regraft.data.duplicates import Duplicates, Group, Likeness
from regraft.data.layout import layout_warnings, wrapper_advice
from regraft.data.records import ImageFolder
from regraft.data.roles import Roles, plan_roles
from regraft.data.wording import count_reasons, name_some, plural, show_path
from regraft.errors import FolderError

HEAVY_IMBALANCE = 10
"""A largest class this many times as large as the smallest is worth a warning."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """What training on a folder would come to.

    Attributes:
        obstacles: why nothing can be trained, the first reason first; empty where something can.
        warnings: what makes training worse than it could be, the gravest first.
        duplicates: the copies in the folder.
        roles: what each photo would do; None where there are obstacles.
    """

    obstacles: tuple[str, ...]
    warnings: tuple[str, ...]
    duplicates: Duplicates
    roles: Roles | None

    def require(self) -> Roles:
        """The roles. Raises FolderError with the first obstacle."""
        if self.roles is None:
            raise FolderError(self.obstacles[0])
        return self.roles


def assess(
    folder: ImageFolder,
    *,
    val_fraction: float = 0.2,
    select_fraction: float = 0.1,
    needs_selection: bool = True,
    seed: int = 0,
) -> Readiness:
    """Whether `folder` can be trained on with these choices, by default those of the recipes `balanced` and `thorough`.

    What can be trained on with selection photos can be trained on without.

    Raises:
        UsageError: a fraction is not in (0, 1).
    """
    roles, obstacles, likeness = None, training_obstacles(folder), Likeness(folder.records)
    if not obstacles:
        try:
            roles = plan_roles(
                folder,
                val_fraction=val_fraction,
                select_fraction=select_fraction,
                needs_selection=needs_selection,
                seed=seed,
                likeness=likeness,
            )
        except FolderError as error:
            obstacles = [error.text]
    duplicates = Duplicates.of(folder.records, likeness)
    straddling = straddling_warning(folder, roles) if roles else []
    return Readiness(tuple(obstacles), (*training_warnings(folder, duplicates), *straddling), duplicates, roles)


def training_obstacles(folder: ImageFolder) -> list[str]:
    """Why nothing can be trained on `folder`, whatever the recipe; empty where something may."""
    if not folder.records and (asides := (*folder.unreadable, *folder.not_images)):
        found = count_reasons(aside.reason for aside in asides)
        return [f"Expected photos; none of the {plural(len(asides), 'file')} in {folder.source} can be read: {found}."]
    obstacles = []
    if folder.splits and "train" not in folder.splits:
        obstacles.append(
            f"Expected photos of the split train; {folder.source} has {' and '.join(folder.splits)} alone."
        )
    if len(folder.class_names) < 2:
        only = "".join(f'"{name}" alone' for name in folder.class_names) or "none"
        advice = wrapper_advice(folder) or f" Add {'rows' if folder.table else 'a folder'} of photos for each class."
        obstacles.append(f"Expected two or more classes; found {only}.{advice}")
    rows = "rows" if folder.table else "folder"
    for name, count in training_counts(folder).items():
        if count == 0:
            obstacles.append(f'Class "{name}" has no readable training image. Add photos or remove its {rows}.')
    return obstacles


def training_warnings(folder: ImageFolder, duplicates: Duplicates) -> list[str]:
    """What makes training on `folder` worse than it could be, the gravest first; what is left out is not among it."""
    counts = training_counts(folder)
    return [
        *_duplicate_warnings(folder, duplicates),
        *folder.remarks,
        *layout_warnings(folder),
        *_name_warnings(folder),
        *_lone_image_warnings(counts),
        *_imbalance_warning(counts),
    ]


def training_counts(folder: ImageFolder) -> dict[str, int]:
    """Training images by class name, zeros included; all images where there are no splits."""
    records = folder.split("train") if folder.splits else folder.records
    counts = Counter(record.class_index for record in records)
    return {name: counts[index] for index, name in enumerate(folder.class_names)}


def imbalance(counts: Mapping[str, int]) -> float:
    """Images of the largest class for each one of the smallest that has any; 1 where all are empty."""
    present = [count for count in counts.values() if count]
    return max(present) / min(present) if present else 1.0


def first_pair(groups: Iterable[Group], folder: ImageFolder) -> str:
    """`such as a.jpg = b.jpg`: the beginning of the first group."""
    first = next(iter(groups), ())
    return f"such as {' = '.join(show_path(record.path, folder.root) for record in first[:2])}" if first else ""


def _duplicate_warnings(folder: ImageFolder, duplicates: Duplicates) -> list[str]:
    lists = (
        (duplicates.across_classes(), "class", "delete the copies whose class is wrong"),
        (duplicates.across_splits(), "split", "training leaves these copies out; delete them"),
    )
    return [
        f"{plural(len(groups), 'photo')} in more than one {what} ({first_pair(groups, folder)}): {advice}."
        for groups, what, advice in lists
        if groups
    ]


def _name_warnings(folder: ImageFolder) -> list[str]:
    warnings = []
    if folder.alike:
        pairs = [" = ".join(show_path(path, folder.root) for path in paths) for paths in folder.alike]
        warnings.append(
            f"{plural(len(pairs), 'class')} {'' if folder.table else 'in folders '}whose names differ only in case, "
            f"blanks or Unicode form ({name_some(pairs)}): read as one class; name them alike."
        )
    if groups := look_alikes(folder.class_names):
        pairs = [" = ".join(map(ascii, group)) for group in groups]
        warnings.append(
            f"{plural(len(groups), 'group')} of classes whose names look the same, in other letters "
            f"({name_some(pairs)}): read as different classes; name them alike if they are one."
        )
    if unseen := [f"{name!a} has {', '.join(unseen_in(name))}" for name in folder.class_names if unseen_in(name)]:
        warnings.append(
            f"{plural(len(unseen), 'class')} with letters in the name that nobody sees ({name_some(unseen)}): "
            f"rename {'them' if folder.table else 'the folder'}."
        )
    return warnings


def _lone_image_warnings(counts: Mapping[str, int]) -> list[str]:
    return [
        f'Class "{name}" has one training image: too few to learn from, and none to test on. Add photos.'
        for name, count in counts.items()
        if count == 1
    ]


def _imbalance_warning(counts: Mapping[str, int]) -> list[str]:
    if imbalance(counts) < HEAVY_IMBALANCE:
        return []
    present = sorted((count, name) for name, count in counts.items() if count)
    (fewest, smallest), (most, largest) = present[0], present[-1]
    return [
        f'Class "{largest}" has {most:,} training images and "{smallest}" {fewest:,}: '
        "add photos of the rare classes, or expect them to be overlooked."
    ]
