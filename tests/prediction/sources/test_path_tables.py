"""Tables of paths as inputs."""

import os
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from input_photos import paths_of

from regraft.errors import UsageError
from regraft.machine.memory import decoding_within
from regraft.prediction.sources import path_tables
from regraft.prediction.sources.expand import expand_inputs
from regraft.prediction.sources.kind import Reading


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
        paths_of([str(file)], column="phto")


@pytest.mark.parametrize("sign", [";", "\t", "|", ","])
@pytest.mark.parametrize("before", ["", "sep=;\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_sign_between_columns_is_the_one_that_gives_the_column(
    tmp_path: Path, sign: str, before: str, encoding: str
):
    file = tmp_path / "list.csv"
    words = f"label{sign}path\r\nx{sign}é.jpg\r\ny{sign}b.jpg\r\n"
    file.write_bytes((before.replace(";", sign) + words).encode(encoding))
    assert paths_of([str(file)]) == ["é.jpg", "b.jpg"]


def test_a_comma_in_a_name_of_a_column_does_not_mislead(tmp_path: Path):
    file = tmp_path / "list.csv"
    file.write_text('path,"a;path;b"\nx;1.jpg,2\n')
    assert paths_of([str(file)]) == ["x;1.jpg"]


@pytest.mark.parametrize("name", ["list.csv", "list.tsv", "list.parquet", "list.txt", "a.zip", "a.tgz", "a.tfrecord-0"])
def test_a_list_or_archive_that_is_not_there_is_a_mistake(tmp_path: Path, name: str):
    with pytest.raises(UsageError, match=f"{name} is not there: no such file to read photos or paths from"):
        paths_of(["a.jpg", str(tmp_path / name)])


def test_a_parquet_column_that_is_no_text_is_refused(tmp_path: Path):
    file = tmp_path / "list.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"path": pyarrow.array([2**62], pyarrow.timestamp("us"))}), file)
    with pytest.raises(UsageError, match=r'must have paths in its column "path", which holds timestamp\[us\]; name'):
        paths_of([str(file)])


def test_paths_in_parquet_that_are_no_utf_8_stay_the_bytes_they_are(tmp_path: Path):
    file, name = tmp_path / "list.parquet", b"caf\xe9.jpg"
    offsets = pyarrow.py_buffer(b"\0\0\0\0" + len(name).to_bytes(4, "little"))
    text = pyarrow.Array.from_buffers(pyarrow.string(), 1, [None, offsets, pyarrow.py_buffer(name)])
    for column in (text, pyarrow.array([name])):
        pyarrow.parquet.write_table(pyarrow.table({"path": column}), file)
        assert paths_of([str(file)]) == [os.fsdecode(name)]


@pytest.mark.parametrize("kind", ["string", "large_string", "binary", "large_binary", "string_view", "binary_view"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_each_kind_of_text_in_parquet_is_read(tmp_path: Path, kind: str, dictionary: bool):
    file, paths = tmp_path / "list.parquet", ["b.jpg", None, "é.jpg", "b.jpg"]
    column = pyarrow.array(paths).cast(getattr(pyarrow, kind)())
    pyarrow.parquet.write_table(pyarrow.table({"path": column}), file, use_dictionary=dictionary)
    assert paths_of([str(file)]) == ["b.jpg", "", "é.jpg", "b.jpg"]


def test_a_rotten_byte_in_parquet_is_seen_by_its_checksum(tmp_path: Path):
    file = tmp_path / "list.parquet"
    options = {"write_page_checksum": True, "compression": "none", "use_dictionary": False, "write_statistics": False}
    pyarrow.parquet.write_table(pyarrow.table({"path": ["rotten.jpg"]}), file, **options)
    file.write_bytes(file.read_bytes().replace(b"rotten", b"rottEn"))
    with pytest.raises(UsageError, match=r"no Parquet file that can be read: .*CRC checksum verification failed"):
        paths_of([str(file)])


def test_a_column_of_gigabytes_is_refused_unread(tmp_path: Path):
    file = tmp_path / "list.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"path": ["x" * 3_000_000], "other": ["y" * 9_000_000]}), file)
    with (
        decoding_within(17_000_000),
        pytest.raises(UsageError, match=r'"path" of .* has 3\.0 MB in one row group'),
    ):
        paths_of([str(file)])
    with (
        decoding_within(19_000_000),
        pytest.raises(UsageError, match=r"A path in a list has at most 65,536 letters"),
    ):
        paths_of([str(file)])


def test_a_quote_without_its_end_does_not_take_the_rest_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(path_tables, "MOST_LETTERS", 10_000)
    file = tmp_path / "list.csv"
    file.write_text("path\na.jpg\n" + '"\n",' * 20_000)
    with pytest.raises(UsageError, match=r"has a row of over 10,000 letters: a quote may lack its end\.$"):
        paths_of([str(file)])
    file.write_text("path\n" + "a.jpg\n" * 20_000)
    assert len(paths_of([str(file)])) == 20_000
