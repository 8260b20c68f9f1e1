"""Which layers a head reads: the last alone, or all where they are clearly better on photos that are held out."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from listening import Watcher

from regraft.recipes.recipe import load_recipe
from regraft.training import strength
from regraft.training.layers import LayerChoice, choose_layers, count_solutions

WIDTHS = [260, 40]


def drawn(*, of_use: int, images: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Features of two layers, of which one, 0 or 1, knows the two classes."""
    random, labels = np.random.default_rng(3), np.arange(images) % 2
    layers = [random.standard_normal((images, width)) for width in WIDTHS]
    layers[of_use][:, :20] += 2 * labels[:, None]
    return np.concatenate(layers, axis=1).astype(np.float32), labels


def chosen(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    taps: object = "auto",
    widths: list[int] = WIDTHS,
    l2: Sequence[float] = (0.1, 1.0),
    groups: np.ndarray | None = None,
    always: bool = False,
) -> LayerChoice:
    recipe = load_recipe("quick", {"head.taps": taps, "head.folds": 4, "head.l2": l2})
    groups = np.arange(len(labels)) if groups is None else groups
    return choose_layers(recipe, features, widths, labels, groups, class_count=2, always=always, ticker=Watcher())


@pytest.mark.parametrize(("of_use", "taps", "columns"), [(0, 1, slice(0, None)), (1, 0, slice(260, None))])
def test_earlier_layers_are_read_where_they_know_more(of_use, taps, columns):
    features, labels = drawn(of_use=of_use)
    found = chosen(features, labels)
    assert (found.taps, found.columns) == (taps, columns)
    assert list(found.losses) == ["0", "1"]
    assert min(found.losses, key=found.losses.__getitem__) == str(taps)
    assert found.losses[str(taps)] == pytest.approx(found.strength.held_out.mean())
    assert found.widths == WIDTHS[1 - taps :]
    assert features[:, found.columns].shape[1] == sum(found.widths)


@pytest.mark.parametrize(("taps", "widths"), [(1, WIDTHS), ("auto", [300])], ids=["asked for", "only one layer"])
def test_where_nothing_is_left_open_all_are_read(taps, widths):
    found = chosen(*drawn(of_use=1), taps=taps, widths=widths)
    assert (found.losses, found.columns, found.widths) == ({}, slice(0, None), widths)


def test_classes_that_cannot_be_divided_keep_the_last_layer():
    features, _ = drawn(of_use=0, images=2)
    found = chosen(features, np.arange(2))
    assert (found.taps, found.losses, found.strength.losses) == (0, {}, {})


def test_layers_are_compared_on_one_fold_where_one_of_them_has_but_one(monkeypatch):
    """100 x 40 numbers of the last layer against 100 x 100 products of all features, by two classes and four folds."""
    monkeypatch.setattr(strength, "_FOLDED", 100 * 60 * 2 * 4)
    features, labels = drawn(of_use=0)
    found = chosen(features, labels)
    assert (found.taps, len(found.images), len(found.strength.held_out)) == (1, 100, 25)
    plain = chosen(features[:, 260:], labels, widths=[40], always=True)
    assert len(plain.strength.held_out) == 100
    assert found.losses["0"] == pytest.approx(plain.strength.held_out[:25].mean())


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only 50 images are compared."""
    monkeypatch.setattr(strength, "_COMPARED", 50**2 * (2 + 20))


@pytest.mark.parametrize("taps", ["auto", 1])
def test_the_strength_falls_as_photos_become_more(half, taps):
    features, labels = drawn(of_use=1)
    found = chosen(features, labels, taps=taps)
    assert (len(found.images), found.part) == (50, 0.5)
    assert found.l2 == pytest.approx(found.strength.l2 / 2**0.5)
    np.testing.assert_array_equal(np.bincount(labels[found.images]), [25, 25])
    again = chosen(features[found.images], labels[found.images], taps=taps)
    assert again.l2 == again.strength.l2


@pytest.mark.parametrize("taps", ["auto", 1])
def test_a_strength_that_was_asked_for_stays(half, taps):
    """So members of an ensemble solve at the strength that it found."""
    features, labels = drawn(of_use=1)
    assert chosen(features, labels, taps=taps, l2=[0.07]).l2 == 0.07
    assert chosen(features, labels, taps=taps, l2=[0.07], always=True).l2 == 0.07


def test_copies_are_counted_once(half):
    features, labels = drawn(of_use=1)
    groups = np.concatenate([np.arange(75), np.arange(25) + 50])  # a quarter twice
    found = chosen(features, labels, groups=groups)
    assert found.part == pytest.approx(len(set(groups[found.images])) / 75)
    assert found.part != pytest.approx(len(found.images) / 100)


def test_the_solution_on_all_starts_where_the_comparison_of_some_ended(half):
    features, labels = drawn(of_use=0)
    found = chosen(features, labels)
    design, start = found.design_of(features)
    assert start is not None
    compared = found.design.rows @ found.strength.weights[:-1] + found.strength.weights[-1]
    np.testing.assert_allclose((design.rows @ start[:-1] + start[-1])[found.images], compared, atol=1e-3)
    same, weights = found.design_of(features[found.images])
    assert same is found.design
    assert weights is found.strength.weights
    only = replace(found, strength=replace(found.strength, weights=None))
    assert only.design_of(features)[1] is None


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize("l2", [[0.07], [0.1, 1.0]])
@pytest.mark.parametrize(("taps", "widths"), [("auto", WIDTHS), ("auto", [300]), (1, WIDTHS)])
def test_who_watches_hears_of_as_many_solutions_as_are_counted(taps, widths, l2, always):
    features, labels = drawn(of_use=0)
    recipe, watcher = load_recipe("quick", {"head.taps": taps, "head.folds": 4, "head.l2": l2}), Watcher()
    choose_layers(recipe, features, widths, labels, np.arange(100), class_count=2, always=always, ticker=watcher)
    assert watcher.done == count_solutions(recipe, widths, always=always)
