"""Who learns, who chooses and who judges, and that no photo does two of these."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_records import detailed_appearance, flip_bits, record

from regraft.data.duplicates import group_together
from regraft.data.records import ImageFolder, Record
from regraft.data.roles import hold_out, plan_roles
from regraft.data.scan import scan_folder
from regraft.errors import FolderError, UsageError


def records_of(*class_sizes: int) -> list[Record]:
    return [record(f"{c}-{n}", c) for c, size in enumerate(class_sizes) for n in range(size)]


def folder_of(records: list[Record], *class_names: str) -> ImageFolder:
    return ImageFolder(Path("photos"), class_names or ("cat", "dog"), tuple(records))


def contents(records) -> set[str]:
    return {one.fingerprint for one in records}


def sizes(records) -> dict[int, int]:
    return Counter(one.class_index for one in records)


def test_the_held_part_has_the_share_of_every_class():
    kept, held = hold_out(records_of(100, 50, 10), 0.2, seed=0)
    assert sizes(held) == {0: 20, 1: 10, 2: 2}
    assert sizes(kept) == {0: 80, 1: 40, 2: 8}


def test_the_parts_are_whole_apart_and_in_path_order():
    records = records_of(30, 20)
    kept, held = hold_out(records, 0.3, seed=1)
    assert sorted((*kept, *held), key=lambda one: one.path) == sorted(records, key=lambda one: one.path)
    assert [one.path for one in held] == sorted(one.path for one in held)
    assert not contents(kept) & contents(held)


def test_the_seed_decides():
    records = records_of(40, 40)
    assert hold_out(records, 0.25, seed=3) == hold_out(records, 0.25, seed=3)
    assert hold_out(records, 0.25, seed=3) != hold_out(records, 0.25, seed=4)


def test_neither_the_order_nor_the_place_of_the_files_matters():
    records = records_of(25, 25)
    shuffled = random.Random(0).sample(records, len(records))
    moved = [record(f"elsewhere-{one.path.name}", one.class_index, content=one.fingerprint) for one in records]
    expected = contents(hold_out(records, 0.2, seed=0)[1])
    assert contents(hold_out(shuffled, 0.2, seed=0)[1]) == expected
    assert contents(hold_out(moved, 0.2, seed=0)[1]) == expected


def test_duplicates_stay_on_one_side():
    records = [record(f"{n}-{copy}", content=f"{n}") for n in range(20) for copy in range(3)]
    for seed in range(5):
        kept, held = hold_out(records, 0.2, seed=seed)
        assert not contents(kept) & contents(held)
        assert len(held) == 12


def test_a_group_of_two_classes_stays_on_one_side():
    records = [*records_of(10, 10), record("a", 0, content="twice"), record("b", 1, content="twice")]
    for seed in range(10):
        kept, held = hold_out(records, 0.3, seed=seed)
        assert not contents(kept) & contents(held)
        assert sizes(held)[0] in (3, 4)
        assert sizes(held)[1] in (3, 4)


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
def test_a_class_of_two_photos_has_one_on_each_side(fraction):
    kept, held = hold_out(records_of(2, 40), fraction, seed=0)
    assert sizes(kept)[0] == sizes(held)[0] == 1


def test_a_class_with_a_photo_of_its_own_has_both_sides_whatever_the_others_share():
    shared = [
        record(f"{name}{c}", c, content=name)
        for name, classes in {"p": (0, 1), "q": (1, 2), "r": (2, 3), "s": (0, 3)}.items()
        for c in classes
    ]
    for seed in range(20):
        kept, held = hold_out([*shared, *records_of(1, 1, 1, 1)], 0.5, seed=seed)
        assert set(sizes(kept)) == set(sizes(held)) == {0, 1, 2, 3}


def test_a_class_of_one_photo_is_kept():
    kept, held = hold_out(records_of(1, 10), 0.9, seed=0)
    assert sizes(kept)[0] == 1
    assert 0 not in sizes(held)


def test_nothing_can_be_held_out_of_nothing():
    assert hold_out([], 0.5, seed=0) == ((), ())


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(UsageError, match="fraction must be between 0 and 1, both excluded; received"):
        hold_out(records_of(4, 4), fraction, seed=0)


def splits_of(**sizes_by_split: int) -> list[Record]:
    return [
        record(f"{split}-{c}-{n}", c, split=split)
        for split, size in sizes_by_split.items()
        for c in range(2)
        for n in range(size)
    ]


def roles_of(records, *, needs_selection=True, val_fraction=0.2, select_fraction=0.25, seed=0):
    return plan_roles(
        folder_of(records),
        val_fraction=val_fraction,
        select_fraction=select_fraction,
        needs_selection=needs_selection,
        seed=seed,
    )


@pytest.mark.parametrize("needs_selection", [True, False])
def test_with_three_splits_each_has_its_own_role(needs_selection):
    records = splits_of(train=8, val=3, test=2)
    roles = roles_of(records, needs_selection=needs_selection)
    assert [{one.split for one in part} for part in (roles.fit, roles.select, roles.report)] == [
        {"train"},
        {"val"},
        {"test"},
    ]
    assert [len(part) for part in (roles.fit, roles.select, roles.report)] == [16, 6, 4]
    assert roles.report_name == "test"
    use = "Choices are made on" if needs_selection else "There is nothing to choose: not used are"
    assert roles.notes == (
        "Reported on 4 images of test, which nothing else sees.",
        f"{use} 6 images of val.",
        "Trained on 16 images.",
    )


@pytest.mark.parametrize("name", ["val", "test"])
def test_with_two_splits_choices_come_out_of_training(name):
    roles = roles_of(splits_of(train=8, **{name: 3}))
    assert roles.report_name == name
    assert {one.split for one in roles.report} == {name}
    assert [len(part) for part in (roles.fit, roles.select, roles.report)] == [12, 4, 6]
    assert roles.notes[1] == "Choices are made on 4 images held out of train."


@pytest.mark.parametrize("name", ["val", "test"])
def test_with_two_splits_and_no_choices_all_of_train_is_trained_on(name):
    roles = roles_of(splits_of(train=8, **{name: 3}), needs_selection=False)
    assert [len(part) for part in (roles.fit, roles.select, roles.report)] == [16, 0, 6]


@pytest.mark.parametrize("records", [records_of(20, 20), splits_of(train=20)], ids=["no split", "train alone"])
def test_without_a_judging_split_one_is_held_out_which_choices_do_not_change(records):
    with_choices, without = roles_of(records), roles_of(records, needs_selection=False)
    assert with_choices.report == without.report
    assert with_choices.report_name == "val"
    assert [len(part) for part in (without.fit, without.select, without.report)] == [32, 0, 8]
    assert [len(part) for part in (with_choices.fit, with_choices.select, with_choices.report)] == [24, 8, 8]
    assert "held out of" in without.notes[0]


def test_copies_of_reported_photos_are_left_out_and_counted():
    bits = detailed_appearance(0)
    records = [
        *splits_of(train=4, val=3, test=2),
        record("exact", 0, split="train", content="test-0-0"),
        record("other class", 1, split="train", content="test-0-0"),
        record("near", 0, split="train", bits=flip_bits(bits, 3)),
        record("original", 0, split="test", bits=bits),
        record("chosen on", 1, split="val", content="test-1-1"),
        record("trained on", 1, split="train", content="val-1-1"),
    ]
    roles = roles_of(records)
    assert [len(part) for part in (roles.fit, roles.select, roles.report)] == [8, 6, 5]
    assert not contents(roles.fit) & contents((*roles.select, *roles.report))
    assert roles.notes[-2:] == (
        "Left out of training: 4 images, as exact or near-duplicates of images reported or chosen on.",
        "Left out of val: 1 image, as exact or near-duplicates of images reported on.",
    )


def test_a_class_that_is_not_reported_on_is_noted():
    roles = roles_of(records_of(1, 10))
    assert roles.notes[-1].startswith('No image of "cat" is reported on')


def test_a_class_that_is_only_copies_of_reported_photos_cannot_be_trained():
    records = [*splits_of(train=3, val=2), record("late", 1, split="val", content="v")]
    copies = [record(f"copy{n}", 1, split="train", content="v") for n in range(2)]
    with pytest.raises(FolderError, match='"dog" has none that is not also'):
        roles_of([one for one in records if (one.split, one.class_index) != ("train", 1)] + copies)


def test_a_photo_a_class_leaves_nothing_to_report_on():
    with pytest.raises(FolderError, match="Expected images to report on; no class has two different photos"):
        roles_of(records_of(1, 1))


@pytest.mark.parametrize("name", ["val_fraction", "select_fraction"])
def test_a_fraction_out_of_range_is_refused_even_where_it_is_not_needed(name):
    with pytest.raises(UsageError, match=f"{name} must be between 0 and 1"):
        roles_of(splits_of(train=4, val=2, test=2), **{name: 1.0})


@pytest.mark.shared
def test_real_rubbish_is_parted_80_to_20_by_class(shared):
    folder = scan_folder(shared / "data" / "trashnet6")
    roles = plan_roles(folder, val_fraction=0.2, select_fraction=0.1, needs_selection=False, seed=0)
    for class_index, count in sizes(folder.records).items():
        assert abs(sizes(roles.report)[class_index] - 0.2 * count) <= 2


def test_groups_stay_on_one_side_and_every_class_on_both():
    """Two patients have both kinds of photos; whichever is held, the other is kept."""
    records = [replace(one, group=f"p{number % 2}") for number, one in enumerate(records_of(6, 6))]
    kept, held = hold_out(records, 0.5, seed=0)
    assert {one.group for one in kept} | {one.group for one in held} == {"p0", "p1"}
    assert sizes(kept) == sizes(held) == {0: 3, 1: 3}


def test_a_class_that_lies_in_one_group_is_trained_on_though_its_group_was_wanted_for_another():
    """The dogs are all of one patient, who has most cats: held for the cats' sake it would leave no dog to learn."""
    records = [replace(one, group="p") if one.class_index or number < 9 else one
               for number, one in enumerate(records_of(10, 3))]  # fmt: skip
    for seed in range(5):
        roles = plan_roles(folder_of(records), val_fraction=0.9, select_fraction=0.1, needs_selection=False, seed=seed)
        assert sizes(roles.fit)[1] == 3
        assert any('No image of "dog" is reported on' in note for note in roles.notes)


