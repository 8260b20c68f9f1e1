"""From what a file stores to 8-bit colours: transparent pixels on a background, deep grey scaled by its range.

Colour profiles are not applied, as TensorFlow's decoders and so the SavedModel cannot (docs/benchmarks.md, "Colour
profiles", says what that costs).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageColor

NO_BACKGROUND = "none"

WHITES = (1, 255, 1023, 4095, 16383, 65535)
"""What white may be: 1 of masks and floats, and the largest values of 8, 10, 12, 14 and 16 bits."""

_BITS_PER_SAMPLE = 258  # tag of a TIFF
_ROWS_PIXELS = 1 << 20  # converted at a time, so that what is in between takes little memory

Range = Literal["auto", "type"] | tuple[float, float]
"""Which values of deep grey are black and white; see `Rendering`."""

Spread = tuple[float, float]
"""The lowest and the highest value of a picture."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """How a file's values become 8-bit colours: the same in training, prediction and exports of a run.

    Attributes:
        background: what is seen through transparent pixels: "white", "black" or "#rrggbb"; "none" drops the
            transparency, so that colours show that nobody sees.
        range: the values of deep grey (16 or 32 bits) that become black and white, of a file that does not say it.
            "auto": 0, or the lowest value where that is below, and the smallest of `WHITES` that no value exceeds, else
            the highest value. "type": 0 and 65,535 for 16 bits; for 32 bits the lowest and the
            highest value of the picture.
    """

    background: str = "white"
    range: Range = "auto"

    @property
    def token(self) -> str:
        """Part of a file's name that differs wherever pixels might."""
        spread = self.range if isinstance(self.range, str) else "-".join(f"{value:.9g}" for value in self.range)
        return f"{self.background.lstrip('#')}_{spread}"


AS_EARLIER = Rendering(NO_BACKGROUND, "type")
"""Of runs and exports that do not say: those before there was a choice."""


def check_background(text: str) -> str:
    """`text`, in small letters, as a `Rendering` takes it. Raises ValueError where it is no background."""
    lower = text.lower()
    if lower not in ("white", "black", NO_BACKGROUND) and not re.fullmatch("#[0-9a-f]{6}", lower):
        raise ValueError('should be "white", "black", "none" or a colour as "#rrggbb"')
    return lower


def check_range(value: Any) -> Range:
    """`value` as a `Rendering` takes it; a list of two numbers is one too. Raises ValueError where it is no range."""
    if value in ("auto", "type"):
        return value
    is_pair = isinstance(value, list | tuple) and len(value) == 2 and all(type(each) in (int, float) for each in value)
    if not is_pair or not -math.inf < value[0] < value[1] < math.inf:
        raise ValueError('should be "auto", "type" or the values that become black and white, such as [0, 4095]')
    return float(value[0]), float(value[1])


def background_rgb(background: str) -> tuple[int, int, int] | None:
    """Red, green and blue, 0 to 255; None for "none"."""
    if background == NO_BACKGROUND:
        return None
    red, green, blue = ImageColor.getrgb(background)[:3]
    return red, green, blue


def render(image: Image.Image, rendering: Rendering) -> np.ndarray:
    """uint8 [H, W, 3] of a decoded image, as it is stored, not turned."""
    if is_deep(image):
        return _render_deep(image, rendering.range)
    background = background_rgb(rendering.background)
    if background is None or not image.has_transparency_data:
        return _by_rows(image, lambda part: np.asarray(part if part.mode == "RGB" else part.convert("RGB")))
    return _by_rows(image, lambda part: composite(np.asarray(part.convert("RGBA")), background))


def composite(pixels: np.ndarray, background: tuple[int, int, int] | None) -> np.ndarray:
    """uint8 [..., 3]: `pixels` uint8 [..., 4] over the background, rounded; without one their colours.

    In whole numbers, as `regraft.augment.decode.composite` computes it, so that both give the same.
    """
    if background is None:
        return np.ascontiguousarray(pixels[..., :3])
    alpha = pixels[..., 3:].astype(np.uint32)
    total = pixels[..., :3] * alpha + np.array(background, np.uint32) * (255 - alpha)
    return ((total + 127) // 255).astype(np.uint8)


def is_deep(image: Image.Image) -> bool:
    """Whether the image is grey of 16 or 32 bits."""
    return image.mode.startswith("I;16") or image.mode in ("I", "F")


def spread_of(image: Image.Image) -> Spread | None:
    """The lowest and highest value of deep grey whose file does not say its range; None for other images."""
    if not is_deep(image) or _stated_white(image) is not None:
        return None
    return _measure(image)


def range_of(spreads: Iterable[Spread]) -> Spread | None:
    """The values that are black and white for pictures of these spreads, as for "auto"; None without pictures."""
    known = list(spreads)
    if not known:
        return None
    lowest, highest = min(low for low, _ in known), max(high for _, high in known)
    return min(lowest, 0.0), float(next((white for white in WHITES if highest <= white), highest))


def _render_deep(image: Image.Image, wanted: Range) -> np.ndarray:
    stated = _stated_white(image)
    if stated is not None and wanted != "type":
        low, high = 0.0, stated
    elif isinstance(wanted, tuple):
        low, high = wanted
    elif wanted == "type":
        low, high = (0.0, 65535.0) if image.mode.startswith("I;16") else _measure(image)
    else:
        low, high = range_of([_measure(image)]) or (0.0, 1.0)
    scale = 255 / (high - low) if high > low else 0.0

    def grey(part: Image.Image) -> np.ndarray:
        values = _finite(part)
        scaled = np.rint(np.clip((values - low) * scale, 0, 255)).astype(np.uint8)
        return np.repeat(scaled[..., None], 3, axis=2)

    return _by_rows(image, grey)


def _measure(image: Image.Image) -> Spread:
    lowest, highest = [], []
    for values in map(_finite, _parts(image)):
        lowest.append(values.min())
        highest.append(values.max())
    return float(min(lowest)), float(max(highest))


def _finite(image: Image.Image) -> np.ndarray:
    """float64 [H, W], what is no number as 0."""
    values = np.asarray(image).astype(np.float64)
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0) if image.mode == "F" else values


def _stated_white(image: Image.Image) -> float | None:
    """What the file says is white: a TIFF may have fewer than 16 bits a sample.

    Its tags of largest sample values are "for statistical purposes" (TIFF 6.0, section 8) and of one file; PNG files
    with fewer significant bits (sBIT) are scaled to 16 already (PNG specification, 12.4). So neither says it.
    """
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))
    bits = bits[0] if isinstance(bits, tuple) else bits
    return float(2**bits - 1) if 8 < bits < 16 else None


def _by_rows(image: Image.Image, convert: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
    """uint8 [H, W, 3] of what `convert` gives for some rows at a time, so that little lies beside image and result."""
    if image.width * image.height <= _ROWS_PIXELS:
        return convert(image)
    result = np.empty((image.height, image.width, 3), np.uint8)
    top = 0
    for part in _parts(image):
        result[top : top + part.height] = convert(part)
        top += part.height
    return result


def _parts(image: Image.Image) -> Iterator[Image.Image]:
    """The image, a few million pixels at a time, from top to bottom."""
    height = max(_ROWS_PIXELS // image.width, 1)
    if height >= image.height:
        yield image
        return
    for top in range(0, image.height, height):
        yield image.crop((0, top, image.width, min(top + height, image.height)))
