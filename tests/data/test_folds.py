"""Every photo is in one fold, with its copies and its group, and every fold's model has seen every class."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import refusals
from drawn_records import record

from regraft.data.duplicates import group_together
from regraft.data.folds import plan_folds
from regraft.data.records import ImageFolder, Record
from regraft.errors import FolderError

NAMES = ("cat", "dog")


def records_of(*class_sizes: int) -> list[Record]:
    return [record(f"{c}-{n}", c) for c, size in enumerate(class_sizes) for n in range(size)]


def mixed(classes: str, groups: str) -> list[Record]:
    """A photo for each digit, which is its class, and the letter of its group."""
    pairs = enumerate(zip(classes, groups, strict=True))
    return [replace(record(f"{number}", int(digit)), group=f"g{group}") for number, (digit, group) in pairs]


def planned(records: list[Record], folds: int, *, needs_selection: bool = False, seed: int = 0, names=NAMES):
    folder = ImageFolder(Path("photos"), names, tuple(records))
    return plan_folds(folder, folds=folds, select_fraction=0.2, needs_selection=needs_selection, seed=seed)


def test_each_photo_is_reported_once_and_learned_from_in_all_other_folds():
    records = records_of(50, 25)
    whole, parts = planned(records, 5)
    assert [len(part.report) for part in parts] == [15] * 5
    assert all(sum(one.class_index for one in part.report) == 5 for part in parts)
    assert sorted(one.path for part in parts for one in part.report) == sorted(one.path for one in records)
    for part in parts:
        assert {*part.fit} == {*records} - {*part.report}
        assert part.select == ()
    assert {*whole.fit} == {*whole.report} == {*records}
    assert whole.report_name == "folds"


def test_selection_photos_come_out_of_what_is_learned_from():
    whole, parts = planned(records_of(30, 30), 3, needs_selection=True)
    for roles in parts:
        assert len(roles.select) == 8
        assert not {*roles.select} & ({*roles.fit} | {*roles.report})
    assert len(whole.select) == 12
    assert {*whole.select} | {*whole.fit} == {*whole.report}


def test_the_folds_follow_from_the_contents_and_the_seed():
    records = records_of(20, 20)
    moved = [record(f"x-{one.path.name}", one.class_index, content=one.fingerprint) for one in reversed(records)]

    def contents(some: list[Record], seed: int) -> list[list[str]]:
        return [sorted(one.fingerprint for one in part.report) for part in planned(some, 4, seed=seed)[1]]

    assert contents(records, 1) == contents(moved, 1) != contents(records, 2)


def test_fewer_groups_than_folds_and_a_class_in_one_group_are_one_line():
    three = [replace(one, group=f"p{number % 3}") for number, one in enumerate(records_of(6, 6))]
    assert refusals.message_of(FolderError, planned, three, 4) == (
        "data.folds is 4, and there are 3 groups of photos that must stay together; take fewer folds or add photos."
    )
    dogs = [replace(one, group="p") if one.class_index else one for one in records_of(8, 3)]
    assert 'Class "dog" has all its photos in one group' in refusals.message_of(FolderError, planned, dogs, 2)


def test_more_folds_than_any_class_has_photos_are_one_line():
    assert refusals.message_of(FolderError, planned, records_of(4, 3), 5) == (
        "data.folds is 5, and no class has more than 4 photos; take at most 4 folds or add photos."
    )
    assert [len(part.report) for part in planned(records_of(4, 4), 4)[1]] == [2] * 4
    assert len(planned(records_of(5, 2), 5)[1]) == 5  # one class that has as many is enough


@pytest.mark.parametrize(
    ("seed", "classes", "groups", "folds"),
    [
        (135, "012210202", "spsqrpqpr", 2),
        (1700, "01211120", "qvsqvspu", 2),
        (3717, "01231032", "prqqqruu", 2),
        (870, "012331210", "tpusrsrus", 3),
    ],
)
def test_groups_of_several_classes_are_moved_until_each_model_sees_each_class(seed, classes, groups, folds):
    """Tables of which the groups that are moved first take the last photos of other classes along."""
    records = mixed(classes, groups)
    _, parts = planned(records, folds, needs_selection=True, seed=seed, names=tuple("abcd"))
    for part in parts:
        assert {one.class_index for one in part.fit} == {one.class_index for one in records}
        assert part.report


def test_folds_are_refused_where_the_model_of_one_must_miss_a_class():
    """Of three groups in a ring two are in the same one of two folds, and they are all that a class has."""
    ring = mixed("000011112222", "pprrppqqqqrr")
    assert re.fullmatch(
        'With data.folds 2, the model of one fold would never see class "[abc]", whose photos share their groups with '
        "other classes; take more folds, or add photos of it in other groups.",
        refusals.message_of(FolderError, planned, ring, 2, names=tuple("abc")),
    )
    for part in planned(ring, 3, names=tuple("abc"))[1]:
        assert {one.class_index for one in part.fit} == {0, 1, 2}


def test_of_random_tables_no_group_and_no_copy_is_in_two_folds_and_each_model_sees_each_class():
    rng, refused = np.random.default_rng(5), 0
    for seed in range(300):
        photos, folds, classes = int(rng.integers(8, 40)), int(rng.integers(2, 6)), int(rng.integers(2, 5))
        groups = int(rng.integers(3, 9)) if seed % 3 else photos
        records = [
            replace(
                record(
                    f"{number}",
                    int(rng.choice(classes, p=np.arange(classes, 0, -1) / np.arange(1, classes + 1).sum())),
                    content=f"{rng.integers(photos) if number % 9 == 0 else number}",
                ),
                group=f"g{rng.integers(groups)}" if rng.random() < 0.8 else "",
            )
            for number in range(photos)
        ]
        try:
            _, parts = planned(records, folds, needs_selection=bool(seed % 2), seed=seed, names=tuple("abcd"))
        except FolderError as error:
            assert len(error.text.splitlines()) == 1
            refused += 1
            continue
        fold_of = {one.path: fold for fold, part in enumerate(parts) for one in part.report}
        together = group_together(records)
        for group in set(together):
            assert len({fold_of[one.path] for one, of in zip(records, together, strict=True) if of == group}) == 1
        assert sorted(fold_of) == sorted(one.path for one in records)
        for part in parts:
            assert {one.class_index for one in part.fit} == {one.class_index for one in records}
    assert refused < 100