def test_photos_of_a_group_that_is_reported_on_are_left_out_of_training():
    train = [replace(record(f"t{n}", n % 2, split="train"), group=f"p{n // 2}") for n in range(8)]
    val = [replace(record(f"v{n}", n, split="val"), group="p0") for n in range(2)]
    roles = plan_roles(folder_of(train + val), val_fraction=0.2, select_fraction=0.2, needs_selection=False, seed=0)
    assert {one.group for one in roles.fit} == {"p1", "p2", "p3"}
    assert (
        "Left out of training: 2 images, as exact or near-duplicates of images reported or chosen on, "
        "or in one group with these." in roles.notes
    )
    assert "No group of photos is on two sides: 4 groups in all." in roles.notes


def _random_records(rng: np.random.Generator) -> list[Record]:
    """A folder of 2 to 5 classes, some rare, in groups of any size that may hold several classes, with some copies."""
    classes, photos = int(rng.integers(2, 6)), int(rng.integers(6, 40))
    shares = rng.dirichlet(np.full(classes, 0.7))
    group_count = int(rng.integers(1, photos + 1))
    records = []
    for number in range(photos):
        content = f"{rng.integers(number)}" if number and rng.random() < 0.1 else f"{number}"
        group = f"g{rng.integers(group_count)}" if rng.random() < 0.8 else ""
        one = record(f"{number}.jpg", int(rng.choice(classes, p=shares)), content=content)
        records.append(replace(one, group=group))
    return records


