"""Encoded bytes to upright RGB, inside the graph.

TensorFlow's decoders ignore the EXIF orientation, so a phone's portrait photo comes out lying on its side, and
transparent pixels show whatever colour they happen to have.
Here the orientation is read from the bytes by TensorFlow ops alone: the same code runs in the input pipeline,
in prediction and in the exported SavedModel, and no caller has to know about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

Color = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

Ends = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""Which values of a grey picture of 16 bits (uint16 [H, W]) are black and white, float64 scalars."""

_HEADER_BYTES = 1 << 17  # an Exif segment follows SOI and at most a JFIF or ICC segment of 64 KiB
_START_OF_SCAN, _APP1 = 0xDA, 0xE1
_ORIENTATION_TAG = 0x0112
_EXIF_MARK = list(b"Exif\x00\x00")
_BYTE_ORDERS, _TIFF_MAGIC = list(b"IM"), 42
JPEG_TRANSFORM = "INTEGER_ACCURATE"
"""The inverse cosine transform that every other decoder uses (Pillow, browsers): the same photo, the same pixels.

TensorFlow's own choice, the fast one, is off by 1.2 levels on average and by up to 25, and no faster.
"""
_END_MARK = b"\xff\xd9"
_TAIL_BYTES = 1024
_FILLINGS = (b"\x00" * 64, b"\xaa" * 64)  # they differ in the first bit, and need no stuffing
_DEEP_GREY = b"\x10\x00"  # 16 bits a value, grey: bytes 24 and 25 of a PNG
_SHORT, _LONG = 3, 4  # the standard asks for a SHORT; Pillow, which reads the sizes, takes a LONG too


def decode_upright(encoded: tf.Tensor, background: Color | None = None, ends: Ends | None = None) -> tf.Tensor:
    """uint8 [H, W, 3] RGB pixels, upright, of `encoded` (string scalar: JPEG, PNG, GIF, BMP or WebP).

    An animation gives its first frame, grey becomes RGB. Through transparent pixels of PNG and WebP the `background`
    is seen (red, green and blue, 0 to 255); without one their transparency is dropped, as that of GIF always is.
    Grey PNG of 16 bits is scaled by its `ends`; without them, its higher 8 bits are taken.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are not a whole image of one of these formats.
    """
    encoded = tf.convert_to_tensor(encoded)
    image = tf.case(
        [
            (is_jpeg(encoded), lambda: _decode_jpeg(encoded)),
            (is_png(encoded), lambda: _decode_png(encoded, background, ends)),
            (is_webp(encoded), lambda: _decode_webp(encoded, background)),
        ],
        default=lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    image.set_shape([None, None, 3])
    return turn_upright(image, exif_orientation(encoded))


def composite(pixels: tf.Tensor, background: Color) -> tf.Tensor:
    """uint8 [H, W, 3]: `pixels` uint8 [H, W, 4] over the background, rounded, in whole numbers."""
    wide = tf.cast(pixels, tf.int32)
    alpha = wide[..., 3:]
    total = wide[..., :3] * alpha + tf.constant(background, tf.int32) * (255 - alpha)
    return tf.cast((total + 127) // 255, tf.uint8)


def _decode_png(encoded: tf.Tensor, background: Color | None, ends: Ends | None) -> tf.Tensor:
    """uint8 [H, W, 3]."""
    if ends is None:
        return _decode_8_bits(encoded, background)
    is_deep = tf.equal(tf.strings.substr(encoded, 24, 2), _DEEP_GREY)
    return tf.cond(
        is_deep, lambda: _decode_deep_grey(encoded, background, ends), lambda: _decode_8_bits(encoded, background)
    )


def _decode_deep_grey(encoded: tf.Tensor, background: Color | None, ends: Ends) -> tf.Tensor:
    """uint8 [H, W, 3], as `regraft.data.rendering` computes it: in float64, halves to even."""
    pixels = tf.io.decode_png(encoded, channels=4, dtype=tf.uint16)
    black, white = ends(pixels[..., 0])
    scale = tf.where(white > black, 255 / tf.maximum(white - black, 1e-300), 0.0)
    scaled = tf.round(tf.clip_by_value((tf.cast(pixels[..., :1], tf.float64) - black) * scale, 0, 255))
    grey = tf.repeat(tf.cast(scaled, tf.uint8), 3, axis=2)
    if background is None:
        return grey
    return tf.where(tf.cast(pixels[..., 3:], tf.int32) == 0, tf.constant(background, tf.uint8), grey)


def _decode_8_bits(encoded: tf.Tensor, background: Color | None) -> tf.Tensor:
    """uint8 [H, W, 3]."""
    if background is None:
        return tf.io.decode_png(encoded, channels=3)
    pixels = tf.io.decode_png(encoded, channels=4)
    depth = tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, 24, 1), tf.uint8)[0], tf.int32)
    # Without alpha and with less than 8 bits a value, TensorFlow fills in the largest value of so few bits.
    filling = tf.bitwise.left_shift(1, tf.minimum(depth, 8)) - 1
    is_opaque = tf.reduce_all(tf.cast(pixels[..., 3], tf.int32) == filling)
    return tf.cond(is_opaque, lambda: pixels[..., :3], lambda: composite(pixels, background))


