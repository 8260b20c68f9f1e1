"""Encoded bytes to upright pixels, against Pillow and against EXIF written byte by byte."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from drawn_photos import STORED, draw_photo
from PIL import Image, ImageOps

from regraft.augment.decode import decode_upright, exif_orientation, turn_upright
from regraft.augment.view import make_view
from regraft.data.photos import check_photo, read_upright_rgb

JFIF_END = 20  # SOI, then an APP0 segment of 18 bytes: what Pillow writes first
SHORT, LONG, BYTE = 3, 4, 1


def scene() -> np.ndarray:
    """An RGB image without any symmetry."""
    return np.asarray(draw_photo(1, seed=3, size=(48, 32)))


def encode(image: Image.Image | np.ndarray, format: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(np.ascontiguousarray(image))
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def tiff(order: str, orientation: int, *, kind: int = SHORT, other_tags: int = 2) -> bytes:
    """An EXIF block whose directory holds some other tags and then the orientation."""
    end = "<" if order == "II" else ">"
    value = struct.pack(end + {SHORT: "HH", LONG: "I", BYTE: "Bxxx"}[kind], *(orientation, 0)[: 1 + (kind == SHORT)])
    entries = b"".join(struct.pack(end + "HHII", 0x0100 + tag, LONG, 1, 1234) for tag in range(other_tags))
    entries += struct.pack(end + "HHI", 0x0112, kind, 1) + value
    return order.encode() + struct.pack(end + "HIH", 42, 8, other_tags + 1) + entries + bytes(4)


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def with_exif(block: bytes, *, before: bytes = b"", at: int = JFIF_END) -> bytes:
    """A JPEG with an Exif segment at a byte offset, behind other segments."""
    jpeg = encode(scene())
    return jpeg[:at] + before + segment(0xE1, b"Exif\0\0" + block) + jpeg[at:]


def orientation_of(encoded: bytes) -> int:
    return int(exif_orientation(tf.constant(encoded)))


@pytest.mark.parametrize("orientation", STORED)
def test_turn_upright_undoes_what_the_camera_stored(orientation):
    turned = turn_upright(tf.constant(np.ascontiguousarray(STORED[orientation](scene()))), tf.constant(orientation))
    np.testing.assert_array_equal(turned, scene())


@pytest.mark.parametrize("at", [2, JFIF_END], ids=["Exif first", "JFIF before Exif"])
@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("orientation", STORED)
def test_orientation_is_read_in_both_byte_orders(orientation, order, at):
    assert orientation_of(with_exif(tiff(order, orientation), at=at)) == orientation


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize(("kind", "orientation"), [(SHORT, 6), (LONG, 6), (BYTE, 1)])
def test_orientation_of_any_number_type_is_what_the_scan_says(kind, orientation, order):
    encoded = with_exif(tiff(order, 6, kind=kind))
    assert check_photo(encoded).orientation == orientation
    assert orientation_of(encoded) == orientation


@pytest.mark.parametrize(
    "before",
    [
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"),
        segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(60_000)),
        segment(0xFE, b"a comment"),
        b"\xff\xff\xff",
    ],
    ids=["XMP", "ICC", "comment", "fill bytes"],
)
def test_orientation_is_found_behind_other_segments(before):
    assert orientation_of(with_exif(tiff("MM", 8), before=before)) == 8


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("orientation", [0, 9, 255, 65_535])
def test_an_orientation_that_does_not_exist_counts_as_upright(orientation, order):
    assert orientation_of(with_exif(tiff(order, orientation))) == 1


@pytest.mark.parametrize("order", ["II", "MM"])
def test_exif_cut_short_before_the_orientation_counts_as_upright(order):
    whole = tiff(order, 6, other_tags=1)
    before_value = len(whole) - 4 - 4
    assert [orientation_of(with_exif(whole[:size])) for size in range(before_value)] == [1] * before_value


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\xff" * 64,
        bytes(64),
        b"XX" + tiff("MM", 6)[2:],
        b"MM\0\x2b" + tiff("MM", 6)[4:],
        b"II*\0\xff\xff\xff\xff" + tiff("II", 6)[8:],
        b"MM\0*\0\0\0\x08\xff\xff",
    ],
    ids=["nothing", "ones", "zeros", "no byte order", "no magic", "directory far away", "65,535 entries"],
)
def test_garbage_for_exif_counts_as_upright(block):
    assert orientation_of(with_exif(block)) == 1


@pytest.mark.parametrize("encoded", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe1\0\x08Exif\0", b"text", b"\x89PNG\r\n"])
def test_bytes_without_a_jpeg_header_count_as_upright(encoded):
    assert orientation_of(encoded) == 1


def test_a_jpeg_whose_exif_mark_is_its_last_byte_counts_as_upright():
    assert orientation_of(b"\xff\xd8" + segment(0xE1, b"Exif\0\0")) == 1


@pytest.mark.parametrize("orientation", STORED)
def test_decode_upright_agrees_with_pillow(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    encoded = encode(STORED[orientation](scene()), quality=95, subsampling=0, exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))))
    decoded = decode_upright(tf.constant(encoded)).numpy()
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, upright)


def test_decode_upright_gives_the_same_pixels_inside_a_pipeline():
    files = [with_exif(tiff("II", orientation)) for orientation in range(10)]
    mapped = [image.numpy() for image in tf.data.Dataset.from_tensor_slices(files).map(decode_upright)]
    for pixels, encoded in zip(mapped, files, strict=True):
        np.testing.assert_array_equal(pixels, decode_upright(tf.constant(encoded)))


@pytest.mark.parametrize("format", ["PNG", "BMP", "GIF", "WEBP"])
def test_lossless_formats_give_the_pixels_of_pillow(format):
    image = Image.fromarray(scene())
    image = image.quantize(64) if format == "GIF" else image
    encoded = encode(image, format, **({"lossless": True} if format == "WEBP" else {}))
    np.testing.assert_array_equal(decode_upright(tf.constant(encoded)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_every_mode_of_a_png_becomes_rgb(mode):
    image = Image.fromarray(scene()).convert(mode)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(decode_upright(tf.constant(encode(image, "PNG"))), expected)


def test_grey_jpeg_becomes_rgb():
    image = Image.fromarray(scene()).convert("L")
    decoded = decode_upright(tf.constant(encode(image, quality=95))).numpy()
    assert decoded.shape == (32, 48, 3)
    np.testing.assert_allclose(decoded.astype(int), np.asarray(image, int)[..., None].repeat(3, 2), atol=12)


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (9, 7), color) for color in ("red", "blue")]
    encoded = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode_upright(tf.constant(encoded)), np.asarray(frames[0]))


@pytest.mark.parametrize("encoded", [b"", b"not an image", encode(scene())[:-200], encode(scene(), "PNG")[:-200]])
def test_bytes_that_are_no_whole_image_are_refused(encoded):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_upright(tf.constant(encoded))


WHITE = (255, 255, 255)
over_white = tf.function(
    lambda encoded: decode_upright(encoded, WHITE), autograph=False, input_signature=[tf.TensorSpec([], tf.string)]
)


def test_the_background_is_seen_through_transparent_pixels():
    pixels = np.array([[[10, 20, 30, 0], [40, 50, 60, 255], [100, 200, 0, 128]]], np.uint8)
    # (100 * 128 + 255 * 127) / 255 = 177.2 and so on; over black 100 * 128 / 255 = 50.2
    for format, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
        encoded = tf.constant(encode(pixels, format, **options))
        expected = [[[255, 255, 255], [40, 50, 60], [177, 227, 127]]]
        np.testing.assert_array_equal(over_white(encoded), expected)
        expected = [[[0, 0, 0], [40, 50, 60], [50, 100, 0]]]
        np.testing.assert_array_equal(decode_upright(encoded, (0, 0, 0)), expected)
        np.testing.assert_array_equal(decode_upright(encoded), pixels[..., :3])


def transparent_pictures() -> dict[str, tuple[Image.Image, str, dict[str, object]]]:
    """Every way of a file to be transparent, or to be opaque where others are not."""
    rgba = Image.fromarray(np.dstack([scene(), np.random.default_rng(0).integers(0, 256, (32, 48), np.uint8)]))
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")
    first = tuple(map(int, scene()[0, 0]))
    return {
        "rgba": (rgba, "PNG", {}),
        "grey and alpha": (rgba.convert("LA"), "PNG", {}),
        "alpha of a palette": (rgb.quantize(16), "PNG", {"transparency": bytes(range(0, 240, 15))}),
        "one colour of a palette": (rgb.quantize(16), "PNG", {"transparency": 3}),
        "one colour": (rgb, "PNG", {"transparency": first}),
        "one grey": (grey, "PNG", {"transparency": int(np.asarray(grey)[0, 0])}),
        "one of two greys": (rgb.convert("1"), "PNG", {"transparency": 0}),
        "two opaque greys": (rgb.convert("1"), "PNG", {}),
        "four opaque colours": (rgb.quantize(4), "PNG", {"bits": 2}),
        "opaque": (rgb, "PNG", {}),
        "lossy webp": (rgba, "WEBP", {}),
        "opaque webp": (rgb, "WEBP", {"lossless": True}),
        "animated webp": (rgba, "WEBP", {"lossless": True, "save_all": True, "append_images": [rgb]}),
    }


@pytest.mark.parametrize("name", transparent_pictures())
def test_transparent_pictures_have_the_pixels_of_prediction(name):
    image, format, options = transparent_pictures()[name]
    encoded = encode(image, format, **options)
    np.testing.assert_array_equal(over_white(tf.constant(encoded)), read_upright_rgb(encoded))


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_png_and_webp_are_turned_by_their_exif(orientation, format):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "maker"
    options = {"lossless": True} if format == "WEBP" else {}
    encoded = encode(STORED[orientation](scene()), format, exif=exif, **options)
    np.testing.assert_array_equal(over_white(tf.constant(encoded)), scene())


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.mark.parametrize(
    ("before_pixels", "behind_them", "orientation"),
    [
        (chunk(b"eXIf", tiff("MM", 6)), b"", 6),
        (chunk(b"teSt", bytes(7)) + chunk(b"eXIf", b"Exif\0\0" + tiff("II", 8, kind=LONG)), b"", 8),
        (b"", chunk(b"eXIf", tiff("MM", 6)), 1),  # Pillow, which reads no further than it must, does not see it either
        (chunk(b"eXIf", b""), b"", 1),
        (chunk(b"eXIf", tiff("II", 9)), b"", 1),
    ],
    ids=["first", "with a mark", "behind the pixels", "empty", "no orientation"],
)
def test_exif_of_a_png_counts_before_its_pixels(before_pixels, behind_them, orientation):
    png, header = encode(scene(), "PNG"), 33
    encoded = png[:header] + before_pixels + png[header:-12] + behind_them + png[-12:]
    assert orientation_of(encoded) == orientation == check_photo(encoded).orientation


@pytest.mark.parametrize(
    "encoded",
    [
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffteSt",
        b"\x89PNG\r\n\x1a\n\x7f\xff\xff\xffteSt",
        b"\x89PNG\r\n\x1a\n\0\0\0\x09eXIfII",
        b"RIFF\4\0\0\0WEBP",
        b"RIFF\xff\xff\xff\xffWEBPVP8X\xff\xff\xff\xff",
        b"RIFF\xff\0\0\0WEBPEXIF\xff\0\0\0Exif\0",
    ],
)
def test_chunks_that_end_early_or_never_count_as_upright(encoded):
    assert orientation_of(encoded) == 1


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_that_lacks_but_its_end_mark_is_read_and_one_that_lacks_more_is_refused(progressive, mode):
    whole = encode(Image.fromarray(scene()).convert(mode), progressive=progressive, subsampling=0)
    expected = over_white(tf.constant(whole))
    for cut in (1, 2):
        np.testing.assert_array_equal(over_white(tf.constant(whole[:-cut])), expected)
    for cut in (*range(3, 20), 40, 80, 160):
        with pytest.raises(tf.errors.InvalidArgumentError):
            over_white(tf.constant(whole[:-cut]))


@pytest.mark.shared
def test_the_exif_variants_of_one_landscape_give_nearly_the_same_view(shared: Path):
    view = make_view(96, 1.0)
    files = sorted((shared / "data/dirty/exif").glob("*.jpg"))
    views = np.stack([view(decode_upright(tf.io.read_file(str(path)))) for path in files])
    assert len(views) == 9
    assert np.abs(views - views[1]).mean(axis=(1, 2, 3)).max() < 3  # each variant is its own lossy JPEG
