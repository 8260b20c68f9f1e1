"""Inputs that are small on the disk and large in memory: what reading them takes at its peak.

    python benchmarks/input_memory.py               # all cases, each in a process of its own
    python benchmarks/input_memory.py --limit 1G    # with less memory allowed
    python benchmarks/input_memory.py --case zip    # those whose names begin so

Each case is expanded, read and decoded as `regraft predict` does it, with a network that costs nothing. Printed are
what the file takes on the disk, the seconds, the memory at its peak beyond that of the imports, and what came of it.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

MEMBER = 1 << 28


# --- the cases: each writes a file or folder and returns its name ---


def zip_of_zeros(folder: Path, first: bytes = b"", members: int = 8, size: int = MEMBER) -> Path:
    """Members of 256 MiB each, which is some megabytes when it is packed; the packing is done once."""
    packer, blank = zlib.compressobj(1, zlib.DEFLATED, -15), bytes(1 << 20)
    chunks = [first + blank[len(first) :], *[blank] * (size // len(blank) - 1)]
    packed = b"".join(map(packer.compress, chunks)) + packer.flush()
    checksum = 0
    for chunk in chunks:
        checksum = zlib.crc32(chunk, checksum)
    file = folder / "a.zip"
    with file.open("wb") as stream, zipfile.ZipFile(io.BytesIO(), "w") as archive:
        for number in range(members):
            entry = zipfile.ZipInfo(f"{number}.jpg")
            entry.compress_type, entry.CRC, entry.file_size = zipfile.ZIP_DEFLATED, checksum, size
            entry.compress_size, entry.header_offset = len(packed), stream.tell()
            stream.write(entry.FileHeader(zip64=False) + packed)
            archive.filelist.append(entry)
        archive.start_dir, archive.fp, archive._didModify = stream.tell(), stream, True
        archive.close()
    return file


def a_photo() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(file, "JPEG")
    return file.getvalue()


def tar_of_a_name(folder: Path, kind: bytes, size: int = 1_200_000_000) -> Path:
    """A header that says that a name of so many bytes follows, which are a hole in the file."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = kind, size
    with (folder / "a.tar").open("wb") as stream:
        stream.write(header.tobuf(tarfile.GNU_FORMAT))
        stream.truncate(512 + -(-size // 512) * 512)
        stream.seek(0, os.SEEK_END)
        photo = tarfile.TarInfo("photo.jpg")
        photo.size = 1
        stream.write(photo.tobuf() + b"x" + bytes(511 + 1024))
    return folder / "a.tar"


def tar_of_holes(folder: Path, blocks: int = 100_000) -> Path:
    """A sparse member with a map of 21 entries in each of many blocks."""
    header = bytearray(tarfile.TarInfo("a.jpg").tobuf(tarfile.GNU_FORMAT))
    header[156:157], header[482] = tarfile.GNUTYPE_SPARSE, 1
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    block = (b"%011o\0" % 1) * 42 + b"\1" + bytes(7)
    (folder / "a.tar").write_bytes(header + block * (blocks - 1) + block[:504] + bytes(8 + 1024))
    return folder / "a.tar"


def text_of_a_line(folder: Path, name: str, size: int = 500_000_000) -> Path:
    with (folder / name).open("wb") as stream:
        stream.write(b"path\n" if name.endswith("csv") else b"a.jpg\n")
        chunk = b"x" * (1 << 20)
        for _ in range(size >> 20):
            stream.write(chunk)
    return folder / name


def parquet_of_a_cell(folder: Path, size: int = 300_000_000) -> Path:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"path": ["x" * size]})
    pyarrow.parquet.write_table(table, folder / "a.parquet", compression="zstd")
    return folder / "a.parquet"


def parquet_of_one_word(folder: Path, rows: int = 1000, size: int = 1_000_000) -> Path:
    """One long text that every row repeats: a megabyte in the file."""
    import pyarrow
    import pyarrow.parquet

    words = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * rows, pyarrow.int32()), ["x" * size])
    pyarrow.parquet.write_table(pyarrow.table({"path": words}), folder / "a.parquet")
    return folder / "a.parquet"


