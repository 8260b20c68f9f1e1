"""Photos that are drawn: classes that can be told apart, odd formats, broken files."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PhotoFolder = Callable[..., Path]

# What a camera stores so that turning it by the EXIF orientation shows the scene upright.
STORED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, 1),
    7: lambda x: np.rot90(x, 2).transpose(1, 0, 2),
    8: lambda x: np.rot90(x, -1),
}


def draw_photo(class_index: int, *, seed: int, size: tuple[int, int] = (64, 48), classes: int = 8) -> Image.Image:
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


def write_odd_photos(folder: Path, photos: list[Image.Image]) -> None:
    """Writes each photo in another format that cameras, scanners and drawing programs make; all can be read."""
    exif = Image.Exif()
    exif[0x0112] = 6
    cycle: list[tuple[str, Callable[[Image.Image], Image.Image], dict[str, Any]]] = [
        ("tiff.tif", lambda photo: photo, {}),
        ("cmyk.jpg", lambda photo: photo.convert("CMYK"), {"quality": 95}),
        ("deep.png", _sixteen_bit, {}),
        ("grey_alpha.png", lambda photo: photo.convert("LA"), {}),
        ("palette.png", lambda photo: photo.quantize(64), {}),
        ("web.webp", lambda photo: photo, {"lossless": True}),
        ("bitmap.bmp", lambda photo: photo, {}),
        ("turned.jpg", lambda photo: photo.transpose(Image.Transpose.ROTATE_90), {"exif": exif, "quality": 95}),
        ("first.gif", lambda photo: photo.quantize(64), {}),
        ('a "b", c é.jpg', lambda photo: photo, {"quality": 95}),
    ]
    for number, photo in enumerate(photos):
        name, change, options = cycle[number % len(cycle)]
        change(photo).save(folder / f"{number:02}_{name}", **options)


def _sixteen_bit(photo: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(photo.convert("L"), np.uint16) * 257)


def write_broken_photos(folder: Path) -> list[Path]:
    """Six files that no one can read, one of each kind, in path order."""
    whole = draw_photo(0, seed=99)
    jpeg, png = io.BytesIO(), io.BytesIO()
    whole.save(jpeg, "JPEG")
    whole.save(png, "PNG")
    contents = {
        "bomb.gif": b"GIF89a" + b"\xff\xff" * 2 + b"\0\0\0;",
        "cut.jpg": jpeg.getvalue()[:-100],
        "cut.png": png.getvalue()[:-100],
        "empty.jpg": b"",
        "text.jpg": b"This is not a photo.\n",
        "zero_width.gif": b"GIF89a\0\0\x10\0\0\0\0;",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]
