"""From what a file stores to 8-bit colours, against arithmetic by hand."""

import io

import numpy as np
import pytest
from PIL import Image

from regraft.data.photos import inspect_photo, read_upright_rgb
from regraft.data.rendering import (
    AS_EARLIER,
    Rendering,
    background_rgb,
    check_background,
    check_range,
    composite,
    range_of,
    render,
    spread_of,
)

HALF = np.array([[[10, 20, 30, 0], [40, 50, 60, 255], [100, 200, 0, 128]]], np.uint8)
# (100 * 128 + 255 * 127) / 255 = 177.2, (200 * 128 + 255 * 127) / 255 = 227.4, (0 + 255 * 127) / 255 = 127
OVER_WHITE = [[[255, 255, 255], [40, 50, 60], [177, 227, 127]]]
# 100 * 128 / 255 = 50.2, 200 * 128 / 255 = 100.4
OVER_BLACK = [[[0, 0, 0], [40, 50, 60], [50, 100, 0]]]


def encode(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("background", "expected"), [("white", OVER_WHITE), ("black", OVER_BLACK), ("none", HALF[..., :3])]
)
def test_the_background_is_seen_through_transparent_pixels(format, background, expected):
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    pixels = read_upright_rgb(encode(Image.fromarray(HALF), format, **options), rendering=Rendering(background))
    np.testing.assert_array_equal(pixels, expected)


def test_a_background_may_have_any_color():
    # (100 * 128 + 255 * 127) / 255 = 177.2, (200 * 128 + 128 * 127) / 255 = 164.1, (0 * 128 + 1 * 127) / 255 = 0.5
    expected = [[[255, 128, 1], [40, 50, 60], [177, 164, 0]]]
    np.testing.assert_array_equal(composite(HALF, background_rgb("#ff8001")), expected)


def test_pictures_that_look_alike_have_the_same_pixels():
    seen = [read_upright_rgb(encode(image, format)) for image, format in alike()]
    for pixels in seen:
        np.testing.assert_array_equal(pixels, [[[255, 255, 255], [40, 40, 40]]])


def alike() -> list[tuple[Image.Image, str]]:
    """One transparent and one grey pixel, as kinds of files hold them; the hidden colours differ."""
    rgba = np.array([[[0, 0, 0, 0], [40, 40, 40, 255]]], np.uint8)
    other = np.array([[[255, 0, 255, 0], [40, 40, 40, 255]]], np.uint8)
    grey = Image.fromarray(rgba[..., 2:])
    palette = Image.frombytes("P", (2, 1), b"\0\1")
    palette.putpalette([200, 0, 0, 40, 40, 40])
    palette.info["transparency"] = 0
    opaque = Image.fromarray(np.array([[[255] * 3, [40] * 3]], np.uint8))
    images = [Image.fromarray(rgba), Image.fromarray(other), grey, palette, opaque]
    return [(image, "PNG") for image in images] + [(palette, "GIF"), (images[1], "TIFF")]


def test_one_colour_of_a_file_without_alpha_may_be_transparent():
    image = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    pixels = read_upright_rgb(encode(image, "PNG", transparency=(1, 2, 3)))
    np.testing.assert_array_equal(pixels, [[[255, 255, 255], [4, 5, 6]]])


def test_a_palette_with_transparent_colors_reads_without_a_warning():
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    image.putpalette([1, 2, 3, 4, 5, 6])
    data = encode(image, "PNG", transparency=b"\0\x80")
    # (4 * 128 + 255 * 127) / 255 = 129.0, 129.5 and 130.0
    np.testing.assert_array_equal(read_upright_rgb(data), [[[255, 255, 255], [129, 130, 130]]])


def test_runs_of_an_earlier_version_drop_transparency():
    for image in (Image.fromarray(HALF), Image.fromarray(HALF[..., 2:])):
        expected = np.asarray(image)[..., :3] if image.mode == "RGBA" else HALF[..., 2:3].repeat(3, -1)
        np.testing.assert_array_equal(read_upright_rgb(encode(image, "PNG"), rendering=AS_EARLIER), expected)


@pytest.mark.parametrize(
    ("values", "white"),
    [
        ([0, 1], 1),
        ([0, 200], 255),
        ([0, 256], 1023),
        ([0, 2027], 4095),
        ([0, 4096], 16383),
        ([0, 16384], 65535),
        ([0, 65536], 65536),
    ],
)
def test_white_is_the_largest_value_of_the_fewest_bits_that_hold_the_picture(values, white):
    assert range_of([tuple(values)]) == (0.0, white)
    if values[1] < 65536:
        deep = Image.fromarray(np.array([values], np.uint16))
        assert read_upright_rgb(encode(deep, "PNG"))[0, 1, 0] == round(values[1] * 255 / white)
    deep = Image.fromarray(np.array([values], np.int32))
    assert read_upright_rgb(encode(deep, "TIFF"))[0, 1, 0] == round(values[1] * 255 / white)


def test_a_range_covers_every_picture_of_a_set():
    assert range_of([(3.0, 900.0), (0.0, 3000.0)]) == (0.0, 4095.0)
    assert range_of([(-40.0, 200.0), (-5.0, 80.0)]) == (-40.0, 255.0)
    assert range_of([(0.1, 0.9)]) == (0.0, 1.0)
    assert range_of([]) is None


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_a_given_range_counts_for_every_kind_of_deep_grey(dtype):
    deep = Image.fromarray(np.array([[900, 1000, 1500, 2000, 2100]], dtype))
    pixels = read_upright_rgb(encode(deep, "TIFF"), rendering=Rendering(range=(1000.0, 2000.0)))
    np.testing.assert_array_equal(pixels[0, :, 1], [0, 0, 128, 255, 255])  # 127.5 rounds to the even 128


