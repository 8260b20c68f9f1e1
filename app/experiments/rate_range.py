"""The learning-rate range test: the rate rises step by step, and the loss shows where it helps and where it breaks.

Source: Smith 2017, "Cyclical learning rates for training neural networks", arXiv:1506.01186, section 3.3; with rates
that rise by a constant factor, as they are compared by their ratio.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter1d

from regraft.errors import UsageError, option
from regraft.evidence.drawing import COLORS, make_figure, plain_axes, save_png
from regraft.machine.files import write_csv

TABLE, PICTURE = "learning_rate_range.csv", "learning_rate_range.png"
_COLUMNS = ("step", "learning_rate", "loss", "smoothed_loss")
_SMOOTHING = 0.9
_DIVERGED = 4.0  # times the lowest smoothed loss
_LEAST_FALL = 0.1  # of the first smoothed loss: less is no evidence that any rate helps


@dataclass(frozen=True)
class RangeTest:
    """What came out.

    Attributes:
        rates: float [T], the learning rate of each step that was taken.
        losses: float [T], the training loss of its batch, before the step.
        smoothed: float [T], their moving average.
        suggestion: the rate to take as the highest of a schedule; None where the loss never clearly fell.
        reason: why, in one sentence.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float | None
    reason: str


def run_range(step: Callable[[float], float], *, low: float, high: float, steps: int) -> RangeTest:
    """Takes up to `steps` steps at rates from `low` to `high`, and stops early once the loss has diverged.

    Args:
        step: trains on one batch at the given rate and returns its loss.
        low, high: above 0, high above low.
        steps: at least 10.

    Raises:
        UsageError: an argument does not fit.
    """
    if not 0 < low < high < math.inf:
        raise UsageError(f"{option('low')} and {option('high')} must be 0 < low < high; received {low:g} and {high:g}.")
    if steps < 10:
        raise UsageError(f"{option('steps')} must be at least 10; received {steps}.")
    rates, losses = np.geomspace(low, high, steps), []
    lowest = math.inf
    for rate in rates:
        losses.append(step(float(rate)))
        smoothed = smooth(losses)[-1]
        lowest = min(lowest, smoothed)
        if not math.isfinite(losses[-1]) or smoothed > _DIVERGED * lowest:
            break
    finite = [loss for loss in losses if math.isfinite(loss)]
    taken, smoothed_losses = rates[: len(finite)], np.array(smooth(finite))
    return RangeTest(taken, np.array(finite), smoothed_losses, *suggest(taken, smoothed_losses))


def smooth(losses: Sequence[float]) -> list[float]:
    """The exponential moving average of `losses`, without a pull towards 0 at first (as Adam corrects its moments)."""
    average, smoothed = 0.0, []
    for count, loss in enumerate(losses, start=1):
        average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
        smoothed.append(average / (1 - _SMOOTHING**count))
    return smoothed


def suggest(rates: np.ndarray, smoothed: np.ndarray) -> tuple[float | None, str]:
    """The rate at which the smoothed loss falls fastest for a constant factor of the rate, and why.

    It is never more than a third of the rate at which the loss is lowest, behind which it rises again. None where the
    loss fell by less than a tenth: then no rate helped.
    """
    if len(rates) < 3:
        return None, "the loss diverged at once; begin at a lower rate"
    lowest = int(smoothed.argmin())
    fall = 1 - smoothed[lowest] / smoothed[0]
    if fall < _LEAST_FALL or lowest < 2:
        return None, f"the loss fell by {100 * max(fall, 0):.0f} %, which is no evidence for any rate"
    slopes = np.gradient(smoothed[: lowest + 1], np.log(rates[: lowest + 1]))
    slopes = uniform_filter1d(slopes, size=5, mode="nearest")  # so that no single batch decides
    steepest, most = float(rates[int(slopes.argmin())]), float(rates[lowest]) / 3
    if steepest <= most:
        return steepest, f"there the loss falls fastest; it is lowest at {rates[lowest]:.1e}"
    return most, f"a third of {rates[lowest]:.1e}, where the loss is lowest"


def holds_range(folder: Path) -> bool:
    """Whether `write_range` wrote the files of its names that are in `folder`, if any are."""
    table = folder / TABLE
    if not table.is_file():
        return not any(os.path.lexists(folder / name) for name in (TABLE, PICTURE))
    with table.open("rb") as file:
        return file.readline().rstrip() == ",".join(_COLUMNS).encode()


def write_range(folder: Path, result: RangeTest) -> None:
    """learning_rate_range.csv and .png into `folder`."""
    steps = enumerate(zip(result.rates, result.losses, result.smoothed, strict=True), start=1)
    rows = ([number, *(f"{value:.6g}" for value in row)] for number, row in steps)
    write_csv(folder / TABLE, _COLUMNS, rows)
    _draw(folder / PICTURE, result)


def _draw(path: Path, result: RangeTest) -> None:
    figure = make_figure(6.4, 3.8)
    axes = figure.add_subplot()
    axes.plot(result.rates, result.losses, color="#c7cdd6", linewidth=1.0)
    axes.plot(result.rates, result.smoothed, color=COLORS[0], linewidth=2.0)
    axes.set_xscale("log")
    top = max(result.smoothed[0], float(np.median(result.smoothed))) * 1.5
    axes.set_ylim(min(0.0, float(result.losses.min())), top)
    title = "training loss against the learning rate (thin: each batch)"
    if result.suggestion:
        axes.axvline(result.suggestion, color=COLORS[1], linewidth=1.4)
        axes.annotate(
            f" suggested: {result.suggestion:.1e}",
            (result.suggestion, 0.97 * top),
            color=COLORS[1],
            va="top",
            fontsize=9,
        )
    plain_axes(axes, title)
    save_png(figure, path)