def test_of_a_thousand_random_tables_no_group_and_no_copy_is_on_two_sides_and_what_is_one_sided_is_said():
    rng = np.random.default_rng(13)
    trained = 0
    for seed in range(1000):
        records = _random_records(rng)
        present = sorted({one.class_index for one in records})
        records = [replace(one, class_index=present.index(one.class_index)) for one in records]
        names = [f"class {index}" for index in range(len(present))]
        try:
            roles = plan_roles(
                folder_of(records, *names),
                val_fraction=0.3,
                select_fraction=0.2,
                needs_selection=seed % 2 == 0,
                seed=seed,
            )
        except FolderError as error:
            assert "image" in error.text
            assert len(set(group_together(records))) == 1 or _has_no_split(records)
            continue
        trained += 1
        together = dict(zip((id(one) for one in records), group_together(records), strict=True))
        sides = [{together[id(one)] for one in part} for part in (roles.fit, roles.select, roles.report)]
        assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
        assert {one.class_index for one in roles.fit} == set(range(len(names)))
        for index, name in enumerate(names):
            if index not in {one.class_index for one in roles.report}:
                assert any(f'"{name}"' in note and "reported on" in note for note in roles.notes)
    assert trained > 800


def _has_no_split(records: list[Record]) -> bool:
    """Whether, of all ways to hold out some groups and keep the others, none keeps each class; by trying single ones.

    To hold one group and keep the rest is the split that keeps most.
    """
    together = group_together(records)
    classes = {one.class_index for one in records}
    return not any(
        {one.class_index for one, of in zip(records, together, strict=True) if of != group} == classes
        for group in set(together)
    )