def _decode_webp(encoded: tf.Tensor, background: Color | None) -> tf.Tensor:
    """uint8 [H, W, 3]: the first frame."""
    if not hasattr(tf.io, "decode_webp"):  # before TensorFlow 2.20, which says that it knows no such format
        return tf.io.decode_image(encoded, channels=3, expand_animations=False)
    pixels = tf.io.decode_webp(encoded)[0]  # it takes three channels or four, as the file has them
    if background is None:
        return pixels[..., :3]
    return tf.cond(tf.shape(pixels)[2] == 4, lambda: composite(pixels, background), lambda: pixels)


def _decode_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """uint8 [H, W, 3]. A JPEG that has lost its end mark and nothing else is read too; TensorFlow alone refuses it.

    With an end mark TensorFlow would also read one that has lost more, the rest in grey. So such a file is decoded
    twice, with other bytes in the place of what may be missing: only where nothing is, nobody reads them.
    """

    def decode(whole: tf.Tensor) -> tf.Tensor:
        return tf.io.decode_jpeg(whole, channels=3, dct_method=JPEG_TRANSFORM)

    def decode_mended() -> tf.Tensor:
        size = tf.strings.length(encoded)
        half_a_mark = tf.cast(tf.equal(tf.strings.substr(encoded, size - 1, 1), _END_MARK[:1]), tf.int32)
        kept = tf.strings.substr(encoded, 0, size - half_a_mark)
        one, other = (decode(tf.strings.join([kept, filling, _END_MARK])) for filling in _FILLINGS)
        is_same = tf.Assert(tf.reduce_all(one == other), ["The JPEG is truncated."])
        with tf.control_dependencies([is_same]):
            return tf.identity(one)

    return tf.cond(_has_end(encoded), lambda: decode(encoded), decode_mended)


def _has_end(encoded: tf.Tensor) -> tf.Tensor:
    """Bool scalar: whether the end mark of a JPEG is among its last bytes; cameras append a little."""
    size = tf.strings.length(encoded)
    tail = tf.io.decode_raw(tf.strings.substr(encoded, tf.maximum(size - _TAIL_BYTES, 0), _TAIL_BYTES), tf.uint8)
    return tf.reduce_any((tail[:-1] == _END_MARK[0]) & (tail[1:] == _END_MARK[1]))


def turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """`image` [H, W, C] as the EXIF `orientation` (int32 scalar, 1 to 8) means it to be seen.

    Source: EXIF 2.32, tag 0x0112: 2 mirrored, 3 turned by 180°, 4 flipped, 5 transposed, 6 turned by 90°
    clockwise to be upright, 7 transversed, 8 turned by 90° counter-clockwise.
    """
    orientation = tf.convert_to_tensor(orientation)
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    mirrored = tf.reduce_any(orientation == [2, 3, 6, 7])
    flipped = tf.reduce_any(orientation == [3, 4, 7, 8])
    image = tf.cond(mirrored, lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(flipped, lambda: tf.reverse(image, [0]), lambda: image)


def exif_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation (int32 scalar, 1 to 8) of a JPEG, PNG or WebP; 1 where there is none or it is not valid."""
    encoded = tf.convert_to_tensor(encoded)
    return tf.case(
        [
            (is_jpeg(encoded), lambda: _orientation_of_jpeg(encoded)),
            (is_png(encoded), lambda: _orientation_of_chunks(encoded, _PNG_CHUNKS)),
            (is_webp(encoded), lambda: _orientation_of_chunks(encoded, _WEBP_CHUNKS)),
        ],
        default=lambda: tf.constant(1),
    )


def is_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Bool scalar: whether `encoded` (string scalar) begins as a JPEG does."""
    return tf.equal(tf.strings.substr(encoded, 0, 2), b"\xff\xd8")


def is_png(encoded: tf.Tensor) -> tf.Tensor:
    """Bool scalar: whether `encoded` (string scalar) begins as a PNG does."""
    return tf.equal(tf.strings.substr(encoded, 0, 8), b"\x89PNG\r\n\x1a\n")


def is_webp(encoded: tf.Tensor) -> tf.Tensor:
    """Bool scalar: whether `encoded` (string scalar) begins as a WebP does."""
    kind_at = tf.minimum(8, tf.strings.length(encoded))
    return tf.equal(tf.strings.substr(encoded, 0, 4), b"RIFF") & (tf.strings.substr(encoded, kind_at, 4) == b"WEBP")


@dataclass(frozen=True)
class _Chunks:
    """How a file is made of chunks, each with its name, its size and its data.

    Attributes:
        start: where the first one begins.
        name_at, size_at: where in a chunk its name and its size are, four bytes each.
        little_endian: of the size.
        trailer: bytes behind the data.
        padded: whether data of an odd size have one more byte.
        exif: name of the chunk with EXIF.
        last: name of the chunk behind which it is not looked for.
    """

    start: int
    name_at: int
    size_at: int
    little_endian: bool
    trailer: int
    padded: bool
    exif: bytes
    last: bytes


_PNG_CHUNKS = _Chunks(8, 4, 0, False, 4, False, b"eXIf", b"IDAT")  # behind the pixels Pillow does not look either
_WEBP_CHUNKS = _Chunks(12, 0, 4, True, 0, True, b"EXIF", b"")


def _orientation_of_chunks(encoded: tf.Tensor, chunks: _Chunks) -> tf.Tensor:
    length = tf.strings.length(encoded)

    def name(at: tf.Tensor) -> tf.Tensor:
        return tf.strings.substr(encoded, tf.minimum(at + chunks.name_at, length), 4)

    def size(at: tf.Tensor) -> tf.Tensor:
        digits = tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, at + chunks.size_at, 4), tf.uint8), tf.int32)
        digits = digits if chunks.little_endian else tf.reverse(digits, [0])
        value = tf.reduce_sum(digits * [1, 1 << 8, 1 << 16, 1 << 24])
        return tf.where(value < 0, length, tf.minimum(value, length))  # one that is too large ends the search

    def is_other_chunk(at: tf.Tensor) -> tf.Tensor:
        is_whole = at + 8 <= length
        return is_whole & tf.not_equal(name(at), chunks.exif) & tf.not_equal(name(at), chunks.last)

    def next_chunk(at: tf.Tensor) -> tf.Tensor:
        data = size(at)
        return at + 8 + data + (data % 2 if chunks.padded else 0) + chunks.trailer

    at = tf.while_loop(is_other_chunk, lambda at: (next_chunk(at),), (tf.constant(chunks.start),))[0]
    found = (at + 8 <= length) & tf.equal(name(at), chunks.exif)

    def orientation() -> tf.Tensor:
        exif = tf.strings.substr(encoded, at + 8, tf.minimum(size(at), _HEADER_BYTES))
        has_mark = tf.equal(tf.strings.substr(exif, 0, len(_EXIF_MARK)), bytes(_EXIF_MARK))
        tiff = tf.cond(has_mark, lambda: tf.strings.substr(exif, len(_EXIF_MARK), _HEADER_BYTES), lambda: exif)
        return _orientation_of_tiff(tf.cast(tf.io.decode_raw(tiff, tf.uint8), tf.int32))

    return tf.cond(found, orientation, lambda: tf.constant(1))