def large_files(folder: Path, count: int = 8) -> Path:
    for number in range(count):
        with (folder / f"{number}.jpg").open("wb") as stream:
            stream.truncate(MEMBER)
    return folder


CASES: dict[str, Callable[[Path], Path]] = {
    "zip: 8 members of 256 MiB": zip_of_zeros,
    "zip: 8 photos, each with 256 MiB of zeros behind it": lambda folder: zip_of_zeros(folder, a_photo()),
    "tar: a GNU name of 1.2 GB": lambda folder: tar_of_a_name(folder, tarfile.GNUTYPE_LONGNAME),
    "tar: a pax header of 1.2 GB": lambda folder: tar_of_a_name(folder, tarfile.XHDTYPE),
    "tar: a map of 2.1 million holes": tar_of_holes,
    "list: a line of 500 MB": lambda folder: text_of_a_line(folder, "a.txt"),
    "CSV: a line of 500 MB": lambda folder: text_of_a_line(folder, "a.csv"),
    "Parquet: a cell of 300 MB": parquet_of_a_cell,
    "Parquet: 1,000 times a text of 1 MB": parquet_of_one_word,
    "folder: 8 files of 256 MiB": large_files,
}


# --- one case ---


def answer(file: Path, batch_size: int) -> Counter[str]:
    """How many rows have each status; "refused" where there is one line instead."""
    from regraft.data.photo_view import read_view
    from regraft.data.photos import Limits
    from regraft.errors import RegraftError
    from regraft.prediction.answerer import Answerer, Answers, answer_batches
    from regraft.prediction.sources.expand import expand_inputs
    from regraft.prediction.sources.reader import ItemReader

    def compute(views: np.ndarray) -> Answers:
        return Answers(np.ones((len(views), 1), np.float32))

    answerer = Answerer(("a",), lambda photo: read_view(photo, 32, 1.0), compute, batch_size, workers=2)
    try:
        items = list(expand_inputs(str(file)))
        with ItemReader(Limits()) as reader:
            batches = [items[start : start + batch_size] for start in range(0, len(items), batch_size)]
            return Counter(row.status for rows in answer_batches(answerer, batches, reader) for row in rows)
    except RegraftError:
        return Counter(refused=1)


def peak_memory() -> int:
    """Bytes of this process at its peak; what `getrusage` says counts the one that started it, too."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def measure(file: Path, limit: str | None, batch_size: int) -> dict[str, object]:
    answer(Path("nothing.jpg"), 1)  # imports
    before, started = peak_memory(), time.perf_counter()
    if limit:
        from regraft.machine.memory import decoding_within, parse_bytes

        with decoding_within(parse_bytes(limit)):
            found = answer(file, batch_size)
    else:
        found = answer(file, batch_size)
    return {"MB": (peak_memory() - before) / 1e6, "seconds": time.perf_counter() - started, "rows": dict(found)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", default="", help="beginning of the names of cases")
    parser.add_argument("--limit", help="as --max-memory")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.limit, args.batch_size)))
        return
    print("| input | MB on the disk | MB of memory | seconds | rows |\n|---|---|---|---|---|")
    for name, make in CASES.items():
        if name.lower().startswith(args.case.lower()):
            with tempfile.TemporaryDirectory() as scratch:
                file = make(Path(scratch))
                disk = sum(path.stat().st_blocks for path in [file, *file.rglob("*")]) * 512 / 1e6
                words = ["--measure", str(file), "--batch-size", str(args.batch_size)]
                words += ["--limit", args.limit] if args.limit else []
                command = [sys.executable, __file__, *words]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                found = json.loads(done.stdout) if done.returncode == 0 else {}
                rows = ", ".join(f"{count} {status}" for status, count in found.get("rows", {}).items())
                died = f"ended with {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1]}"
                measured = f"{found['MB']:,.0f} | {found['seconds']:.1f} | {rows}" if found else f"| | {died}"
                print(f"| {name} | {disk:,.1f} | {measured} |", flush=True)


if __name__ == "__main__":
    main()
