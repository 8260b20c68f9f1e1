"""Verbs for finding one's way: backbones, cache and demo."""

from __future__ import annotations

from pathlib import Path

import click

from regraft.cli.options import DEVICE, JSON, PATH


@click.command(epilog="Example: regraft backbones --measure mobilenet_v2 efficientnet_lite0")
@click.argument("names", metavar="[NAME...]", nargs=-1)
@click.option("--measure", is_flag=True, help="Images per second on this machine; of all NAMEs, or of what is here.")
@DEVICE
@JSON
def backbones(names: tuple[str, ...], measure: bool, device: str, as_json: bool) -> None:
    """List the backbones, or those of these NAMEs: size, accuracy on ImageNet, licence, where their weights are.

    Parameters (M) and size (MB) are those published, with the top of 1,000 classes that is left out here.
    """
    import regraft
    from regraft.cli.shown import CommandLineProgress, print_json, show_backbones

    infos = regraft.backbones(names, measure=measure, device=device, progress=CommandLineProgress())
    if as_json:
        print_json({"backbones": [info.as_dict() for info in infos]})
    else:
        show_backbones(infos)


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
