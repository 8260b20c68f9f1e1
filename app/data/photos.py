"""One image file, read with Pillow: what it is, what it looks like, its pixels.

Safe to call from many threads at once: nothing here changes Pillow's settings, and files are read whole
before they are decoded, so that none stays open.
"""

from __future__ import annotations

import errno
import hashlib
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import simplejpeg
from PIL import Image

from regraft.data.decoding_cost import coefficient_bytes
from regraft.data.endings import has_end
from regraft.data.exif import shot_of
from regraft.data.jpeg import decode_ordinary, exif_orientation, shrink_factor
from regraft.data.opened import decoding_memory, memory_for, opened, pillow_warnings_off
from regraft.data.rendering import (
    NO_BACKGROUND,
    Rendering,
    has_16_bit_colors,
    is_deep,
    is_nearly_black,
    render,
    spread_of,
)
from regraft.data.unreadable import (
    MAX_PIXELS,
    MOST_PIXELS,
    STATUSES,
    UnreadablePhoto,
    damaged,
    too_many_bytes,
)
from regraft.machine.files import atomic_file

__all__ = [
    "DECODING",
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "MOST_PIXELS",
    "STATUSES",
    "Header",
    "Limits",
    "Photo",
    "UnreadablePhoto",
    "check_photo",
    "held_pixels",
    "inspect_photo",
    "read_bytes",
    "read_upright_rgb",
    "tensorflow_reads",
    "too_many_bytes",
    "transcode_to_png",
    "upright_rgb",
]

DECODING = 3
"""Grows when the same file and the same `Rendering` give other pixels, so that caches do not keep the old ones."""

_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif", ".hif"),
    "JXL": (".jxl",),
}

IMAGE_SUFFIXES = frozenset(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes)
"""Of formats that are read, some with a plugin: without it, such a file is unreadable and says what is missing."""

_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).transpose(1, 0, 2),
    8: lambda pixels: np.rot90(pixels, 1),
}
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})
_END_MARK = b"\xff\xd9"
NO_END_MARK = "its end mark is missing, all else is there"
"""What is noted of a JPEG that has lost the last two bytes at most, which every picture viewer shows."""

TOO_DARK = "its colours have 16 bits, of which the higher 8 are read, and those are nearly 0"
"""What is noted of colours of 10, 12 or 14 bits in a file of 16, which come out black."""

