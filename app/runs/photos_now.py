"""Where a run's photos are now, and which of them did what in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from regraft.data.class_names import place_of
from regraft.data.folds import REPORTED_ON_FOLDS
from regraft.data.records import ImageFolder, Record
from regraft.data.sources import SourceChoices, scan_remembered
from regraft.data.tables.columns import ColumnChoices
from regraft.errors import FolderError, RunError, did_you_mean, option
from regraft.progress import Progress
from regraft.runs.digests import ROSTER, check_digests
from regraft.runs.roster import RosterRow, read_roster
from regraft.runs.run import Run


def scan_photos(
    run: Run,
    photos: Path | None,
    progress: Progress,
    *,
    advice: str = f"name their folder with {option('photos')}",
    choices: SourceChoices | None = None,
) -> ImageFolder:
    """The photos of `run` as they lie now, classes numbered as in the run.

    Args:
        run: finished.
        photos: their folder or table, if they moved since training.
        progress: who is told.
        advice: what to do where they are gone.
        choices: how labels are found; by default as in training.

    Raises:
        RunError: the folder that the run remembers is gone.
        FolderError: `photos` is no folder of photos, or has a class that the run does not know.
    """
    return renumber(_scan(run, photos, progress, advice, choices), run.class_names)


def scan_role(run: Run, photos: Path | None, role: str, progress: Progress) -> list[Record]:
    """The images that had this role in `run`, wherever they lie now, classes numbered as in the run.

    Classes that the run does not know may lie beside them. Arguments and errors are those of `scan_photos`.
    """
    folder = _scan(run, photos, progress, f"name their folder with {option('photos')}")
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
    elif source.is_dir():
        choices = replace(choices, columns=ColumnChoices())
    if photos:
        choices = replace(choices, may_lack_groups=True)
    return scan_remembered(source, progress, choices=choices)


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
    if run.metrics.reported_on == REPORTED_ON_FOLDS:
        raise RunError(
            f"{run.folder} was judged in folds, and its own model has learned from all its photos: {advice}."
        )


def groups_of(run: Run, *roles: str) -> set[str]:
    """The groups of the images of these roles."""
    return {row.group for row in rows_of(run, *roles) if row.group}


def records_of(run: Run, folder: ImageFolder, role: str) -> list[Record]:
    """The images in `folder` that had this role in `run`, wherever they lie."""
    wanted = fingerprints_of(run, role)
    return [record for record in folder.records if record.fingerprint in wanted]
