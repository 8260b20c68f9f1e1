"""Formats that only plugins read, and pictures that are not opened."""

import io
import struct

import numpy as np
import pytest
from drawn_photos import STORED, draw_photo
from PIL import Image

from regraft.data.file_format import can_read
from regraft.data.opened import jxl_size, opened
from regraft.data.photos import UnreadablePhoto, check_photo, inspect_photo, read_upright_rgb

PLUGINS = {"HEIF": "pillow-heif", "JXL": "pillow-jxl-plugin", "AVIF": "a Pillow with AVIF"}


def needs(name: str) -> None:
    if not can_read(name):
        pytest.skip(f"{PLUGINS[name]} is not installed")
    if name == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    if name == "JXL":
        import pillow_jxl  # noqa: F401


def encode(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("name", PLUGINS)
def test_a_photo_of_a_phone_is_read_whatever_its_name(tmp_path, name):
    needs(name)
    scene = draw_photo(1, seed=3)
    (tmp_path / "photo.jpg").write_bytes(encode(scene, name, quality=95))
    photo = inspect_photo(tmp_path / "photo.jpg")
    assert (photo.format, photo.width, photo.height) == (name, 64, 48)
    pixels = read_upright_rgb(tmp_path / "photo.jpg")
    assert np.abs(pixels.astype(int) - np.asarray(scene)).mean() < 6  # all three lose a little


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("name", ["HEIF", "AVIF"])
def test_a_photo_of_a_phone_is_turned_upright_once(tmp_path, name, orientation):
    needs(name)
    scene = np.asarray(draw_photo(1, seed=3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](scene)))
    pixels = read_upright_rgb(encode(stored, name, quality=95, exif=exif.tobytes()))
    assert pixels.shape == scene.shape
    assert np.abs(pixels.astype(int) - scene).mean() < 6


@pytest.mark.parametrize("name", PLUGINS)
def test_the_background_is_seen_through_a_photo_of_a_phone(name):
    needs(name)
    image = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    assert (read_upright_rgb(encode(image, name)) == 255).all()


@pytest.mark.parametrize("name", PLUGINS)
def test_without_its_plugin_a_photo_says_what_to_install(monkeypatch, name):
    first = {"HEIF": b"\0\0\0\x1cftypheic", "JXL": b"\xff\x0a", "AVIF": b"\0\0\0 ftypavif"}[name]
    monkeypatch.setattr("regraft.data.file_format.can_read", lambda _: False)
    with pytest.raises(UnreadablePhoto, match=r'which needs pip install "regraft\[phone\]"$'):
        check_photo(first + bytes(64))


@pytest.mark.parametrize("name", PLUGINS)
def test_a_photo_of_a_phone_that_is_cut_short_is_refused(name):
    needs(name)
    whole = encode(draw_photo(1, seed=3), name)
    for length in (20, len(whole) // 2):
        with pytest.raises(UnreadablePhoto):
            read_upright_rgb(whole[:length])


@pytest.mark.parametrize("size", [(8, 8), (256, 128), (64, 48), (300, 200), (1000, 1), (1, 70000), (5000, 4000)])
def test_the_size_of_a_jpeg_xl_is_known_before_it_is_decoded(size):
    needs("JXL")
    image = Image.new("RGB", size)
    assert jxl_size(encode(image, "JXL", lossless=True, effort=1)) == size
    assert jxl_size(encode(image, "JXL", lossless=True, effort=1, use_container=True)) == size


def test_the_size_of_a_jpeg_xl_is_read_bit_by_bit():
    # Not small (0); height 300: the first length (00) and 299 in 9 bits; ratio 0; width 1000: 01 and 999 in 13 bits.
    bits = 0 | (0 << 1) | (299 << 3) | (0 << 12) | (1 << 15) | (999 << 17)
    assert jxl_size(b"\xff\x0a" + bits.to_bytes(5, "little")) == (1000, 300)
    # Small (1): height 8 * (4 + 1); ratio 3, four thirds.
    assert jxl_size(b"\xff\x0a" + (1 | (4 << 1) | (3 << 6)).to_bytes(2, "little")) == (40 * 4 // 3, 40)
    with pytest.raises(ValueError, match="no valid JPEG XL header"):
        jxl_size(b"\0\0\0\x0cJXL \r\n\x87\n")


def test_a_jpeg_xl_of_too_many_pixels_is_not_decoded(monkeypatch):
    monkeypatch.setattr("regraft.data.file_format.can_read", lambda _: True)
    monkeypatch.setattr("regraft.data.opened._register", lambda _: None)
    bits = 0 | (3 << 1) | (99_999 << 3) | (0 << 33) | (3 << 36) | (99_999 << 38)
    with pytest.raises(UnreadablePhoto, match="too large: 10,000 million pixels") as caught:
        check_photo(b"\xff\x0a" + bits.to_bytes(12, "little"))
    assert caught.value.status == "too_large"


def test_the_preview_of_a_raw_photo_is_no_photo():
    preview = encode(draw_photo(0, seed=0), "TIFF", tiffinfo={50706: b"\1\4\0\0"})
    with pytest.raises(UnreadablePhoto, match="a raw photo of a camera"), opened(preview):
        pass
    reduced = tiff_with({254: 1, 330: 8})
    with pytest.raises(UnreadablePhoto, match="a raw photo of a camera"), opened(reduced):
        pass
    with opened(tiff_with({254: 0})) as image:
        assert image.size == (2, 1)


def tiff_with(more: dict[int, int]) -> bytes:
    tags = {256: 2, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 2, **more}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<I", 10) + b"\1\2" + struct.pack("<H", len(tags)) + entries + bytes(4)
