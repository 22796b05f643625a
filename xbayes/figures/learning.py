"""Learning curves: F1 and log loss of each class against its labelled members."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from xbayes.evaluate.learning_curve import Point
from xbayes.figures.style import class_colours, class_markers, shortened, styled

MOST_COLUMNS = 4


@styled
def draw_learning(points: Sequence[Point], classes: Sequence[str]) -> Figure:
    """Above the F1 of each class, below the log loss of its sources; bars hold 90 %.

    Members are counted on a logarithmic axis, so that twice the labels is the same step anywhere.
    """
    n_columns = min(MOST_COLUMNS, len(classes))
    n_rows = -(-len(classes) // n_columns)
    figure = Figure((2.75 * n_columns, 4.6 * n_rows), layout="constrained")
    grid = figure.subplots(2 * n_rows, n_columns, squeeze=False)
    for axes in grid.flat:
        axes.set_visible(False)
    for c, name in enumerate(classes):
        row, column = divmod(c, n_columns)
        members = np.array([point.members[c] for point in points])
        above, below = grid[2 * row, column], grid[2 * row + 1, column]
        style = {"color": class_colours(classes)[name], "marker": class_markers(classes)[name]}
        _curve(above, members, [point.f1[c] for point in points], style)
        _curve(below, members, [point.class_log_loss[c] for point in points], style)
        above.set_title(shortened(name, 20), fontweight="bold")
        above.set_ylim(0, 1.02)
        below.set_ylim(bottom=0)
        below.set_xlabel("labelled members learned from")
        if column == 0:
            above.set_ylabel("held-out F1")
            below.set_ylabel("held-out log loss [nats a source]")
    return figure


def _curve(axes: Axes, members: np.ndarray, scores: Sequence[dict], style: dict) -> None:
    axes.set_visible(True)
    value, low, high = (
        np.array([np.nan if s[end] is None else s[end] for s in scores], float)
        for end in ("value", "lo", "hi")
    )
    # The bootstrap may put its interval beside the value; bars have no negative length.
    bars = np.array([np.clip(value - low, 0, None), np.clip(high - value, 0, None)])
    axes.errorbar(members, value, np.nan_to_num(bars), capsize=2.5, markersize=5, **style)
    axes.set_xscale("log")
    axes.set_xlim(0.8 * members.min(), 1.25 * members.max())
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(5))
