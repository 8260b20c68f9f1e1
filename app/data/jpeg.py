"""The pixels of an ordinary JPEG, straight into an array: those that Pillow gives, without Pillow and its copies.

Pillow takes as long to open a photo of ImageNet's size as a fifth of decoding it. What is not ordinary here is left to
it, and so is all that is to be said of a file that is damaged or too large.
"""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import simplejpeg
from PIL import Image

from regraft.data.decoding_cost import coefficient_bytes, jpeg_bytes_to_decode, segments
from regraft.data.opened import decoding_memory, pillow_warnings_off

_ORIENTATION_TAG = 0x0112
_APP1, _EXIF = 0xE1, b"Exif\0\0"


def decode_ordinary(
    encoded: bytes, max_pixels: int, least_side: int | None, held: ExitStack
) -> tuple[np.ndarray, int] | None:
    """uint8 [H, W, 3] as stored, and the EXIF orientation, 1 to 8; None for what is no flawless JPEG of three colours.

    Args:
        encoded: a file.
        max_pixels: a larger picture is not ordinary.
        least_side: see `shrink_factor`; None decodes every pixel.
        held: keeps the memory of decoding, for as long as it is open.

    Raises:
        UnreadablePhoto: it takes more than the whole budget.
    """
    if not encoded.startswith(b"\xff\xd8\xff"):
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(encoded)
    except ValueError:  # any flaw
        return None
    exif = _exif_of(encoded)
    if space not in ("YCbCr", "RGB") or height * width > max_pixels or len(exif) > 1:
        return None
    factor = shrink_factor((width, height), least_side)
    small_height, small_width = (-(-side // factor) for side in (height, width))
    amount = jpeg_bytes_to_decode(small_width, small_height) + height * width * coefficient_bytes(encoded)
    held.enter_context(decoding_memory(amount))
    try:
        pixels = simplejpeg.decode_jpeg(
            encoded, "RGB", min_height=small_height, min_width=small_width, min_factor=factor
        )
    except (ValueError, MemoryError):
        return None
    return pixels, exif_orientation(exif[0]) if exif else 1


def shrink_factor(size: tuple[int, int], least_side: int | None) -> int:
    """By how much libjpeg shall shrink a picture, 1, 2, 4 or 8, so that its short side is no less than `least_side`."""
    if not least_side:
        return 1
    return next((factor for factor in (8, 4, 2) if min(size) // factor >= least_side), 1)


def exif_orientation(exif: bytes) -> int:
    """1 to 8, as EXIF says it; 1 where it is broken, which is no reason to refuse a photo."""
    found = Image.Exif()
    try:
        with pillow_warnings_off:
            found.load(exif)
            orientation = found.get(_ORIENTATION_TAG, 1)
    except Exception:  # broken EXIF raises nearly any type
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _exif_of(encoded: bytes) -> list[bytes]:
    """The EXIF before the pixels, one for each segment that has some."""
    found = []
    for marker, at in segments(encoded):
        if marker == _APP1 and encoded.startswith(_EXIF, at + 4):
            found.append(encoded[at + 4 : at + 2 + int.from_bytes(encoded[at + 2 : at + 4], "big")])
    return found
