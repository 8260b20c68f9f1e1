"""Tables as people save them come out as the same cells, and what is none is one line."""

from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import refusals

from regraft.data.tables.label_table import as_text, is_table, read_table, table_of_columns
from regraft.errors import FolderError

ROWS = (("a b.jpg", "cat, grey"), ("ö.jpg", "dog"))
TEXTS = {
    "plain.csv": b'path,label\na b.jpg,"cat, grey"\n\xc3\xb6.jpg,dog\n',
    "windows.csv": b'path,label\r\na b.jpg,"cat, grey"\r\n\xc3\xb6.jpg,dog\r\n',
    "excel.csv": b"\xef\xbb\xbfpath;label\r\na b.jpg;cat, grey\r\n\xc3\xb6.jpg;dog\r\n",
    "declared.csv": b"sep=|\npath|label\na b.jpg|cat, grey\n\xc3\xb6.jpg|dog\n",
    "tabs.tsv": b"path\tlabel\na b.jpg\tcat, grey\n\xc3\xb6.jpg\tdog\n",
    "commas.tsv": b'path,label\na b.jpg,"cat, grey"\n\xc3\xb6.jpg,dog\n',
    "utf16.csv": "path\tlabel\na b.jpg\tcat, grey\nö.jpg\tdog\n".encode("utf-16"),
    "lines.jsonl": b'{"path": "a b.jpg", "label": "cat, grey"}\n\n{"label": "dog", "path": "\xc3\xb6.jpg"}\n',
    "blank.csv": b'path,label\n\n  ,\na b.jpg,"cat, grey"\n\xc3\xb6.jpg,dog\n\n',
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_gives_its_cells_whatever_wrote_it(name, tmp_path: Path):
    (tmp_path / name).write_bytes(TEXTS[name])
    table = read_table(tmp_path / name)
    assert table.columns == ("path", "label")
    assert table.rows == ROWS


def test_places_are_the_lines_that_an_editor_shows(tmp_path: Path):
    file = tmp_path / "t.csv"
    file.write_bytes(b'sep=,\npath,label\na.jpg,"two\nlines"\n\nb.jpg,dog\n')
    table = read_table(file)
    assert [table.where(row) for row in range(2)] == ["line 4", "line 6"]


def test_parquet_gives_text_numbers_and_words(tmp_path: Path):
    file = tmp_path / "t.parquet"
    columns = {
        "path": ["a.jpg", "b.jpg", None],
        "label": pyarrow.array(["x", "y", "x"]).dictionary_encode(),
        "fold": [1, 2, 3],
        "target": [1.0, None, 0.5],
        "image": [b"\xff\xd8", b"", None],
        "boxes": [[1], [], [2, 3]],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    table = read_table(file)
    assert table.columns == ("path", "label", "fold", "target")  # pictures and lists are no cells
    assert table.rows == (("a.jpg", "x", "1", "1"), ("b.jpg", "y", "2", ""), ("", "x", "3", "0.5"))


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (float("nan"), ""), (3.0, "3"), (0.25, "0.25"), (True, "True"), (b"a.jpg", "a.jpg")]
)
def test_a_value_becomes_the_text_that_a_spreadsheet_shows(value, text):
    assert as_text(value) == text


class NAType:
    """As pandas has it: neither equal nor unequal to itself."""

    def __ne__(self, other: object) -> object:
        return self

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


def test_na_and_numbers_of_numpy_are_cells_too():
    assert [as_text(value) for value in (NAType(), np.int64(3), np.float32(2), np.str_("a"))] == ["", "3", "2", "a"]


def test_columns_of_several_values_are_left_out_and_named():
    table = table_of_columns("t", {"path": ["a"], "box": [[1, 2]], "embedding": [np.zeros(3)], "label": ["x"]})
    assert (table.columns, table.rows, table.nested) == (("path", "label"), (("a", "x"),), ("box", "embedding"))


def test_short_rows_are_filled_up_and_long_ones_named(tmp_path: Path):
    short, long = tmp_path / "short.csv", tmp_path / "long.csv"
    short.write_text("path,label,split\na.jpg,cat\n", "utf-8")
    assert read_table(short).rows == (("a.jpg", "cat", ""),)
    long.write_text("path,label\na.jpg,cat,\nb,c.jpg,dog\n", "utf-8")
    assert refusals.message_of(FolderError, read_table, long) == (
        f"{long} has 3 cells in line 3 under 2 columns: a cell with the delimiter in it needs quotes around it."
    )


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.csv", None, "No such table"),
        ("empty.csv", b"", "has none"),
        ("header.csv", b"path,label\n", "Expected rows of paths and labels"),
        ("twice.csv", b"path,label,label\na,b,c\n", 'more than one column "label"'),
        ("list.jsonl", b'["a.jpg", "cat"]\n', "must have an object"),
        ("cut.jsonl", b'{"path": "a.jpg"', "in line 1"),
        ("bad.parquet", b"PAR1nothing", "cannot be read as a Parquet file"),
        ("utf16.csv", "path,label\n".encode("utf-16-le"), "looks like UTF-16"),
    ],
)
def test_what_is_no_table_is_one_line(name, content, words, tmp_path: Path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    message = refusals.message_of(FolderError, read_table, tmp_path / name)
    assert words in message
    assert "\n" not in message


def test_tables_are_told_by_their_names():
    assert all(map(is_table, ("a.csv", "b.TSV", "c.parquet", "d.jsonl", "e.ndjson")))
    assert not any(map(is_table, ("photos", "a.jpg", "a.txt", "csv")))
