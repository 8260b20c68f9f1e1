"""What is asked of photos: check and augment_preview."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from regraft.api.argument_types import check_range
from regraft.api.arguments import (
    PathLike,
    Photos,
    Values,
    as_bytes,
    as_maybe_path,
    as_progress,
    as_source,
    edits_of,
    make_recipe,
    public,
)
from regraft.data.passed_over import PREVIEW
from regraft.data.unreadable import MAX_PIXELS, MOST_PIXELS
from regraft.machine.memory import decoding_within
from regraft.machine.untouched import untouched
from regraft.progress import Progress

if TYPE_CHECKING:
    from regraft.data.check import CheckReport
    from regraft.experiments.preview import Preview
    from regraft.recipes.recipe import Recipe


@public
def check(
    photos: Photos,
    *,
    set: Values | None = None,
    to: PathLike | None = None,
    max_pixels: int = MAX_PIXELS,
    max_memory: str | int | None = None,
    progress: bool | Progress = True,
) -> CheckReport:
    """What photos there are and what is wrong with them; shows itself in a notebook. Changes nothing that is there.

    Args:
        photos: see `train`.
        to: a .csv file to write: the path and label of each photo, and split, group and weight where there are any.
        set: recipe keys that say how labels and groups are found, such as {"data.label_column": "species"}.
        max_pixels: a larger photo cannot be read.
        max_memory: that photos are decoded in, in bytes or such as "4G"; by default half of what is free.
        progress: see the module.

    Raises:
        FolderError: there is no such folder, or it is not laid out as one sub-folder per class.
    """
    from regraft.data.check import build_report
    from regraft.data.sources import scan_remembered
    from regraft.data.tables.written import check_table_place, write_table

    check_range(1, MOST_PIXELS, max_pixels=max_pixels)
    table = as_maybe_path(to)
    if table:
        check_table_place(table)
    with decoding_within(as_bytes("max_memory", max_memory)):
        source, edits = as_source(photos, edits_of(set, max_pixels=max_pixels))
        choices = make_recipe("quick", edits).data.source
        folder = scan_remembered(Path(source), as_progress(progress), account=False, choices=choices)
        if table:
            write_table(folder, table)
        return build_report(folder)


@public
def augment_preview(
    photos: Photos,
    *,
    recipe: PathLike | Recipe = "balanced",
    set: Values | None = None,
    seed: int | None = None,
    image_size: int | None = None,
    rows: int = 6,
    draws: int = 7,
    out: PathLike = PREVIEW,
    force: bool = False,
    progress: bool | Progress = True,
) -> Preview:
    """Draws a sheet of photos beside what training would make of them.

    Args:
        photos: see `train`.
        recipe, set, seed, image_size: see `train`.
        rows: photos shown, 1 to 100.
        draws: augmented draws of each photo, 1 to 20.
        out: a .png or .jpg file.
        force: overwrites an earlier sheet.
        progress: a bar (True), silence (False), or an object with the methods of `regraft.Progress`.

    Raises:
        RegraftError: an argument does not fit, the folder holds no photo, or `out` exists.
    """
    from regraft.experiments.sheet import check_sheet

    check_range(1, 100, rows=rows)
    check_range(1, 20, draws=draws)
    target = Path(out)
    check_sheet(target, force=force)
    with untouched("augment_preview"):
        from regraft.machine.devices import start_tensorflow

        source, edits = as_source(photos, edits_of(set, seed=seed, image_size=image_size))
        choices = make_recipe(recipe, edits)
        start_tensorflow()
        from regraft.experiments.preview import write_preview

        return write_preview(
            Path(source), choices, photos=rows, draws=draws, out=target, force=force, progress=as_progress(progress)
        )
