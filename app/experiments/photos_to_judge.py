"""Which photos runs are judged on: none that one of them was trained on or chosen by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from regraft.data.records import ImageFolder, Record
from regraft.errors import FolderError, UsageError
from regraft.progress import Progress
from regraft.runs.photos_now import check_judges, fingerprints_of, groups_of, rows_of, scan_others, scan_photos
from regraft.runs.run import Run

Chosen = tuple[tuple[Record, ...], str]


def photos_to_judge(
    runs: Sequence[Run], photos: Path | None, progress: Progress, told: Mapping[str, Any] | None = None
) -> tuple[ImageFolder, tuple[Record, ...], str]:
    """The scanned folder, the images in it to judge on, and the words for them.

    Args:
        runs: one, or two of the same classes; these are numbered as in the first.
        photos: a labelled folder or table: its test split, else val, else all of it, without what a run was trained on
            or chosen by. None stands for the images that all of the runs report on.
        progress: who is told.
        told: keys of the recipe that say how the labels of `photos` are found, where not as in training.

    Raises:
        RunError, FolderError: a run or the folder cannot be used, or no image is left.
        UsageError: the runs report on no image in common.
    """
    they = "the run" if len(runs) == 1 else "both runs"
    if photos is None:
        folder = scan_photos(runs[0], None, progress, advice=f"name {_what(runs[0])} after {they}")
        records, which = _reported(folder, runs)
    else:
        folder = scan_others(runs[0], photos, progress, told=told)
        records, which = _unseen(folder, runs)
    if not records:
        trained = "it was not" if len(runs) == 1 else "neither was"
        raise FolderError(f"{folder.root} has no image to judge {they} on that {trained} trained on.")
    return folder, records, which


def _what(run: Run) -> str:
    return "a table of them" if run.table else "their folder"


def _reported(folder: ImageFolder, runs: Sequence[Run]) -> Chosen:
    for run in runs:
        check_judges(run)
    reported = [rows_of(run, "report") for run in runs]
    common = set.intersection(*({row.fingerprint for row in rows} for rows in reported))
    paths = {row.path for row in reported[0] if row.fingerprint in common}
    if not paths and len(runs) > 1:
        raise UsageError(
            f"{' and '.join(str(run.folder) for run in runs)} report on no photo in common; name a folder of other "
            "photos after them, or train both with one data.split_seed."
        )
    records = tuple(each for each in folder.records if each.fingerprint in common and each.path.absolute() in paths)
    absent = len(paths) - len(records)
    which = "the run reports on" if len(runs) == 1 else "both runs report on"
    return records, which + (f", without {absent} gone or changed since" if absent else "")


def _unseen(folder: ImageFolder, runs: Sequence[Run]) -> Chosen:
    seen = set.union(*(fingerprints_of(run, "fit", "select") for run in runs))
    split = next((name for name in ("test", "val") if folder.split(name)), None)
    offered = folder.split(split) if split else folder.records
    groups = set.union(*(groups_of(run, "fit", "select") for run in runs))
    records = tuple(one for one in offered if one.fingerprint not in seen and one.group not in groups)
    left_out, who = len(offered) - len(records), "the run" if len(runs) == 1 else "one of the runs"
    which = f"of {folder.name}" + (f"/{split}" if split else "")
    grouped = ", or others of their groups" if groups else ""
    return records, which + (f", without {left_out} that {who} was trained on{grouped}" if left_out else "")
