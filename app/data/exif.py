"""Who took a photo and when, as its EXIF says."""

from __future__ import annotations

from datetime import UTC, datetime

from PIL import ExifTags, Image

from regraft.data.opened import pillow_warnings_off

_WRITTEN = "%Y:%m:%d %H:%M:%S"


def shot_of(exif: bytes) -> tuple[str, float | None]:
    """The camera (maker, model and serial number) and the seconds since 1970 on its clock; "" and None if not said."""
    if not exif:
        return "", None
    found = Image.Exif()
    try:
        with pillow_warnings_off:
            found.load(exif)
            inner = found.get_ifd(ExifTags.IFD.Exif)
            camera = [
                found.get(ExifTags.Base.Make),
                found.get(ExifTags.Base.Model),
                inner.get(ExifTags.Base.BodySerialNumber),
            ]
            taken = _seconds(inner.get(ExifTags.Base.DateTimeOriginal), inner.get(ExifTags.Base.SubsecTimeOriginal))
    except Exception:  # broken EXIF raises nearly any type
        return "", None
    return " ".join(str(part).strip("\0 ") for part in camera if part), taken


def _seconds(written: object, fraction: object) -> float | None:
    if not isinstance(written, str):
        return None
    whole = datetime.strptime(written.strip("\0 "), _WRITTEN).replace(tzinfo=UTC).timestamp()
    digits = str(fraction or "").strip("\0 ")
    return whole + (float(f"0.{digits}") if digits.isdigit() else 0.0)
