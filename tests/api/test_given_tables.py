"""Photos that are named by what is in memory: frames and pairs become a table that a run can name again."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow
import pytest
import refusals

import regraft
from regraft.api.given_tables import as_table_file, is_frame, is_pairs
from regraft.data.tables.label_table import read_table
from regraft.errors import UsageError

PAIRS = [("a.jpg", "cat"), (Path("b c.jpg"), 7)]


class Frame:
    """What pandas and this program have in common: names of columns, and rows as tuples."""

    def __init__(self, columns: dict[str, list[object]]) -> None:
        self.columns = list(columns)
        self._values = columns

    def itertuples(self, *, index: bool, name: str | None) -> list[tuple[object, ...]]:
        assert (index, name) == (False, None)
        return list(zip(*self._values.values(), strict=True))


class PolarsFrame(Frame):
    """As Polars has it."""

    def iter_rows(self) -> list[tuple[object, ...]]:
        return self.itertuples(index=False, name=None)


def test_pairs_are_a_table_of_paths_and_labels():
    table = read_table(as_table_file(PAIRS))
    assert table.columns == ("path", "label")
    assert table.rows == (("a.jpg", "cat"), ("b c.jpg", "7"))


@pytest.mark.parametrize("kind", [Frame, PolarsFrame])
def test_a_frame_keeps_its_columns(kind):
    frame = kind({"image": ["a.jpg", Path("b.jpg")], "n": [1.0, float("nan")], "kind": ["x, y", None]})
    table = read_table(as_table_file(frame))
    assert table.columns == ("image", "n", "kind")
    assert table.rows == (("a.jpg", "1", "x, y"), ("b.jpg", "", ""))


def test_the_same_content_is_the_same_file():
    assert as_table_file(PAIRS) == as_table_file(list(PAIRS)) != as_table_file(PAIRS[:1])


def test_what_is_a_frame_and_what_are_pairs():
    assert is_frame(Frame({}))
    assert is_pairs(PAIRS)
    others = ("photos", Path("photos"), [], ["a.jpg", "b.jpg"], [("a.jpg",)], pyarrow.table({}), {"path": ["a"]}, None)
    assert not any(is_frame(one) or is_pairs(one) for one in others)


def test_a_cell_of_several_values_is_one_line():
    frame = Frame({"path": ["a.jpg"], "label": [["x", "y"]]})
    message = refusals.message_of(regraft.RegraftError, regraft.check, frame, progress=False)
    assert "has no column of labels" in message or "several values" in message


def test_a_cell_that_is_no_text_is_one_line():
    message = refusals.message_of(UsageError, as_table_file, [("a\ud800.jpg", "cat")])
    assert message.startswith("The data frame has a cell that is no text")


def test_check_takes_a_frame_whose_paths_start_here(photo_folder, tmp_path, monkeypatch: pytest.MonkeyPatch):
    root = photo_folder({"cat": 3, "dog": 3})
    monkeypatch.chdir(root)
    pairs = [(str(path.relative_to(root)), path.parent.name) for path in sorted(root.rglob("*.jpg"))]
    assert {name: counts["all"] for name, counts in regraft.check(pairs, progress=False).counts.items()} == {
        "cat": 3, "dog": 3,
    }  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert regraft.check(pairs, set={"data.root": os.fspath(root)}, progress=False).images == 6


def test_columns_are_told_by_recipe_keys_and_misnamed_ones_are_refused(photo_folder, tmp_path):
    root = photo_folder({"cat": 2, "dog": 2})
    file = tmp_path / "t.csv"
    lines = [f"{path},{path.parent.name},{path.stem}" for path in sorted(root.rglob("*.jpg"))]
    file.write_text("\n".join(["where,kind,animal", *lines]), "utf-8")
    told = {"data.path_column": "where", "data.label_column": "kind", "data.group": "animal"}
    report = regraft.check(file, set=told, progress=False)
    assert report.images == 4
    assert not any("looks like" in problem.text for problem in report.problems)
    with pytest.raises(regraft.RegraftError, match='no column "sort" for label_column'):
        regraft.check(file, set=told | {"data.label_column": "sort"}, progress=False)


def test_columns_of_a_folder_are_refused(photo_folder):
    root = photo_folder({"cat": 1, "dog": 1})
    with pytest.raises(
        regraft.RegraftError, match=r"is for tables; .* is a folder; group_pattern finds groups in paths"
    ):
        regraft.check(root, set={"data.group": "patient"}, progress=False)
