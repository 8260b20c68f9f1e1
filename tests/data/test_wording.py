"""Counts, names and paths as people read them."""

from pathlib import Path

from regraft.data.wording import count_reasons, in_columns, name_some, plural, show_path


def test_counts_and_lists_are_written_as_in_english():
    assert [plural(1, "class"), plural(2, "class"), plural(0, "photo"), plural(1234, "entry")] == [
        "1 class",
        "2 classes",
        "0 photos",
        "1,234 entries",
    ]
    assert name_some(["a", "b", "c"]) == "a, b, c"
    assert name_some(["a", "b", "c", "d"]) == "a, b, c and 1 more"


def test_a_path_is_shown_below_its_root_and_on_one_line():
    assert show_path(Path("/x/y"), Path("/z")) == "/x/y"
    assert show_path(Path("/z/a\n\u202eb"), Path("/z")) == "a??b"


def test_reasons_are_counted_with_the_most_frequent_first():
    assert count_reasons(["a film"]) == count_reasons(["a film"] * 3) == "a film"
    assert count_reasons(["empty file", "a film", "a film"]) == "2 x a film, 1 x empty file"
    assert count_reasons([]) == ""


def test_columns_are_as_wide_as_their_widest_cell():
    rows = [("name", "MB", ""), ("a", "17.5", "x"), ("long", "3", "")]
    assert in_columns(rows, {1}) == ["name    MB", "a     17.5  x", "long     3"]
    assert in_columns(rows) == ["name  MB", "a     17.5  x", "long  3"]
