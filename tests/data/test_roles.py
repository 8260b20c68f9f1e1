"""Who learns, who chooses and who judges, and that no photo does two of these."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from default_cases import few_by_default
from drawn_photos import draw_photo
from PIL import Image
from sklearn.datasets import load_digits

from regraft.data.photos import inspect_photo
from regraft.data.records import ImageFolder, Record
from regraft.data.roles import DETAIL_BITS, NEAR_BITS, group_duplicates, hold_out, plan_roles
from regraft.data.scan import scan_folder
from regraft.errors import FolderError, UsageError


def detailed_appearance(seed: int) -> np.ndarray:
    """256 random bits, which change about 120 times down and across."""
    return np.random.default_rng(seed).integers(0, 2, 256).astype(np.uint8)


def flip_bits(bits: np.ndarray, count: int, *, seed: int = 0) -> np.ndarray:
    flipped = bits.copy()
    flipped[np.random.default_rng(seed).choice(256, count, replace=False)] ^= 1
    return flipped


def record(name: str, class_index=0, *, split="", content=None, bits=None) -> Record:
    bits = np.zeros(256, np.uint8) if bits is None else bits
    content = name if content is None else content
    appearance = np.packbits(bits).tobytes()
    return Record(Path("photos", split, name), class_index, split, "JPEG", 64, 48, 1, content, appearance)


def records_of(*class_sizes: int) -> list[Record]:
    return [record(f"{c}-{n}", c) for c, size in enumerate(class_sizes) for n in range(size)]


def folder_of(records: list[Record], *class_names: str) -> ImageFolder:
    return ImageFolder(Path("photos"), class_names or ("cat", "dog"), tuple(records))


def contents(records) -> set[str]:
    return {one.fingerprint for one in records}


def sizes(records) -> dict[int, int]:
    return Counter(one.class_index for one in records)


def test_every_different_photo_is_its_own_group():
    records = [record(str(seed), bits=detailed_appearance(seed)) for seed in range(50)]
    np.testing.assert_array_equal(group_duplicates(records), np.arange(50))


def test_no_photos_make_no_groups():
    assert group_duplicates([]).shape == (0,)


def test_equal_bytes_are_one_group_even_where_the_picture_is_flat():
    records = [record("a", content="x"), record("b", content="y"), record("c", 1, content="x")]
    np.testing.assert_array_equal(group_duplicates(records), [0, 1, 0])


@pytest.mark.parametrize("seed", range(20))
def test_near_means_up_to_the_threshold_and_no_further(seed):
    bits = detailed_appearance(seed)
    near, far = (flip_bits(bits, count, seed=seed) for count in (NEAR_BITS, NEAR_BITS + 1))
    records = [record("a", bits=bits), record("b", bits=near), record("c", bits=far)]
    groups = group_duplicates([records[0], records[1]]), group_duplicates([records[0], records[2]])
    np.testing.assert_array_equal(groups, [[0, 0], [0, 1]])


def test_near_duplicates_are_linked_in_chains():
    bits = detailed_appearance(1)
    chain = [bits, flip_bits(bits, 12, seed=1), flip_bits(flip_bits(bits, 12, seed=1), 12, seed=2)]
    records = [record(str(number), bits=one) for number, one in enumerate(chain)]
    assert (chain[0] != chain[2]).sum() > NEAR_BITS
    np.testing.assert_array_equal(group_duplicates(records), [0, 0, 0])


def test_pictures_without_detail_are_never_near():
    stripes = np.zeros((16, 16), np.uint8)
    stripes[:, ::2] = 1  # changes across, never down
    for bits in (np.zeros(256, np.uint8), np.ones(256, np.uint8), stripes.ravel(), stripes.T.ravel()):
        np.testing.assert_array_equal(group_duplicates([record("a", bits=bits), record("b", bits=bits)]), [0, 1])


def test_detail_is_counted_down_and_across():
    bits = np.zeros((16, 16), np.uint8)
    isolated = [(y, x) for y in range(1, 15, 2) for x in range(1, 15, 2)]  # each changes twice down and across
    for count, groups in ((DETAIL_BITS // 2 - 1, [0, 1]), (DETAIL_BITS // 2, [0, 0])):
        bits[:] = 0
        bits[tuple(np.transpose(isolated[:count]))] = 1
        pair = [record("a", bits=bits.ravel()), record("b", bits=bits.ravel())]
        np.testing.assert_array_equal(group_duplicates(pair), groups)


def test_a_recompressed_and_a_smaller_copy_are_near(tmp_path):
    photo = draw_photo(1, seed=3, size=(320, 240))
    photo.save(tmp_path / "a.jpg", quality=95)
    photo.save(tmp_path / "b.jpg", quality=50)
    photo.resize((160, 120), Image.Resampling.LANCZOS).save(tmp_path / "c.png")
    draw_photo(1, seed=4, size=(320, 240)).save(tmp_path / "d.jpg")
    photos = [inspect_photo(path) for path in sorted(tmp_path.iterdir())]
    bits = [np.unpackbits(np.frombuffer(photo.appearance, np.uint8)) for photo in photos]
    records = [record(str(n), bits=b) for n, b in enumerate(bits)]
    np.testing.assert_array_equal(group_duplicates(records), [0, 0, 0, 1])


@pytest.mark.parametrize(
    "filter", few_by_default([Image.Resampling.NEAREST, Image.Resampling.BICUBIC], Image.Resampling.BICUBIC)
)
def test_handwritten_digits_are_not_taken_for_each_other(tmp_path, filter):
    for number, pixels in enumerate(load_digits().images):
        image = Image.fromarray(np.rint(pixels * 255 / 16).astype(np.uint8))
        path = tmp_path / "all" / f"{number:04}.png"
        path.parent.mkdir(exist_ok=True)
        image.resize((64, 64), filter).save(path)
    records = scan_folder(tmp_path).records
    assert len(records) == 1797
    assert np.bincount(group_duplicates(records)).max() == 1


def test_look_alikes_by_the_thousand_stay_quick_and_together():
    bits = detailed_appearance(0)
    records = [record(str(n), bits=flip_bits(bits, 2, seed=n)) for n in range(3000)]
    assert set(group_duplicates(records)) == {0}


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
def test_near_duplicates_in_real_photos_are_few_and_small_groups(shared):
    for name, groups in {"hymenoptera": 0, "trashnet6": 12, "flowers5_128": 11}.items():
        counts = np.bincount(group_duplicates(scan_folder(shared / "data" / name).records))
        assert (counts > 1).sum() <= groups
        assert counts.max() <= 2


@pytest.mark.shared
def test_real_rubbish_is_parted_80_to_20_by_class(shared):
    folder = scan_folder(shared / "data" / "trashnet6")
    roles = plan_roles(folder, val_fraction=0.2, select_fraction=0.1, needs_selection=False, seed=0)
    for class_index, count in sizes(folder.records).items():
        assert abs(sizes(roles.report)[class_index] - 0.2 * count) <= 2
