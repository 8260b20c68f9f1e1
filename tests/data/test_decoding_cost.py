"""What decoding will take, told before it is begun: of pictures that take more than their pixels."""

import io
import struct
import zlib

import numpy as np
import pytest
from drawn_photos import draw_photo
from PIL import Image

from regraft.data.decoding_cost import bytes_to_decode, coefficient_bytes
from regraft.data.photos import UnreadablePhoto, read_upright_rgb


def encode(image: Image.Image, format: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def in_separate_scans(grey: bytes, components: int) -> bytes:
    """A sequential JPEG whose components, all of them the picture `grey`, have a scan each."""
    at, segments = 2, []
    while not segments or segments[-1][0] != 0xDA:
        length = int.from_bytes(grey[at + 2 : at + 4], "big")
        segments.append((grey[at + 1], grey[at + 4 : at + 2 + length]))
        at += 2 + length
    numbers = range(1, components + 1)
    frame = bytes([components]) + b"".join(bytes([number, 0x11, 0]) for number in numbers)
    segments = [(kind, data[:5] + frame if kind == 0xC0 else data) for kind, data in segments[:-1]]
    scans = [(0xDA, bytes([1, number, 0, 0, 63, 0])) for number in numbers]

    def segment(kind: int, data: bytes) -> bytes:
        return bytes([0xFF, kind]) + struct.pack(">H", len(data) + 2) + data

    pixels = grey[at:-2]
    return (
        b"\xff\xd8"
        + b"".join(segment(*each) for each in segments)
        + b"".join(segment(*each) + pixels for each in scans)
        + b"\xff\xd9"
    )


def tiff_of_one_tile(side: int, tile: int) -> bytes:
    """A TIFF of `side` x `side` black pixels that lie in one packed tile of `tile` x `tile`."""
    data = zlib.compress(bytes(tile * tile * 3))
    tags = {256: side, 257: side, 258: 0, 259: 8, 262: 2, 277: 3, 322: tile, 323: tile, 324: 0, 325: len(data)}
    bits_at = 8 + 2 + 12 * len(tags) + 4
    tags |= {258: bits_at, 324: bits_at + 6}
    entries = b"".join(struct.pack("<HHII", tag, *((3, 3) if tag == 258 else (4, 1)), at) for tag, at in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + struct.pack("<HHH", 8, 8, 8) + data


@pytest.mark.parametrize(
    ("mode", "options", "kept"),
    [
        ("RGB", {}, 0),
        ("L", {}, 0),
        ("L", {"progressive": True}, 3),
        ("RGB", {"progressive": True}, 7),
        ("CMYK", {"progressive": True}, 9),
        ("RGB", {"exif": b"Exif\0\0" + b"\xff\xc2" * 50, "restart_marker_blocks": 1}, 0),
    ],
)
def test_what_a_jpeg_keeps_until_its_end_is_told_from_its_header(mode, options, kept):
    assert coefficient_bytes(encode(draw_photo(0, seed=0).convert(mode), **options)) == kept


def test_a_jpeg_with_a_scan_for_each_component_keeps_them_all():
    grey = encode(draw_photo(0, seed=0, size=(64, 48)).convert("L"))
    separate = in_separate_scans(grey, 3)
    assert read_upright_rgb(separate).shape == (48, 64, 3)
    assert coefficient_bytes(separate) == 7
    assert coefficient_bytes(separate[:30]) == coefficient_bytes(b"\xff" * 50) == coefficient_bytes(b"") == 0


def test_a_shrunk_jpeg_of_separate_scans_is_refused_where_what_it_keeps_is_too_much(monkeypatch):
    monkeypatch.setenv("REGRAFT_MAX_MEMORY", "1M")
    grey = encode(Image.new("L", (800, 600), 90))
    assert read_upright_rgb(grey, least_side=70).shape == (75, 100, 3)
    with pytest.raises(UnreadablePhoto, match=r"3\.5 MB of memory"):  # 800 x 600 x 7 and 100 x 75 x 12
        read_upright_rgb(in_separate_scans(grey, 3), least_side=70)


def test_a_tile_that_is_much_larger_than_its_picture_is_refused(monkeypatch):
    encoded = tiff_of_one_tile(16, 1024)
    np.testing.assert_array_equal(read_upright_rgb(encoded), np.zeros((16, 16, 3)))
    monkeypatch.setenv("REGRAFT_MAX_MEMORY", "3M")
    with pytest.raises(UnreadablePhoto, match=r"4\.2 MB of memory") as caught:  # 1,024 x 1,024 x 4
        read_upright_rgb(encoded)
    assert caught.value.status == "too_large"


def test_a_picture_of_one_column_takes_more_than_its_pixels():
    image = Image.open(io.BytesIO(encode(Image.new("1", (1, 1000)), "PNG")))
    assert bytes_to_decode(image, b"", 1000) == 1000 * 12 + 1001 * 32
