"""Columns are found by the names that people give them, or as they are told."""

from dataclasses import replace

import pytest
import refusals

from regraft.data.tables.column_names import ColumnChoices, Columns, find_columns
from regraft.data.tables.label_table import Table
from regraft.errors import FolderError


def table_of(*columns: str, delimiter: str = ",") -> Table:
    return Table("t.csv", columns, (tuple("x" for _ in columns),), (2,), "line", delimiter)


@pytest.mark.parametrize(
    ("columns", "path", "label"),
    [
        (("path", "label"), "path", "label"),
        (("Label", "File Name"), "File Name", "Label"),
        (("image_id", "dx", "age"), "image_id", None),
        (("id", "breed"), "id", "breed"),
        (("filename", "what"), "filename", "what"),  # the only one that is left
        (("image", "label", "class"), "image", "label"),
        (("id", "path", "category"), "path", "category"),
        (("path", "split", "weight", "kind"), "path", "kind"),
    ],
)
def test_usual_names_are_found(columns, path, label):
    table = table_of(*columns)
    if label is None:
        assert "has no column of labels" in refusals.message_of(FolderError, find_columns, table, ColumnChoices())
    else:
        found = find_columns(table, ColumnChoices())
        assert (found.path, found.label) == (path, label)


def test_the_optional_ones_are_found_too():
    found = find_columns(table_of("path", "label", "Subset", "group", "sample_weight", "note"), ColumnChoices())
    assert found == Columns("path", "label", "Subset", "group", "sample_weight")


def test_what_is_told_counts_more_in_any_case_of_letters():
    choices = ColumnChoices(path="Photo", label="set", group="patient-id")
    found = find_columns(table_of("path", "photo", "label", "set", "Patient_ID"), choices)
    assert found == Columns("photo", "set", group="Patient_ID")


def test_a_column_that_looks_like_groups_is_remarked_and_not_taken():
    found = find_columns(table_of("path", "label", "patient_id"), ColumnChoices(label="label"))
    assert (found.group, found.like_groups) == ("", "patient_id")


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (
            ColumnChoices(label="lable"),
            't.csv has no column "lable" for label_column. It has: path, label, x. Did you mean "label"?',
        ),
        (ColumnChoices(group="zoo"), 't.csv has no column "zoo" for group. It has: path, label, x.'),
        (
            ColumnChoices(path="label", label="label"),
            "t.csv: paths, labels and groups must be in columns of their own. It has: path, label, x.",
        ),
    ],
)
def test_what_does_not_fit_names_the_nearest_and_all(choices, words):
    assert refusals.message_of(FolderError, find_columns, table_of("path", "label", "x"), choices) == words


def test_wishes_give_way_to_usual_names_and_what_is_told_does_not():
    table = table_of("path", "label", "x")
    wished = ColumnChoices(path="file", label="species", group="patient", wishes=frozenset({"path", "label", "group"}))
    assert find_columns(table, wished) == Columns("path", "label")
    told = ColumnChoices(label="species", group="patient", wishes=frozenset({"group"}))
    assert 'no column "species"' in refusals.message_of(FolderError, find_columns, table, told)


def test_labels_in_lists_are_one_line_and_other_lists_are_no_matter():
    table = replace(table_of("path"), nested=("boxes", "labels"))
    assert refusals.message_of(FolderError, find_columns, table, ColumnChoices()) == (
        't.csv has several values in a cell of its column "labels"; expected text or a number.'
    )
    assert find_columns(replace(table_of("path", "label"), nested=("boxes",)), ColumnChoices()).label == "label"


def test_a_header_that_nothing_parts_is_suspected():
    message = refusals.message_of(FolderError, find_columns, table_of("path label"), ColumnChoices())
    assert message == (
        "t.csv has no column of paths: name it with path_column. It has: path label. "
        "No comma, semicolon, tab or bar parts its first line."
    )
