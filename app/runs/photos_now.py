"""Where a run's photos are now, and which of them did what in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from regraft.data.class_names import place_of
from regraft.data.records import ImageFolder, Record
from regraft.data.sources import SourceChoices, scan_remembered
from regraft.errors import FolderError, RunError, did_you_mean, option
from regraft.progress import Progress
from regraft.recipes.recipe import edit_recipe
from regraft.runs.digests import ROSTER, check_digests
from regraft.runs.roster import RosterRow, read_roster
from regraft.runs.run import Run


def scan_photos(
    run: Run, photos: Path | None, progress: Progress, *, advice: str = f"name their folder with {option('photos')}"
) -> ImageFolder:
    """The photos of `run` as they lie now, classes numbered as in the run.

    Args:
        run: finished.
        photos: their folder or table, if they moved since training.
        progress: who is told.
        advice: what to do where they are gone.

    Raises:
        RunError: the folder that the run remembers is gone.
        FolderError: `photos` is no folder of photos, or has a class that the run does not know.
    """
    return renumber(_scan(run, photos, progress, advice), run.class_names)


def scan_others(run: Run, source: Path, progress: Progress, *, told: Mapping[str, Any] | None = None) -> ImageFolder:
    """The photos of another folder or table than that of `run`, classes numbered as in the run.

    Args:
        run: finished. Columns are looked for by the names that they had in training, and else by the usual ones;
            relative paths start where those of any table do.
        source: the folder or table.
        progress: who is told.
        told: keys of the recipe that say how labels are found.

    Raises:
        UsageError: what is told is for another kind of source.
        FolderError: there are no such photos, or they have a class that the run does not know.
    """
    told = {key: value for key, value in (told or {}).items() if value is not None}
    choices = edit_recipe(run.recipe, {"data.root": None, **told}).data.source
    names = {"path": "data.path_column", "label": "data.label_column", "group": "data.group"}
    wishes = frozenset(field for field, key in names.items() if key not in told)
    choices = replace(choices, columns=replace(choices.columns, wishes=wishes), may_lack_groups=True)
    return renumber(scan_remembered(source, progress, choices=choices), run.class_names)


def scan_role(
    run: Run, photos: Path | None, role: str, progress: Progress, *, choices: SourceChoices | None = None
) -> list[Record]:
    """The images that had this role in `run`, wherever they lie now, classes numbered as in the run.

    Classes that the run does not know may lie beside them. Arguments and errors are those of `scan_photos`.
    """
    folder = _scan(run, photos, progress, f"name their folder with {option('photos')}", choices)
    return [
        replace(record, class_index=_number_of(folder.class_names[record.class_index], run.class_names, folder.root))
        for record in records_of(run, folder, role)
    ]


def _scan(
    run: Run, photos: Path | None, progress: Progress, advice: str, choices: SourceChoices | None = None
) -> ImageFolder:
    source = photos or run.table or run.root
    gone = next((place for place in (run.root, source) if not place.exists()), None)
    if photos is None and gone:
        raise RunError(f"The photos of {run.folder} are no longer in {gone}; {advice}.")
    choices = choices or run.recipe.data.source
    if run.table and photos and photos.is_dir() and run.table.is_file():  # the folder that they were moved to
        source, choices = run.table, replace(choices, columns=replace(choices.columns, root=str(photos)))
    return scan_remembered(source, progress, choices=replace(choices, may_lack_groups=bool(photos)))


def renumber(folder: ImageFolder, class_names: Sequence[str]) -> ImageFolder:
    """`folder` with the run's numbering of classes. Raises FolderError for a class the run does not know."""
    numbers = [_number_of(name, class_names, folder.root) for name in folder.class_names]
    records = tuple(replace(record, class_index=numbers[record.class_index]) for record in folder.records)
    return replace(folder, class_names=tuple(class_names), records=records)


def rows_of(run: Run, *roles: str) -> list[RosterRow]:
    """The images that had one of these roles ("fit", "select", "report"), in the order of images.csv.

    Raises:
        RunError: the file is missing, damaged or edited.
    """
    check_digests(run.folder, ROSTER)
    return [row for row in read_roster(run.roster_file) if row.role in roles]


def _number_of(name: str, class_names: Sequence[str], root: Path) -> int:
    """The place of a class, also where the run has it in another writing, as after a move to another system."""
    place = place_of(name, class_names)
    if place is None:
        raise FolderError(f'{root} has a class "{name}" that the run does not know.{did_you_mean(name, class_names)}')
    return place


def fingerprints_of(run: Run, *roles: str) -> set[str]:
    """What the images of these roles contain."""
    return {row.fingerprint for row in rows_of(run, *roles)}


def check_judges(run: Run, advice: str = "name others, which it has not seen") -> None:
    """Raises RunError, with this advice, where the model of the run has learned from the photos it reports on."""
    if run.recipe.data.folds:
        raise RunError(
            f"{run.folder} was judged in folds, and its own model has learned from all its photos: {advice}."
        )


def groups_of(run: Run, *roles: str) -> set[str]:
    """The groups of the images of these roles."""
    return {row.group for row in rows_of(run, *roles) if row.group}


def records_of(run: Run, folder: ImageFolder, *roles: str) -> list[Record]:
    """The images in `folder` that had one of these roles in `run`, at most one for each row of its images.csv.

    It is what lies where the run found it and has not changed; where nothing does, a photo of the same content and
    class. A copy with another label has none of the role, as training has left it out.
    """
    rows = rows_of(run, *roles)
    places = {(one.path.absolute(), one.fingerprint) for one in folder.records}
    kept = {(row.path, row.fingerprint) for row in rows} & places
    moved = Counter((row.fingerprint, row.class_name) for row in rows if (row.path, row.fingerprint) not in kept)
    numbers = [place_of(name, run.class_names) for name in folder.class_names]
    found = []
    for record in folder.records:
        number, place = numbers[record.class_index], (record.path.absolute(), record.fingerprint)
        content = record.fingerprint, "" if number is None else run.class_names[number]
        if place in kept:
            kept.remove(place)
        elif moved[content]:
            moved[content] -= 1
        else:
            continue
        found.append(record)
    return found
