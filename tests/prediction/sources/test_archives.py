"""Zip and tar archives as inputs."""

import io
import os
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from input_photos import paths_of

from regraft.data.photos import Limits, UnreadablePhoto
from regraft.errors import UsageError
from regraft.machine.memory import decoding_within
from regraft.prediction.sources.expand import LeftOutCount, expand_inputs
from regraft.prediction.sources.reader import ItemReader


def make_archive(folder: Path, suffix: str, members: dict[str, bytes]) -> str:
    file = folder / f"photos{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(file, "w:" + suffix.removeprefix(".tar").removeprefix(".")) as archive:
            for name, data in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    return str(file)


SUFFIXES = [".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz"]
MEMBERS = {"z/2.jpg": b"two", "a.txt": b"no photo", "z/1.jpg": b"one" * 1000, "__MACOSX/._1.jpg": b"", "b.png": b""}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_gives_its_images_in_its_order(tmp_path: Path, suffix: str):
    file = make_archive(tmp_path, suffix, MEMBERS)
    items = list(expand_inputs([file]))
    assert [item.path for item in items] == [f"{file}::{name}" for name in ("z/2.jpg", "z/1.jpg", "b.png")]
    with ItemReader(Limits()) as reader:
        assert [reader.read(item) for item in items] == [b"two", b"one" * 1000, b""]
        assert reader.read(items[0]) == b"two"  # backwards


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_member_over_the_limit_is_not_unpacked(tmp_path: Path, suffix: str):
    items = expand_inputs([make_archive(tmp_path, suffix, {"bomb.jpg": b"\0" * 100_000})])
    with ItemReader(Limits(bytes=99_999)) as reader, pytest.raises(UnreadablePhoto) as caught:
        reader.read(next(items))
    assert (caught.value.status, str(caught.value)) == ("too_large", "100,000 bytes, the limit is 99,999")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", ["../evil.jpg", "a/../../evil.jpg", "/etc/evil.jpg", "..\\evil.jpg"])
def test_an_archive_whose_paths_climb_out_is_refused(tmp_path: Path, suffix: str, name: str):
    file = make_archive(tmp_path, suffix, {"good.jpg": b"x", name: b"x"})
    with pytest.raises(UsageError, match="a path that climbs out of the archive"):
        paths_of([file])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_no_archive_is_said_to_be_none(tmp_path: Path, suffix: str):
    file = tmp_path / f"photos{suffix}"
    file.write_bytes(b"This is no archive.")
    with pytest.raises(UsageError, match=rf"photos{suffix} is no \w+ archive that can be read: "):
        paths_of([str(file)])


def test_links_in_a_tar_and_damaged_members_of_a_zip_keep_their_row(tmp_path: Path):
    tar = tmp_path / "links.tar"
    with tarfile.open(tar, "w") as archive:
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    packed = Path(make_archive(tmp_path, ".zip", {"a.jpg": os.urandom(2000), "b.jpg": b"fine"}))
    data = bytearray(packed.read_bytes())
    data[200:260] = b"\0" * 60
    packed.write_bytes(data)
    items = list(expand_inputs([str(tar), str(packed)]))
    with ItemReader(Limits()) as reader:
        with pytest.raises(UnreadablePhoto, match="not a file but a link or device"):
            reader.read(items[0])
        with pytest.raises(UnreadablePhoto, match="in its archive: "):
            reader.read(items[1])
        assert reader.read(items[2]) == b"fine"


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.xz"])  # a block of bzip2 is larger than all of it
def test_a_compressed_archive_that_is_damaged_has_a_row_that_says_so(tmp_path: Path, suffix: str):
    noise = np.random.default_rng(0).bytes(60_000)
    file = Path(make_archive(tmp_path, suffix, {"a.jpg": noise, "b.jpg": noise[::-1]}))
    data = bytearray(file.read_bytes())
    data[40_000:40_400] = b"\0" * 400
    file.write_bytes(data)
    *_, last = expand_inputs([str(file)])
    assert (last.kind, last.status) == ("broken", "unreadable")
    assert last.path.startswith(f"{file}::byte ")
    assert last.reason.startswith("the archive is damaged from here on: ")


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_what_comes_before_the_end_of_a_cut_archive_is_answered(tmp_path: Path, suffix: str):
    noise = [np.random.default_rng(seed).bytes(300_000) for seed in range(6)]
    file = Path(make_archive(tmp_path, suffix, {f"{number}.jpg": data for number, data in enumerate(noise)}))
    file.write_bytes(file.read_bytes()[:-400_000])
    items = list(expand_inputs([str(file)]))
    assert items[-1].reason.startswith("the archive is damaged from here on: ")
    with ItemReader(Limits()) as reader:
        assert [reader.read(item) for item in items[:2]] == noise[:2]
        with pytest.raises(UnreadablePhoto):
            reader.read(items[-2])  # the one in which it breaks off


