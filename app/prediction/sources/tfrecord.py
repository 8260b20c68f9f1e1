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
from regraft.prediction.sources.archives import BAD_CHECKSUM
from regraft.prediction.sources.crc32c import masked_crc32c
from regraft.prediction.sources.item import Found, Item
from regraft.prediction.sources.kind import InputKind, Reading

_HEADER, _FOOTER = 12, 4
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_BAD_LENGTH = "the shard is damaged from this record on, as a checksum does not fit, or no uncompressed TFRecord file"
_NAMES_SHOWN, _LETTERS_SHOWN = 20, 100


def _is_shard(given: str) -> bool:
    """Also one of many, such as train.tfrecord-00000-of-00010."""
    return ".tfrecord" in PurePath(given).name.lower()


def _examples(file: str, reading: Reading) -> Iterator[Found]:
    """Items whose `offset` and `size` are those of the example."""
    for number, place in enumerate(_record_places(Path(file))):
        path = f"{file}::{number}"
        if isinstance(place, UnreadablePhoto):
            yield Item(path, kind="broken", reason=str(place), status=place.status)
        else:
            yield Item(path, file, "tfrecord", *place)


def _open(file: str) -> IO[bytes]:
    return Path(file).open("rb")


def _read(stream: IO[bytes], item: Item, reading: Reading) -> bytes:
    stream.seek(item.offset)
    example, checksum = stream.read(item.size), stream.read(_FOOTER)
    if len(example) < item.size or len(checksum) < _FOOTER:
        raise UnreadablePhoto("its archive breaks off in it", "truncated")
    if masked_crc32c(example) != int.from_bytes(checksum, "little"):
        raise UnreadablePhoto(BAD_CHECKSUM)
    try:
        return _bytes_feature(memoryview(example), reading.feature)
    except ValueError as error:
        raise UnreadablePhoto(str(error)) from error


# --- the format ---


def _record_places(file: Path) -> Iterator[tuple[int, int] | UnreadablePhoto]:
    """Offset and size of the data of each record; what is wrong where the file is damaged or breaks off, at its end."""
    end = file.stat().st_size
    with file.open("rb") as stream:
        while (start := stream.tell()) < end:
            header = stream.read(_HEADER)
            if len(header) < _HEADER:
                yield UnreadablePhoto("the shard breaks off in this record", "truncated")
                return
            length, checksum = struct.unpack("<QI", header)
            if checksum != masked_crc32c(header[:8]):
                yield UnreadablePhoto(_BAD_LENGTH)
                return
            after = start + _HEADER + length + _FOOTER
            if after > end:
                yield UnreadablePhoto("the shard breaks off in this record", "truncated")
                return
            yield start + _HEADER, length
            stream.seek(after)


def _bytes_feature(example: memoryview, name: str) -> bytes:
    """The first value of the bytes feature `name` of a serialized `tf.train.Example`.

    Raises:
        ValueError: there is none, or `example` is no such message; says which features there are.
    """
    wanted = os.fsencode(name)
    names: list[str] = []
    for features in _fields(example, 1):
        for entry in _fields(features, 1):
            key = next(_fields(entry, 1), memoryview(b""))
            if len(names) < _NAMES_SHOWN:
                names.append(str(key[:_LETTERS_SHOWN], "utf-8", "replace"))
            if key == wanted:
                for feature in _fields(entry, 2):
                    for values in _fields(feature, 1):
                        for value in _fields(values, 1):
                            return bytes(value)
    raise ValueError(f'no photo in its feature "{name}" (it has: {", ".join(sorted(names)) or "none"})')


def _fields(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The values of the length-delimited field `wanted`, none of them copied."""
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


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("not a tf.train.Example")


KIND = InputKind(recognizes=_is_shard, expand=_examples, open=_open, read=_read)
