"""What the first bytes of a file say of it."""

import io

import pytest
from drawn_photos import draw_photo

from regraft.data import file_format
from regraft.data.file_format import can_read, identify, identify_file

HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf"
AVIF = b"\0\0\0 ftypavif\0\0\0\0avifmif1miafMA1B"
AVIF_OF_A_GENERAL_BRAND = b"\0\0\0 ftypmif1\0\0\0\0mif1avifmiafMA1B"
JXL, JXL_BARE = b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl ", b"\xff\x0a\xfa\x1f"


@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_a_photo_is_what_its_bytes_say_under_any_name(tmp_path, name):
    encoded = io.BytesIO()
    draw_photo(0, seed=0).save(encoded, name)
    (tmp_path / "photo.txt").write_bytes(encoded.getvalue())
    found = identify_file(tmp_path / "photo.txt")
    assert (found.name, found.readable, found.reason) == (name, True, "")


@pytest.mark.parametrize(
    ("first", "name"),
    [(HEIC, "HEIF"), (AVIF, "AVIF"), (AVIF_OF_A_GENERAL_BRAND, "AVIF"), (JXL, "JXL"), (JXL_BARE, "JXL")],
)
def test_formats_of_phones_are_known_with_and_without_their_plugin(monkeypatch, first, name):
    for installed in (True, False):
        monkeypatch.setattr(file_format, "can_read", lambda _, installed=installed: installed)
        found = identify(first)
        assert (found.name, found.readable) == (name, installed)
        assert installed or found.reason.endswith('which needs pip install "regraft[phone]"')


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (b"", "empty file"),
        (b"hello\n", "not an image (text?)"),
        (bytes(range(256)), "not an image"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "not an image that is read: a video"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "not an image that is read: a raw photo of a camera (CR3)"),
        (b"II*\0\x10\0\0\0CR\2\0", "not an image that is read: a raw photo of a camera (CR2)"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "not an image that is read: a JPEG 2000 picture"),
        (b"8BPS\0\1", "not an image that is read: a Photoshop file"),
        (b"P6\n# by a camera\n30 20\n255\n", "not an image that is read: a Netpbm picture (PPM, PGM, PBM)"),
        (b"P5 of our notes\n", "not an image (text?)"),
        (b"\x93NUMPY\1\0v\0{", "not an image that is read: a NumPy array"),
        (b"%PDF-1.7\n", "not an image that is read: a PDF"),
        (b"PK\3\4\x14\0", "not an image that is read: a ZIP archive"),
        (b"7z\xbc\xaf'\x1c\0\4", "not an image that is read: a 7z archive"),
        (b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns=', "not an image that is read: an SVG drawing"),
        (b"<!DOCTYPE html><html>", "not an image that is read: a web page"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image that is read: PostScript"),
    ],
)
def test_what_is_no_photo_says_what_it_is(first, reason):
    found = identify(first)
    assert (found.name, found.readable, found.reason) == ("", False, reason)


def test_a_file_that_is_not_there_says_so(tmp_path):
    assert identify_file(tmp_path / "none.jpg").reason == "no such file or directory"
    assert not identify_file(tmp_path).readable


def test_pillow_reads_its_own_formats_and_no_others():
    assert can_read("JPEG")
    assert not can_read("EPS")


@pytest.mark.parametrize(("suffix", "what"), [(".tif", "TIFF"), (".TIFF", "TIFF"), (".NEF", ""), (".dng", "")])
def test_a_raw_photo_that_begins_like_a_tiff_is_known_by_its_name(tmp_path, suffix, what):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"II*\0" + bytes(100))
    found = identify_file(path)
    assert (found.name, found.readable) == (what, bool(what))
    assert found.reason in ("", f"not an image that is read: a raw photo of a camera ({suffix[1:].upper()})")
