"""One image file, read with Pillow: what it is, what it looks like, its pixels.

Safe to call from many threads at once: nothing here changes Pillow's settings, and files are read whole
before they are decoded, so that none stays open.
"""

from __future__ import annotations

import errno
import hashlib
import io
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError, features

from regraft.machine.files import atomic_file

MAX_PIXELS = 178_956_970  # Pillow's own limit for a decompression bomb, which there is only a warning
MOST_PIXELS = 2 * MAX_PIXELS  # beyond these Pillow refuses

_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
} | ({"AVIF": (".avif",)} if features.check("avif") else {})

# Pillow knows many more, but no one's photos are EPS files, which would start Ghostscript.
_FORMATS = tuple(_SUFFIXES)

IMAGE_SUFFIXES = frozenset(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes)

_MAGIC = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM.{12}",
    "WEBP": rb"RIFF.{4}WEBP",
    "TIFF": rb"II\*\0|MM\0\*",
    "AVIF": rb".{4}ftypavi[fs]",
}

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION_TAG = 0x0112
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
_TAIL_BYTES = 1024  # cameras append a little after the end mark
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})


class UnreadablePhoto(ValueError):  # noqa: N818 - it is a finding about a file, as StopIteration is
    """A file that gives no pixels; the message is a short reason, such as "empty file".

    `status` is one of `STATUSES` but "ok".
    """

    def __init__(self, reason: str, status: str = "unreadable") -> None:
        super().__init__(reason)
        self.status = status


