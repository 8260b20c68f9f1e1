"""Features as heads are solved on them: the same products, in as few numbers as that takes."""

import numpy as np
import pytest

import regraft.training.design
from regraft.training.design import Design, as_design


def drawn(images: int, width: int) -> np.ndarray:
    return (3 + np.random.default_rng(0).standard_normal((images, width))).astype(np.float32)


def scaled(features: np.ndarray, widths: list[int]) -> np.ndarray:
    x = features - features.mean(axis=0, dtype=np.float64)
    parts = np.split(x, np.cumsum(widths)[:-1], axis=1)
    return np.hstack([part / np.sqrt(np.mean(part**2)) for part in parts])


@pytest.mark.parametrize(("images", "rank"), [(40, 9), (5, 9), (4, 4)])
def test_rows_have_the_products_of_features_scaled_layer_by_layer(images, rank):
    features = drawn(images, 9)
    features[:, 2:5] *= 50
    design = Design.of(features, [2, 3, 4])
    assert design.rows.shape == (images, rank)
    x = scaled(features, [2, 3, 4])
    np.testing.assert_allclose(design.rows @ design.rows.T, x @ x.T, atol=1e-5)


@pytest.mark.parametrize("images", [40, 4])
def test_weights_for_the_rows_unfold_to_a_kernel_for_plain_features(images):
    features = drawn(images, 9)
    design = Design.of(features, [4, 5])
    random = np.random.default_rng(1)
    weights = np.vstack([design.rows.T @ random.standard_normal((images, 3)), random.standard_normal((1, 3))])
    kernel, bias = design.unfold(weights)
    expected = design.rows @ weights[:-1] + weights[-1]
    np.testing.assert_allclose(features @ kernel + bias, expected, atol=1e-3)
    np.testing.assert_allclose(design.fold(kernel, bias), weights, atol=1e-3)
    # and the penalty is that of the kernel of scaled features
    assert np.sum((kernel * design.scale[:, None]) ** 2) == pytest.approx(np.sum(weights[:-1] ** 2), rel=1e-5)


@pytest.mark.parametrize("images", [40, 4])
def test_many_numbers_are_float32_and_mean_the_same(images, monkeypatch):
    features = drawn(images, 9)
    exact = Design.of(features, [4, 5])
    monkeypatch.setattr(regraft.training.design, "_EXACT", 0)
    monkeypatch.setattr(regraft.training.design, "_BLOCK", 2)
    design = Design.of(features, [4, 5])
    assert (exact.rows.dtype, design.rows.dtype) == (np.float64, np.float32)
    np.testing.assert_allclose(design.rows, exact.rows, atol=1e-5 if images > 4 else 1e-2)
    np.testing.assert_allclose(design.rows @ design.rows.T, exact.rows @ exact.rows.T, atol=1e-5)
    weights = np.vstack([exact.rows.T @ np.ones((images, 2)), np.ones((1, 2))])
    np.testing.assert_allclose(design.unfold(weights)[0], exact.unfold(weights)[0], atol=1e-3)


def test_images_that_are_the_same_are_no_obstacle():
    design = Design.of(np.repeat(drawn(3, 40), 4, axis=0))
    assert np.isfinite(design.rows).all()
    assert np.isfinite(design.unfold(np.ones((13, 2)))[0]).all()


def test_features_that_never_vary_count_for_nothing():
    design = Design.of(np.full((3, 7), 7.0, np.float32))
    assert np.abs(design.rows).max() < 1e-3
    np.testing.assert_array_equal(design.unfold(np.ones((4, 2)))[0], np.zeros((7, 2)))


def test_a_design_is_what_it_is():
    design = Design.of(drawn(4, 9))
    assert as_design(design) is design
    np.testing.assert_array_equal(as_design(drawn(4, 9)).rows, design.rows)
