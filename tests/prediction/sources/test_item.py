"""Items in the list of a job."""

import os

import pytest

from regraft.prediction.sources.item import Item


@pytest.mark.parametrize("name", ["new\nline.jpg", 'a "b", c.jpg', os.fsdecode(b"caf\xe9.jpg"), "日本.jpg", ""])
def test_an_item_is_one_line_of_ascii_and_comes_back(name: str):
    item = Item(name, f"/{name}", "tar", 7, 9, "why", "truncated")
    line = item.to_json()
    assert line.isascii()
    assert "\n" not in line
    assert Item.from_json(line) == item


def test_an_item_of_a_job_that_an_earlier_version_began_is_still_read():
    line = '["a.zip::b.jpg", "a.zip", "zip", 3, 1200, "", "unreadable"]'
    assert Item.from_json(line) == Item("a.zip::b.jpg", "a.zip", "zip", 3, 1200)
    assert Item("a.zip::b.jpg", "a.zip", "zip", 3, 1200).to_json() == line