STATUSES = ("ok", "missing", "unreadable", "truncated", "too_large")


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a photo may be before it is taken for an attack or an accident.

    Attributes:
        pixels: of the picture, width times height.
        bytes: of the file.
    """

    pixels: int = MAX_PIXELS
    bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Photo:
    """What one readable image file is. The fields of `Record` of the same names, and Pillow's `mode`."""

    format: str
    mode: str
    width: int
    height: int
    orientation: int
    complete: bool
    fingerprint: str
    appearance: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes of an image say, before anything is decoded; fields as of `Photo`."""

    format: str
    mode: str
    orientation: int
    complete: bool


class _Encoding(Protocol):
    @property
    def format(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def orientation(self) -> int: ...
    @property
    def complete(self) -> bool: ...


def inspect_photo(path: Path) -> Photo:
    """What the file at `path` is, after decoding it to the last byte.

    Raises:
        UnreadablePhoto: the file cannot be read, is no image, is damaged or has over `MAX_PIXELS` pixels.
    """
    data = read_bytes(path)
    with _opened(data) as image:
        image.load()
        orientation = _orientation(image)
        return Photo(
            format=image.format or "",
            mode=image.mode,
            width=image.width,
            height=image.height,
            orientation=orientation,
            complete=_has_end(image.format, data),
            fingerprint=hashlib.blake2b(data, digest_size=16).hexdigest(),
            appearance=_difference_hash(_to_rgb(image), orientation),
        )


def check_photo(encoded: bytes, *, max_pixels: int | None = None) -> Header:
    """The header of an image's bytes, in microseconds: the rest may still turn out to be damaged.

    Raises:
        UnreadablePhoto: `encoded` is no image or has over `max_pixels` pixels (by default `MAX_PIXELS`).
    """
    with _opened(encoded, max_pixels) as image:
        return Header(image.format or "", image.mode, _orientation(image), _has_end(image.format, encoded))


def read_upright_rgb(
    source: Path | bytes, *, max_pixels: int | None = None, least_side: int | None = None
) -> np.ndarray:
    """uint8 [H, W, 3] in [0, 255]: the upright pixels of a file, or of its bytes.

    The first frame of an animation; transparency is dropped; 16-bit grey is scaled to 8 bits, other deep
    grey (int32, float32) is stretched from its own lowest and highest value.

    Args:
        source: a file or its bytes.
        max_pixels: more are a decompression bomb; by default `MAX_PIXELS`.
        least_side: a JPEG whose short side is at least twice as long is shrunk while it is decoded (by 2, 4 or 8, in
            the cosine transform), to no less than this; None decodes every pixel.

    Raises:
        UnreadablePhoto: as `inspect_photo`.
    """
    encoded = source if isinstance(source, bytes) else read_bytes(source)
    with _opened(encoded, max_pixels) as image:
        orientation, is_shrunk = _orientation(image), bool(least_side) and _shrink_on_load(image, least_side or 1)
        if image.format in ("JPEG", "MPO") and image.mode == "RGB" and orientation == 1 and not is_shrunk:
            # The pixels of Pillow, straight into an array: half as long.
            with suppress(ValueError):  # any flaw: Pillow reads it after all, or says what is broken
                return simplejpeg.decode_jpeg(encoded, "RGB")
        image.load()
        return np.asarray(_turn_upright(_to_rgb(image), orientation))


def upright_rgb(image: Image.Image) -> np.ndarray:
    """uint8 [H, W, 3]: the upright pixels of an open image, as `read_upright_rgb` gives those of its file.

    Raises:
        UnreadablePhoto: its file turns out to be damaged.
    """
    try:
        with _pillow_warnings_off:
            image.load()
            return np.asarray(_turn_upright(_to_rgb(image), _orientation(image)))
    except Exception as error:  # damaged data makes Pillow's decoders raise nearly any type
        raise _damaged(error) from error


def _shrink_on_load(image: Image.Image, least_side: int) -> bool:
    """Has libjpeg decode a smaller picture, if there is one; other formats know no such thing and stay as they are."""
    factor = next((factor for factor in (8, 4, 2) if min(image.size) // factor >= least_side), 1)
    if factor > 1:
        image.draft(None, (image.width // factor, image.height // factor))
    return factor > 1


def transcode_to_png(source: Path, destination: Path) -> None:
    """Writes the upright RGB pixels of `source` as a PNG file; `destination` is whole or not there.

    Raises:
        UnreadablePhoto: as `inspect_photo`.
        OSError: `destination` cannot be written.
    """
    image = Image.fromarray(read_upright_rgb(source))
    with atomic_file(destination) as temporary:
        image.save(temporary, format="PNG", compress_level=1)


def tensorflow_reads(photo: _Encoding) -> bool:
    """Whether TensorFlow's decoder, turned by a JPEG's EXIF, gives the pixels of `read_upright_rgb`.

    Exactly for PNG; for JPEG but for the rounding of its transform. Takes a `Photo`, `Header` or `Record`.
    BMP is left to Pillow: TensorFlow refuses the 16-bit kind, which Pillow calls RGB like the others.
    """
    if not photo.complete:
        return False
    if photo.format in ("JPEG", "MPO"):  # MPO, of phones, is a JPEG with more pictures behind the first
        return photo.mode in ("L", "RGB")
    return photo.format == "PNG" and photo.mode in _PNG_MODES and photo.orientation == 1


def looks_like_photo(path: Path) -> bool:
    """Whether the first bytes of `path` are those of an image, whatever its name says."""
    try:
        with path.open("rb") as file:
            return bool(_format_of(file.read(16)))
    except OSError:
        return False


def read_bytes(path: Path, *, max_bytes: int | None = None) -> bytes:
    """The whole file. Raises UnreadablePhoto where it cannot be read or is larger than `max_bytes`."""
    try:
        status = path.stat()
        if max_bytes is not None and status.st_size > max_bytes:
            raise too_many_bytes(status.st_size, max_bytes)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise UnreadablePhoto("not a file")  # a pipe or device might never end
        return path.read_bytes()
    except UnreadablePhoto:
        raise
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        is_there = isinstance(error, OSError) and error.errno not in _NOT_THERE
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise UnreadablePhoto(reason, "unreadable" if is_there else "missing") from error


def too_many_bytes(size: int, limit: int) -> UnreadablePhoto:
    """The error for a file of `size` bytes, which is not read: "3,000 bytes, the limit is 2,000"."""
    return UnreadablePhoto(f"{size:,} bytes, the limit is {limit:,}", "too_large")


@contextmanager
def _opened(data: bytes, max_pixels: int | None = None) -> Iterator[Image.Image]:
    """The image in `data`, not yet decoded; every failure while it is open becomes an `UnreadablePhoto`."""
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    try:
        with _pillow_warnings_off, Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if (pixels := image.width * image.height) > limit:
                raise _bomb(pixels, limit)
            yield image
    except UnreadablePhoto:
        raise
    except Image.DecompressionBombError as error:
        raise _bomb(int(re.findall(r"\d+", str(error))[0]), limit) from error
    except UnidentifiedImageError as error:
        raise UnreadablePhoto(_why_unidentified(data)) from error
    except MemoryError as error:
        raise UnreadablePhoto("not enough memory to decode it") from error
    except Exception as error:  # damaged data makes Pillow's decoders raise nearly any type
        raise _damaged(error) from error


def _damaged(error: Exception) -> UnreadablePhoto:
    reason = f"damaged: {str(error) or type(error).__name__}"
    return UnreadablePhoto(reason, "truncated" if "truncated" in reason.lower() else "unreadable")


def _has_end(image_format: str | None, data: bytes) -> bool:
    """Whether the end mark is there, which TensorFlow insists on and Pillow does without."""
    if image_format in ("JPEG", "MPO"):
        return b"\xff\xd9" in data[-_TAIL_BYTES:]
    return image_format != "PNG" or b"IEND" in data[-_TAIL_BYTES:]


def _bomb(pixels: int, limit: int) -> UnreadablePhoto:
    reason = f"decompression bomb: {pixels / 1e6:,.0f} million pixels, the limit is {limit / 1e6:.3g}"
    return UnreadablePhoto(reason, "too_large")


def _why_unidentified(data: bytes) -> str:
    if not data:
        return "empty file"
    if name := _format_of(data):
        no_size = name == "GIF" and b"\0\0" in (data[6:8], data[8:10])
        return f"zero width or height ({name})" if no_size else f"damaged: no valid {name} header"
    return "not an image" if b"\0" in data else "not an image (text?)"


def _format_of(data: bytes) -> str:
    return next((name for name in _FORMATS if re.match(_MAGIC[name], data, re.DOTALL)), "")


def _orientation(image: Image.Image) -> int:
    """1 to 8, from EXIF alone: Pillow would also believe XMP, which TensorFlow's path and browsers ignore.

    1 for TIFF, whose pixels Pillow has already turned.
    """
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        orientation = exif.get(_ORIENTATION_TAG, 1)
    except Exception:  # broken EXIF raises nearly any type, and is no reason to refuse the photo
        return 1
    return orientation if isinstance(orientation, int) and orientation in _UPRIGHT else 1


def _turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((deep + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        return Image.fromarray(_stretch(np.asarray(image, np.float64))).convert("RGB")
    return image.convert("RGB")


def _stretch(values: np.ndarray) -> np.ndarray:
    values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    low, high = values.min(), values.max()
    return np.rint((values - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)


def _difference_hash(image: Image.Image, orientation: int) -> bytes:
    """256 bits: in a 16x17 grid of mean greys of the upright image, is a cell lighter than its left one?

    Source: Krawetz, "Kind of like that" (2013), at 16x16 bits.
    """
    size = (16, 17) if orientation >= 5 else (17, 16)
    small = image.convert("L").resize(size, Image.Resampling.BOX)
    cells = np.asarray(_turn_upright(small, orientation), np.int16)
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes()


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
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._threads_inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._threads_inside -= 1
            if self._threads_inside == 0:
                self._filters.__exit__(None, None, None)


_pillow_warnings_off = _PillowWarningsOff()
