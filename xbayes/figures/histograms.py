"""The values of each property, class by class, and how often there is none."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from xbayes.figures.labels import FeatureLabel
from xbayes.figures.panels import class_legend, panel_grid, panel_label
from xbayes.figures.style import INK, MUTED, class_colours, class_lines, styled

N_BINS = 20
TAIL = 0.001  # share of the values at either end that may lie in the outermost bins
SHARES_A_LINE = 4
FIRST, STEP = 0.35, 0.165  # where the shares stand, in widths of a panel
LINE = 10.5  # points


@styled
def draw_histograms(
    values: Sequence[Sequence[np.ndarray]],
    absent: Float[np.ndarray, "F C"],
    labels: Sequence[FeatureLabel],
    classes: Sequence[str],
) -> Figure:
    """Histogram of the observed scaled values, one panel a property, one line a class.

    `values[f][c]` are those of the sources of class c that have one; `absent` is the share of the
    class that has none, NaN for a class without sources. Values beyond the bins count in the last.
    """
    lines = -(-len(classes) // SHARES_A_LINE)
    figure, axes = panel_grid(len(labels), classes, above=0.06 + 0.15 * lines)
    for f, panel in enumerate(axes):
        _panel(panel, values[f], classes)
        _absence(panel, absent[f], classes)
        # The title goes above the shares without a value.
        panel_label(panel, labels[f], pad=5 + LINE * lines)
    class_legend(figure, classes)
    return figure


def _panel(axes: Axes, values: Sequence[np.ndarray], classes: Sequence[str]) -> None:
    edges = _edges(values)
    highest = 0.0
    for c, name in enumerate(classes):
        if not len(values[c]):
            continue
        count, _ = np.histogram(np.clip(values[c], edges[0], edges[-1]), edges)
        share = count / len(values[c])
        axes.stairs(
            share,
            edges,
            color=class_colours(classes)[name],
            linestyle=class_lines(classes)[name],
            linewidth=1.4,
        )
        highest = max(highest, float(share.max()))
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.08 * highest if highest else 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.tick_params(labelsize=8)


def _edges(values: Sequence[np.ndarray]) -> np.ndarray:
    """Bins over all but the outermost values, the same for all classes."""
    there = np.concatenate([np.asarray(v, float) for v in values])
    if not len(there):
        return np.linspace(0.0, 1.0, N_BINS + 1)
    low, high = np.quantile(there, [TAIL, 1 - TAIL])
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, N_BINS + 1)


def _absence(axes: Axes, absent: np.ndarray, classes: Sequence[str]) -> None:
    """The share without a value, in percent, beside a square in the colour of each class."""
    style: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    above = 4.0  # points
    axes.annotate("no value, %:", (0, 1.0), (0, above), fontsize=7, color=MUTED, **style)
    for c, name in enumerate(classes):
        line, place = divmod(c, SHARES_A_LINE)
        at, above = (FIRST + STEP * place, 1.0), 4 + LINE * line
        colour = class_colours(classes)[name]
        axes.annotate("■", at, (0, above), fontsize=7.5, color=colour, **style)
        colour = INK if absent[c] > 0 else MUTED
        text = _percent(float(absent[c]))
        axes.annotate(text, at, (8, above), fontsize=7.5, color=colour, **style)


def _percent(share: float) -> str:
    if np.isnan(share):
        return "–"
    return "<1" if 0 < share < 0.01 else f"{100 * share:.0f}"