def _orientation_of_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    header = tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, 0, _HEADER_BYTES), tf.uint8), tf.int32)
    last = tf.size(header) - 1

    def byte(index: tf.Tensor) -> tf.Tensor:
        return tf.gather(header, tf.clip_by_value(index, 0, last))

    def is_exif(at: tf.Tensor) -> tf.Tensor:
        mark = byte(at + 4 + tf.range(len(_EXIF_MARK)))
        return tf.logical_and(byte(at + 1) == _APP1, tf.reduce_all(mark == _EXIF_MARK))

    def is_other_segment(at: tf.Tensor) -> tf.Tensor:
        in_header = tf.logical_and(at < last, byte(at) == 0xFF)
        return in_header & (byte(at + 1) != _START_OF_SCAN) & ~is_exif(at)

    def next_segment(at: tf.Tensor) -> tf.Tensor:
        is_fill_byte = byte(at + 1) == 0xFF
        return at + tf.where(is_fill_byte, 1, 2 + byte(at + 2) * 256 + byte(at + 3))

    at = tf.while_loop(is_other_segment, lambda at: (next_segment(at),), (tf.constant(2),))[0]
    found = tf.logical_and(at < last, is_exif(at))
    return tf.cond(found, lambda: _orientation_of_tiff(header[at + 10 : next_segment(at)]), lambda: tf.constant(1))


def _orientation_of_tiff(tiff: tf.Tensor) -> tf.Tensor:
    """Reads tag 0x0112 of the first directory of `tiff` (int32 [N], one value per byte); 1 where it has none."""
    tiff = tf.concat([tiff, [0]], 0)  # what lies behind the end reads as 0
    last = tf.size(tiff) - 1
    little_endian = tf.equal(tiff[0], ord("I"))

    def number(at: tf.Tensor, size: int) -> tf.Tensor:
        places = tf.range(size)
        shifts = 8 * tf.where(little_endian, places, size - 1 - places)
        values = tf.gather(tiff, tf.clip_by_value(tf.expand_dims(at, -1) + places, 0, last))
        return tf.reduce_sum(tf.bitwise.left_shift(values, shifts), axis=-1)

    directory = number(tf.constant(4), 4)
    count = tf.clip_by_value(number(directory, 2), 0, last // 12)
    entries = directory + 2 + 12 * tf.range(count)
    kinds = number(entries + 2, 2)
    is_orientation = (number(entries, 2) == _ORIENTATION_TAG) & ((kinds == _SHORT) | (kinds == _LONG))
    orientations = tf.where(kinds == _LONG, number(entries + 8, 4), number(entries + 8, 2))
    value = tf.reduce_max(tf.where(is_orientation, orientations, 1), axis=0)
    starts_like_tiff = tf.reduce_any(tiff[0] == _BYTE_ORDERS) & (number(tf.constant(2), 2) == _TIFF_MAGIC)
    return tf.where(starts_like_tiff & (value >= 1) & (value <= 8), value, 1)
