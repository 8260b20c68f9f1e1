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

_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of a TIFF
_WHITE_IS_ZERO, _UNSIGNED = 0, 1  # their values
_DARK = 64  # of 256: two bits are not used
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
        return _render_deep(image, rendering)
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


def has_16_bit_colors(image: Image.Image) -> bool:
    """Whether the image, not yet decoded, has colours of 16 bits, of which Pillow and TensorFlow take the higher 8."""
    arguments = [tile[3] for tile in getattr(image, "tile", [])]
    raw_modes = [each if isinstance(each, str) else each[0] for each in arguments if each]
    return not is_deep(image) and any(isinstance(raw, str) and ";16" in raw for raw in raw_modes)


def is_nearly_black(image: Image.Image) -> bool:
    """Whether no colour of a decoded image of 16-bit colours uses their highest two bits, as those of 14 bits do."""
    brightest: list[Any] = [image.getchannel(band).getextrema()[1] for band in "RGB"]
    return max(brightest) < _DARK


def spread_of(image: Image.Image) -> Spread | None:
    """The lowest and highest value of deep grey whose file does not say its range; None for other images."""
    if not is_deep(image) or _stated_white(image) is not None:
        return None
    return _measure(image, _reader_of(image))


def range_of(spreads: Iterable[Spread]) -> Spread | None:
    """The values that are black and white for pictures of these spreads, as for "auto"; None without pictures."""
    known = list(spreads)
    if not known:
        return None
    lowest, highest = min(low for low, _ in known), max(high for _, high in known)
    return min(lowest, 0.0), float(next((white for white in WHITES if highest <= white), highest))


def _render_deep(image: Image.Image, rendering: Rendering) -> np.ndarray:
    stated, wanted = _stated_white(image), rendering.range
    low, high = _black_and_white(image, wanted, stated)
    scale = 255 / (high - low) if high > low else 0.0
    is_by_type = wanted == "type"  # and as it is stored, as it was before there was a choice
    is_negative = not is_by_type and _tag(image, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO
    background, hidden = background_rgb(rendering.background), image.info.get("transparency")
    read = _finite if is_by_type else _reader_of(image)

    def grey(part: Image.Image) -> np.ndarray:
        values = read(part)
        scaled = np.rint(np.clip((values - low) * scale, 0, 255)).astype(np.uint8)
        pixels = np.repeat((255 - scaled if is_negative else scaled)[..., None], 3, axis=2)
        if background is not None and isinstance(hidden, int):
            pixels[values == hidden] = background
        return pixels

    return _by_rows(image, grey)


def _black_and_white(image: Image.Image, wanted: Range, stated: float | None) -> Spread:
    """The values that become black and white; `stated` is what the file says is white."""
    if stated is not None and wanted != "type":
        return 0.0, stated
    if isinstance(wanted, tuple):
        return wanted
    if wanted == "type":
        return (0.0, 65535.0) if image.mode.startswith("I;16") else _measure(image, _finite)
    return range_of([_measure(image, _reader_of(image))]) or (0.0, 1.0)


def _measure(image: Image.Image, read: Callable[[Image.Image], np.ndarray]) -> Spread:
    lowest, highest = [], []
    for values in map(read, _parts(image)):
        lowest.append(values.min())
        highest.append(values.max())
    return float(min(lowest)), float(max(highest))


def _finite(image: Image.Image) -> np.ndarray:
    """float64 [H, W], what is no number as 0."""
    values = np.asarray(image).astype(np.float64)
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0) if image.mode == "F" else values


def _unsigned(image: Image.Image) -> np.ndarray:
    """float64 [H, W] of 32 bits that Pillow takes for signed."""
    return np.asarray(image).view(np.uint32).astype(np.float64)


def _reader_of(image: Image.Image) -> Callable[[Image.Image], np.ndarray]:
    """What gives the values of a part of `image`: a TIFF of 32 bits holds numbers without a sign if it says no more."""
    is_unsigned = image.mode == "I" and _tag(image, _BITS_PER_SAMPLE) == 32
    return _unsigned if is_unsigned and _tag(image, _SAMPLE_FORMAT, _UNSIGNED) == _UNSIGNED else _finite


def _tag(image: Image.Image, tag: int, default: int | None = None) -> Any:
    """The first value of a tag, of a TIFF."""
    value = getattr(image, "tag_v2", {}).get(tag, default)
    return value[0] if isinstance(value, tuple) else value


def _stated_white(image: Image.Image) -> float | None:
    """What the file says is white: a TIFF may have fewer than 16 bits a sample.

    Its tags of largest sample values are "for statistical purposes" (TIFF 6.0, section 8) and of one file; PNG files
    with fewer significant bits (sBIT) are scaled to 16 already (PNG specification, 12.4). So neither says it.
    """
    bits = _tag(image, _BITS_PER_SAMPLE, 16)
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
