"""A TFRecord shard, without TensorFlow: where each record lies, and the photo in its `tf.train.Example`.

Sources: "TFRecord and tf.train.Example" of the TensorFlow guide (framing: length, its checksum, data, its checksum);
"Encoding" of the Protocol Buffers guide (wire types, field = key >> 3).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import IO

from regraft.data.photos import UnreadablePhoto
from regraft.prediction.sources.item import Item
from regraft.prediction.sources.kind import InputKind, Reading

_HEADER, _FOOTER = 12, 4
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_CASTAGNOLI = 0x82F63B78


def _is_shard(given: str) -> bool:
    """Also one of many, such as train.tfrecord-00000-of-00010."""
    return ".tfrecord" in PurePath(given).name.lower() and os.path.isfile(given)  # noqa: PTH113 - never raises


def _examples(file: str, reading: Reading) -> Iterator[Item]:
    """Items whose `offset` and `size` are those of the example."""
    for number, place in enumerate(_record_places(Path(file))):
        path = f"{file}::{number}"
        if isinstance(place, str):
            yield Item(path, kind="broken", reason=place, status="truncated")
        else:
            yield Item(path, file, "tfrecord", *place)


def _open(file: str) -> IO[bytes]:
    return Path(file).open("rb")


def _read(stream: IO[bytes], item: Item, reading: Reading) -> bytes:
    stream.seek(item.offset)
    example = stream.read(item.size)
    if len(example) < item.size:
        raise UnreadablePhoto("its archive breaks off in it", "truncated")
    try:
        return _bytes_feature(example, reading.feature)
    except ValueError as error:
        raise UnreadablePhoto(str(error)) from error


# --- the format ---


def _record_places(file: Path) -> Iterator[tuple[int, int] | str]:
    """Offset and size of the data of each record; a reason where the file breaks off or is damaged, which ends it."""
    end = file.stat().st_size
    with file.open("rb") as stream:
        while (start := stream.tell()) < end:
            header = stream.read(_HEADER)
            if len(header) < _HEADER:
                yield "the shard breaks off in this record"
                return
            length, checksum = struct.unpack("<QI", header)
            if checksum != _masked(_crc32c(header[:8])):
                yield "the shard is damaged from this record on, or no uncompressed TFRecord file"
                return
            after = start + _HEADER + length + _FOOTER
            if after > end:
                yield "the shard breaks off in this record"
                return
            yield start + _HEADER, length
            stream.seek(after)


def _bytes_feature(example: bytes, name: str) -> bytes:
    """The first value of the bytes feature `name` of a serialized `tf.train.Example`.

    Raises:
        ValueError: there is none, or `example` is no such message; says which features there are.
    """
    names = []
    for features in _fields(example, 1):
        for entry in _fields(features, 1):
            key = b"".join(_fields(entry, 1)).decode("utf-8", "replace")
            names.append(key)
            if key == name:
                for feature in _fields(entry, 2):
                    for values in _fields(feature, 1):
                        for value in _fields(values, 1):
                            return value
    raise ValueError(f'no photo in its feature "{name}" (it has: {", ".join(sorted(names)) or "none"})')


def _fields(message: bytes, wanted: int) -> Iterator[bytes]:
    """The values of the length-delimited field `wanted`."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            _, at = _varint(message, at)
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("not a tf.train.Example")
        if at + size > len(message):
            raise ValueError("not a tf.train.Example")
        if field == wanted and kind == _BYTES:
            yield message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("not a tf.train.Example")


def _crc32c(data: bytes) -> int:
    """CRC-32C (RFC 3720, appendix B.4), bit by bit: it is only asked about eight bytes a record."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (_CASTAGNOLI if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def _masked(checksum: int) -> int:
    return (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & 0xFFFFFFFF


KIND = InputKind(recognizes=_is_shard, expand=_examples, open=_open, read=_read)
