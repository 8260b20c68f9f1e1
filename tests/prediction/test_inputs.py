"""What is to be predicted, from whatever the user names, as one stream in order."""

import io
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tensorflow as tf
from drawn_photos import draw_photo

from regraft.data.photos import Limits, UnreadablePhoto
from regraft.errors import UsageError
from regraft.prediction.inputs import Item, Reading, expand_inputs
from regraft.prediction.item_bytes import ItemReader


def names_of(inputs, stdin=(), **reading) -> list[str]:
    return [item.path for item in expand_inputs(inputs, stdin, Reading(**reading))]


def write_photos(folder: Path, *names: str) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        draw_photo(seed % 3, seed=700 + seed, size=(40, 32), classes=3).save(folder / name)
    return [str(folder / name) for name in names]


def test_a_file_is_taken_as_it_is_also_where_it_is_missing(tmp_path: Path):
    (there,) = write_photos(tmp_path, "b.jpg")
    missing, odd = str(tmp_path / "a.jpg"), str(tmp_path / "notes.txt")
    Path(odd).touch()
    assert names_of([there, missing, odd, there]) == [there, missing, odd, there]


def test_a_folder_gives_the_images_in_it_and_below_by_name(tmp_path: Path):
    wanted = write_photos(tmp_path / "in", "b.JPG", "sub.png")
    below = write_photos(tmp_path / "in/a/deep", "z.webp", "a.tif")
    write_photos(tmp_path / "in", ".hidden.jpg")
    write_photos(tmp_path / "in/.thumbnails", "x.jpg")
    (tmp_path / "in/notes.txt").touch()
    assert names_of([str(tmp_path / "in")]) == sorted(below + wanted)


def test_a_pattern_gives_the_files_that_match_by_name(tmp_path: Path):
    names = write_photos(tmp_path, "10.jpg", "2.jpg", "x.png")
    deep = write_photos(tmp_path / "below", "3.jpg")
    assert names_of([f"{tmp_path}/*.jpg"]) == names[:2]
    assert names_of([f"{tmp_path}/?.*"]) == names[1:]
    assert names_of([f"{tmp_path}/**/*.jpg"]) == sorted([*names[:2], *deep])


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path):
    names = write_photos(tmp_path, "[1].jpg", "1.jpg")
    assert names_of([names[0]]) == names[:1]


def test_a_dash_gives_the_lines_of_stdin(tmp_path: Path):
    lines = ["a b.jpg\n", " padded .jpg\r\n", "\n", "c,d.jpg"]
    assert names_of(["first.jpg", "-", "last.jpg"], lines) == [
        "first.jpg",
        "a b.jpg",
        " padded .jpg",
        "c,d.jpg",
        "last.jpg",
    ]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("{empty}", "The folder {empty} holds no images."),
        ("{empty}/*.jpg", "No file matches {empty}/*.jpg."),
        ("-", "There is nothing to predict: name photos, folders, patterns, or - for a list on stdin."),
    ],
)
def test_nothing_to_predict_is_refused(tmp_path: Path, given: str, complaint: str):
    with pytest.raises(UsageError) as caught:
        names_of([given.format(empty=tmp_path)])
    assert str(caught.value) == complaint.format(empty=tmp_path)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_a_table_gives_the_paths_in_its_column(tmp_path: Path, suffix: str):
    paths, file = ["b.jpg", "", 'odd, "name".jpg', "a.jpg"], tmp_path / f"list.{suffix}"
    if suffix == "parquet":
        pyarrow.parquet.write_table(pyarrow.table({"label": list("wxyz"), "photo": paths}), file)
    else:
        mark = "," if suffix == "csv" else "\t"
        lines = ["label|photo", "w|b.jpg", "x|", 'y|"odd, ""name"".jpg"', "z|a.jpg", ""]
        file.write_text("\n".join(lines).replace("|", mark))
    items = list(expand_inputs([str(file)], reading=Reading(column="photo", root="/photos")))
    assert [item.path for item in items] == paths
    assert [item.file for item in items] == ["/photos/b.jpg", "", '/photos/odd, "name".jpg', "/photos/a.jpg"]
    assert (items[1].kind, items[1].status, items[1].reason) == ("broken", "missing", "empty path")


def test_a_table_without_the_column_says_which_it_has(tmp_path: Path):
    file = tmp_path / "list.csv"
    file.write_text("photo,label\na.jpg,x\n")
    with pytest.raises(UsageError, match=r'has no column "phto" \(it has: photo, label\); .* Did you mean "photo"\?'):
        names_of([str(file)], column="phto")


