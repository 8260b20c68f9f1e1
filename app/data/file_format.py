"""What a file is, by its first bytes, whatever its name says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import features

FIRST_BYTES = 512
"""How much of a file `identify` wants to see."""

PHONE_EXTRA = 'pip install "regraft[phone]"'
"""What makes the formats of `PLUGINS` readable."""

_READ = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM.{12}",
    "WEBP": rb"RIFF.{4}WEBP",
    "TIFF": rb"(?:II|MM)(?:[*+]\0|\0[*+])(?!.{4}CR)",
    "AVIF": rb".{4}ftyp(?:avi[fs]|mi[fa]1.{4}(?:.{4}){0,8}?avif)",
    "HEIF": rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
    "JXL": rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
}
"""Formats that photos are read from, at least with a plugin, by Pillow's name: how their files begin."""

PLUGINS = {"AVIF": "", "HEIF": "pillow_heif", "JXL": "pillow_jxl"}
"""The module that reads a format which Pillow does not, or "" for one that not every Pillow was built with."""

_OTHERS = {
    "a raw photo of a camera (CR2)": rb"II\*\0.{4}CR",
    "a raw photo of a camera (CR3)": rb".{4}ftypcrx ",
    "a raw photo of a camera (RAF)": rb"FUJIFILMCCD-RAW",
    "a raw photo of a camera (RW2)": rb"IIU\0",
    "a raw photo of a camera (ORF)": rb"IIR[OS]|MMOR",
    "a JPEG 2000 picture": rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    "a Photoshop file": rb"8BPS",
    "an icon (ICO)": rb"\0\0[\x01\x02]\0[\x01-\x20]\0",
    "an OpenEXR picture": rb"v/1\x01",
    "a Netpbm picture (PPM, PGM, PBM)": rb"P[1-6]\s(?:\s|#[^\n]*\n)*\d+\s",
    "a QOI picture": rb"qoif",
    "a FITS picture": rb"SIMPLE  =",
    "a NumPy array": rb"\x93NUMPY",
    "a DICOM file": rb".{128}DICM",
    "a video": rb".{4}ftyp|RIFF.{4}AVI |\x1aE\xdf\xa3|\0\0\x01\xba|.{4}moov",
    "a PDF": rb"%PDF",
    "PostScript": rb"%!PS",
    "a ZIP archive": rb"PK\x03\x04|PK\x05\x06",
    "a gzip archive": rb"\x1f\x8b",
    "a bzip2 archive": rb"BZh[1-9]1AY&SY",
    "an xz archive": rb"\xfd7zXZ\0",
    "a Zstandard archive": rb"\x28\xb5\x2f\xfd",
    "a 7z archive": rb"7z\xbc\xaf\x27\x1c",
    "a RAR archive": rb"Rar!\x1a\x07",
    "a tar archive": rb".{257}ustar",
    "an SVG drawing": rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*(?:<!DOCTYPE svg[^>]*>\s*)?<svg\b",
    "a web page": rb"\s*<(?:!doctype html|html)",
}
"""What else lies among photos, in the order of the look."""

_RAW_SUFFIXES = frozenset(
    [".nef", ".dng", ".arw", ".pef", ".srw", ".nrw", ".3fr", ".iiq", ".kdc", ".dcr", ".mef", ".mos", ".erf", ".sr2"]
)
"""Of raw photos whose first bytes are those of a TIFF."""

NOT_READ = "not an image that is read: "
"""What the reason says before it names a film, a document or a picture in a format that is not read."""


@dataclass(frozen=True, slots=True)
class FileFormat:
    """What a file is.

    Attributes:
        name: Pillow's, of a format that photos are read from, such as "JPEG" or "HEIF"; "" for everything else.
        reason: why no photo can be read from it, in words; "" where it can, as far as the first bytes tell.
    """

    name: str
    reason: str = ""

    @property
    def readable(self) -> bool:
        """Whether photos of this format are read, here and now."""
        return not self.reason


def identify(first: bytes) -> FileFormat:
    """What a file is that begins with the bytes `first`: `FIRST_BYTES` of them, or the whole file.

    A reason is such as "empty file", "not an image", "not an image that is read: a video" or "a photo in HEIF, which
    needs" and the command that installs the plugin.
    """
    if not first:
        return FileFormat("", "empty file")
    if name := next((name for name, start in _READ.items() if re.match(start, first, re.DOTALL)), ""):
        words = "JPEG XL" if name == "JXL" else name
        return FileFormat(name, "" if can_read(name) else f"a photo in {words}, which needs {PHONE_EXTRA}")
    for what, start in _OTHERS.items():
        if re.match(start, first, re.DOTALL | re.IGNORECASE):
            return FileFormat("", f"{NOT_READ}{what}")
    return FileFormat("", "not an image" if b"\0" in first else "not an image (text?)")


def identify_file(path: Path) -> FileFormat:
    """What the file at `path` is, by its first bytes; where it cannot be opened, the reason says why.

    A TIFF that is named like a camera's raw photo is one: read as a TIFF, it would give a thumbnail.
    """
    try:
        with path.open("rb") as file:
            found = identify(file.read(FIRST_BYTES))
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        return FileFormat("", (getattr(error, "strerror", None) or str(error)).lower())
    if found.name == "TIFF" and path.suffix.lower() in _RAW_SUFFIXES:
        return FileFormat("", f"{NOT_READ}a raw photo of a camera ({path.suffix[1:].upper()})")
    return found


@cache
def can_read(name: str) -> bool:
    """Whether photos of the format `name` are read, with what is installed."""
    if name == "AVIF":
        return bool(features.check("avif"))
    return name in _READ and (name not in PLUGINS or find_spec(PLUGINS[name]) is not None)
