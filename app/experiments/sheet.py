"""The file of a contact sheet, which says that it is one: only such a file is written over."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image, PngImagePlugin

from regraft.errors import UsageError, option
from regraft.machine.files import atomic_file, check_makeable

_MARK = "regraft augment-preview"
_JPEG = (".jpg", ".jpeg")


def check_sheet(out: Path, *, force: bool) -> None:
    """Raises UsageError where `out` can be no sheet: for its suffix, or for what is there.

    OSError says that nothing can be made there.

    Args:
        out: the file.
        force: whether a sheet, or an empty file, makes way.
    """
    if os.path.lexists(out) and not force:
        raise UsageError(f"{out} exists already; choose another {option('out')} or add {option('force', True)}.")
    if out.suffix.lower() not in (".png", *_JPEG):
        raise UsageError(f"{option('out')} must end in .png or .jpg; received {out}.")
    if out.exists() and not _makes_way(out):
        raise UsageError(
            f"{out} is no sheet of augment-preview, so {option('force', True)} does not replace it; move it away, or "
            f"choose another {option('out')}."
        )
    check_makeable(out)


def save_sheet(sheet: Image.Image, out: Path, *, force: bool) -> None:
    """Writes a marked PNG, or a JPEG, as the suffix of `out` says. Raises as `check_sheet`."""
    with atomic_file(out) as temporary:
        if out.suffix.lower() in _JPEG:
            sheet.save(temporary, format="JPEG", comment=_MARK)
        else:
            mark = PngImagePlugin.PngInfo()
            mark.add_text("Software", _MARK)
            sheet.save(temporary, format="PNG", pnginfo=mark)
        check_sheet(out, force=force)  # again: something may have come meanwhile


def _makes_way(out: Path) -> bool:
    if out.is_file() and not out.stat().st_size:
        return True
    try:
        with Image.open(out) as picture:
            return picture.info.get("Software") == _MARK or picture.info.get("comment") == _MARK.encode()
    except Exception:  # whatever a decoder raises for what it cannot read
        return False
