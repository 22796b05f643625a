"""The figure of the credible intervals of the class probabilities."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from xbayes.figures.labels import shortened
from xbayes.figures.panels import legend_columns
from xbayes.figures.style import INK, WIDTH, class_colours, class_markers, styled


@styled
def draw_interval_widths(
    posterior: Float[np.ndarray, "N C"],
    interval: Float[np.ndarray, "N C 2"],
    truth: Int[np.ndarray, "N"],
    classes: Sequence[str],
    shown: Sequence[int],
) -> Figure:
    """The 90 % interval of each probability against its mean, one panel per class in `shown`.

    Colours and markers are those of the true class.
    """
    figure = Figure((WIDTH, 3.6), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06))
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for c, axes in zip(shown, panels, strict=True):
        _panel(axes, posterior[:, c], interval[:, c], truth, classes)
        name = shortened(classes[c], 14)
        axes.set_title(f"p({name})", fontweight="bold")
        axes.set(xlabel=f"mean probability of {name}", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    panels[0].set_ylabel("90 % interval of the probability")
    handles, labels = panels[0].get_legend_handles_labels()
    columns = legend_columns(labels)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, markerscale=1.8)
    return figure


def _panel(
    axes: Axes, p: np.ndarray, interval: np.ndarray, truth: np.ndarray, classes: Sequence[str]
) -> None:
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8)
    markers = class_markers(classes)
    for c, (name, colour) in enumerate(class_colours(classes).items()):
        rows = truth == c
        axes.vlines(p[rows], *interval[rows].T, color=colour, linewidth=0.7, alpha=0.55)
        look = {"s": 9, "color": colour, "marker": markers[name], "linewidths": 0}
        axes.scatter(p[rows], p[rows], **look, label=f"true {shortened(name, 14)}")
