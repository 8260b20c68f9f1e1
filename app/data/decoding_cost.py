"""How much memory an image takes while it is decoded, told from what stands before its pixels."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

PIXEL_BYTES = {"GIF": 9, "WEBP": 20, "AVIF": 14, "JXL": 16}
_OTHER_PIXEL_BYTES = 12
"""Memory that decoding takes at its peak, for each pixel; measured by benchmarks/decoding_memory.py."""

_SIDE_BYTES = 32
"""For each row and column: where it lies, and what it weighs in a smaller picture. Much for pictures of one pixel."""

_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # markers of JPEG: what the picture is
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a segment
_SCAN, _FRAME_COMPONENTS, _SCAN_COMPONENTS = 0xDA, 9, 4  # of bytes: behind the marker's own place

_BITS, _SAMPLES, _STRIP_ROWS, _TILE_WIDTH, _TILE_ROWS = 258, 277, 278, 322, 323  # tags of a TIFF


def bytes_to_decode(image: Image.Image, encoded: bytes, stored_pixels: int) -> int:
    """Bytes held at the peak while `image` is decoded, at the size that it has by now.

    Args:
        image: opened, not yet decoded.
        encoded: its file.
        stored_pixels: of the file, from which a JPEG may be shrunk while it is decoded.
    """
    width, height = image.size
    if image.format in ("JPEG", "MPO"):
        return jpeg_bytes_to_decode(width, height) + stored_pixels * coefficient_bytes(encoded)
    amount = width * height * PIXEL_BYTES.get(image.format or "", _OTHER_PIXEL_BYTES)
    amount += (width + height) * _SIDE_BYTES
    return amount + (_tile_bytes(image) if image.format == "TIFF" else 0)


def jpeg_bytes_to_decode(width: int, height: int) -> int:
    """Bytes held while a JPEG is decoded to such a size, beside those of `coefficient_bytes` for each stored pixel."""
    return width * height * _OTHER_PIXEL_BYTES + (width + height) * _SIDE_BYTES


def coefficient_bytes(encoded: bytes) -> int:
    """Bytes for each pixel of a JPEG that libjpeg keeps until the file's end, whatever size it decodes it at.

    They are two for each component where its scans come one after the other, as in a progressive one, else 0.
    """
    components, is_progressive = 0, False
    for marker, at in segments(encoded):
        if marker in _FRAMES:
            components, is_progressive = encoded[at + _FRAME_COMPONENTS], marker in _PROGRESSIVE
        elif marker == _SCAN:
            is_kept = is_progressive or encoded[at + _SCAN_COMPONENTS] < components
            return 2 * components + 1 if is_kept else 0
    return 0


def segments(encoded: bytes) -> Iterator[tuple[int, int]]:
    """The markers of a JPEG and where they stand, up to its first scan; its length follows two bytes behind."""
    at = 0
    while 0 <= (at := encoded.find(b"\xff", at)) < len(encoded) - _FRAME_COMPONENTS:
        marker = encoded[at + 1]
        if marker in (0x00, 0xFF):  # filled up
            at += 1
            continue
        yield marker, at
        if marker == _SCAN:
            return
        at += 2 if marker in _ALONE else 2 + int.from_bytes(encoded[at + 2 : at + 4], "big")


def _tile_bytes(image: Image.Image) -> int:
    """The largest piece of a TIFF that libtiff unpacks at a time: a tile may be much larger than its picture."""
    pieces = getattr(image, "tile", [])
    if not pieces or pieces[0][0] != "libtiff":
        return 0
    tags = image.tag_v2  # type: ignore[attr-defined]

    def largest(tag: int, otherwise: int) -> int:
        value = tags.get(tag, otherwise)
        return max(
            (each for each in (value if isinstance(value, tuple) else (value,)) if isinstance(each, int)),
            default=otherwise,
        )

    columns = largest(_TILE_WIDTH, image.width)
    rows = largest(_TILE_ROWS, min(largest(_STRIP_ROWS, image.height), image.height))
    return columns * rows * max(largest(_BITS, 1) * largest(_SAMPLES, 1) // 8, 4)
