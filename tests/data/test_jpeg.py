"""Ordinary JPEGs without Pillow: the pixels and the orientation that Pillow gives, and all else left to it."""

import io
from contextlib import ExitStack

import numpy as np
import pytest
from drawn_photos import draw_photo
from PIL import Image

from regraft.data.decoding_cost import bytes_to_decode
from regraft.data.jpeg import decode_ordinary, exif_orientation, shrink_factor
from regraft.machine.memory import decoding_budget

TAG = 0x0112


def encode(image: Image.Image, orientation: int | None = None, **options) -> bytes:
    exif = Image.Exif()
    if orientation is not None:
        exif[TAG] = orientation
        options["exif"] = exif
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def decode(encoded: bytes, max_pixels: int = 1 << 20, least_side: int | None = None) -> tuple[np.ndarray, int] | None:
    with ExitStack() as held:
        return decode_ordinary(encoded, max_pixels, least_side, held)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 20}])
def test_the_pixels_are_those_of_pillow(options: dict):
    encoded = encode(draw_photo(1, seed=3, size=(61, 47)), **options)
    pixels, orientation = decode(encoded) or pytest.fail("not ordinary")
    np.testing.assert_array_equal(pixels, np.asarray(Image.open(io.BytesIO(encoded))))
    assert (pixels.dtype, orientation) == (np.uint8, 1)


@pytest.mark.parametrize(("least", "factor"), [(60, 1), (30, 2), (23, 4), (12, 8), (None, 1)])
def test_a_shrunk_photo_is_that_of_pillow(least: int | None, factor: int):
    encoded = encode(draw_photo(1, seed=3, size=(131, 101)))
    image = Image.open(io.BytesIO(encoded))
    assert shrink_factor(image.size, least) == factor
    image.draft(None, (image.width // factor, image.height // factor))
    pixels, _ = decode(encoded, least_side=least) or pytest.fail("not ordinary")
    np.testing.assert_array_equal(pixels, np.asarray(image))


@pytest.mark.parametrize(("stated", "found"), [(None, 1), (1, 1), (6, 6), (8, 8), (0, 1), (9, 1)])
def test_the_orientation_is_that_of_the_exif(stated: int | None, found: int):
    encoded = encode(draw_photo(1, seed=3), stated)
    assert (decode(encoded) or pytest.fail("not ordinary"))[1] == found


def test_exif_that_is_broken_is_no_reason_to_refuse_a_photo():
    assert exif_orientation(b"Exif\0\0what is this") == 1
    assert exif_orientation(b"") == 1


def not_ordinary() -> dict[str, bytes]:
    photo = draw_photo(1, seed=3, size=(61, 47))
    whole, turned = encode(photo), encode(photo, 6)
    start = turned.index(b"\xff\xe1")
    end = start + 2 + int.from_bytes(turned[start + 2 : start + 4], "big")
    png = io.BytesIO()
    photo.save(png, "PNG")
    return {
        "png": png.getvalue(),
        "grey": encode(photo.convert("L")),
        "cmyk": encode(photo.convert("CMYK")),
        "cut off": whole[: len(whole) // 2],
        "without an end": whole[:-2],
        "exif in two parts": turned[:end] + turned[start:],
        "only a start": b"\xff\xd8\xff",
        "empty": b"",
    }


@pytest.mark.parametrize("name", not_ordinary())
def test_what_is_not_ordinary_is_left_to_pillow(name: str):
    assert decode(not_ordinary()[name]) is None


def test_a_photo_of_too_many_pixels_is_not_decoded():
    encoded = encode(draw_photo(1, seed=3, size=(61, 47)))
    assert decode(encoded, max_pixels=61 * 47 - 1) is None
    assert decode(encoded, max_pixels=61 * 47) is not None


@pytest.mark.parametrize(("least", "options"), [(None, {}), (20, {}), (20, {"progressive": True})])
def test_as_much_memory_is_held_as_pillow_is_said_to_take(least: int | None, options: dict):
    encoded = encode(draw_photo(1, seed=3, size=(160, 120)), **options)
    image = Image.open(io.BytesIO(encoded))
    factor = shrink_factor(image.size, least)
    image.draft(None, (160 // factor, 120 // factor))
    before = decoding_budget().held
    with ExitStack() as held:
        assert decode_ordinary(encoded, 1 << 20, least, held)
        assert decoding_budget().held - before == bytes_to_decode(image, encoded, 160 * 120)
    assert decoding_budget().held == before