def test_a_damaged_header_in_a_tar_costs_its_own_member_alone(tmp_path: Path):
    file = Path(make_archive(tmp_path, ".tar", {"a.jpg": b"one", "b.jpg": b"two" * 400, "c.jpg": b"three"}))
    data = bytearray(file.read_bytes())
    data[1024] ^= 1  # the name of b.jpg: after a header and a block of data
    file.write_bytes(data)
    first, lost, last = expand_inputs([str(file)])
    assert (lost.path, lost.status, lost.reason) == (
        f"{file}::byte 1024",
        "unreadable",
        "the archive is damaged here: bad checksum",
    )
    with ItemReader(Limits()) as reader:
        assert (reader.read(first), reader.read(last)) == (b"one", b"three")


def test_a_rotten_byte_in_a_zip_is_seen_by_its_checksum(tmp_path: Path):
    file = Path(make_archive(tmp_path, ".zip", {"a.jpg": b"one", "b.jpg": b"two"}))
    with zipfile.ZipFile(file, "w") as archive:  # stored as it is
        archive.writestr("a.jpg", b"some photo")
        archive.writestr("b.jpg", b"another")
    file.write_bytes(file.read_bytes().replace(b"some photo", b"some phoTo"))
    rotten, good = expand_inputs([str(file)])
    with ItemReader(Limits()) as reader:
        with pytest.raises(UnreadablePhoto, match=r"^damaged in its archive: its checksum does not fit$") as caught:
            reader.read(rotten)
        assert caught.value.status == "unreadable"
        assert reader.read(good) == b"another"


def test_members_are_told_by_their_content_and_what_gets_no_row_is_counted(tmp_path: Path):
    jpeg = b"\xff\xd8\xff\xe0 and so on"
    members = {
        "photo": jpeg,
        "a.txt": b"words",
        "more.zip": b"PK",
        ".DS_Store": b"",
        "@eaDir/x.jpg": b"x",
        "y.jpg": b"",
    }
    for suffix in (".zip", ".tar"):
        file, left_out = make_archive(tmp_path, suffix, members), LeftOutCount()
        items = list(expand_inputs([file], left_out=left_out))
        assert [item.path for item in items] == [f"{file}::photo", f"{file}::y.jpg"]
        assert left_out.counts == {
            "not an image (text?)": 1,
            "holds photos or paths itself; name it to have them answered": 1,
            "hidden, or left by a system": 2,
        }


def test_a_zip_whose_names_are_damaged_is_refused_in_one_line(tmp_path: Path):
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("\u00fcx.jpg", b"x")
    file.write_bytes(file.read_bytes().replace(b"\xc3\xbcx.jpg", b"\xc3\x28x.jpg"))  # says that it is UTF-8
    with pytest.raises(UsageError, match=r"a\.zip is no zip archive that can be read: .* invalid continuation byte\.$"):
        paths_of([str(file)])


def test_a_member_without_a_name_is_left_out(tmp_path: Path):
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", b"x")
    data = bytearray(file.read_bytes())
    entry = data.rindex(b"PK\1\2")
    data[entry + 28 : entry + 32] = b"\0\0\1\0"  # a name of 0 bytes, 1 byte of extra
    file.write_bytes(data)
    with pytest.raises(UsageError, match=r"a\.zip holds no images; left out: 1 it has no name \(.*\)\.$"):
        paths_of([str(file)])


def test_encrypted_members_and_those_packed_in_odd_ways_keep_their_row(tmp_path: Path):
    file = Path(make_archive(tmp_path, ".zip", {"a.jpg": b"one", "b.jpg": b"two", "c.jpg": b"three"}))
    data = bytearray(file.read_bytes())
    entries = [place for place in range(len(data)) if data[place : place + 4] == b"PK\1\2"]
    data[entries[0] + 8] |= 1  # encrypted
    data[entries[1] + 10] = 9  # deflate64
    file.write_bytes(data)
    encrypted, odd, good = expand_inputs([str(file)])
    assert (encrypted.kind, encrypted.reason) == ("broken", "encrypted")
    with ItemReader(Limits()) as reader:
        with pytest.raises(UnreadablePhoto, match=r"^packed in a way that is not read; unpack its archive"):
            reader.read(odd)
        assert reader.read(good) == b"three"