def test_names_on_stdin_may_end_with_null_bytes(tmp_path: Path):
    chunks = ["a b.jpg\0new\n", "line.jpg\0", "last.jpg"]
    assert names_of(["-"], chunks, null=True) == ["a b.jpg", "new\nline.jpg", "last.jpg"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_folder_is_walked_through_links_but_never_in_circles(tmp_path: Path):
    (wanted,) = write_photos(tmp_path / "in/deep", "a.jpg")
    (linked,) = write_photos(tmp_path / "elsewhere", "b.jpg")
    (tmp_path / "in/deep/up").symlink_to(tmp_path / "in")
    (tmp_path / "in/self").symlink_to(tmp_path / "in/self")
    (tmp_path / "in/there").symlink_to(tmp_path / "elsewhere")
    assert names_of([str(tmp_path / "in")]) == [wanted, str(tmp_path / "in/there/b.jpg")]
    assert Path(linked).samefile(tmp_path / "in/there/b.jpg")


# --- archives and shards ---


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
    with ItemReader(Limits(), feature="") as reader:
        assert [reader.read(item) for item in items] == [b"two", b"one" * 1000, b""]
        assert reader.read(items[0]) == b"two"  # backwards


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_member_over_the_limit_is_not_unpacked(tmp_path: Path, suffix: str):
    items = expand_inputs([make_archive(tmp_path, suffix, {"bomb.jpg": b"\0" * 100_000})])
    with ItemReader(Limits(bytes=99_999), feature="") as reader, pytest.raises(UnreadablePhoto) as caught:
        reader.read(next(items))
    assert (caught.value.status, str(caught.value)) == ("too_large", "100,000 bytes, the limit is 99,999")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", ["../evil.jpg", "a/../../evil.jpg", "/etc/evil.jpg", "..\\evil.jpg"])
def test_an_archive_whose_paths_climb_out_is_refused(tmp_path: Path, suffix: str, name: str):
    file = make_archive(tmp_path, suffix, {"good.jpg": b"x", name: b"x"})
    with pytest.raises(UsageError, match="a path that climbs out of the archive"):
        names_of([file])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_no_archive_is_said_to_be_none(tmp_path: Path, suffix: str):
    file = tmp_path / f"photos{suffix}"
    file.write_bytes(b"This is no archive.")
    with pytest.raises(UsageError, match=rf"photos{suffix} is no \w+ archive that can be read: "):
        names_of([str(file)])


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
    with ItemReader(Limits(), feature="") as reader:
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
    with ItemReader(Limits(), feature="") as reader, pytest.raises(UnreadablePhoto, match="in its archive: "):
        reader.read(whole[0])
    with pytest.raises(UsageError, match="is no tar archive that can be read: "):
        names_of([str(file)])


def write_shard(file: Path, photos: list[bytes], feature: str = "image/encoded") -> None:
    with tf.io.TFRecordWriter(str(file)) as writer:
        for number, photo in enumerate(photos):
            features = {
                "image/class": tf.train.Feature(int64_list=tf.train.Int64List(value=[number])),
                "weight": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5, 1.5])),
                feature: tf.train.Feature(bytes_list=tf.train.BytesList(value=[photo])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def test_a_tfrecord_shard_of_tensorflow_gives_its_examples(tmp_path: Path):
    file, photos = tmp_path / "train.tfrecord-00000-of-00001", [b"one", b"", b"three" * 500]
    write_shard(file, photos)
    items = list(expand_inputs([str(file)]))
    assert [item.path for item in items] == [f"{file}::{number}" for number in range(3)]
    with ItemReader(Limits(), feature="image/encoded") as reader:
        assert [reader.read(item) for item in items] == photos


def test_a_shard_that_breaks_off_has_a_last_row_that_says_so(tmp_path: Path):
    file = tmp_path / "a.tfrecord"
    write_shard(file, [b"one", b"two"])
    file.write_bytes(file.read_bytes()[:-5])
    items = list(expand_inputs([str(file)]))
    assert [(item.kind, item.status) for item in items] == [("tfrecord", "unreadable"), ("broken", "truncated")]
    assert items[1].reason == "the shard breaks off in this record"


def test_a_damaged_length_is_noticed_by_its_checksum(tmp_path: Path):
    file = tmp_path / "a.tfrecord"
    write_shard(file, [b"one", b"two"])
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(data)
    (item,) = expand_inputs([str(file)])
    assert item.reason == "the shard is damaged from this record on, or no uncompressed TFRecord file"


def test_an_example_without_the_feature_says_which_it_has(tmp_path: Path):
    file = tmp_path / "a.tfrecord"
    write_shard(file, [b"one"], feature="jpeg")
    (item,) = expand_inputs([str(file)])
    reader = ItemReader(Limits(), feature="image/encoded")
    complaint = r'no photo in its feature "image/encoded" \(it has: image/class, jpeg, weight\)'
    with reader, pytest.raises(UnreadablePhoto, match=complaint):
        reader.read(item)
    with ItemReader(Limits(), feature="jpeg") as other:
        assert other.read(item) == b"one"


@pytest.mark.parametrize("name", ["new\nline.jpg", 'a "b", c.jpg', os.fsdecode(b"caf\xe9.jpg"), "日本.jpg", ""])
def test_an_item_is_one_line_of_ascii_and_comes_back(name: str):
    item = Item(name, f"/{name}", "tar", 7, 9, "why", "truncated")
    line = item.to_json()
    assert line.isascii()
    assert "\n" not in line
    assert Item.from_json(line) == item
