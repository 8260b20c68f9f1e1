"""Predictions as rows, and rows as CSV, JSON Lines and Parquet."""

import csv
import io
import json
import os
from pathlib import Path

import pyarrow.parquet
import pytest

from regraft.data.records import Prediction
from regraft.errors import UsageError
from regraft.evidence.conformal import UnknownRule
from regraft.prediction.answers import FORMATS, Columns, format_of

NAMES = tuple(f"class {letter}" for letter in "abcdefg")
SCORES = (0.01, 0.3, 0.02, 0.3, 0.25, 0.1, 0.02)
ODD = ['a,b "c".jpg', "new\nline.jpg", os.fsdecode(b"caf\xe9.jpg"), "日本.jpg", "\ttab\r.jpg"]


def rows_of(columns: Columns, *predictions: Prediction):
    return [columns.row(prediction) for prediction in predictions]


def test_the_five_best_are_written_and_no_score_where_there_is_no_answer():
    columns = Columns(NAMES)
    rows = rows_of(columns, Prediction("x.jpg", "ok", scores=SCORES), Prediction("y.jpg", "missing", "gone"))
    assert FORMATS["csv"].encode(columns, rows).decode().splitlines() == [
        "path,status,reason,label,score,label_2,score_2,label_3,score_3,label_4,score_4,label_5,score_5",
        "x.jpg,ok,,class b,0.300000,class d,0.300000,class e,0.250000,class f,0.100000,class c,0.020000",
        "y.jpg,missing,gone,,,,,,,,,,",
    ]


def test_what_is_asked_for_comes_after_the_best():
    columns = Columns(
        ("cat", "dog"), top=1, uncertainty=True, rule=UnknownRule(0.1, 0.25, 9), probabilities=True, embedding=True
    )
    answer = Prediction("x", "ok", scores=(0.25, 0.75), members=((0.5, 0.5), (0.0, 1.0)), embedding=(1.5, -2.0))
    row = dict(zip(columns.names(), columns.row(answer), strict=True))
    assert list(row) == [
        *("path", "status", "reason", "label", "score", "entropy", "disagreement", "mutual_information"),
        *("guess", "possible", "p_cat", "p_dog", "embedding"),
    ]
    assert (row["label"], row["guess"], row["possible"]) == ("unknown", "dog", "dog|cat")
    # Entropies by hand: of (1/4, 3/4), and the mean over members of ln 2 and 0.
    assert row["entropy"] == pytest.approx(0.562335)
    assert row["mutual_information"] == pytest.approx(0.562335 - 0.346574, abs=1e-5)
    assert row["disagreement"] == 0.5  # the first member's best is the first of two equals
    assert (row["p_cat"], row["p_dog"], row["embedding"]) == (0.25, 0.75, [1.5, -2.0])
    broken = columns.row(Prediction("y", "truncated", "cut"))
    assert broken == ["y", "truncated", "cut"] + [None] * 10


def read(form: str, data: bytes) -> list[dict]:
    if form == "csv":
        return list(csv.DictReader(io.StringIO(data.decode("utf-8", "surrogateescape"), newline="")))
    if form == "jsonl":
        return [json.loads(line) for line in data.splitlines()]
    return pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_odd_names_come_back_as_they_are(form: str):
    columns = Columns(("a", "b"))
    data = FORMATS[form].encode(columns, rows_of(columns, *(Prediction(name, "ok", scores=(0.4, 0.6)) for name in ODD)))
    assert [row["path"] for row in read(form, data)] == ODD


def test_parquet_holds_text_and_says_which_bytes_are_none():
    columns = Columns(("a", "b"))
    rows = rows_of(columns, *(Prediction(name, "ok", scores=(0.4, 0.6)) for name in ODD))
    paths = [row["path"] for row in read("parquet", FORMATS["parquet"].encode(columns, rows))]
    assert paths == [*ODD[:2], "caf\\xe9.jpg", *ODD[3:]]


@pytest.mark.parametrize("form", FORMATS)
def test_merged_parts_are_the_rows_in_order(form: str, tmp_path: Path):
    columns = Columns(("a", "b"), embedding=True, probabilities=True)
    rows = rows_of(
        columns,
        *(Prediction(str(n), "ok", scores=(0.25, 0.75), embedding=(float(n), 0.5)) for n in range(3)),
        Prediction("3", "missing", "gone"),
    )
    parts = [tmp_path / "1", tmp_path / "2"]
    parts[0].write_bytes(FORMATS[form].encode(columns, rows[:2]))
    parts[1].write_bytes(FORMATS[form].encode(columns, rows[2:]))
    FORMATS[form].merge(columns, parts, tmp_path / "all")
    whole = read(form, FORMATS[form].encode(columns, rows))
    assert read(form, (tmp_path / "all").read_bytes()) == whole
    assert len(whole) == 4
    assert list(whole[0]) == columns.names()


def test_only_known_suffixes_are_written():
    assert format_of(Path("x.PARQUET")) is FORMATS["parquet"]
    with pytest.raises(
        UsageError, match=r"--out must end with one of .csv, .jsonl, .parquet, or be a folder .* x.xlsx"
    ):
        format_of(Path("x.xlsx"))
