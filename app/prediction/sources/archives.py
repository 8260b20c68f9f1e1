"""What zip and tar archives have in common: which members are photos, and which archives are refused."""

from __future__ import annotations

import lzma
import zlib
from pathlib import Path, PurePosixPath

from regraft.data.passed_over import is_left_by_system
from regraft.data.walk import is_image_name
from regraft.errors import UsageError

DAMAGED_STREAM = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What unpacking raises where an archive is damaged or cannot be read, beside its format's own errors."""


def is_wanted(name: str) -> bool:
    """Whether a member is an image, and neither hidden nor what macOS adds."""
    path = PurePosixPath(name)
    return is_image_name(Path(path.name)) and not any(map(is_left_by_system, path.parts))


def check_stays_inside(file: str, name: str) -> None:
    """Raises UsageError where unpacking the member would write outside the folder it is unpacked to."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts:
        raise UsageError(
            f"{file} holds {name!r}, a path that climbs out of the archive: it was made to write where it should not. "
            "Leave it out, or unpack it where nothing can happen and name the folder."
        )