def test_twelve_bits_that_the_file_states_are_twelve_bits():
    # Four pixels of 12 bits in a TIFF, packed: 0, 1024, 2048, 4095.
    image = Image.open(io.BytesIO(tiff_of_four(bytes.fromhex("000400800fff"))))
    assert spread_of(image) is None
    np.testing.assert_array_equal(render(image, Rendering(range=(0.0, 65535.0)))[0, :, 0], [0, 64, 128, 255])


def test_what_the_file_calls_black_is_black():
    values = np.array([0, 1024, 2048, 4095], "<u2")
    negative = tiff_of_four(values.tobytes(), {258: 16, 262: 0})  # where 0 is white
    np.testing.assert_array_equal(read_upright_rgb(negative)[0, :, 0], [255, 191, 127, 0])
    earlier = read_upright_rgb(negative, rendering=AS_EARLIER)
    np.testing.assert_array_equal(earlier[0, :, 0], [0, 4, 8, 16])  # of 65,535, as it is stored


def test_numbers_of_32_bits_without_a_sign_have_none():
    values = np.array([0, 1 << 30, 3 << 30, 0xFFFFFFFF], "<u4")
    image = Image.open(io.BytesIO(tiff_of_four(values.tobytes(), {258: 32})))
    assert spread_of(image) == (0.0, 4294967295.0)
    np.testing.assert_array_equal(render(image, Rendering())[0, :, 0], [0, 64, 191, 255])


def test_one_deep_grey_may_be_transparent():
    encoded = encode(Image.fromarray(np.array([[0, 1000, 4095]], np.uint16)), "PNG", transparency=1000)
    assert Image.open(io.BytesIO(encoded)).info["transparency"] == 1000
    np.testing.assert_array_equal(read_upright_rgb(encoded)[0], [[0] * 3, [255] * 3, [255] * 3])
    red = read_upright_rgb(encoded, rendering=Rendering("#ff0000"))
    np.testing.assert_array_equal(red[0, 1], [255, 0, 0])
    assert read_upright_rgb(encoded, rendering=Rendering("none"))[0, 1, 0] == 62  # 1000 * 255 / 4095


def tiff_of_four(packed: bytes, others: dict[int, int] | None = None) -> bytes:
    """Four pixels, with other values for some tags."""
    import struct

    tags = {256: 4, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: len(packed)} | (others or {})
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + directory + bytes(4)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_runs_of_an_earlier_version_stretch_each_deep_picture_by_itself(dtype):
    grey = np.array([[-100, 0], [100, 155]], dtype)
    pixels = read_upright_rgb(encode(Image.fromarray(grey), "TIFF"), rendering=AS_EARLIER)
    np.testing.assert_array_equal(pixels[..., 0], [[0, 100], [200, 255]])
    flat = Image.fromarray(np.full((2, 2), 7, dtype))
    assert not read_upright_rgb(encode(flat, "TIFF"), rendering=AS_EARLIER).any()


def test_what_is_no_number_is_black():
    deep = Image.fromarray(np.array([[np.nan, np.inf, 0.5, 1.0]], np.float32))
    np.testing.assert_array_equal(read_upright_rgb(encode(deep, "TIFF"))[0, :, 0], [0, 0, 128, 255])


def test_a_large_picture_is_rendered_in_parts_and_the_same(monkeypatch):
    rgba = Image.fromarray(np.random.default_rng(0).integers(0, 256, (31, 17, 4), np.uint8))
    deep = Image.fromarray(np.random.default_rng(0).integers(0, 4000, (31, 17), np.uint16))
    whole = [render(image, Rendering()) for image in (rgba, deep)]
    monkeypatch.setattr("regraft.data.rendering._ROWS_PIXELS", 60)
    for image, expected in zip((rgba, deep), whole, strict=True):
        np.testing.assert_array_equal(render(image, Rendering()), expected)


def test_a_scan_tells_what_has_to_be_known_of_a_set(tmp_path):
    Image.fromarray(np.array([[7, 3000]], np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(HALF).save(tmp_path / "half.png")
    deep, half = inspect_photo(tmp_path / "deep.png"), inspect_photo(tmp_path / "half.png")
    assert (deep.lowest, deep.highest, deep.transparent) == (7.0, 3000.0, False)
    assert (half.lowest, half.highest, half.transparent) == (None, None, True)


@pytest.mark.parametrize("text", ["White", "#FF0080", "none"])
def test_a_background_is_a_word_or_a_colour(text):
    assert check_background(text) == text.lower()


@pytest.mark.parametrize("text", ["red", "#fff", "", "#gg0000"])
def test_another_background_is_refused(text):
    with pytest.raises(ValueError, match='"white", "black", "none" or a colour as "#rrggbb"'):
        check_background(text)


def test_a_range_is_a_word_or_two_rising_numbers():
    assert check_range([0, 4095]) == (0.0, 4095.0)
    assert check_range("auto") == "auto"
    for wrong in ("bits", [0], [5, 5], [9, 1], [0, float("inf")], ["0", "1"], 4095, [False, True]):
        with pytest.raises(ValueError, match=r"such as \[0, 4095\]"):
            check_range(wrong)
