"""The view of a photo in few lines of NumPy and Pillow. Model cards hold them, for programs that do without Regraft.

`regraft.data.photo_view` gives the same numbers faster, and reads what is broken or odd.
"""

from __future__ import annotations

import inspect

import numpy as np
from PIL import Image, ImageOps


def read_view(path: str, image_size: int, crop_fraction: float, background: str, fit: str = "crop") -> np.ndarray:
    """float32 [image_size, image_size, 3] in [0, 255]: the centre of an upright photo, fitted into the square."""
    with Image.open(path) as file:
        photo = ImageOps.exif_transpose(file)
    if background != "none" and photo.has_transparency_data:
        photo = Image.alpha_composite(Image.new("RGBA", photo.size, background), photo.convert("RGBA"))
    photo = photo.convert("RGB")
    whole = [min(photo.size)] * 2 if fit == "crop" else photo.size
    kept = [max(round(np.float32(crop_fraction) * np.float32(side)), 1) for side in whole]
    width, height = (kept[i] + (photo.size[i] - kept[i]) % 2 for i in (0, 1))  # one more where margins would differ
    left, top = (photo.width - width) // 2, (photo.height - height) // 2
    pixels = np.asarray(photo.crop((left, top, left + width, top + height)), np.float32)
    shown, longest = [image_size, image_size], max(photo.size)
    if fit == "pad":  # the aspect ratio stays, rounded to margins that are equal
        shown = [max((2 * image_size * side + longest) // (2 * longest), 1) for side in photo.size]
        shown = [side + (image_size - side) % 2 for side in shown]
    average = [width >= 2 * shown[0], height >= 2 * shown[1]]
    if fit == "crop":
        average = [all(average)] * 2
    columns = interpolation(width, shown[0], average[0])
    rows = interpolation(height, shown[1], average[1])
    left, top = ((image_size - side) // 2 for side in shown)
    view = np.full((image_size, image_size, 3), (124, 116, 104), np.float32)
    seen = np.einsum("yh,hwc,xw->yxc", rows, pixels, columns, optimize=True)
    view[top : top + shown[1], left : left + shown[0]] = seen
    return view


def interpolation(length: int, count: int, average: bool) -> np.ndarray:
    """float32 [count, length]: what each of `length` pixels weighs in `count` new ones, with half-pixel centres."""
    centers = (np.arange(count) + 0.5) * length / count - 0.5
    reach = length / count if average else 1  # the two neighbours, or all that a new pixel stands for
    weights = np.maximum(1 - np.abs(np.arange(length) - centers[:, None]) / reach, 0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def view_code() -> str:
    """Python that defines `read_view`; it needs NumPy as `np`, and `Image` and `ImageOps` of Pillow."""
    return "\n\n\n".join(inspect.getsource(part).strip() for part in (read_view, interpolation))
