"""Rows as CSV, JSON Lines and Parquet."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from regraft.data.records import Prediction
from regraft.errors import UsageError
from regraft.prediction.tables.columns import Columns
from regraft.prediction.tables.table import TABLE_FORMATS, find_table_format, format_of

ODD = ['a,b "c".jpg', "new\nline.jpg", os.fsdecode(b"caf\xe9.jpg"), "日本.jpg", "\ttab\r.jpg"]


def rows_of(columns: Columns, *predictions: Prediction):
    return [columns.row(prediction) for prediction in predictions]


def test_a_csv_row_has_six_decimals_and_empty_cells_where_there_is_no_answer():
    columns = Columns(("a", "b"), embedding=True)
    answer = Prediction("x.jpg", "ok", scores=(0.25, 0.75), embedding=(1.5, 1 / 3))
    rows = rows_of(columns, answer, Prediction("y.jpg", "missing", "gone"))
    assert find_table_format("csv").encode(columns, rows).decode().splitlines() == [
        "path,status,reason,label,score,label_2,score_2,embedding",
        'x.jpg,ok,,b,0.750000,a,0.250000,"[1.5, 0.3333333]"',
        "y.jpg,missing,gone,,,,,",
    ]


def read(form: str, data: bytes) -> list[dict]:
    if form == "csv":
        return list(csv.DictReader(io.StringIO(data.decode("utf-8", "surrogateescape"), newline="")))
    if form == "jsonl":
        return [json.loads(line) for line in data.splitlines()]
    return pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_odd_names_come_back_as_they_are(form: str):
    columns = Columns(("a", "b"))
    data = find_table_format(form).encode(
        columns, rows_of(columns, *(Prediction(name, "ok", scores=(0.4, 0.6)) for name in ODD))
    )
    assert [row["path"] for row in read(form, data)] == ODD


def test_parquet_holds_text_and_says_which_bytes_are_none():
    columns = Columns(("a", "b"))
    rows = rows_of(columns, *(Prediction(name, "ok", scores=(0.4, 0.6)) for name in ODD))
    paths = [row["path"] for row in read("parquet", find_table_format("parquet").encode(columns, rows))]
    assert paths == [*ODD[:2], "caf\\xe9.jpg", *ODD[3:]]


@pytest.mark.parametrize("form", TABLE_FORMATS)
def test_merged_parts_are_the_rows_in_order(form: str, tmp_path: Path):
    columns = Columns(("a", "b"), embedding=True, probabilities=True)
    rows = rows_of(
        columns,
        *(Prediction(str(n), "ok", scores=(0.25, 0.75), embedding=(float(n), 0.5)) for n in range(3)),
        Prediction("3", "missing", "gone"),
    )
    parts = [tmp_path / "1", tmp_path / "2"]
    parts[0].write_bytes(find_table_format(form).encode(columns, rows[:2]))
    parts[1].write_bytes(find_table_format(form).encode(columns, rows[2:]))
    find_table_format(form).merge(columns, parts, tmp_path / "all")
    whole = read(form, find_table_format(form).encode(columns, rows))
    assert read(form, (tmp_path / "all").read_bytes()) == whole
    assert len(whole) == 4
    assert list(whole[0]) == columns.names()


def test_only_known_suffixes_are_written():
    assert format_of(Path("x.PARQUET")) is find_table_format("parquet")
    with pytest.raises(
        UsageError, match=r"^out must end with one of .csv, .jsonl, .parquet, or be a folder with format; .* x.xlsx"
    ):
        format_of(Path("x.xlsx"))


def test_a_format_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(UsageError, match=r'^format must be one of csv, jsonl, parquet; received "xlsx"\.$'):
        find_table_format("xlsx")


def test_the_table_of_formats_is_read_without_numpy_or_pyarrow():
    code = "import sys, regraft.prediction.tables.table; print(*({'numpy', 'pyarrow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_cells_that_a_spreadsheet_runs_are_written_as_they_are_or_on_request_behind_an_apostrophe():
    """The signs are those of "CSV Injection" (OWASP)."""
    run = ["=cmd|' /C calc'!A0.jpg", "+1.jpg", "-1.jpg", "@SUM(A1).jpg", "\tx.jpg", "\rx.jpg", "\nx.jpg", "\uff1dx.jpg"]
    plain = ["a=b.jpg", "'quoted.jpg", " =x.jpg", "\u202egnp.jpg", ""]
    columns = Columns(("=a", "b"), probabilities=True, embedding=True)
    rows = rows_of(columns, *(Prediction(name, "ok", scores=(0.6, 0.4), embedding=(-1.5,)) for name in run + plain))
    form = find_table_format("csv")
    assert [row["path"] for row in read("csv", form.encode(columns, rows))] == run + plain
    assert form.spreadsheet_safe is not None
    safe = read("csv", form.spreadsheet_safe.encode(columns, rows))
    assert [row["path"] for row in safe] == [f"'{name}" for name in run] + plain
    assert {(row["label"], row["score"], row["p_=a"], row["embedding"]) for row in safe} == {
        ("'=a", "0.600000", "0.600000", "[-1.5]")
    }
    assert find_table_format("jsonl").spreadsheet_safe is find_table_format("parquet").spreadsheet_safe is None
