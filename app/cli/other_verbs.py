"""Verbs for finding one's way: backbones, cache and demo."""

from __future__ import annotations

from pathlib import Path

import click

from regraft.cli.options import JSON, PATH


@click.command(epilog="Example: regraft backbones")
def backbones() -> None:
    """List the backbones."""
    from regraft.models.backbones import BACKBONES

    for name, row in BACKBONES.items():
        width = "  width multiplier model.alpha" if row.takes_alpha else ""
        click.echo(f"{name:<22}{row.image_size:>4} px{width}")


@click.command(epilog="Example: regraft cache --trim 2GB")
@click.option("--trim", metavar="SIZE|all", help="Remove what was not used for longest until SIZE is left.")
@JSON
def cache(trim: str | None, as_json: bool) -> None:
    """Say what is kept to save time, and how large it is.

    Features and transcoded photos stay within $REGRAFT_CACHE_LIMIT by themselves: 10GB, or a tenth of the disk.
    """
    import regraft
    from regraft.cli.shown import print_json, show_cache

    report = regraft.cache(trim=trim)
    if as_json:
        print_json(report.as_dict())
    else:
        show_cache(report)


@click.command(epilog="Example: regraft demo --out demo")
@click.option(
    "--out",
    type=PATH,
    default=Path("demo"),
    show_default=True,
    help="Folder for photos, run and predictions.",
)
def demo(out: Path) -> None:
    """Run every verb on 1,797 scans of handwritten digits, as a user would."""
    from regraft.cli.demo import run_demo

    run_demo(out, click.echo)
