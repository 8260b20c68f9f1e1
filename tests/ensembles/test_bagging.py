"""Bootstraps by hand, and views that follow from the seed and the bytes alone."""

import numpy as np
import pytest

from regraft.data.sources import scan_remembered
from regraft.ensembles.bagging import _AugmentedReader, bootstrap
from regraft.progress import Silent
from regraft.recipes.recipe import Recipe


def test_a_bootstrap_keeps_each_class_at_its_number_of_groups():
    labels = np.array([0] * 10 + [1] * 3)
    rows = bootstrap(labels, np.arange(13), seed=1)
    assert np.bincount(labels[rows]).tolist() == [10, 3]
    assert len(np.unique(rows)) < 13
    assert rows.tolist() == bootstrap(labels, np.arange(13), seed=1).tolist()
    assert rows.tolist() != bootstrap(labels, np.arange(13), seed=2).tolist()


def test_duplicates_are_drawn_together():
    labels, groups = np.zeros(6, int), np.array([0, 0, 0, 1, 2, 2])
    for seed in range(20):
        counts = np.bincount(bootstrap(labels, groups, seed), minlength=6)
        assert counts[0] == counts[1] == counts[2]
        assert counts[4] == counts[5]
        assert counts[0] + counts[3] + counts[4] == 3  # as many groups as there are


def test_a_bootstrap_leaves_out_about_a_third():
    labels = np.zeros(2000, int)
    left_out = 1 - len(np.unique(bootstrap(labels, np.arange(2000), seed=0))) / 2000
    assert left_out == pytest.approx(np.exp(-1), abs=0.03)  # 4 standard deviations are 0.02


@pytest.mark.slow
def test_augmented_views_follow_from_seed_draw_and_photo(photo_folder):
    records = scan_remembered(photo_folder({"ant": 3, "bee": 3}), Silent()).records
    paths, by_path = [record.path for record in records], {record.path: record for record in records}

    def views(order=paths, **options) -> dict:
        chosen = {"seed": 0, "draw": 0, "fit": "crop"} | options
        augment, fit = Recipe().augment.values, chosen["fit"]
        reader = _AugmentedReader(32, augment, chosen["seed"], chosen["draw"], by_path, fit=fit)
        return dict(zip(order, reader.read_all(order), strict=True))

    first, backwards = views(), views(order=paths[::-1])
    for path in paths:
        np.testing.assert_array_equal(first[path], backwards[path])
        assert first[path].shape == (32, 32, 3)
    for other in (views(draw=1), views(seed=1), views(fit="pad")):
        assert all(not np.array_equal(first[path], other[path]) for path in paths)
