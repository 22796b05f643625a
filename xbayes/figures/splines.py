"""The figure of the smooth curves of a fitted classifier."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xbayes.figures.labels import FeatureLabel, axis_label
from xbayes.figures.style import FAINT, WIDTH, class_colours, class_lines, styled
from xbayes.models.additive_terms import SplineTerms

COLUMNS, MOST_CURVES = 3, 6
HEIGHT = 2.5  # inches, of a row of panels
LABEL = 34  # characters of a line below an axis


@styled
def draw_splines(
    splines: SplineTerms, labels: Sequence[FeatureLabel], classes: Sequence[str]
) -> Figure:
    """The smooth curves with the largest mean square, times their share, before calibration."""
    node = np.asarray(splines.node, np.float64)
    height = float(splines.share) * np.asarray(splines.height)
    leading = np.argsort(-(height**2).mean((1, 2)), kind="stable")[:MOST_CURVES].tolist()
    n_rows = -(-len(leading) // COLUMNS)
    figure = Figure((WIDTH, HEIGHT * n_rows + 0.4), layout="constrained")
    colours, lines = class_colours(classes), class_lines(classes)
    for i, f in enumerate(leading):
        axes = figure.add_subplot(n_rows, COLUMNS, i + 1)
        for c, name in enumerate(classes):
            look = {"color": colours[name], "linestyle": lines[name], "label": name}
            axes.plot(node[f], height[f, :, c], linewidth=1.5, **look)
        frame_curves(axes, node[f, 0], node[f, -1], labels[f], first=i % COLUMNS == 0)
    curve_legend(figure, classes)
    return figure


def frame_curves(
    axes: Axes, low: float, high: float, label: FeatureLabel, first: bool = False
) -> None:
    """Set the limits, ticks and labels of a panel of curves; `first` of its row."""
    axes.axhline(0, color=FAINT, lw=0.8, zorder=0)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel(axis_label(label, LABEL))
    if first:
        axes.set_ylabel("added to the score [nat]")


def curve_legend(figure: Figure, classes: Sequence[str]) -> None:
    """Put the lines of the classes at the top, as the first panel draws them."""
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=len(classes))
