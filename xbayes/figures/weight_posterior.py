"""The figure of the posterior of the weights."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from xbayes.figures.labels import shortened
from xbayes.figures.panels import legend_columns
from xbayes.figures.style import (
    FAINT,
    MUTED,
    WIDTH,
    category_colours,
    class_colours,
    class_markers,
    styled,
)
from xbayes.types import Names

ROW = 0.21  # inches of a line of the forest
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@styled
def draw_weight_posterior(
    alpha: Float[np.ndarray, "S R L"], names: Names, ax: Axes | None = None
) -> Axes:
    """Posterior medians, 50 % and 90 % intervals of the weights alpha.

    Parameters
    ----------
    alpha
        S posterior samples for R features, or categories, and L = 1 or C classes. With L = 1 a
        row has one weight in the colour of its category, otherwise one per class.
    """
    n_rows, n_each = alpha.shape[1:]
    by_feature = n_rows == len(names.features)
    rows = names.features if by_feature else names.categories
    group = names.category if by_feature else range(n_rows)
    of_category, of_class = category_colours(names.categories), class_colours(names.modelled)
    markers = class_markers(names.modelled)
    height = 1.2 + ROW * n_rows * max(1.0, 0.55 * n_each)
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06)
    axes = Figure((WIDTH, height), layout=layout).subplots() if ax is None else ax
    quantiles = np.quantile(alpha, LEVELS, axis=0)  # [5 R L]
    for c in range(n_each):
        at = np.arange(n_rows) + (c + 0.5) / n_each * 0.8 - 0.4
        name = names.modelled[c]
        colour, marker = [of_class[name]] * n_rows, markers[name]
        if n_each == 1:
            colour, marker = [of_category[names.categories[g]] for g in group], "o"
        q = quantiles[..., c]
        axes.hlines(at, q[0], q[4], color=colour, linewidth=1.1)
        axes.hlines(at, q[1], q[3], color=colour, linewidth=2.6)
        look = {"s": 30, "marker": marker, "edgecolors": "white", "linewidths": 0.8}
        axes.scatter(q[2], at, c=colour, zorder=3, **look)
    axes.axvline(1.0, color=MUTED, linewidth=1.0, linestyle=(0, (4, 2)), label="naive Bayes")
    axes.set(ylim=(n_rows - 0.4, -0.6), xlim=(0, None), xlabel="weight α")
    axes.set_yticks(range(n_rows), [shortened(name, 28) for name in rows])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    for name, colour in (of_category if n_each == 1 else of_class).items():
        marker = "o" if n_each == 1 else markers[name]
        axes.scatter([], [], s=22, color=colour, marker=marker, label=shortened(name, 20))
    _legend(axes, outside=ax is None)
    return axes


def _legend(axes: Axes, outside: bool) -> None:
    line, *points = zip(*axes.get_legend_handles_labels(), strict=True)
    handles, labels = zip(*points, line, strict=True)
    if outside:
        columns = legend_columns(labels)
        axes.figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    else:
        axes.legend(handles, labels)
