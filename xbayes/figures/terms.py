"""What smooth curves and boosted terms add to the log-odds: curves, and maps of two properties."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from xbayes.figures.labels import FeatureLabel, axis_label
from xbayes.figures.style import FAINT, MUTED, WIDTH, class_colours, class_lines, styled
from xbayes.models.additive_terms import SplineTerms
from xbayes.models.term_tables import TermTables

COLUMNS, MOST_CURVES, MOST_MAPS = 3, 6, 6
HEIGHT = 2.5  # inches, of a row of panels
COLOURS = "PuOr"  # told apart by colour-blind readers; white is nothing added
LABEL = 34  # characters of a line below an axis


@styled
def draw_terms(
    tables: TermTables,
    order: Sequence[int],
    labels: Sequence[FeatureLabel],
    classes: Sequence[str],
) -> Figure:
    """The leading terms of a fitted classifier, with their share, before calibration.

    Curves of the properties whose own terms reach furthest, every class; then maps of the pairs in
    `order` (most important first), each of the class that the pair moves most. Values are in nats.
    The widest bins, which are open, are drawn as wide as their neighbours.
    """
    main, maps = _scaled(tables)
    spread = np.sqrt((main[:, :-1] ** 2).mean((1, 2)))
    leading = [int(f) for f in np.argsort(-spread)[:MOST_CURVES] if len(_ends(tables, int(f))) > 1]
    pairs = [p for p in order if all(len(_ends(tables, int(f))) > 1 for f in tables.pair[p])]
    pairs = pairs[:MOST_MAPS]
    n_rows = -(-len(leading) // COLUMNS) - (-len(pairs) // COLUMNS)
    figure = Figure((WIDTH, HEIGHT * max(n_rows, 1) + 0.4), layout=ConstrainedLayoutEngine())
    grid = figure.add_gridspec(max(n_rows, 1), COLUMNS)
    for i, f in enumerate(leading):
        axes = figure.add_subplot(grid[i // COLUMNS, i % COLUMNS])
        _curves(axes, _ends(tables, f), main[f, :-1], classes)
        axes.set_xlabel(axis_label(labels[f], LABEL))
        if i % COLUMNS == 0:
            axes.set_ylabel("added to the score [nat]")
    if leading:
        handles, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=len(classes))
    first = -(-len(leading) // COLUMNS)
    for i, p in enumerate(pairs):
        axes = figure.add_subplot(grid[first + i // COLUMNS, i % COLUMNS])
        _map(figure, axes, tables, p, maps[p], labels, classes)
    return figure


@styled
def draw_splines(
    splines: SplineTerms, labels: Sequence[FeatureLabel], classes: Sequence[str]
) -> Figure:
    """The smooth curves that reach furthest, with their share, before calibration; in nats."""
    node = np.asarray(splines.node, np.float64)
    height = float(splines.share) * np.asarray(splines.height)
    leading = np.argsort(-(height**2).mean((1, 2)), kind="stable")[:MOST_CURVES].tolist()
    n_rows = -(-len(leading) // COLUMNS)
    figure = Figure((WIDTH, HEIGHT * n_rows + 0.4), layout=ConstrainedLayoutEngine())
    colours, lines = class_colours(classes), class_lines(classes)
    for i, f in enumerate(leading):
        axes = figure.add_subplot(n_rows, COLUMNS, i + 1)
        for c, name in enumerate(classes):
            look = {"color": colours[name], "linestyle": lines[name], "label": name}
            axes.plot(node[f], height[f, :, c], linewidth=1.5, **look)
        _dress(axes, node[f, 0], node[f, -1])
        axes.set_xlabel(axis_label(labels[f], LABEL))
        if i % COLUMNS == 0:
            axes.set_ylabel("added to the score [nat]")
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=len(classes))
    return figure


def _dress(axes: Axes, low: float, high: float) -> None:
    axes.axhline(0, color=FAINT, lw=0.8, zorder=0)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _scaled(tables: TermTables) -> tuple[np.ndarray, np.ndarray]:
    """Terms of one property and of two, with their share in the log-odds."""
    share = float(tables.share)
    return share * np.asarray(tables.main), share * np.asarray(tables.pair_table)


def _ends(tables: TermTables, f: int) -> Float[np.ndarray, "E"]:
    """The ends between the bins of a property that has values on both sides."""
    edge = np.asarray(tables.edge[f], np.float64)
    return edge[np.isfinite(edge)]


def _closed(ends: Float[np.ndarray, "E"]) -> Float[np.ndarray, "E2"]:
    """The ends of all bins, the outermost as wide as their neighbours."""
    first, last = ends[1] - ends[0], ends[-1] - ends[-2]
    return np.concatenate([[ends[0] - first], ends, [ends[-1] + last]])


def _curves(axes: Axes, ends, term: Float[np.ndarray, "K C"], classes: Sequence[str]) -> None:
    colours, lines = class_colours(classes), class_lines(classes)
    shown = _closed(ends)
    for c, name in enumerate(classes):
        height = term[: len(ends) + 1, c]
        look = {"color": colours[name], "linestyle": lines[name], "label": name, "linewidth": 1.5}
        axes.stairs(height, shown, baseline=None, **look)
    _dress(axes, shown[0], shown[-1])


def _map(figure: Figure, axes: Axes, tables: TermTables, p: int, table, labels, classes) -> None:
    a, b = (int(f) for f in tables.pair[p])
    across, up = _ends(tables, a), _ends(tables, b)
    seen = table[: len(across) + 1, : len(up) + 1]
    moved = int(np.argmax((seen**2).sum((0, 1))))
    shown = seen[..., moved].T
    most = float(np.abs(shown).max()) or 1.0
    norm = Normalize(-most, most)
    axes.pcolormesh(_closed(across), _closed(up), shown, cmap=COLOURS, norm=norm, rasterized=True)
    axes.set_xlabel(axis_label(labels[a], LABEL))
    axes.set_ylabel(axis_label(labels[b], LABEL))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(colors=MUTED)
    bar = figure.colorbar(ScalarMappable(norm, COLOURS), ax=axes, pad=0.02)
    bar.ax.yaxis.set_major_locator(MaxNLocator(4))
    bar.set_label(f"to {classes[moved]} [nat]")
