"""Inputs as tests of prediction write them, and the paths they give."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from drawn_photos import draw_photo

from regraft.prediction.sources.expand import Inputs, expand_inputs
from regraft.prediction.sources.kind import Reading


def paths_of(inputs: Inputs, stdin: Iterable[str] = (), **reading: str | bool) -> list[str]:
    return [item.path for item in expand_inputs(inputs, stdin, Reading(**reading))]


def write_photos(folder: Path, *names: str) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        draw_photo(seed % 3, seed=700 + seed, size=(40, 32), classes=3).save(folder / name)
    return [str(folder / name) for name in names]
