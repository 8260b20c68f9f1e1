"""The deterministic view of a photo without TensorFlow: what `predict` shows to LiteRT, ONNX Runtime and OpenVINO.

The same numbers as `regraft.augment.view.make_view` gives but for the last bits of float32, and as fast; importing
TensorFlow takes seconds, which is longer than most people's predictions.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from regraft.augment.fits import MARGIN, Fit, sides_in_square
from regraft.data.photos import held_pixels
from regraft.data.rendering import Rendering

_MARGIN = 2
"""A photo is shrunk while it is decoded to no less than this many times the view, and averaged from there."""


PhotoData = bytes | np.ndarray
"""An encoded photo, or its upright pixels uint8 [H, W, 3]."""


def read_view(
    photo: PhotoData,
    image_size: int,
    crop_fraction: float,
    *,
    fit: Fit = "crop",
    rendering: Rendering | None = None,
    max_pixels: int | None = None,
    shrink: bool = True,
) -> np.ndarray:
    """float32 [image_size, image_size, 3] in [0, 255]: the view of a photo, upright.

    Args:
        photo: in any format that `regraft.data.photos` knows, or its pixels.
        image_size: pixels a side.
        crop_fraction: the part of the short side, or where `fit` is not "crop" of each side, that is seen.
        fit: how that becomes a square, see `Fit`.
        rendering: what becomes of transparent pixels and of deep grey; None is the default of `Rendering`.
        max_pixels: more are too large; by default `regraft.data.photos.MAX_PIXELS`.
        shrink: decode a JPEG that is much larger than the view at a half, a quarter or an eighth of its size.

    Raises:
        UnreadablePhoto: there are no pixels to be had.
    """
    if isinstance(photo, np.ndarray):
        return view_of(photo, image_size, crop_fraction, fit)
    least = math.ceil(_MARGIN * image_size / crop_fraction) if shrink else None
    with held_pixels(photo, rendering=rendering, max_pixels=max_pixels, least_side=least) as pixels:
        return view_of(pixels, image_size, crop_fraction, fit)


def view_of(pixels: np.ndarray, image_size: int, crop_fraction: float, fit: Fit = "crop") -> np.ndarray:
    """float32 [image_size, image_size, 3] of upright uint8 [H, W, 3]; see `regraft.augment.view.make_view`."""
    part = _center_part(pixels, crop_fraction, fit)
    height, width = part.shape[:2]
    if fit == "crop":
        antialias = min(height, width) >= 2 * image_size
        return _resize_rows_first(part, (image_size, image_size), (antialias, antialias))
    shown = sides_in_square(pixels.shape[0], pixels.shape[1], image_size) if fit == "pad" else (image_size, image_size)
    view = _resize(part, shown, (height >= 2 * shown[0], width >= 2 * shown[1]))
    if shown == (image_size, image_size):
        return view
    padded = np.empty((image_size, image_size, 3), np.float32)
    padded[:] = MARGIN
    top, left = ((image_size - side) // 2 for side in shown)
    padded[top : top + shown[0], left : left + shown[1]] = view
    return padded


def _center_part(pixels: np.ndarray, crop_fraction: float, fit: Fit) -> np.ndarray:
    sides = pixels.shape[:2]
    whole = (min(sides), min(sides)) if fit == "crop" else sides
    kept = (max(int(np.rint(np.float32(side) * np.float32(crop_fraction))), 1) for side in whole)
    height, width = (side + (length - side) % 2 for side, length in zip(kept, sides, strict=True))
    top, left = (sides[0] - height) // 2, (sides[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def _resize(part: np.ndarray, shown: tuple[int, int], antialias: tuple[bool, bool]) -> np.ndarray:
    """float32 [*shown, C] of uint8 [H, W, C]: first its height, which is faster, unless that grows.

    A strip of few rows would then fill the memory.
    """
    if len(part) < shown[0]:
        turned = _resize_rows_first(np.ascontiguousarray(part.transpose(1, 0, 2)), shown[::-1], antialias[::-1])
        return np.ascontiguousarray(turned.transpose(1, 0, 2))
    return _resize_rows_first(part, shown, antialias)


def _resize_rows_first(part: np.ndarray, shown: tuple[int, int], antialias: tuple[bool, bool]) -> np.ndarray:
    height, width, channels = part.shape
    rows = _resize_rows(part.reshape(height, width * channels), shown[0], antialias[0])
    columns = np.ascontiguousarray(rows.T).reshape(width, channels * shown[0])
    view = _resize_rows(columns, shown[1], antialias[1]).reshape(shown[1] * channels, shown[0])
    return np.ascontiguousarray(view.T).reshape(*shown, channels)


def _resize_rows(x: np.ndarray, count: int, antialias: bool) -> np.ndarray:
    """float32 [count, N]: weighted sums of the rows of `x` [M, N]."""
    if antialias:
        places, weights = _triangle(len(x), count)
        total = np.take(x, places[0], 0) * weights[0]
        for place, weight in zip(places[1:], weights[1:], strict=True):
            total += np.take(x, place, 0) * weight
        return total
    low, high, part = _neighbours(len(x), count)
    result = np.take(x, low, 0).astype(np.float32, copy=False)
    step = np.take(x, high, 0).astype(np.float32, copy=False)
    step -= result
    step *= part
    result += step
    return result


@lru_cache(256)
def _neighbours(size: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `count` places, both neighbours (int [count]) and how far it is on the way (float32 [count, 1])."""
    centers = (np.arange(count, dtype=np.float32) + 0.5) * np.float32(size / count) - np.float32(0.5)
    below = np.floor(centers)
    low = np.clip(below.astype(int), 0, size - 1)
    high = np.clip(np.ceil(centers).astype(int), 0, size - 1)
    return low, high, (centers - below)[:, None]


@lru_cache(256)
def _triangle(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Taps of a triangle filter as wide as the step: places int [T, count], weights float32 [T, count, 1]."""
    step = size / count
    centers = (np.arange(count) + 0.5) * step
    first = np.maximum(np.ceil(centers - step - 0.5), 0)
    last = np.minimum(np.floor(centers + step - 0.5), size - 1)
    places = first + np.arange(int((last - first).max()) + 1)[:, None]
    weights = np.maximum(1 - np.abs(places + 0.5 - centers) / step, 0) * (places <= last)
    weights /= weights.sum(axis=0)
    return np.minimum(places, size - 1).astype(int), weights[..., None].astype(np.float32)
