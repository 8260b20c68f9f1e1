"""The deterministic view of a photo without TensorFlow: what `predict` shows to LiteRT, ONNX Runtime and OpenVINO.

The same numbers as `regraft.augment.view.make_view` gives but for the last bits of float32, and as fast; importing
TensorFlow takes seconds, which is longer than most people's predictions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from regraft.augment.fits import MARGIN, Fit, sides_in_square
from regraft.data.photos import held_pixels
from regraft.data.rendering import Rendering

_MARGIN = 2
"""A photo is shrunk while it is decoded to no less than this many times the view, and averaged from there."""


_CACHED = 1 << 16
"""Numbers between rows and columns that are at work together: with their neighbours they fill the cache of a core."""

_KEPT = 64
"""What is mixed from no more than so many pixels each is worked out once for all photos of a size."""

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
        return _resize(part, (image_size, image_size), (antialias, antialias))
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


def _resize(pixels: np.ndarray, shown: tuple[int, int], antialias: tuple[bool, bool]) -> np.ndarray:
    """float32 [*shown, C]: uint8 [H, W, C], scaled; see `regraft.augment.view.resize_to`.

    Some rows at a time go all the way, so that what is in between fits into the cache of a core.
    """
    height, width, channels = pixels.shape
    given, view = pixels.reshape(height, -1), np.empty((shown[0], shown[1] * channels), np.float32)
    rows = _taps(height, shown[0], 1, antialias[0])
    columns = _taps(width, shown[1], channels, antialias[1])
    step = max(_CACHED // given.shape[1], 1)
    for start in range(0, shown[0], step):
        some = slice(start, start + step)
        mixed = _mix(given, [(places[some], weights[some, None]) for places, weights in rows], axis=0)
        view[some] = _mix(mixed, columns, axis=1)
    return view.reshape(*shown, channels)


def _mix(x: np.ndarray, taps: Sequence[tuple[np.ndarray, np.ndarray]], axis: int) -> np.ndarray:
    """float32: sums of the rows (axis 0) or columns (1) of `x` [M, N]: those at the places of each tap, weighted."""
    if len(taps) == 2:  # a + (b - a) * weight is b or a where these are equal, to the last bit
        (low, _), (high, part) = taps
        total, step = (np.take(x, places, axis).astype(np.float32, copy=False) for places in (low, high))
        step -= total
        step *= part
        total += step
        return total
    total = np.zeros((), np.float32)
    for places, weights in taps:
        tap = np.take(x, places, axis).astype(np.float32, copy=False)
        tap *= weights
        total = tap if total.ndim == 0 else np.add(total, tap, out=total)
    return total


def _taps(size: int, count: int, channels: int, antialias: bool) -> Sequence[tuple[np.ndarray, np.ndarray]]:
    """What is mixed to `count` places out of `size`, each of so many channels: places int and weights float32."""
    if size > _KEPT * count:  # of a strip they fill the memory, and no other photo has its length
        return _taps_anew(size, count, channels, antialias)
    return _taps_kept(size, count, channels, antialias)


def _taps_anew(size: int, count: int, channels: int, antialias: bool) -> Sequence[tuple[np.ndarray, np.ndarray]]:
    places, weights = _triangle(size, count) if antialias else _neighbours(size, count)
    places = (places.astype(np.int32)[..., None] * channels + np.arange(channels, dtype=np.int32)).reshape(
        len(places), -1
    )
    return list(zip(places, np.repeat(weights, channels, axis=1), strict=True))


_taps_kept = lru_cache(256)(_taps_anew)


def _neighbours(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Both neighbours of `count` places: int [2, count], and how much of each, float32 [2, count]."""
    centers = (np.arange(count, dtype=np.float32) + 0.5) * np.float32(size / count) - np.float32(0.5)
    below = np.floor(centers)
    places = np.clip(np.stack([below, np.ceil(centers)]).astype(int), 0, size - 1)
    return places, np.stack([1 - (centers - below), centers - below])


def _triangle(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Taps of a triangle filter as wide as the step: places int [T, count], weights float32 [T, count]."""
    step = size / count
    centers = (np.arange(count) + 0.5) * step
    first = np.maximum(np.ceil(centers - step - 0.5), 0)
    last = np.minimum(np.floor(centers + step - 0.5), size - 1)
    places = first + np.arange(int((last - first).max()) + 1)[:, None]
    weights = np.maximum(1 - np.abs(places + 0.5 - centers) / step, 0) * (places <= last)
    weights /= weights.sum(axis=0)
    return np.minimum(places, size - 1).astype(int), weights.astype(np.float32)
