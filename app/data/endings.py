"""Whether a file is whole to its end, which TensorFlow's decoders insist on and Pillow does without."""

from __future__ import annotations

import zlib

_TAIL_BYTES = 1024  # cameras append a little after the end mark
_SIGNATURE_BYTES = 8  # of a PNG


def has_end(image_format: str | None, data: bytes) -> bool:
    """Whether a JPEG has its end mark, and a PNG each of its chunks up to the last with a checksum that fits."""
    if image_format in ("JPEG", "MPO"):
        return b"\xff\xd9" in data[-_TAIL_BYTES:]
    return image_format != "PNG" or _checksums_fit(data)


def _checksums_fit(png: bytes) -> bool:
    """Source: PNG specification (third edition), 5.3: length, name, data, CRC of name and data."""
    whole, at = memoryview(png), _SIGNATURE_BYTES
    while at + 12 <= len(png):
        end = at + 8 + int.from_bytes(whole[at : at + 4], "big")
        if zlib.crc32(whole[at + 4 : end]) != int.from_bytes(whole[end : end + 4], "big"):
            return False
        if whole[at + 4 : at + 8] == b"IEND":
            return True
        at = end + 4
    return False
