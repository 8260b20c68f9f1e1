"""Verbs for finding one's way: backbones and demo."""

from __future__ import annotations

from pathlib import Path

import click

from regraft.cli.options import PATH


@click.command(epilog="Example: regraft backbones")
def backbones() -> None:
    """List the backbones."""
    from regraft.models.backbones import BACKBONES

    for name, row in BACKBONES.items():
        width = "  width multiplier model.alpha" if row.takes_alpha else ""
        click.echo(f"{name:<22}{row.image_size:>4} px{width}")


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
