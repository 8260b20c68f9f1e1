"""Where an export goes, and what may make way for it: an export of ours, file by file, and nothing else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from regraft.errors import RegraftError, UsageError, option
from regraft.exports.export import CARD, RATES, description_of, read_description
from regraft.exports.format import Format, find_format
from regraft.machine.drafts import publish_instead, sweep
from regraft.machine.files import check_makeable, publish

_MOST_NAMED = 3


@dataclass(frozen=True)
class Place:
    """The folder of an export.

    Attributes:
        folder: where it goes. A link is followed.
        form: its format.
        force: whether an export that is there makes way.
    """

    folder: Path
    form: Format
    force: bool

    @property
    def target(self) -> Path:
        """`folder` without links."""
        return Path(os.path.realpath(self.folder))

    def check(self) -> None:
        """Raises UsageError where what is there does not make way: without `force`, or as it is not all ours.

        OSError says that nothing can be made there.
        """
        if _holds_current_folder(self.target):
            raise UsageError(
                f"{self.folder} is or holds the current folder, so it is not replaced; choose another {option('out')}."
            )
        nearest = next(parent for parent in self.target.parents if parent.exists())
        if not nearest.is_dir():
            raise UsageError(f"{self.folder} cannot be made: {nearest} is a file; choose another {option('out')}.")
        check_makeable(self.target)
        if self.target.parent == nearest:
            sweep(nearest)
        self._names_to_remove()

    def take(self, draft: Path) -> None:
        """Gives `draft` this place, all at once; what is there is checked again. Raises as `check`."""
        names = self._names_to_remove()
        if self.target.exists():
            publish_instead(draft, self.target, names)
        else:
            publish(draft, self.target)

    def _names_to_remove(self) -> list[str]:
        if os.path.lexists(self.folder) and not self.force:
            raise UsageError(
                f"{self.folder} exists already; choose another {option('out')} or add {option('force', True)}."
            )
        if not os.path.lexists(self.target):
            return []
        if not self.target.is_dir():
            raise UsageError(f"{self.folder} is no folder, so no export; choose another {option('out')}.")
        sweep(self.target)
        there = _names_in(self.target)
        ours = _names_of_export(self.target) if there else set()
        if others := sorted(set(there) - ours):
            more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
            raise UsageError(
                f"{self.folder} holds what no export does ({', '.join(others[:_MOST_NAMED])}{more}), so it is not "
                f"replaced; move that away or choose another {option('out')}."
            )
        return sorted(ours)


def _holds_current_folder(folder: Path) -> bool:
    """Whether to replace `folder` would take the current one from under whoever is in it; the root holds every one."""
    try:
        return Path.cwd().is_relative_to(folder)
    except FileNotFoundError:  # it is gone already
        return False


def _names_in(folder: Path) -> list[str]:
    """The names of all files below `folder`, and of folders without any, relative to it."""
    found = []
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if Path(place, name).is_symlink()]
        if Path(place) != folder and not folders and not files:
            found.append(Path(place).relative_to(folder).as_posix())
        found += [Path(place, name).relative_to(folder).as_posix() for name in (*files, *links)]
    return found


def _names_of_export(folder: Path) -> set[str]:
    """The files of the export in `folder`, as its `export.json` says; of an earlier version, as its format has them.

    Empty where nothing says that it is one.
    """
    try:
        export = read_description(folder)
    except RegraftError:
        return set()
    description = description_of(folder).relative_to(folder)
    told = {description.as_posix(), CARD, RATES}
    if export.files is not None:
        return {*export.files, *told}
    extra = {(description.parent / name).as_posix() for name in ("labels.txt", "calibration.npz")}
    form = find_format(export.format)
    return {form.file, *form.more_files, *extra, *told}
