"""Cumulative distributions of known and newly classified sources, feature by feature."""

from collections.abc import Sequence

import numpy as np
from agreement import Agreement, Sample
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from xbayes.figures.labels import FeatureLabel
from xbayes.figures.panels import class_legend, panel_grid, panel_label
from xbayes.figures.style import MUTED, class_colours, class_lines, lighter, styled

TAIL = 0.002  # share of the values beyond either end of an axis


@styled
def draw_agreement(
    known: Sample,
    new: Sample,
    result: Agreement,
    labels: Sequence[FeatureLabel],
    classes: Sequence[str],
) -> Figure:
    """One panel per feature: wide pale lines for known sources, thin lines for new sources.

    New sources are weighted by their posterior. The largest distance is written above each panel.
    """
    figure, axes = panel_grid(len(labels), classes, above=0.2)
    for f, panel in enumerate(axes):
        for c, name in enumerate(classes):
            colour, line = class_colours(classes)[name], class_lines(classes)[name]
            _steps(panel, known, c, f, color=lighter(colour), linewidth=4.0)
            _steps(panel, new, c, f, color=colour, linewidth=1.2, linestyle=line)
        _limits(panel, known, new, f)
        _largest(panel, result.distance[:, f], classes)
        panel_label(panel, labels[f], pad=16.0)
    class_legend(figure, classes)
    legend = "wide, pale: known sources; thin: new sources, weighted by their posterior"
    figure.text(0.995, 0.997, legend, ha="right", va="top", fontsize=8.5, color=MUTED)
    return figure


def _steps(axes: Axes, sample: Sample, c: int, f: int, **style) -> None:
    rows = sample.measured[:, f] & (sample.weight[:, c] > 0)
    if not rows.any():
        return
    order = np.argsort(sample.value[rows, f])
    share = np.cumsum(sample.weight[rows, c][order])
    axes.step(sample.value[rows, f][order], share / share[-1], where="post", **style)


def _limits(axes: Axes, known: Sample, new: Sample, f: int) -> None:
    values = np.concatenate([s.value[s.measured[:, f], f] for s in (known, new)])
    if len(values):
        low, high = np.quantile(values, [TAIL, 1 - TAIL])
        axes.set_xlim(*((low, high) if low < high else (low - 0.5, high + 0.5)))
    axes.set_ylim(0, 1)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.tick_params(labelsize=8)


def _largest(axes: Axes, distance: np.ndarray, classes: Sequence[str]) -> None:
    if np.isnan(distance).all():
        return
    c = int(np.nanargmax(distance))
    text = f"largest distance: {classes[c]}, {distance[c]:.2f}"
    axes.annotate(
        text,
        (0, 1.0),
        (0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=7.5,
        color=MUTED,
    )