def test_two_members_of_one_name_are_two_photos(tmp_path: Path):
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("a.jpg", b"one")
        archive.writestr("a.jpg", b"two")
    items = list(expand_inputs([str(file)]))
    with ItemReader(Limits()) as reader:
        assert [reader.read(item) for item in items] == [b"one", b"two"]


def test_a_zip_that_has_changed_since_it_was_listed_gives_no_other_photo(tmp_path: Path):
    item, _ = expand_inputs([make_archive(tmp_path, ".zip", {"a.jpg": b"one", "b.jpg": b"two"})])
    make_archive(tmp_path, ".zip", {"b.jpg": b"two", "a.jpg": b"one"})
    with ItemReader(Limits()) as reader, pytest.raises(UnreadablePhoto, match="has changed since it was listed"):
        reader.read(item)


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_in_a_tar_are_read_but_none_that_no_system_takes(tmp_path: Path, format: int):
    long, endless = "n" * 3000 + ".jpg", "e" * 3_000_000 + ".jpg"
    with tarfile.open(tmp_path / "a.tar", "w", format=format) as archive:
        for name, data in ((long, b"one"), (endless, b"two"), ("c.jpg", b"three")):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    first, refused, *_, last = expand_inputs([str(tmp_path / "a.tar")])
    assert first.path == f"{tmp_path}/a.tar::{long}"
    assert refused.reason == "the archive is damaged here: a name of 3.0 MB"
    with ItemReader(Limits()) as reader:
        assert (reader.read(first), reader.read(last)) == (b"one", b"three")


def test_a_size_below_zero_does_not_lead_around_in_circles(tmp_path: Path):
    file = Path(make_archive(tmp_path, ".tar", {"a.jpg": b"one", "b.jpg": b"two"}))
    data = bytearray(file.read_bytes())
    data[1024 + 124 : 1024 + 136] = b"\xff" * 10 + b"\xfe\0"  # -512 in base 256
    header = bytes(data[1024 : 1024 + 148]) + b" " * 8 + bytes(data[1024 + 156 : 1536])
    data[1024 + 148 : 1024 + 156] = b"%06o\0 " % sum(header)
    file.write_bytes(data)
    _, lost = expand_inputs([str(file)])
    assert lost.reason == "the archive is damaged here: a negative size"


def test_more_behind_the_end_of_a_tar_is_counted(tmp_path: Path):
    file = Path(make_archive(tmp_path, ".tar", {"a.jpg": b"one"}))
    file.write_bytes(2 * file.read_bytes())
    left_out = LeftOutCount()
    assert [item.path for item in expand_inputs([str(file)], left_out=left_out)] == [f"{file}::a.jpg"]
    assert list(left_out.counts) == ["more behind the end of the archive, as where several were joined; unpack it"]


def test_a_directory_that_would_fill_the_memory_is_refused(tmp_path: Path):
    file = make_archive(tmp_path, ".zip", {f"{number:09d}.jpg": b"" for number in range(1000)})
    with decoding_within(900_000), pytest.raises(UsageError, match=r"The directory of .* would take 944 kB of memory"):
        paths_of([file])
    with decoding_within(950_000):
        assert len(paths_of([file])) == 1000


def test_a_member_packed_by_bzip2_is_unpacked_piece_by_piece(tmp_path: Path):
    file = tmp_path / "photos.zip"
    noise = np.random.default_rng(0).bytes(50_000)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("bomb.jpg", bytes(20_000_000))
        archive.writestr("a.jpg", noise)
        archive.writestr("unnamed", bytes(20_000_000))
    tracemalloc.start()
    try:
        bomb, photo = expand_inputs([str(file)])
        with ItemReader(Limits()) as reader:
            with pytest.raises(UnreadablePhoto, match="not an image"):
                reader.read(bomb)
            assert reader.read(photo) == noise
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_a_member_packed_by_bzip2_is_compared_with_the_checksum_of_its_archive(tmp_path: Path):
    file = tmp_path / "photos.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.jpg", b"photo")
        checksum = struct.pack("<I", archive.getinfo("a.jpg").CRC)
    file.write_bytes(file.read_bytes().replace(checksum, b"\1\2\3\4"))
    (item,) = expand_inputs([str(file)])
    with ItemReader(Limits()) as reader, pytest.raises(UnreadablePhoto, match="its checksum does not fit"):
        reader.read(item)
