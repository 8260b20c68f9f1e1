"""What is asked of photos: check and augment_preview."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from regraft.api.argument_types import check_range
from regraft.api.arguments import PathLike, Values, as_bytes, as_progress, edits_of, make_recipe, public
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
    photos: PathLike,
    *,
    max_pixels: int = MAX_PIXELS,
    max_memory: str | int | None = None,
    progress: bool | Progress = True,
) -> CheckReport:
    """What is in a folder of photos and what is wrong with it; shows itself in a notebook. Changes nothing.

    Args:
        photos: a folder with one sub-folder per class.
        max_pixels: a larger photo cannot be read.
        max_memory: that photos are decoded in, in bytes or such as "4G"; by default half of what is free.
        progress: see the module.

    Raises:
        FolderError: there is no such folder, or it is not laid out as one sub-folder per class.
    """
    from regraft.data.check import build_report
    from regraft.data.sources import scan_remembered

    check_range(1, MOST_PIXELS, max_pixels=max_pixels)
    with decoding_within(as_bytes("max_memory", max_memory)):
        folder = scan_remembered(Path(photos), as_progress(progress), account=False, max_pixels=max_pixels)
        return build_report(folder)


@public
def augment_preview(
    photos: PathLike,
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
        photos: a folder with one sub-folder per class.
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

        choices = make_recipe(recipe, edits_of(set, seed=seed, image_size=image_size))
        start_tensorflow()
        from regraft.experiments.preview import write_preview

        return write_preview(
            Path(photos), choices, photos=rows, draws=draws, out=target, force=force, progress=as_progress(progress)
        )
