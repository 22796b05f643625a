"""The figure of the learning curves: F1 and log loss of each class against its labelled members."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from xbayes.evaluate.learning_curve import Point
from xbayes.figures.labels import shortened
from xbayes.figures.panels import COLUMNS, panel_stacks
from xbayes.figures.style import class_colours, class_markers, styled


@styled
def draw_learning(points: Sequence[Point], classes: Sequence[str]) -> Figure:
    """F1 of each class (above) and log loss of its sources (below), with 90 % intervals.

    The axis of the number of members is logarithmic, so that doubling the labels is always the
    same distance.
    """
    figure, stacks = panel_stacks(len(classes), 4.6, ratios=(1, 1))
    for c, (name, (above, below)) in enumerate(zip(classes, stacks, strict=True)):
        members = np.array([point.members[c] for point in points])
        style = {"color": class_colours(classes)[name], "marker": class_markers(classes)[name]}
        _curve(above, members, [point.f1[c] for point in points], style)
        _curve(below, members, [point.class_log_loss[c] for point in points], style)
        above.set_title(shortened(name, 20), fontweight="bold")
        above.set_ylim(0, 1.02)
        below.set_ylim(bottom=0)
        below.set_xlabel("labelled training members")
        if c % COLUMNS == 0:
            above.set_ylabel("held-out F1")
            below.set_ylabel("held-out log loss [nat per source]")
    return figure


def _curve(axes: Axes, members: np.ndarray, scores: Sequence[dict], style: dict) -> None:
    value, low, high = (
        np.array([np.nan if s[end] is None else s[end] for s in scores], float)
        for end in ("value", "lo", "hi")
    )
    # A bootstrap interval may exclude the value; error bars cannot have a negative length.
    bars = np.array([np.clip(value - low, 0, None), np.clip(high - value, 0, None)])
    axes.errorbar(members, value, np.nan_to_num(bars), capsize=2.5, markersize=5, **style)
    axes.set_xscale("log")
    axes.set_xlim(0.8 * members.min(), 1.25 * members.max())
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(5))
