"""What all pictures of Matplotlib here share: figures without global state, colours, plain axes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from regraft.machine.files import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008: told apart also by colour-blind readers, and in grey.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
GREY = "#6b7280"  # of what is no data: axes, their names, lines to compare with


def make_figure(
    width_inches: float, height_inches: float, *, dpi: int = 150, layout: Literal["constrained"] | None = "constrained"
) -> Figure:
    """An empty figure that touches no global state. Without a layout its axes are placed by hand."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_inches, height_inches), dpi=dpi, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def plain_axes(axes: Axes, title: str) -> None:
    """Sets the title and takes away what is no data."""
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)


def legend_below(figure: Figure, count: int) -> None:
    """One legend for all axes, below them, where it hides nothing."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(count, 4), frameon=False, fontsize=9)


def save_png(figure: Figure, path: Path) -> None:
    """Writes the figure as a PNG, whole or not at all."""
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png")
