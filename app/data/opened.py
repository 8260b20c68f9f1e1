"""An image in memory, opened by Pillow and its plugins but not yet decoded, within limits and without warnings."""

from __future__ import annotations

import importlib
import io
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from regraft.data.decoding_cost import PIXEL_BYTES, bytes_to_decode
from regraft.data.file_format import FIRST_BYTES, PLUGINS, identify
from regraft.data.unreadable import (
    MAX_PIXELS,
    UnreadablePhoto,
    damaged,
    too_many_pixels,
    too_much_memory,
)
from regraft.errors import UsageError
from regraft.machine.memory import OverBudget, decoding_budget

_DNG_VERSION, _SUB_FILES, _SUB_FILE_TYPE = 50706, 330, 254  # tags of a TIFF
_REDUCED = 1  # a bit of the type of a sub-file: this picture is but a preview of another


@contextmanager
def opened(data: bytes, max_pixels: int | None = None) -> Iterator[Image.Image]:
    """The image in `data`, not yet decoded; every failure while it is open becomes an `UnreadablePhoto`.

    JPEG XL is an exception, which its plugin decodes to open it: so its memory is held while it is open.
    """
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    found = identify(data[:FIRST_BYTES])
    if not found.readable:
        raise UnreadablePhoto(found.reason)
    try:
        with ExitStack() as held, pillow_warnings_off:
            if plugin := PLUGINS.get(found.name):
                _register(plugin)
            if found.name == "JXL":
                held.enter_context(decoding_memory(_check_pixels(*jxl_size(data), limit) * PIXEL_BYTES["JXL"]))
            image = held.enter_context(Image.open(io.BytesIO(data), formats=[found.name]))
            _check_pixels(*image.size, limit)
            _check_is_no_raw_photo(image)
            yield image
    except (UnreadablePhoto, UsageError):  # the latter of a budget that nobody can read
        raise
    except Image.DecompressionBombError as error:
        raise too_many_pixels(int(re.findall(r"\d+", str(error))[0]), limit) from error
    except UnidentifiedImageError as error:
        raise UnreadablePhoto(_why_unidentified(found.name, data)) from error
    except MemoryError as error:
        raise UnreadablePhoto("not enough memory to decode it") from error
    except Exception as error:  # damaged data makes Pillow's decoders raise nearly any type
        raise damaged(error) from error


@contextmanager
def memory_for(image: Image.Image, encoded: bytes, stored_pixels: int) -> Iterator[None]:
    """Holds the memory that it takes to decode an image which `opened` gave, at the size that it has by now.

    Args:
        image: not yet decoded.
        encoded: its file.
        stored_pixels: of the file, from which a JPEG may be shrunk while it is decoded.

    Raises:
        UnreadablePhoto: it is more than the whole budget.
    """
    if image.format == "JXL":
        yield  # it is decoded already
        return
    with decoding_memory(bytes_to_decode(image, encoded, stored_pixels)):
        yield


@contextmanager
def decoding_memory(amount: int) -> Iterator[None]:
    """Holds so many bytes of the budget for decoding. Raises UnreadablePhoto where the whole budget is smaller."""
    budget = decoding_budget()
    try:
        budget.take(amount)
    except OverBudget as error:
        raise too_much_memory(amount, budget.total) from error
    try:
        yield
    finally:
        budget.give_back(amount)


def jxl_size(data: bytes) -> tuple[int, int]:
    """Width and height of a JPEG XL picture, without decoding it (ISO/IEC 18181-1, annex D.2; -2, 9.1 for boxes).

    Raises:
        ValueError: there is no header.
    """
    start = _jxl_codestream(data)
    bits = int.from_bytes(data[start + 2 : start + 14], "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    def side(is_small: int) -> int:
        return 8 * (take(5) + 1) if is_small else take((9, 13, 18, 30)[take(2)]) + 1

    is_small = take(1)
    height = side(is_small)
    ratio = take(3)
    ratios = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
    if ratio:
        wide, high = ratios[ratio]
        return height * wide // high, height
    return side(is_small), height


def _jxl_codestream(data: bytes) -> int:
    """Where the picture begins: at once, or in one of the first boxes."""
    at = 0
    while at + 8 <= len(data) and data[at : at + 2] != b"\xff\x0a":
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        header = 16 if length == 1 else 8
        if kind in (b"jxlc", b"jxlp"):
            return at + header + (4 if kind == b"jxlp" else 0)
        if length == 0:
            break
        at += int.from_bytes(data[at + 8 : at + 16], "big") if length == 1 else max(length, 8)
    if data[at : at + 2] != b"\xff\x0a":
        raise ValueError("no valid JPEG XL header")
    return at


def _check_pixels(width: int, height: int, limit: int) -> int:
    if (pixels := width * height) > limit:
        raise too_many_pixels(pixels, limit)
    return pixels


def _check_is_no_raw_photo(image: Image.Image) -> None:
    """Raises UnreadablePhoto for raw photos that are TIFF files by their first bytes, whose preview is no photo."""
    tags = getattr(image, "tag_v2", {})
    kind = tags.get(_SUB_FILE_TYPE, 0)
    is_preview = _SUB_FILES in tags and isinstance(kind, int) and kind & _REDUCED
    if _DNG_VERSION in tags or is_preview:
        raise UnreadablePhoto("not an image that is read: a raw photo of a camera")


def _why_unidentified(name: str, data: bytes) -> str:
    if name == "TIFF" and _is_whole_tiff(data):
        return "not an image that is read: a TIFF whose kind of values Pillow does not know"
    no_size = name == "GIF" and b"\0\0" in (data[6:8], data[8:10])
    return f"zero width or height ({name})" if no_size else f"damaged: no valid {name} header"


def _is_whole_tiff(data: bytes) -> bool:
    """Whether the header is whole, so that Pillow refuses what it says of the pixels."""
    try:
        TiffImagePlugin.TiffImageFile(io.BytesIO(data))
    except SyntaxError as error:
        return str(error) == "unknown pixel mode"
    except Exception:  # as above
        return False
    return False


@cache
def _register(plugin: str) -> None:
    module = importlib.import_module(plugin)
    if plugin == "pillow_heif":  # the other registers itself
        module.register_heif_opener(thumbnails=False)


class _PillowWarningsOff:
    """No warnings from Pillow (corrupt EXIF, odd palettes) while any thread is inside.

    `warnings.catch_warnings` alone swaps a global list, and threads that overlap restore each other's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads_inside = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._threads_inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.|pillow_")
            self._threads_inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._threads_inside -= 1
            if self._threads_inside == 0:
                self._filters.__exit__(None, None, None)


pillow_warnings_off = _PillowWarningsOff()
