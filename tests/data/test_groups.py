"""Groups that paths name, and that nothing parts them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import refusals
from drawn_records import record

from regraft.data.duplicates import Likeness, group_together
from regraft.data.groups import with_groups
from regraft.data.records import ImageFolder
from regraft.errors import FolderError, UsageError


def folder_of(*names: str) -> ImageFolder:
    return ImageFolder(Path("photos"), ("a", "b"), tuple(record(name) for name in names))


def groups_of(pattern: str, *names: str) -> list[str]:
    return [one.group for one in with_groups(folder_of(*names), pattern).records]


def test_a_group_is_what_the_brackets_capture_of_the_path():
    assert groups_of(r"IMG_(\d+)_", "cat/IMG_07_1.jpg", "cat/IMG_07_2.jpg", "dog/IMG_8_1.jpg") == ["07", "07", "8"]
    assert groups_of(r"^[^/]+/([^-]+)-", "cat/p1-a.jpg", "dog/p1-b.jpg") == ["p1", "p1"]


def test_without_brackets_it_is_all_that_matches_and_with_several_all_of_them():
    assert groups_of(r"p\d", "p1a.jpg", "p2a.jpg") == ["p1", "p2"]
    assert groups_of(r"(p\d)(?:x(\d))?", "p1x2.jpg", "p1.jpg") == ["p1/2", "p1"]


def test_a_photo_that_does_not_match_stands_alone_and_is_remarked():
    folder = with_groups(folder_of("p1.jpg", "other.jpg"), r"p\d")
    assert [one.group for one in folder.records] == ["p1", ""]
    assert folder.remarks == ("1 photo without a group (such as other.jpg): the pattern does not match them.",)


def test_a_pattern_that_matches_nothing_or_is_none_is_one_line():
    message = refusals.message_of(FolderError, with_groups, folder_of("a.jpg", "b.jpg"), r"IMG_(\d+)")
    assert message.endswith("matches none of the 2 photos; it is searched for in paths such as a.jpg.")
    assert "must be a regular expression" in refusals.message_of(UsageError, with_groups, folder_of("a.jpg"), "(")
    assert with_groups(folder_of("a.jpg"), "x", may_miss=True) == folder_of("a.jpg")


def test_a_group_and_copies_of_its_photos_stay_together():
    one, two, three, four = record("1"), record("2"), record("3", content="2"), record("4")
    records = [
        dataclasses.replace(one, group="p"), dataclasses.replace(two, group="p"), three, four,
    ]  # fmt: skip
    np.testing.assert_array_equal(group_together(records), [0, 0, 0, 1])  # 3 is a copy of 2, which is of the group of 1
    np.testing.assert_array_equal(Likeness(records).copies(records), [0, 1, 1, 2])
    np.testing.assert_array_equal(group_together([one, four]), [0, 1])  # no group is none that is shared


@pytest.mark.parametrize("count", [1, 5])
def test_photos_without_groups_are_as_before(count):
    records = [record(str(number)) for number in range(count)]
    np.testing.assert_array_equal(group_together(records), Likeness(records).copies(records))
