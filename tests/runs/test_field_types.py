"""Values of a file that are not of the types that a dataclass asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from regraft.runs.field_types import check_field_types


@dataclass
class Drawn:
    name: str = ""
    count: int = 0
    share: float = 0.0
    best: float | None = None
    sure: bool = False
    notes: Sequence[str] = ()
    seconds: Mapping[str, float] | None = None
    inner: Drawn | None = None


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"name": "a", "count": 3, "share": 0.5, "best": None, "sure": True, "notes": ["a"], "seconds": {"scan": 1}},
        {"share": 1, "best": 2, "notes": [], "seconds": None},
        {"of another version": object(), "inner": "checked where it is made"},
    ],
)
def test_what_fits_and_what_is_not_known_is_left(values):
    check_field_types(Drawn, values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"name": 3}, "name is no str"),
        ({"name": None}, "name is no str"),
        ({"count": 0.5}, "count is no int"),
        ({"count": True}, "count is no int"),
        ({"share": "0.5"}, "share is no float"),
        ({"share": False}, "share is no float"),
        ({"best": []}, r"best is no float \| None"),
        ({"sure": 1}, "sure is no bool"),
        ({"notes": "abc"}, r"notes is no Sequence\[str\]"),
        ({"notes": [3]}, r"notes is no Sequence\[str\]"),
        ({"seconds": {"scan": "1"}}, r"seconds is no Mapping\[str, float\] \| None"),
        ([], "Drawn is list, and no object"),
        (None, "Drawn is NoneType, and no object"),
    ],
)
def test_what_is_of_another_type_is_named(values, reason: str):
    with pytest.raises(ValueError, match=f"^{reason}$"):
        check_field_types(Drawn, values)
