"""What one file is, what it looks like, and why it cannot be read."""

import hashlib
import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from drawn_photos import STORED, draw_photo
from PIL import Image

from regraft.data.photos import (
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    NO_END_MARK,
    TOO_DARK,
    UnreadablePhoto,
    check_photo,
    inspect_photo,
    read_upright_rgb,
    tensorflow_reads,
    transcode_to_png,
)
from regraft.errors import UsageError
from regraft.machine.memory import decoding_budget


def encode(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def exif_with(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def bits_apart(left: bytes, right: bytes) -> int:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).bit_count()


def test_a_jpeg_is_described_as_it_is_stored(tmp_path):
    data = encode(draw_photo(0, seed=1, size=(40, 30)), "JPEG", exif=exif_with(6))
    photo = inspect_photo(write(tmp_path / "a.jpg", data))
    assert (photo.format, photo.mode, photo.width, photo.height) == ("JPEG", "RGB", 40, 30)
    assert photo.orientation == 6
    assert photo.fingerprint == hashlib.blake2b(data, digest_size=16).hexdigest()
    assert len(photo.appearance) == 32


def test_appearance_has_a_bit_for_each_cell_lighter_than_its_left_neighbour(tmp_path):
    rng = np.random.default_rng(3)
    cells = rng.integers(0, 256, (16, 17), np.uint8)
    Image.fromarray(cells.repeat(4, 0).repeat(4, 1)).save(tmp_path / "a.png")
    expected = np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes()
    assert inspect_photo(tmp_path / "a.png").appearance == expected


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_reads_upright_and_looks_the_same(tmp_path, orientation):
    scene = np.asarray(draw_photo(2, seed=5))
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](scene)))
    stored.save(tmp_path / "a.png", exif=exif_with(orientation))
    Image.fromarray(scene).save(tmp_path / "upright.png")
    np.testing.assert_array_equal(read_upright_rgb(tmp_path / "a.png"), scene)
    photo = inspect_photo(tmp_path / "a.png")
    assert photo.orientation == orientation
    assert bits_apart(photo.appearance, inspect_photo(tmp_path / "upright.png").appearance) <= 4


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_counts_as_upright(tmp_path, orientation):
    draw_photo(0, seed=0).save(tmp_path / "a.jpg", exif=exif_with(orientation))
    assert inspect_photo(tmp_path / "a.jpg").orientation == 1


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"])
def test_broken_exif_counts_as_upright_without_a_warning(tmp_path, exif):
    draw_photo(0, seed=0).save(tmp_path / "a.jpg", exif=exif)
    assert inspect_photo(tmp_path / "a.jpg").orientation == 1
    assert read_upright_rgb(tmp_path / "a.jpg").shape == (48, 64, 3)


def test_an_orientation_that_is_not_a_whole_number_counts_as_upright(tmp_path):
    directory = struct.pack("<HHHIII", 1, 0x0112, 11, 1, struct.unpack("<I", struct.pack("<f", 6.0))[0], 0)
    draw_photo(0, seed=0).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0" + directory)
    assert inspect_photo(tmp_path / "a.jpg").orientation == 1


def test_a_turned_tiff_is_turned_once(tmp_path):
    scene = np.asarray(draw_photo(1, seed=1))
    stored = Image.fromarray(np.ascontiguousarray(STORED[6](scene)))
    stored.save(tmp_path / "a.tif", tiffinfo={0x0112: 6})
    np.testing.assert_array_equal(read_upright_rgb(tmp_path / "a.tif"), scene)
    photo = inspect_photo(tmp_path / "a.tif")
    assert (photo.width, photo.height, photo.orientation) == (64, 48, 1)


def test_bytes_and_file_give_the_same_pixels(tmp_path):
    data = encode(draw_photo(0, seed=0), "JPEG")
    pixels = read_upright_rgb(data)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, read_upright_rgb(write(tmp_path / "a.jpg", data)))


def test_16_bit_grey_is_scaled_and_not_clipped():
    grey = np.array([[0, 128, 129], [257, 32768, 65535]], np.uint16)
    pixels = read_upright_rgb(encode(Image.fromarray(grey), "PNG"))
    np.testing.assert_array_equal(pixels, np.array([[0, 0, 1], [1, 128, 255]])[..., None].repeat(3, -1))


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_upright_rgb(data)[0, 0], [255, 0, 0])


