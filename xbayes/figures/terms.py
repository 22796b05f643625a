"""The figure of the boosted terms of a fitted classifier."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xbayes.figures.labels import FeatureLabel, axis_label
from xbayes.figures.splines import (
    COLUMNS,
    HEIGHT,
    LABEL,
    MOST_CURVES,
    curve_legend,
    frame_curves,
)
from xbayes.figures.style import MUTED, WIDTH, class_colours, class_lines, styled
from xbayes.models.term_tables import TermTables

MOST_MAPS = 6
COLOURS = "PuOr"  # colour-blind safe; white is 0


@styled
def draw_terms(
    tables: TermTables,
    order: Sequence[int],
    labels: Sequence[FeatureLabel],
    classes: Sequence[str],
) -> Figure:
    """The leading boosted terms, times their share, before calibration, in nats.

    Curves of the features with the largest terms, for every class; then maps of the pairs in
    `order` (most important first), each for the class that the pair moves most. The outermost
    bins are open, and drawn as wide as their neighbours.
    """
    main = float(tables.share) * np.asarray(tables.main)
    maps = float(tables.share) * np.asarray(tables.pair_table)
    edges = [_inner_edges(tables, f) for f in range(len(main))]
    size = np.sqrt((main[:, :-1] ** 2).mean((1, 2)))
    leading = [f for f in np.argsort(-size)[:MOST_CURVES].tolist() if len(edges[f]) > 1]
    pair = np.asarray(tables.pair).tolist()
    pairs = [p for p in order if all(len(edges[f]) > 1 for f in pair[p])][:MOST_MAPS]
    n_curve_rows = -(-len(leading) // COLUMNS)
    n_rows = max(n_curve_rows - (-len(pairs) // COLUMNS), 1)
    figure = Figure((WIDTH, HEIGHT * n_rows + 0.4), layout="constrained")
    grid = figure.add_gridspec(n_rows, COLUMNS)
    for i, f in enumerate(leading):
        axes = figure.add_subplot(grid[i // COLUMNS, i % COLUMNS])
        shown = _all_edges(edges[f])
        _curves(axes, shown, main[f, : len(shown) - 1], classes)
        frame_curves(axes, shown[0], shown[-1], labels[f], first=i % COLUMNS == 0)
    if leading:
        curve_legend(figure, classes)
    for i, p in enumerate(pairs):
        axes = figure.add_subplot(grid[n_curve_rows + i // COLUMNS, i % COLUMNS])
        a, b = pair[p]
        _map(axes, edges[a], edges[b], maps[p], classes)
        axes.set_xlabel(axis_label(labels[a], LABEL))
        axes.set_ylabel(axis_label(labels[b], LABEL))
    return figure


def _inner_edges(tables: TermTables, f: int) -> Float[np.ndarray, "E"]:
    """The edges between the bins of a feature; the table is padded with infinity."""
    edge = np.asarray(tables.edge[f], np.float64)
    return edge[np.isfinite(edge)]


def _all_edges(inner: Float[np.ndarray, "E"]) -> Float[np.ndarray, "E2"]:
    """The edges of all bins, the outermost as wide as their neighbours."""
    first, last = inner[1] - inner[0], inner[-1] - inner[-2]
    return np.concatenate([[inner[0] - first], inner, [inner[-1] + last]])


def _curves(axes: Axes, edges, height: Float[np.ndarray, "K C"], classes: Sequence[str]) -> None:
    colours, lines = class_colours(classes), class_lines(classes)
    for c, name in enumerate(classes):
        look = {"color": colours[name], "linestyle": lines[name], "label": name, "linewidth": 1.5}
        axes.stairs(height[:, c], edges, baseline=None, **look)


def _map(
    axes: Axes,
    across: Float[np.ndarray, "E"],
    up: Float[np.ndarray, "E2"],
    table: Float[np.ndarray, "B B C"],
    classes: Sequence[str],
) -> None:
    table = table[: len(across) + 1, : len(up) + 1]
    moved = int(np.argmax((table**2).sum((0, 1))))
    shown = table[..., moved].T
    most = float(np.abs(shown).max()) or 1.0
    look = {"cmap": COLOURS, "norm": Normalize(-most, most)}
    axes.pcolormesh(_all_edges(across), _all_edges(up), shown, rasterized=True, **look)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(colors=MUTED)
    bar = axes.figure.colorbar(ScalarMappable(**look), ax=axes, pad=0.02)
    bar.ax.yaxis.set_major_locator(MaxNLocator(4))
    bar.set_label(f"added to {classes[moved]} [nat]")
