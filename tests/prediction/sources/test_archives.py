"""Zip and tar archives as inputs."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from input_photos import paths_of

from regraft.data.photos import Limits, UnreadablePhoto
from regraft.errors import UsageError
from regraft.prediction.sources.expand import expand_inputs
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


@pytest.mark.parametrize("suffix", [".tar.bz2", ".tar.xz"])  # gzip notices at its end alone
def test_a_compressed_archive_that_is_damaged_in_its_middle_is_refused(tmp_path: Path, suffix: str):
    noise = np.random.default_rng(0).bytes(60_000)
    file = Path(make_archive(tmp_path, suffix, {"a.jpg": noise, "b.jpg": noise[::-1]}))
    data = bytearray(file.read_bytes())
    data[40_000:40_400] = b"\0" * 400
    whole = list(expand_inputs([str(file)]))
    file.write_bytes(data)
    with ItemReader(Limits()) as reader, pytest.raises(UnreadablePhoto, match="in its archive: "):
        reader.read(whole[0])
    with pytest.raises(UsageError, match="is no tar archive that can be read: "):
        paths_of([str(file)])