@pytest.mark.parametrize(
    ("format", "suffix"),
    [
        ("JPEG", ".jfif"),
        ("PNG", ".png"),
        ("GIF", ".gif"),
        ("BMP", ".bmp"),
        ("WEBP", ".webp"),
        ("TIFF", ".tif"),
    ],
)
def test_every_common_format_is_accepted(tmp_path, format, suffix):
    assert suffix in IMAGE_SUFFIXES
    path = write(tmp_path / f"a{suffix}", encode(draw_photo(0, seed=0), format))
    assert inspect_photo(path).format == format


def test_an_image_under_the_wrong_suffix_is_known_by_its_content(tmp_path):
    assert inspect_photo(write(tmp_path / "a.jpg", encode(draw_photo(0, seed=0), "PNG"))).format == "PNG"


def gif_of(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\xf0\0\0" + bytes(6) + b"," + bytes(4)


def tiff_of_half_floats() -> bytes:
    tags = {256: 1, 257: 1, 258: 16, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 2, 339: 3}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 10) + b"\0\x3c" + struct.pack("<H", len(tags)) + directory + bytes(4)


def damaged_files() -> dict[str, tuple[bytes, str]]:
    jpeg, png = (encode(draw_photo(0, seed=0), format) for format in ("JPEG", "PNG"))
    return {
        "empty": (b"", "empty file"),
        "text": (b"not an image\n", r"not an image \(text\?\)"),
        "binary": (bytes(range(256)), "not an image$"),
        "truncated jpeg": (jpeg[:-200], "damaged: image file is truncated"),
        "truncated png": (png[: len(png) // 2], "damaged: image file is truncated"),
        "no header": (png[:8] + b"\x80" * 40, "damaged: no valid PNG header"),
        "broken stream": (png[:60] + b"\0" * 400 + png[460:], "damaged: "),
        "half floats": (tiff_of_half_floats(), "not an image that is read: a TIFF whose kind of values"),
        "no width": (gif_of(0, 32), r"zero width or height \(GIF\)"),
        "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not an image"),
    }


@pytest.mark.parametrize(("white", "is_noted"), [(4095, True), (16383, True), (65535, False)])
def test_colours_of_few_bits_in_16_are_noted(tmp_path, white, is_noted):
    colors = np.array([[[0, white // 2, white]]], ">u2")
    path = write(tmp_path / "a.png", png_of_16_bits(colors))
    assert read_upright_rgb(path).max() == white >> 8
    assert inspect_photo(path).note == (TOO_DARK if is_noted else "")


def png_of_16_bits(colors: np.ndarray) -> bytes:
    """A PNG of RGB values, big-endian [H, W, 3]."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, _ = colors.shape
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in colors))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", damaged_files())
def test_a_damaged_file_is_refused_with_the_reason(tmp_path, name):
    data, reason = damaged_files()[name]
    path = write(tmp_path / "a.jpg", data)
    with pytest.raises(UnreadablePhoto, match=reason):
        inspect_photo(path)
    with pytest.raises(UnreadablePhoto, match=reason):
        read_upright_rgb(path)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("cut", [1, 2])
def test_a_jpeg_that_lacks_but_its_end_mark_is_read_and_noted(tmp_path, cut, progressive, mode):
    whole = encode(draw_photo(0, seed=0).convert(mode), "JPEG", progressive=progressive)
    path = write(tmp_path / "a.jpg", whole[:-cut])
    photo = inspect_photo(path)
    assert (photo.note, photo.complete) == ("its end mark is missing, all else is there", False)
    assert photo.fingerprint == hashlib.blake2b(whole[:-cut], digest_size=16).hexdigest()
    np.testing.assert_array_equal(read_upright_rgb(path), read_upright_rgb(whole))
    np.testing.assert_array_equal(read_upright_rgb(path, least_side=12), read_upright_rgb(whole, least_side=12))
    assert inspect_photo(write(tmp_path / "b.jpg", whole)).note == ""


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("cut", [3, 4, 8, 40, 300])
def test_a_jpeg_that_lacks_more_is_truncated(cut, progressive):
    whole = encode(draw_photo(0, seed=0), "JPEG", progressive=progressive)
    with pytest.raises(UnreadablePhoto, match="truncated") as caught:
        read_upright_rgb(whole[:-cut])
    assert caught.value.status == "truncated"


def test_a_budget_that_nobody_can_read_is_no_damage_of_a_photo(tmp_path, monkeypatch):
    path = write(tmp_path / "a.png", encode(draw_photo(0, seed=0), "PNG"))
    monkeypatch.setenv("REGRAFT_MAX_MEMORY", "garbage")
    with pytest.raises(
        UsageError, match=r'^REGRAFT_MAX_MEMORY must be a size such as 4G or 512MB; received "garbage"\.$'
    ):
        inspect_photo(path)


def test_a_photo_that_takes_more_memory_than_there_may_be_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_MAX_MEMORY", "1M")
    encoded = encode(Image.new("RGB", (1000, 500)), "PNG")
    complaint = r"too large: 6\.0 MB of memory to decode it, the limit is 1\.0 MB \(--max-memory\)"
    for read, source in ((read_upright_rgb, encoded), (inspect_photo, write(tmp_path / "a.png", encoded))):
        with pytest.raises(UnreadablePhoto, match=complaint) as caught:
            read(source)
        assert caught.value.status == "too_large"
    assert check_photo(encoded).pixels == 500_000
    assert read_upright_rgb(encode(Image.new("RGB", (100, 100)), "PNG")).shape == (100, 100, 3)


def test_a_large_jpeg_takes_the_memory_of_the_size_it_is_decoded_at(monkeypatch):
    monkeypatch.setenv("REGRAFT_MAX_MEMORY", "1M")
    encoded = encode(Image.new("RGB", (2000, 1000)), "JPEG")
    assert read_upright_rgb(encoded, least_side=100).shape == (125, 250, 3)
    with pytest.raises(UnreadablePhoto, match="max-memory"):
        read_upright_rgb(encoded)


def test_all_memory_is_given_back(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_MAX_MEMORY", "3M")
    whole = encode(draw_photo(0, seed=0), "JPEG")
    for data in (whole, whole[:-2], whole[:-200], encode(draw_photo(0, seed=0), "PNG"), b"text"):
        with suppress(UnreadablePhoto):
            inspect_photo(write(tmp_path / "a", data))
        with suppress(UnreadablePhoto):
            read_upright_rgb(data)
    assert decoding_budget().total == 3 << 20
    assert decoding_budget().held == 0


@pytest.mark.parametrize("side", [13_400, 20_000, 65_000])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, side):
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
    bitmap = b"BM" + struct.pack("<IHHI", 54 + 4, 0, 0, 54) + header + bytes(4)
    assert side * side > MAX_PIXELS
    with pytest.raises(UnreadablePhoto, match=r"too large: [\d,]+ million pixels, the limit is 179 \(--max-pixels"):
        inspect_photo(write(tmp_path / "a.bmp", bitmap))


def test_the_limit_holds_where_pillow_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    monkeypatch.setattr("regraft.data.opened.MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(UnreadablePhoto, match=r"million pixels, the limit is 0.00307 \(--max-pixels\)"):
        read_upright_rgb(encode(draw_photo(0, seed=0), "PNG"))


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(UnreadablePhoto, match="no such file"):
        inspect_photo(tmp_path / "none.jpg")
    with pytest.raises(UnreadablePhoto, match="is a directory"):
        inspect_photo(tmp_path)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("size", [(64, 48), (61, 47), (1, 1)])
def test_the_fast_decoder_gives_the_pixels_of_pillow(tmp_path, size, progressive, subsampling):
    path = tmp_path / "a.jpg"
    draw_photo(1, seed=4, size=size).save(path, quality=80, progressive=progressive, subsampling=subsampling)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_upright_rgb(path), np.asarray(image))


def test_a_forbidden_file_is_refused(tmp_path, monkeypatch):
    def forbid(self):
        raise PermissionError(13, "Permission denied", str(self))

    (tmp_path / "a.jpg").touch()
    monkeypatch.setattr(Path, "read_bytes", forbid)
    with pytest.raises(UnreadablePhoto, match=r"^permission denied$"):
        inspect_photo(tmp_path / "a.jpg")


def test_many_threads_agree_and_leave_the_warning_filters_alone(tmp_path):
    for number in range(4):
        draw_photo(0, seed=number).save(tmp_path / f"{number}.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    paths = sorted(tmp_path.iterdir())
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        photos = list(pool.map(inspect_photo, paths * 25))
    assert photos == [inspect_photo(path) for path in paths] * 25
    assert warnings.filters == before


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files by /proc")
def test_no_file_stays_open(tmp_path):
    good = write(tmp_path / "a.png", encode(draw_photo(0, seed=0), "PNG"))
    bad = write(tmp_path / "b.png", good.read_bytes()[:200])
    inspect_photo(good)
    before = len(list(Path("/proc/self/fd").iterdir()))
    inspect_photo(good)
    with pytest.raises(UnreadablePhoto):
        inspect_photo(bad)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("format", "mode", "reads"),
    [
        ("JPEG", "RGB", True),
        ("JPEG", "L", True),
        ("JPEG", "CMYK", False),
        ("PNG", "P", True),
        ("PNG", "LA", False),
        ("PNG", "1", True),
        ("PNG", "I;16", False),
        ("TIFF", "RGB", False),
        ("WEBP", "RGB", False),
        ("GIF", "P", False),
        ("BMP", "RGB", False),
    ],
)
def test_tensorflow_reads_eight_bit_jpeg_and_png(tmp_path, format, mode, reads):
    image = Image.new(mode, (8, 8)) if mode != "I;16" else Image.fromarray(np.zeros((8, 8), np.uint16))
    data = encode(image, format)
    assert check_photo(data).mode == mode
    assert tensorflow_reads(check_photo(data)) == reads
    assert tensorflow_reads(inspect_photo(write(tmp_path / "a", data))) == reads


def test_tensorflow_turns_jpegs_only(tmp_path):
    for format, reads in (("JPEG", True), ("PNG", False)):
        assert tensorflow_reads(check_photo(encode(draw_photo(0, seed=0), format, exif=exif_with(3)))) == reads


def test_a_phone_jpeg_with_a_second_picture_is_a_jpeg_for_tensorflow():
    data = encode(draw_photo(0, seed=0), "MPO", save_all=True, append_images=[draw_photo(0, seed=1)])
    header = check_photo(data)
    assert header.format == "MPO"
    assert tensorflow_reads(header)


def test_transcoding_keeps_every_upright_pixel(tmp_path):
    source = write(tmp_path / "a.webp", encode(draw_photo(0, seed=0), "WEBP", exif=exif_with(8)))
    transcode_to_png(source, tmp_path / "b.png")
    np.testing.assert_array_equal(read_upright_rgb(tmp_path / "b.png"), read_upright_rgb(source))
    assert tensorflow_reads(inspect_photo(tmp_path / "b.png"))


def test_a_failed_transcoding_leaves_nothing_behind(tmp_path, monkeypatch):
    source = write(tmp_path / "a.png", encode(draw_photo(0, seed=0), "PNG"))

    def fill_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fill_disk)
    with pytest.raises(OSError, match="No space left"):
        transcode_to_png(source, tmp_path / "b.png")
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("broken.png", "damaged: no valid PNG header"),
        ("broken_data_stream.png", "damaged: unrecognized data stream contents"),
        ("decompression_bomb.gif", r"4,365 million pixels, the limit is 179 \(--max-pixels goes up to 358\)"),
        ("empty.jpg", "empty file"),
        ("text.jpg", "not an image"),
        ("truncated_image.png", "damaged: image file is truncated"),
        ("zero_width.gif", "zero width or height"),
    ],
)
def test_each_real_broken_file_is_refused_with_its_reason(shared, name, reason):
    with pytest.raises(UnreadablePhoto, match=reason):
        inspect_photo(shared / "data" / "dirty" / "broken" / name)


@pytest.mark.shared
def test_a_real_jpeg_that_lacks_its_end_mark_alone_is_read_and_noted(shared):
    assert inspect_photo(shared / "data" / "dirty" / "broken" / "truncated_jpeg.jpg").note == NO_END_MARK


@pytest.mark.shared
def test_every_real_odd_file_is_accepted(shared):
    paths = sorted((shared / "data" / "dirty" / "odd").iterdir())
    assert len(paths) == 10
    for path in paths:
        photo, pixels = inspect_photo(path), read_upright_rgb(path)
        assert pixels.shape == (photo.height, photo.width, 3)


@pytest.mark.shared
def test_the_real_landscape_looks_the_same_in_every_orientation(shared):
    paths = sorted((shared / "data" / "dirty" / "exif").iterdir())
    photos = [inspect_photo(path) for path in paths]
    assert [photo.orientation for photo in photos] == [1, 1, 2, 3, 4, 5, 6, 7, 8]
    assert all(bits_apart(photos[1].appearance, photo.appearance) <= 2 for photo in photos)
    assert all(read_upright_rgb(path).shape == (1200, 1800, 3) for path in paths)
