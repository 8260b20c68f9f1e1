"""What EXIF says of the camera and the time, and that broken EXIF is no obstacle."""

import pytest
from PIL import ExifTags, Image

from regraft.data.exif import shot_of

TAGS = ExifTags.Base


def exif_of(*, camera: dict | None = None, **inner) -> bytes:
    """EXIF bytes with these tags."""
    exif = Image.Exif()
    for name, value in (camera or {}).items():
        exif[TAGS[name]] = value
    exif.get_ifd(ExifTags.IFD.Exif).update({TAGS[name]: value for name, value in inner.items()})
    return exif.tobytes()


def test_camera_and_time_with_its_fraction():
    exif = exif_of(
        camera={"Make": "Nikon\0", "Model": "D5"},
        DateTimeOriginal="1970:01:02 00:00:03", SubsecTimeOriginal="25", BodySerialNumber="77",
    )  # fmt: skip
    assert shot_of(exif) == ("Nikon D5 77", 86_403.25)


@pytest.mark.parametrize(
    ("exif", "expected"),
    [
        (b"", ("", None)),
        (b"Exif\0\0broken", ("", None)),
        (exif_of(camera={"Make": "Nikon"}), ("Nikon", None)),
        (exif_of(DateTimeOriginal="0000:00:00 00:00:00"), ("", None)),
        (exif_of(DateTimeOriginal="1970:01:01 00:00:09"), ("", 9.0)),
    ],
)
def test_what_is_not_said_is_empty(exif, expected):
    assert shot_of(exif) == expected
