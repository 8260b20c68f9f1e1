"""Fixtures for every test: small folders of generated photos, and the real ones where they are at hand."""

from __future__ import annotations

import colorsys
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PhotoFolder = Callable[..., Path]


def draw_photo(
    class_index: int, *, seed: int, size: tuple[int, int] = (64, 48), classes: int = 8
) -> Image.Image:
    """An RGB image of `size` (width, height): its hue and the direction of its stripes tell its class.

    `seed` varies the phase, the brightness and a random pattern, so no two seeds look alike.
    """
    rng = np.random.default_rng([class_index, seed])
    width, height = size
    turn = np.pi * class_index / classes
    y, x = np.mgrid[:height, :width] / 8
    stripes = np.sin(2 * np.pi * (x * np.cos(turn) + y * np.sin(turn)) / 2 + rng.uniform(0, 2 * np.pi))
    blobs = Image.fromarray(rng.integers(0, 256, (12, 12), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    light = rng.uniform(0.5, 0.7) + 0.12 * stripes + 0.3 * (np.asarray(blobs) / 255 - 0.5)
    color = np.array(colorsys.hsv_to_rgb(class_index / classes, 0.7, 1.0))
    return Image.fromarray(np.rint(255 * np.clip(light[..., None] * color, 0, 1)).astype(np.uint8))


@pytest.fixture
def photo_folder(tmp_path: Path) -> PhotoFolder:
    """A function that writes a class-per-folder tree of JPEGs and returns its root.

    `photo_folder({"cat": 3, "dog": 3})`, or with splits `photo_folder({"train/cat": 3, "val/cat": 1, ...})`.
    The same arguments give the same bytes; all images of one call differ.
    """

    def write(counts: Mapping[str, int], *, name: str = "photos", size=(64, 48), seed: int = 0) -> Path:
        root = tmp_path / name
        class_names = sorted({Path(folder).name for folder in counts})
        for place, (folder, count) in enumerate(sorted(counts.items())):
            (root / folder).mkdir(parents=True)
            for number in range(count):
                photo = draw_photo(
                    class_names.index(Path(folder).name),
                    seed=10_000 * seed + 1_000 * place + number,
                    size=size,
                    classes=max(len(class_names), 2),
                )
                photo.save(root / folder / f"{number:03}.jpg", quality=90)
        return root

    return write


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real photos and weights; skips the test where REGRAFT_SHARED does not name one."""
    folder = os.environ.get("REGRAFT_SHARED")
    if not folder or not Path(folder).is_dir():
        pytest.skip("REGRAFT_SHARED does not name a folder with the real photos and weights")
    return Path(folder)
