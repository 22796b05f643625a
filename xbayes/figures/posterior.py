"""What the labels leave open: the weights with their intervals, and how wide probabilities are."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from xbayes.figures.style import (
    FAINT,
    INK,
    MUTED,
    WIDTH,
    category_colours,
    class_colours,
    class_markers,
    shortened,
    styled,
)

ROW = 0.21  # inches of a line of the forest
LEGEND_LETTERS = 120  # that fit beside each other, markers and gaps counted as letters
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@styled
def draw_weight_posterior(
    alpha: Float[np.ndarray, "S R C"],
    names: Sequence[str],
    group: Sequence[int],
    categories: Sequence[str],
    classes: Sequence[str],
) -> Figure:
    """Weights alpha of R properties or categories: medians, 50 % and 90 % intervals.

    With C = 1 a line has one weight, coloured by category; otherwise one a class.
    """
    n_rows, n_each = alpha.shape[1:]
    height = 1.2 + ROW * n_rows * max(1.0, 0.55 * n_each)
    figure = Figure((WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06))
    axes = figure.subplots()
    quantiles = np.quantile(alpha, LEVELS, axis=0)  # [5 R C]
    colours = list(category_colours(categories).values())
    of_class = list(class_colours(classes).values())
    markers = list(class_markers(classes).values())
    for c in range(n_each):
        at = np.arange(n_rows) + (c + 0.5) / n_each * 0.8 - 0.4
        colour = [colours[g] for g in group] if n_each == 1 else [of_class[c]] * n_rows
        q = quantiles[..., c]
        axes.hlines(at, q[0], q[4], color=colour, linewidth=1.1)
        axes.hlines(at, q[1], q[3], color=colour, linewidth=2.6)
        marker = "o" if n_each == 1 else markers[c]
        kind = {"s": 30, "marker": marker, "edgecolors": "white", "linewidths": 0.8}
        axes.scatter(q[2], at, c=colour, zorder=3, **kind)
    axes.axvline(1.0, color=MUTED, linewidth=1.0, linestyle=(0, (4, 2)))
    axes.set(ylim=(n_rows - 0.4, -0.6), xlim=(0, None), xlabel="weight alpha")
    axes.set_yticks(range(n_rows), [shortened(name, 28) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    _legend(figure, n_each, categories, classes, colours, of_class, markers)
    return figure


def _legend(figure: Figure, n_each: int, categories, classes, colours, of_class, markers) -> None:
    axes = figure.axes[0]
    named = list(zip(categories, colours, "o" * len(categories), strict=False))
    if n_each > 1:
        named = list(zip(classes, of_class, markers, strict=False))
    for name, colour, marker in named:
        axes.scatter([], [], s=22, color=colour, marker=marker, label=shortened(name, 20))
    axes.plot([], [], color=MUTED, linestyle=(0, (4, 2)), linewidth=1.0, label="naive Bayes")
    _place_legend(figure, *axes.get_legend_handles_labels())


def _place_legend(figure: Figure, handles, names, markers: float = 1.0) -> None:
    """Below the panels, in as many columns as the longest name lets fit on the page."""
    columns = LEGEND_LETTERS // (max(map(len, names)) + 5)
    place = {"loc": "outside lower center", "ncols": max(1, min(columns, 6))}
    figure.legend(handles, names, markerscale=markers, **place)


@styled
def draw_interval_widths(
    posterior: Float[np.ndarray, "N C"],
    interval: Float[np.ndarray, "N C 2"],
    truth: Int[np.ndarray, "N"],
    classes: Sequence[str],
    shown: Sequence[int],
) -> Figure:
    """The 90 % interval of p against p, held out, for a few classes; coloured by true class."""
    figure = Figure((WIDTH, 3.6), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06))
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for c, axes in zip(shown, panels, strict=True):
        _widths(axes, posterior[:, c], interval[:, c], truth, classes)
        name = shortened(classes[c], 14)
        axes.set_title(f"p({name})", fontweight="bold")
        axes.set(xlabel=f"mean probability of {name}", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    panels[0].set_ylabel("90 % interval of the probability")
    handles, names = panels[0].get_legend_handles_labels()
    _place_legend(figure, handles, names, 1.8)
    return figure


def _widths(axes: Axes, p, interval, truth, classes: Sequence[str]) -> None:
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8)
    markers = list(class_markers(classes).values())
    for c, (name, colour) in enumerate(class_colours(classes).items()):
        rows = truth == c
        axes.vlines(p[rows], *interval[rows].T, color=colour, linewidth=0.7, alpha=0.55)
        kind = {"s": 9, "color": colour, "marker": markers[c], "linewidths": 0}
        axes.scatter(p[rows], p[rows], **kind, label=f"true {shortened(name, 14)}")
