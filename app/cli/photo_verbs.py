"""Verbs that look at photos: check and augment-preview."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from regraft.cli.options import (
    GROUPS,
    IMAGE_SIZE,
    JSON,
    LABELS,
    MAX_MEMORY,
    PATH,
    SEED,
    SET,
    all_of,
    edits_of,
    max_pixels,
    recipe_option,
)
from regraft.data.passed_over import PREVIEW

NOT_TRAINABLE = 3
"""The exit code of `check` where nothing can be trained on the folder."""


@click.command(epilog="Example: regraft check photos/ --json")
@click.argument("photos", metavar="FOLDER | TABLE", type=PATH)
@all_of(LABELS, GROUPS)
@click.option("--to", type=PATH, help="A .csv file to write: path and label of each photo.")
@max_pixels("A larger photo cannot be read.")
@MAX_MEMORY
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def check(photos: Path, to: Path | None, max_pixels: int, max_memory: str | None, as_json: bool) -> None:
    """Say what is in a FOLDER, or a TABLE of paths and labels, and what is wrong with it. Changes nothing.

    Exit code 3 where train would refuse it too, so that check guards it: regraft check photos/ && regraft train
    photos/.
    """
    import regraft
    from regraft.cli.shown import CommandLineProgress, print_json, show_check

    report = regraft.check(
        photos, set=edits_of(), to=to, max_pixels=max_pixels, max_memory=max_memory, progress=CommandLineProgress()
    )
    if as_json:
        print_json(report.as_dict())
    else:
        show_check(report)
    if not report.is_trainable:
        sys.exit(NOT_TRAINABLE)


@click.command("augment-preview", epilog="Example: regraft augment-preview photos/ --set augment.randaugment=5")
@click.argument("folder", metavar="FOLDER | TABLE", type=PATH)
@all_of(recipe_option("balanced"), SET, LABELS, GROUPS, SEED, IMAGE_SIZE)
@click.option("--photos", type=click.IntRange(1, 100), default=6, show_default=True, help="Rows of the sheet.")
@click.option(
    "--draws", type=click.IntRange(1, 20), default=7, show_default=True, help="Augmented draws of each photo."
)
@click.option("--out", type=PATH, default=Path(PREVIEW), show_default=True, help="PNG or JPEG file to write.")
@click.option("--force", is_flag=True, help="Overwrite --out.")
@JSON
def augment_preview(
    folder: Path,
    recipe: str,
    edits: tuple[str, ...],
    seed: int | None,
    image_size: int | None,
    photos: int,
    draws: int,
    out: Path,
    force: bool,
    as_json: bool,
) -> None:
    """Draw a sheet of photos of FOLDER beside what training would make of them."""
    import regraft
    from regraft.cli.shown import CommandLineProgress, print_json, show_preview

    preview = regraft.augment_preview(
        folder, recipe=recipe, set=edits_of(edits), seed=seed, image_size=image_size, rows=photos, draws=draws, out=out,
        force=force, progress=CommandLineProgress(),
    )  # fmt: skip
    if as_json:
        print_json(preview.as_dict())
    else:
        show_preview(preview)
