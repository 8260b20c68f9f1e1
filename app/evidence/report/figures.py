"""The pictures of a report: confusion matrix, reliability diagram, learning curves.

Matplotlib is used through `Figure` objects alone, never its global state.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from regraft.evidence.calibration import reliability_bins
from regraft.evidence.drawing import GREY, make_figure
from regraft.evidence.intervals import accuracy_interval
from regraft.machine.files import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text

CHART_DPI = 144

_BLUE = "#2b6cb0"
_OTHER_SCRIPTS = ("Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", "Arial Unicode MS")


def write_confusion_png(path: Path, matrix: np.ndarray, class_names: Sequence[str]) -> None:
    """The same as a picture: colour is the part of each true class; counts in the cells up to 20 classes."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(png_of(draw_confusion(matrix, class_names)))


def png_of(figure: Figure) -> bytes:
    """The drawn figure on white; the page blends the white away."""
    from PIL import Image

    canvas = cast("FigureCanvasAgg", figure.canvas)
    with _any_script():
        canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    # A palette makes the file a third as large; this method stays within 4 of 255 of the true colours.
    palette = pixels.quantize(128, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    encoded = io.BytesIO()
    palette.save(encoded, "PNG", dpi=(CHART_DPI, CHART_DPI))
    return encoded.getvalue()


@contextmanager
def _any_script() -> Iterator[None]:
    """A class name may be in a script that no font here can write; the page's own text still shows it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        yield


def draw_confusion(matrix: np.ndarray, class_names: Sequence[str]) -> Figure:
    """The confusion matrix, int [C, C] with the truth in rows; see `write_confusion_png`."""
    side = min(12.0, max(2.4, 0.42 * len(class_names)))
    cell = side / len(class_names)
    figure = make_figure(side, side, dpi=CHART_DPI, layout=None)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    # A power below 1, so that the few per cent of a typical confusion can be seen.
    tint = (matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)) ** 0.6
    axes.imshow(tint, cmap="Blues", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    if len(class_names) <= 20:
        _print_counts(axes, matrix, tint, size=float(np.clip(cell * 19, 8, 12)))
    _name_classes(axes, class_names, size=float(np.clip(cell * 50, 5, 10)), cell_inches=cell)
    right, total = int(np.trace(matrix)), int(matrix.sum())
    _fit_around(figure, axes, side, f"Accuracy {100 * right / max(total, 1):.1f} % ({right:,} of {total:,})")
    return figure


def _print_counts(axes: Axes, matrix: np.ndarray, tint: np.ndarray, *, size: float) -> None:
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            color = "white" if tint[row, column] > 0.55 else "black"
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=color, fontsize=size)


def _name_classes(axes: Axes, class_names: Sequence[str], *, size: float, cell_inches: float) -> None:
    every = int(np.ceil(0.11 / cell_inches))  # where names would overlap, every second, third, ...
    shown = range(0, len(class_names), every)
    names = [_shorten(class_names[i]) for i in shown]
    upright = max(map(len, names)) * size * 0.65 / 72 > cell_inches
    # parse_math: a class may be called "$5$ bill".
    style: dict[str, Any] = {"fontsize": size, "parse_math": False, "fontfamily": _font_families()}
    axes.set_xticks(shown, names, rotation=90 if upright else 0, **style)
    axes.set_yticks(shown, names, **style)
    axes.tick_params(length=0, pad=3)
    axes.set_xlabel("predicted", fontsize=9, color=GREY)
    axes.set_ylabel("truth", fontsize=9, color=GREY)
    for spine in axes.spines.values():
        spine.set_color(GREY)


def _shorten(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= 24 else name[:23] + "…"


def _font_families() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in installed)]


def _fit_around(figure: Figure, axes: Axes, side: float, title: str) -> None:
    """Sizes the figure to the square axes and the labels around it, by one measurement, no layout engine."""
    edge = 0.12
    left = edge + 0.28 + _longest(axes.get_yticklabels(), "width") / CHART_DPI
    bottom = edge + 0.28 + _longest(axes.get_xticklabels(), "height") / CHART_DPI
    heading = figure.text(0, 0, title, fontsize=10)
    width = max(left + side + edge, heading.get_window_extent().width / CHART_DPI + 2 * edge)
    height = bottom + side + 0.36
    figure.set_size_inches(width, height)
    axes.set_position((left / width, bottom / height, side / width, side / height))
    heading.set_position((edge / width, 1 - 0.24 / height))
    axes.yaxis.set_label_coords((edge - left + 0.06) / side, 0.5)
    axes.xaxis.set_label_coords(0.5, (edge - bottom + 0.1) / side)


def _longest(labels: Iterable[Text], direction: str) -> float:
    with _any_script():
        return max(float(getattr(label.get_window_extent(), direction)) for label in labels)


def draw_reliability(truth: np.ndarray, probabilities: np.ndarray) -> Figure:
    """How often answers are right by how sure the model is of them, with 95 % intervals and the diagonal."""
    bins = reliability_bins(truth, probabilities)
    intervals = [accuracy_interval(*counts) for counts in zip(bins.correct, bins.images, strict=True)]
    low, high = np.transpose(intervals)
    size = 16 + 120 * bins.images / bins.images.max()
    figure = make_figure(3.4, 3.2, dpi=CHART_DPI, layout=None)
    axes = figure.add_axes((0.16, 0.15, 0.81, 0.82))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.vlines(bins.confidence, low, high, color=_BLUE, linewidth=1.2, alpha=0.55)
    axes.scatter(bins.confidence, bins.accuracy, s=size, color=_BLUE, linewidth=0)
    axes.set(xlim=(1 / probabilities.shape[1] - 0.03, 1.03), ylim=(-0.03, 1.03))
    _calm(axes, "score of the answer", "part that is right")
    return figure


def draw_learning_curves(history: Sequence[Mapping[str, float | str | int]]) -> Figure:
    """Loss and accuracy after each epoch, from the rows of history.csv."""
    from matplotlib.ticker import MaxNLocator

    figure = make_figure(7.4, 2.7, dpi=CHART_DPI, layout=None)
    for left, name in ((0.07, "loss"), (0.57, "accuracy")):
        axes = figure.add_axes((left, 0.18, 0.42, 0.78))
        for prefix, label, color in (("", "training", GREY), ("select_", "selection photos", _BLUE)):
            _plot_epochs(axes, [_number(row.get(prefix + name)) for row in history], label, color)
        if axes.lines:
            axes.legend(frameon=False, fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _calm(axes, "epoch", name)
    return figure


def _plot_epochs(axes: Axes, values: Sequence[float], label: str, color: str) -> None:
    if np.isfinite(values).any():
        epochs = range(1, len(values) + 1)
        axes.plot(epochs, values, color=color, label=label, marker="o", markersize=3, linewidth=1.5)


def _number(value: object) -> float:
    """A history cell; NaN, which leaves a gap in the curve, where it is empty."""
    return float(str(value)) if value not in (None, "") else float("nan")


def _calm(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(labelsize=8, color=GREY)
    axes.set_xlabel(xlabel, fontsize=9, color=GREY)
    axes.set_ylabel(ylabel, fontsize=9, color=GREY)
    axes.grid(alpha=0.2, linewidth=0.6)
