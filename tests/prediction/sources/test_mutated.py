"""Inputs with a few bytes changed, by the thousand: rows or one line, never a traceback, never a neighbour's photo."""

from __future__ import annotations

import io
import random
import tarfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from regraft.data.photos import STATUSES, Limits, UnreadablePhoto
from regraft.errors import RegraftError
from regraft.prediction.sources.crc32c import masked_crc32c
from regraft.prediction.sources.expand import expand_inputs
from regraft.prediction.sources.reader import ItemReader

PHOTOS = {
    name: b"\xff\xd8\xff" + random.Random(name).randbytes(40 + 30 * number)
    for number, name in enumerate(["cat/0.jpg", f"{'d' * 150}/1.jpg", "ü/2.jpg", "3.png"])
}
MEMBERS = {**PHOTOS, "notes": b"words", "odd": PHOTOS["cat/0.jpg"]}


def a_zip(compression: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.comment = b"comment"
        for name, data in MEMBERS.items():
            archive.writestr(name, data)
    return file.getvalue()


def a_tar(compression: str, format: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=f"w:{compression}", format=format) as archive:
        for name, data in MEMBERS.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return file.getvalue()


def a_tfrecord() -> bytes:
    def field(number: int, value: bytes) -> bytes:
        size = bytes([len(value)]) if len(value) < 128 else bytes([len(value) % 128 + 128, len(value) // 128])
        return bytes([number << 3 | 2]) + size + value

    records = []
    for photo in PHOTOS.values():
        feature = field(1, b"image/encoded") + field(2, field(1, field(1, photo)))
        example = field(1, field(1, feature))
        for part in (len(example).to_bytes(8, "little"), example):
            records += [part, masked_crc32c(part).to_bytes(4, "little")]
    return b"".join(records)


def a_parquet(**options: object) -> bytes:
    file = io.BytesIO()
    table = pyarrow.table({"number": range(len(PHOTOS)), "path": list(PHOTOS)})
    pyarrow.parquet.write_table(table, file, **options)
    return file.getvalue()


def a_table(sign: str, encoding: str) -> bytes:
    return "\r\n".join([f"path{sign}label", *(f'"{name}"{sign}x' for name in PHOTOS)]).encode(encoding)


WHOLE: dict[str, list[bytes]] = {
    "a.zip": [a_zip(kind) for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)],
    "a.tar": [a_tar("", kind) for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)],
    **{f"a.tar.{kind}": [a_tar(kind, tarfile.PAX_FORMAT)] for kind in ("gz", "bz2", "xz")},
    "a.tfrecord": [a_tfrecord()],
    "a.csv": [a_table(",", "utf-8"), a_table(";", "utf-8-sig"), a_table("\t", "utf-16")],
    "a.txt": ["\n".join(PHOTOS).encode(encoding) for encoding in ("utf-8", "utf-8-sig", "utf-16")],
    "a.parquet": [a_parquet(), a_parquet(write_page_checksum=True), a_parquet(use_dictionary=False)],
}
CHECKED = ("a.zip", "a.tfrecord")
"""Containers that have a checksum for each photo."""
CHECKED_AT_THE_END = ("a.tar.gz", "a.tar.bz2", "a.tar.xz")


def cut(chance: random.Random, data: bytearray) -> None:
    del data[chance.randrange(len(data)) :]


def lose(chance: random.Random, data: bytearray) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.randrange(1, 64)]


def add(chance: random.Random, data: bytearray) -> None:
    start = chance.randrange(len(data))
    data[start:start] = chance.randbytes(chance.randrange(1, 64))


def blank(chance: random.Random, data: bytearray) -> None:
    start, size = chance.randrange(len(data)), chance.randrange(1, 512)
    data[start : start + size] = bytes(len(data[start : start + size]))


def state_a_size(chance: random.Random, data: bytearray) -> None:
    start, size = chance.randrange(len(data)), chance.choice([2, 4, 8])
    value = chance.choice([0, 1, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]) % 256**size
    data[start : start + size] = value.to_bytes(size, "little")


def flip(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


MUTATIONS: list[Callable[[random.Random, bytearray], None]] = [cut, lose, add, blank, state_a_size, flip, flip, flip]


def outcomes(file: Path) -> Counter[str]:
    """What became of each row; "refused" where there is one line instead. Raises AssertionError for a false photo."""
    found: Counter[str] = Counter()
    try:
        items = list(expand_inputs(str(file)))
    except RegraftError as error:
        assert 20 < len(str(error)) < 2000
        return Counter(refused=1)
    is_damage_said = any(item.kind == "broken" for item in items)
    with ItemReader(Limits()) as reader:
        for item in items:
            try:
                photo = reader.read(item)
            except UnreadablePhoto as error:
                assert error.status in STATUSES[1:]
                assert 0 < len(str(error)) < 2000
                found[error.status] += 1
                continue
            found["ok"] += 1
            name = item.path.partition("::")[2]
            if file.name in CHECKED:
                assert photo == MEMBERS.get(name, photo)
                assert photo in MEMBERS.values()
            elif file.name in CHECKED_AT_THE_END:
                assert photo in MEMBERS.values() or is_damage_said
    return found


def mutate(folder: Path, count: int) -> Counter[str]:
    """The outcomes of `count` mutated inputs of all kinds in turn; the seed is the number of the case."""
    found: Counter[str] = Counter()
    for number in range(count):
        name = list(WHOLE)[number % len(WHOLE)]
        chance = random.Random(number)
        data = bytearray(chance.choice(WHOLE[name]))
        chance.choice(MUTATIONS)(chance, data)
        (folder / name).write_bytes(data)
        try:
            found += outcomes(folder / name)
        except Exception as error:
            raise AssertionError(f"Case {number}, {name}: {type(error).__name__}: {error}") from error
    return found


@pytest.mark.parametrize("name", WHOLE)
def test_whole_inputs_give_a_row_for_each_photo(tmp_path: Path, name: str):
    is_archive, is_list = name.startswith(("a.zip", "a.tar")), name in ("a.csv", "a.txt", "a.parquet")
    for data in WHOLE[name]:
        (tmp_path / name).write_bytes(data)
        expected = {"missing" if is_list else "ok": len(PHOTOS) + is_archive}  # "odd" has the content of a photo
        assert outcomes(tmp_path / name) == expected


def test_mutated_inputs_give_rows_or_one_line(tmp_path: Path):
    found = mutate(tmp_path, 300)
    assert min(found[status] for status in ("ok", "refused", "missing", "unreadable", "truncated")) > 0


@pytest.mark.slow
def test_ten_thousand_mutated_inputs_give_rows_or_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    start = time.perf_counter()
    found = mutate(tmp_path, 10_000)
    with capsys.disabled():
        print(f"\n10,000 mutated inputs in {time.perf_counter() - start:.0f} s: {dict(found)}")
    assert found["refused"] < 5_000
