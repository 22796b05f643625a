"""How each class spreads over each property."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from xbayes.report.labels import PropertyLabel, axis_label
from xbayes.report.style import MUTED, WIDTH, class_colours, class_lines, shortened, styled

COLUMNS = 4
LABEL_WIDTH = 34  # characters that fit below a panel
HISTOGRAM_BINS = 25
LABEL_LINES = 3
SPIKE = 8.0  # times the 90 % quantile: a peak that would flatten all else on a linear scale


@styled
def draw_densities(
    node: Float[np.ndarray, "F B"],
    density: Float[np.ndarray, "F B C"],
    labels: Sequence[PropertyLabel],
    classes: Sequence[str],
    values: Sequence[Sequence[np.ndarray]] | None = None,
) -> Figure:
    """Class densities, one panel a property; behind them the histogram of each class's own values.

    `node` and `density` are in the scaled property and per unit of it; `values[f][c]` are the
    observed scaled values of the training sources of class c. Histograms are normalised as the
    densities are; what reaches above the panel is cut, for it is the density that is shown. A
    property with a spike gets a square-root scale, and says so.
    """
    n_features = len(labels)
    n_columns = min(COLUMNS, n_features)
    n_rows = -(-n_features // n_columns)
    per_line = 5 if n_columns < 3 else 8
    head = 0.22 + 0.18 * -(-len(classes) // per_line)  # inches of the legend
    size = (max(5.5, WIDTH * n_columns / COLUMNS), head + 0.35 + 2.3 * n_rows)
    room = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, rect=(0, 0, 1, 1 - head / size[1]))
    figure = Figure(size, layout=room)
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for f, panel in enumerate(axes.flat):
        if f >= n_features:
            panel.set_visible(False)
            continue
        _panel(panel, node[f], density[f], classes, values[f] if values is not None else None)
        panel.set_title(shortened(labels[f].name, 26), fontweight="bold", fontsize=9.5)
        panel.set_xlabel(_few_lines(axis_label(labels[f], LABEL_WIDTH)), fontsize=8.5)
        if f % n_columns == 0:
            panel.set_ylabel("density")
    _legend(figure, classes, min(per_line, len(classes)))
    return figure


def _legend(figure: Figure, classes: Sequence[str], n_columns: int) -> None:
    colours, lines = class_colours(classes), class_lines(classes)
    handles = [Line2D([], [], color=colours[c], linestyle=lines[c], linewidth=2) for c in classes]
    figure.legend(
        handles,
        [shortened(name, 14) for name in classes],
        loc="upper left",
        ncols=n_columns,
        handlelength=2.6,
        columnspacing=1.4,
        borderaxespad=0.3,
    )


def _panel(
    axes: Axes,
    node: np.ndarray,
    density: np.ndarray,
    classes: Sequence[str],
    values: Sequence[np.ndarray] | None,
) -> None:
    colours, lines = class_colours(classes), class_lines(classes)
    edges = np.linspace(node[0], node[-1], HISTOGRAM_BINS + 1)
    for c, name in enumerate(classes):
        axes.plot(node, density[:, c], color=colours[name], linestyle=lines[name], linewidth=1.5)
        if values is not None and len(values[c]):
            height, _ = np.histogram(values[c], edges)
            height = height / (len(values[c]) * np.diff(edges))
            axes.stairs(height, edges, fill=True, color=colours[name], alpha=0.13, linewidth=0)
    highest = float(density.max())
    axes.set_xlim(node[0], node[-1])
    if highest > SPIKE * np.quantile(density.max(-1), 0.9):
        axes.set_yscale("function", functions=(_root, np.square))
        axes.set_title("square-root scale", loc="right", fontsize=7.5, color=MUTED)
    axes.set_ylim(0, 1.08 * highest if highest > 0 else 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.tick_params(labelsize=8)


def _root(value):
    return np.sqrt(np.maximum(value, 0.0))


def _few_lines(text: str) -> str:
    lines = text.replace("$", r"\$").split("\n")
    return "\n".join(lines if len(lines) <= LABEL_LINES else [*lines[: LABEL_LINES - 1], "…"])
