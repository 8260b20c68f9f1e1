"""What TensorFlow's decoders refuse though Pillow reads it is known before a training begins."""

import io

import pytest
import tensorflow as tf
from drawn_photos import draw_photo

from regraft.data.endings import has_end
from regraft.data.photos import inspect_photo, read_upright_rgb, tensorflow_reads


def png() -> bytearray:
    buffer = io.BytesIO()
    draw_photo(0, seed=0).save(buffer, "PNG")
    return bytearray(buffer.getvalue())


@pytest.mark.parametrize("behind", [b"IDAT", b"IEND"])
def test_a_png_with_a_rotten_checksum_is_not_left_to_tensorflow(tmp_path, behind):
    data = png()
    place = data.index(behind) - 4
    data[place + 8 + int.from_bytes(data[place : place + 4], "big")] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.io.decode_png(bytes(data))
    photo = inspect_photo(tmp_path / "a.png")
    assert (photo.complete, tensorflow_reads(photo)) == (False, False)
    assert (read_upright_rgb(bytes(data)) == read_upright_rgb(bytes(png()))).all()


@pytest.mark.parametrize(
    ("data", "is_whole"),
    [(png(), True), (png() + b"more" * 600, True), (png()[:-1], False), (png()[:-12], False), (png()[:20], False)],
)
def test_a_png_is_whole_to_its_last_chunk(data, is_whole):
    assert has_end("PNG", bytes(data)) is is_whole
