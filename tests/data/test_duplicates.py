"""Which photos are copies of one another."""

import random

import numpy as np
import pytest
from default_cases import few_by_default
from drawn_photos import draw_photo
from drawn_records import detailed_appearance, flip_bits, record
from PIL import Image
from sklearn.datasets import load_digits

from regraft.data.duplicates import DETAIL_BITS, NEAR_BITS, Duplicates, Likeness, group_together
from regraft.data.photos import inspect_photo
from regraft.data.scan import scan_folder


def test_every_different_photo_is_its_own_group():
    records = [record(str(seed), bits=detailed_appearance(seed)) for seed in range(50)]
    np.testing.assert_array_equal(group_together(records), np.arange(50))


def test_no_photos_make_no_groups():
    assert group_together([]).shape == (0,)


def test_equal_bytes_are_one_group_even_where_the_picture_is_flat():
    records = [record("a", content="x"), record("b", content="y"), record("c", 1, content="x")]
    np.testing.assert_array_equal(group_together(records), [0, 1, 0])


@pytest.mark.parametrize("seed", range(20))
def test_near_means_up_to_the_threshold_and_no_further(seed):
    bits = detailed_appearance(seed)
    near, far = (flip_bits(bits, count, seed=seed) for count in (NEAR_BITS, NEAR_BITS + 1))
    records = [record("a", bits=bits), record("b", bits=near), record("c", bits=far)]
    groups = group_together([records[0], records[1]]), group_together([records[0], records[2]])
    np.testing.assert_array_equal(groups, [[0, 0], [0, 1]])


def test_near_duplicates_are_linked_in_chains():
    bits = detailed_appearance(1)
    chain = [bits, flip_bits(bits, 12, seed=1), flip_bits(flip_bits(bits, 12, seed=1), 12, seed=2)]
    records = [record(str(number), bits=one) for number, one in enumerate(chain)]
    assert (chain[0] != chain[2]).sum() > NEAR_BITS
    np.testing.assert_array_equal(group_together(records), [0, 0, 0])


def test_pictures_without_detail_are_never_near():
    stripes = np.zeros((16, 16), np.uint8)
    stripes[:, ::2] = 1  # changes across, never down
    for bits in (np.zeros(256, np.uint8), np.ones(256, np.uint8), stripes.ravel(), stripes.T.ravel()):
        np.testing.assert_array_equal(group_together([record("a", bits=bits), record("b", bits=bits)]), [0, 1])


def test_detail_is_counted_down_and_across():
    bits = np.zeros((16, 16), np.uint8)
    isolated = [(y, x) for y in range(1, 15, 2) for x in range(1, 15, 2)]  # each changes twice down and across
    for count, groups in ((DETAIL_BITS // 2 - 1, [0, 1]), (DETAIL_BITS // 2, [0, 0])):
        bits[:] = 0
        bits[tuple(np.transpose(isolated[:count]))] = 1
        pair = [record("a", bits=bits.ravel()), record("b", bits=bits.ravel())]
        np.testing.assert_array_equal(group_together(pair), groups)


def test_a_recompressed_and_a_smaller_copy_are_near(tmp_path):
    photo = draw_photo(1, seed=3, size=(320, 240))
    photo.save(tmp_path / "a.jpg", quality=95)
    photo.save(tmp_path / "b.jpg", quality=50)
    photo.resize((160, 120), Image.Resampling.LANCZOS).save(tmp_path / "c.png")
    draw_photo(1, seed=4, size=(320, 240)).save(tmp_path / "d.jpg")
    photos = [inspect_photo(path) for path in sorted(tmp_path.iterdir())]
    bits = [np.unpackbits(np.frombuffer(photo.appearance, np.uint8)) for photo in photos]
    records = [record(str(n), bits=b) for n, b in enumerate(bits)]
    np.testing.assert_array_equal(group_together(records), [0, 0, 0, 1])


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
    assert np.bincount(group_together(records)).max() == 1


def test_look_alikes_by_the_thousand_stay_quick_and_together():
    bits = detailed_appearance(0)
    records = [record(str(n), bits=flip_bits(bits, 2, seed=n)) for n in range(3000)]
    assert set(group_together(records)) == {0}


def test_a_part_of_the_photos_is_grouped_as_it_is_alone():
    draw = random.Random(0)
    looks = [detailed_appearance(seed) for seed in range(20)]
    records = [
        record(
            f"{n}",
            n % 3,
            content=f"{draw.randrange(60)}",
            bits=flip_bits(draw.choice(looks), draw.randrange(20), seed=n),
        )
        for n in range(150)
    ]
    likeness = Likeness(records)
    for size in (0, 1, 2, 40, 150):
        part = draw.sample(records, size)
        np.testing.assert_array_equal(likeness.group(part), group_together(part))


def test_copies_are_told_by_what_they_share_and_where_they_lie():
    bits = detailed_appearance(1)
    records = [
        record("a", 0, split="train", content="x"),
        record("b", 0, split="train", content="x"),
        record("c", 1, split="train", bits=bits),
        record("d", 1, split="val", bits=flip_bits(bits, 3)),
        record("e", 0, split="val", content="y"),
        record("f", 1, split="val", content="y"),
    ]
    found = Duplicates.of(records)
    a, b, c, d, e, f = records
    assert found.exact == ((a, b), (e, f))
    assert found.alike == ((a, b), (c, d), (e, f))
    assert (found.near(), found.spare()) == ([(c, d)], [(a, b)])
    assert (found.across_splits(), found.across_classes()) == ([(c, d)], [(e, f)])


@pytest.mark.shared
def test_near_duplicates_in_real_photos_are_few_and_small_groups(shared):
    for name, groups in {"hymenoptera": 0, "trashnet6": 12, "flowers5_128": 11}.items():
        counts = np.bincount(group_together(scan_folder(shared / "data" / name).records))
        assert (counts > 1).sum() <= groups
        assert counts.max() <= 2
