"""The figure of the values of each feature by class, and of the share without a value."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from xbayes.figures.labels import FeatureLabel
from xbayes.figures.panels import class_legend, panel_grid, panel_label
from xbayes.figures.ranges import robust_range
from xbayes.figures.style import INK, MUTED, class_colours, class_lines, styled

N_BINS = 20
TAIL = 0.001  # share of the values at either end that may lie beyond the bins
SHARES_PER_LINE = 4
FIRST, STEP = 0.35, 0.165  # places of the shares, in widths of a panel
LINE = 10.5  # points


@styled
def draw_histograms(
    values: Sequence[Sequence[np.ndarray]],
    absent: Float[np.ndarray, "F C"],
    labels: Sequence[FeatureLabel],
    classes: Sequence[str],
) -> Figure:
    """Histograms of the measured scaled values, one panel per feature, one line per class.

    `values[f][c]` are the measured values of the sources of class c; `absent` is the share of the
    class without a value, NaN for a class without sources. Values beyond the bins count in the
    outermost bins.
    """
    n_lines = -(-len(classes) // SHARES_PER_LINE)
    figure, axes = panel_grid(len(labels), classes, above=0.06 + 0.15 * n_lines)
    for f, panel in enumerate(axes):
        _panel(panel, values[f], classes)
        _absence(panel, absent[f], classes)
        # The title goes above the shares without a value.
        panel_label(panel, labels[f], pad=5 + LINE * n_lines)
    class_legend(figure, classes)
    return figure


def _panel(axes: Axes, values: Sequence[np.ndarray], classes: Sequence[str]) -> None:
    colours, lines = class_colours(classes), class_lines(classes)
    edges, highest = _edges(values), 0.0
    for name, of_class in zip(classes, values, strict=True):
        if not len(of_class):
            continue
        count, _ = np.histogram(np.clip(of_class, edges[0], edges[-1]), edges)
        share = count / len(of_class)
        axes.stairs(share, edges, color=colours[name], linestyle=lines[name], linewidth=1.4)
        highest = max(highest, float(share.max()))
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.08 * highest if highest else 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.tick_params(labelsize=8)


def _edges(values: Sequence[np.ndarray]) -> np.ndarray:
    """Bins that hold all but the most extreme values, the same for all classes."""
    pooled = np.concatenate([np.asarray(v, float) for v in values])
    return np.linspace(*robust_range(pooled, TAIL), N_BINS + 1)


def _absence(axes: Axes, absent: np.ndarray, classes: Sequence[str]) -> None:
    """The share without a value, in percent, after a square in the colour of each class."""

    def put(text: str, x: float, right: int, above: float, colour: str) -> None:
        axes.annotate(
            text,
            (x, 1.0),
            (right, above),
            xycoords="axes fraction",
            textcoords="offset points",
            color=colour,
            fontsize=7.0,
        )

    put("no value, %:", 0.0, 0, 4.0, MUTED)
    for c, colour in enumerate(class_colours(classes).values()):
        line, place = divmod(c, SHARES_PER_LINE)
        x, above = FIRST + STEP * place, 4.0 + LINE * line
        put("■", x, 0, above, colour)
        put(_percent(float(absent[c])), x, 8, above, INK if absent[c] > 0 else MUTED)


def _percent(share: float) -> str:
    if np.isnan(share):
        return "–"
    return "<1" if 0 < share < 0.01 else f"{100 * share:.0f}"
