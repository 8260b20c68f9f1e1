"""How trainings went, as pictures and a CSV: losses over the epochs, accuracies over the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regraft.evidence.drawing import COLORS, legend_below, make_figure, plain_axes, save_png
from regraft.machine.files import write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Histories = Mapping[str, Sequence[Sequence[Mapping[str, Any]]]]
"""For each arm, for each seed, the rows of the history."""

_SHOWN = (("loss", "training loss"), ("select_loss", "loss on the selection photos"))


def write_curves(path: Path, histories: Histories) -> None:
    """One CSV row for each arm, epoch and quantity: mean, lowest and highest over the seeds."""
    rows: list[list[object]] = []
    for arm, runs in histories.items():
        for quantity, _ in _SHOWN:
            for epoch, values in enumerate(curve(runs, quantity), start=1):
                spread = (f"{number:.6f}" for number in (np.mean(values), min(values), max(values)))
                rows.append([arm, epoch, quantity, *spread, len(values)])
    write_csv(path, ["arm", "epoch", "quantity", "mean", "lowest", "highest", "seeds"], rows)


def curve(runs: Sequence[Sequence[Mapping[str, Any]]], quantity: str) -> list[list[float]]:
    """For each epoch, the quantity of each run that has it."""
    length = max((len(run) for run in runs), default=0)
    epochs = [
        [float(run[epoch][quantity]) for run in runs if len(run) > epoch and quantity in run[epoch]]
        for epoch in range(length)
    ]
    return [values for values in epochs if values]


def draw_curves(path: Path, histories: Histories) -> None:
    """PNG: mean and range over the seeds, one colour per arm; the loss in training and on the selection photos."""
    from matplotlib.ticker import MaxNLocator

    shown = [(key, title) for key, title in _SHOWN if any(curve(runs, key) for runs in histories.values())]
    figure = make_figure(5.2 * len(shown), 3.9)
    for place, (quantity, title) in enumerate(shown, start=1):
        axes = figure.add_subplot(1, len(shown), place)
        for number, (arm, runs) in enumerate(histories.items()):
            _draw_curve(axes, curve(runs, quantity), arm, COLORS[number % len(COLORS)])
        plain_axes(axes, title)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, len(histories))
    save_png(figure, path)


def draw_accuracies(path: Path, accuracies: Mapping[str, Sequence[float]]) -> None:
    """PNG: a dot for each seed and a line at the mean, one row per arm."""
    figure = make_figure(6.4, 0.9 + 0.42 * len(accuracies))
    axes = figure.add_subplot()
    for row, values in enumerate(accuracies.values()):
        percent = 100 * np.asarray(values)
        axes.plot([percent.mean()] * 2, [row - 0.3, row + 0.3], color="black", linewidth=1.6)
        axes.scatter(percent, [row] * len(values), color=COLORS[row % len(COLORS)], s=28, zorder=3, alpha=0.8)
    axes.set_yticks(range(len(accuracies)), list(accuracies))
    axes.invert_yaxis()
    plain_axes(axes, "accuracy on photos nothing else has seen, % (one dot per seed; line: mean)")
    axes.grid(axis="x", color="#e5e7eb")
    save_png(figure, path)


def _draw_curve(axes: Axes, values: Sequence[Sequence[float]], arm: str, color: str) -> None:
    epochs = np.arange(1, len(values) + 1)
    axes.plot(epochs, [np.mean(each) for each in values], color=color, label=arm, linewidth=1.8)
    axes.fill_between(epochs, [min(each) for each in values], [max(each) for each in values], color=color, alpha=0.13)
