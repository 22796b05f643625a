"""The figure of the class densities of each feature."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xbayes.figures.labels import FeatureLabel
from xbayes.figures.panels import COLUMNS, class_legend, panel_grid, panel_label
from xbayes.figures.ranges import robust_range, with_margin
from xbayes.figures.style import MUTED, class_colours, class_lines, styled

HISTOGRAM_BINS = 25
MARGIN = 0.1
SPIKE = 8.0  # a peak of so many times the 90 % quantile gets a square-root scale


@styled
def draw_densities(
    node: Float[np.ndarray, "F B"],
    density: Float[np.ndarray, "F B C"],
    labels: Sequence[FeatureLabel],
    classes: Sequence[str],
    values: Sequence[Sequence[np.ndarray]] | None = None,
) -> Figure:
    """Class densities, one panel per feature, in front of histograms of the training sources.

    `node` and `density` are in the scaled feature and per unit of it; `values[f][c]` are the
    measured scaled values of the training sources of class c. Histograms are normalised like
    densities and cut at the top of the panel, whose height follows the densities. A feature with
    a spike has a square-root scale, which its panel states.
    """
    figure, axes = panel_grid(len(labels), classes)
    for f, panel in enumerate(axes):
        _panel(panel, node[f], density[f], classes, values[f] if values is not None else None)
        panel_label(panel, labels[f])
        if f % COLUMNS == 0:
            panel.set_ylabel("density")
    class_legend(figure, classes)
    return figure


def _panel(
    axes: Axes,
    node: np.ndarray,
    density: np.ndarray,
    classes: Sequence[str],
    values: Sequence[np.ndarray] | None,
) -> None:
    colours, lines = class_colours(classes), class_lines(classes)
    low, high = _range(node, values)
    edges = np.linspace(low, high, HISTOGRAM_BINS + 1)
    for c, name in enumerate(classes):
        axes.plot(node, density[:, c], color=colours[name], linestyle=lines[name], linewidth=1.5)
        if values is not None and len(values[c]):
            height, _ = np.histogram(values[c], edges)
            height = height / (len(values[c]) * np.diff(edges))
            axes.stairs(height, edges, fill=True, color=colours[name], alpha=0.13, linewidth=0)
    shown = density[(node >= low) & (node <= high)]
    highest = float(shown.max())
    axes.set_xlim(low, high)
    if highest > SPIKE * np.quantile(shown.max(-1), 0.9):
        axes.set_yscale("function", functions=(_root, np.square))
        axes.set_title("square-root scale", loc="right", fontsize=7.5, color=MUTED)
    axes.set_ylim(0, 1.08 * highest if highest > 0 else 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.tick_params(labelsize=8)


def _range(node: np.ndarray, values: Sequence[np.ndarray] | None) -> tuple[float, float]:
    """The part of the grid that has sources, up to a few absurd values."""
    ends = float(node[0]), float(node[-1])
    pooled = np.concatenate([np.asarray(v, float) for v in values or ()]) if values else node
    low, high = with_margin(*robust_range(pooled, 0.0), MARGIN)
    low, high = max(low, ends[0]), min(high, ends[1])
    # At least two nodes, or there is no curve to see.
    return (low, high) if np.sum((node >= low) & (node <= high)) > 1 else ends


def _root(value):
    return np.sqrt(np.maximum(value, 0.0))