Found = TypeVar("Found")


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
    transparent: bool = False
    lowest: float | None = None
    highest: float | None = None
    note: str = ""
    camera: str = ""
    taken: float | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes of an image say, before anything is decoded: as of `Photo`, and width times height."""

    format: str
    mode: str
    orientation: int
    complete: bool
    transparent: bool = False
    pixels: int = 0


class _Encoding(Protocol):
    @property
    def format(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def orientation(self) -> int: ...
    @property
    def complete(self) -> bool: ...
    @property
    def transparent(self) -> bool: ...


def inspect_photo(path: Path, *, max_pixels: int | None = None) -> Photo:
    """What the file at `path` is, after decoding it to the last byte.

    Raises:
        UnreadablePhoto: the file cannot be read, is no image, is damaged or too large: of over `max_pixels` pixels (by
            default `MAX_PIXELS`), or in need of more memory than `regraft.machine.memory` allows.
    """
    data = read_bytes(path)
    return _read_or_mend(lambda encoded, note: _inspect(data, encoded, note, max_pixels), data)


def _inspect(data: bytes, encoded: bytes, note: str, max_pixels: int | None) -> Photo:
    """The photo in `data`, of which `encoded` is what can be decoded."""
    with opened(encoded, max_pixels) as image, memory_for(image, encoded, image.width * image.height):
        orientation, is_16_bit, exif = _orientation(image), has_16_bit_colors(image), image.info.get("exif", b"")
        image.load()
        lowest, highest = spread_of(image) or (None, None)
        camera, taken = shot_of(exif)
        return Photo(
            format=image.format or "",
            mode=image.mode,
            width=image.width,
            height=image.height,
            orientation=orientation,
            complete=has_end(image.format, data),
            fingerprint=hashlib.blake2b(data, digest_size=16).hexdigest(),
            appearance=_difference_hash(_as_seen(image), orientation),
            transparent=image.has_transparency_data,
            lowest=lowest,
            highest=highest,
            note=TOO_DARK if is_16_bit and is_nearly_black(image) else note,
            camera=camera,
            taken=taken,
        )


def check_photo(encoded: bytes, *, max_pixels: int | None = None) -> Header:
    """The header of an image's bytes, in microseconds: the rest may still turn out to be damaged.

    Raises:
        UnreadablePhoto: `encoded` is no image or has over `max_pixels` pixels (by default `MAX_PIXELS`).
    """
    with opened(encoded, max_pixels) as image:
        return Header(
            image.format or "",
            image.mode,
            _orientation(image),
            has_end(image.format, encoded),
            image.has_transparency_data,
            image.width * image.height,
        )


def read_upright_rgb(
    source: Path | bytes,
    *,
    rendering: Rendering | None = None,
    max_pixels: int | None = None,
    least_side: int | None = None,
) -> np.ndarray:
    """uint8 [H, W, 3] in [0, 255]: the upright pixels of a file, or of its bytes; the first frame of an animation.

    Args:
        source: a file or its bytes.
        rendering: what becomes of transparent pixels and of deep grey; None is the default of `Rendering`.
        max_pixels: more are too large; by default `MAX_PIXELS`.
        least_side: a JPEG whose short side is at least twice as long is shrunk while it is decoded (by 2, 4 or 8, in
            the cosine transform), to no less than this; None decodes every pixel.

    Raises:
        UnreadablePhoto: as `inspect_photo`.
    """
    encoded = source if isinstance(source, bytes) else read_bytes(source)
    with held_pixels(encoded, rendering=rendering, max_pixels=max_pixels, least_side=least_side) as pixels:
        return pixels


@contextmanager
def held_pixels(
    encoded: bytes,
    *,
    rendering: Rendering | None = None,
    max_pixels: int | None = None,
    least_side: int | None = None,
) -> Iterator[np.ndarray]:
    """The pixels that `read_upright_rgb` gives; the memory of decoding them is held for as long as the block lasts.

    Arguments and errors are those of `read_upright_rgb`.
    """
    with ExitStack() as held:

        def decode(encoded: bytes, note: str) -> np.ndarray:
            with ExitStack() as tried:
                limit = MAX_PIXELS if max_pixels is None else max_pixels
                if found := decode_ordinary(encoded, limit, least_side, tried):
                    pixels, orientation = found
                else:
                    tried.close()
                    pixels, orientation = _decode(encoded, rendering or Rendering(), max_pixels, least_side, tried)
                held.enter_context(tried.pop_all())  # of a try that fails nothing stays held
                return _turn_upright(pixels, orientation)

        yield _read_or_mend(decode, encoded)


def _decode(
    encoded: bytes, rendering: Rendering, max_pixels: int | None, least_side: int | None, held: ExitStack
) -> tuple[np.ndarray, int]:
    """As `decode_ordinary`, of any image, by Pillow."""
    with opened(encoded, max_pixels) as image:
        stored_pixels, orientation = image.width * image.height, _orientation(image)
        if (factor := shrink_factor(image.size, least_side)) > 1:
            image.draft(None, (image.width // factor, image.height // factor))  # other formats know no such thing
        held.enter_context(memory_for(image, encoded, stored_pixels))
        image.load()
        return render(image, rendering), orientation


def upright_rgb(image: Image.Image, rendering: Rendering | None = None) -> np.ndarray:
    """uint8 [H, W, 3]: the upright pixels of an open image, as `read_upright_rgb` gives those of its file.

    Raises:
        UnreadablePhoto: its file turns out to be damaged.
    """
    try:
        with pillow_warnings_off:
            orientation = _orientation(image)
            image.load()
            return _turn_upright(render(image, rendering or Rendering()), orientation)
    except Exception as error:  # damaged data makes Pillow's decoders raise nearly any type
        raise damaged(error) from error


def _read_or_mend(read: Callable[[bytes, str], Found], encoded: bytes) -> Found:
    """What `read` gives for the bytes and a note: where they lack but an end mark, with it; else as they are."""
    try:
        return read(encoded, "")
    except UnreadablePhoto as error:
        if error.status == "truncated" and _lacks_but_the_end(encoded):
            return read(encoded + _END_MARK, NO_END_MARK)
        raise


def _lacks_but_the_end(encoded: bytes) -> bool:
    """Whether this is a JPEG that is whole but for its end mark: with one, libjpeg has nothing to complain of."""
    mended = encoded + _END_MARK
    try:
        height, width, space = simplejpeg.decode_jpeg_header(mended, strict=True)[:3]
        colors = space if space == "CMYK" else "CMYK" if space == "YCCK" else "GRAY"
        with decoding_memory(height * width * (1 + coefficient_bytes(encoded))):  # at an eighth of its size
            simplejpeg.decode_jpeg(mended, colors, min_height=1, min_width=1, strict=True)
    except ValueError:
        return False
    return True


def transcode_to_png(
    source: Path, destination: Path, *, rendering: Rendering | None = None, max_pixels: int | None = None
) -> None:
    """Writes the upright RGB pixels of `source` as a PNG file; `destination` is whole or not there.

    Raises:
        UnreadablePhoto: as `inspect_photo`.
        OSError: `destination` cannot be written.
    """
    image = Image.fromarray(read_upright_rgb(source, rendering=rendering, max_pixels=max_pixels))
    with atomic_file(destination) as temporary:
        image.save(temporary, format="PNG", compress_level=1)


def tensorflow_reads(photo: _Encoding, rendering: Rendering | None = None) -> bool:
    """Whether TensorFlow's decoder, turned by a JPEG's EXIF, gives the pixels of `read_upright_rgb`.

    Exactly for PNG; for JPEG but for the rounding of its transform. Takes a `Photo`, `Header` or `Record`.
    BMP is left to Pillow: TensorFlow refuses the 16-bit kind, which Pillow calls RGB like the others.
    """
    if not photo.complete:
        return False
    if photo.format in ("JPEG", "MPO"):  # MPO, of phones, is a JPEG with more pictures behind the first
        return photo.mode in ("L", "RGB")
    is_opaque = not photo.transparent or (rendering or Rendering()).background == NO_BACKGROUND
    return photo.format == "PNG" and photo.mode in _PNG_MODES and photo.orientation == 1 and is_opaque


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


def _orientation(image: Image.Image) -> int:
    """1 to 8, from EXIF alone: Pillow would also believe XMP, which TensorFlow's path and browsers ignore.

    Asked before the image is decoded: EXIF behind the pixels of a PNG counts for nothing. 1 for TIFF, whose pixels
    Pillow has already turned, and for JPEG XL, whose EXIF says it only of a JPEG that was packed whole.
    """
    if image.format == "JXL" and not getattr(image, "jpeg", False):
        return 1
    return exif_orientation(image.info.get("exif", b""))


def _turn_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    return np.ascontiguousarray(_UPRIGHT[orientation](pixels)) if orientation in _UPRIGHT else pixels


def _as_seen(image: Image.Image) -> Image.Image:
    """The decoded image as RGB, or as grey, over a white background."""
    if is_deep(image) or image.has_transparency_data:
        return Image.fromarray(render(image, Rendering()))
    return image.convert("RGB")


def _difference_hash(image: Image.Image, orientation: int) -> bytes:
    """256 bits: in a 16x17 grid of mean greys of the upright image, is a cell lighter than its left one?

    Source: Krawetz, "Kind of like that" (2013), at 16x16 bits.
    """
    size = (16, 17) if orientation >= 5 else (17, 16)
    small = image.convert("L").resize(size, Image.Resampling.BOX)
    cells = _turn_upright(np.asarray(small, np.int16)[..., None], orientation)[..., 0]
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes()
