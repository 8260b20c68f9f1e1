"""The learning-rate range test on losses that are known."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regraft.errors import UsageError
from regraft.experiments.rate_range import run_range, smooth, suggest, write_range


def known_loss(rate: float) -> float:
    """Flat, falling fastest at 1e-3, lowest at 1e-2, rising behind."""
    x = math.log10(rate)
    return 2.0 - 1 / (1 + math.exp(-6 * (x + 3))) + (10 ** (2 * (x + 2)) if x > -2 else 0.0)


def test_smoothing_has_no_pull_of_its_beginning():
    assert smooth([2.0, 2.0, 2.0]) == pytest.approx([2.0, 2.0, 2.0])
    assert smooth([1.0, 2.0]) == pytest.approx([1.0, (0.9 * 0.1 * 1 + 0.1 * 2) / 0.19])


def test_rates_rise_by_a_constant_factor_and_stop_when_the_loss_has_diverged():
    asked = []

    def step(rate: float) -> float:
        asked.append(rate)
        return known_loss(rate)

    result = run_range(step, low=1e-5, high=10.0, steps=60)
    ratios = np.diff(np.log(asked))
    np.testing.assert_allclose(ratios, ratios[0])
    assert asked[0] == pytest.approx(1e-5)
    assert asked[-1] < 1.0  # a long way before 10
    assert len(result.rates) == len(asked) == len(result.losses)


def test_the_suggestion_is_where_the_loss_falls_fastest():
    result = run_range(known_loss, low=1e-5, high=10.0, steps=200)
    assert result.suggestion is not None
    assert 5e-4 < result.suggestion < 4e-3  # smoothing comes a little late
    assert result.reason.startswith("there the loss falls fastest")


def test_it_is_never_near_the_rate_where_the_loss_turns():
    rates = np.geomspace(1e-4, 1e-1, 50)
    falling = np.linspace(2.0, 1.0, 50) ** 2  # falls ever faster in the end? no: fastest at the beginning
    steepest_last = 5.0 - falling[::-1]
    rate, reason = suggest(rates, steepest_last)
    assert rate == pytest.approx(rates[-1] / 3)
    assert reason == "a third of 1.0e-01, where the loss is lowest"


def test_a_loss_that_does_not_fall_gives_no_suggestion():
    result = run_range(lambda rate: 1.0, low=1e-5, high=1.0, steps=30)
    assert result.suggestion is None
    assert result.reason == "the loss fell by 0 %, which is no evidence for any rate"


def test_a_loss_that_is_no_number_ends_the_test():
    result = run_range(lambda rate: math.nan if rate > 1e-4 else 1.0, low=1e-5, high=1.0, steps=30)
    assert len(result.losses) < 30
    assert np.isfinite(result.losses).all()
    at_once = run_range(lambda rate: math.nan, low=1e-5, high=1.0, steps=30)
    assert (at_once.suggestion, at_once.reason) == (None, "the loss diverged at once; begin at a lower rate")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 0.0}, "low and high must be 0 < low < high; received 0 and 1."),
        ({"low": 2.0}, "low and high must be 0 < low < high; received 2 and 1."),
        ({"high": float("inf")}, "low and high must be 0 < low < high; received 1e-05 and inf."),
        ({"steps": 3}, "steps must be at least 10; received 3."),
    ],
)
def test_what_does_not_fit_is_one_line(options, message):
    with pytest.raises(UsageError) as caught:
        run_range(known_loss, **{"low": 1e-5, "high": 1.0, "steps": 30, **options})
    assert str(caught.value) == message


def test_what_came_out_is_written(tmp_path: Path):
    result = run_range(known_loss, low=1e-5, high=1.0, steps=30)
    write_range(tmp_path, result)
    with (tmp_path / "learning_rate_range.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["loss"]) for row in rows], result.losses, rtol=1e-5)
    with Image.open(tmp_path / "learning_rate_range.png") as picture:
        assert picture.format == "PNG"
