"""The figure of the weights: how strongly each category or feature counts for each class."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from xbayes.figures.labels import shortened
from xbayes.figures.style import (
    FAINT,
    MUTED,
    WIDTH,
    category_colours,
    class_colours,
    readable_on,
    styled,
)
from xbayes.types import Names

ROW = 0.235  # inches per feature
NAME_LENGTH = 24
ALPHA = "weight α (1: naive Bayes)"
COLUMNS_IN_A_ROW = 40  # of the matrix; further blocks go into the next row


class _Rows(NamedTuple):
    """The rows of a figure: features in the order of their categories."""

    features: list[str]
    category: list[str]  # of each feature
    colours: list[str]  # of each feature, by category
    breaks: np.ndarray  # between two categories


@styled
def draw_weights(
    alpha: Float[np.ndarray, "F C"],
    names: Names,
    kind: str,
    mixing: Float[np.ndarray, "F C C"] | None = None,
) -> Figure:
    """The weights as bars, a heat map or a matrix, depending on their kind.

    Parameters
    ----------
    alpha
        Weights of the features for the classes `names.modelled`.
    kind
        ``category`` and ``property``: bars of alpha. ``property_class``: a heat map of alpha.
        ``matrix``: bars of alpha, and W = alpha times the identity + `mixing` with one block per
        scored class, whose columns are the classes of the log-likelihoods.
    mixing
        Off-diagonal weights, for ``matrix`` only.
    """
    order = np.argsort(np.asarray(names.category), kind="stable")
    group = np.asarray(names.category)[order]
    category = [names.categories[g] for g in group]
    colours = category_colours(names.categories)
    rows = _Rows(
        features=[shortened(names.features[int(f)], NAME_LENGTH) for f in order],
        category=category,
        colours=[colours[name] for name in category],
        breaks=np.flatnonzero(np.diff(group)) + 0.5,
    )
    if kind == "category":
        return _by_category(alpha[order, 0], rows)
    if kind == "property":
        figure = Figure((WIDTH * 0.75, 1.1 + ROW * max(len(order), 3)), layout="constrained")
        axes = figure.subplots()
        _bars(axes, alpha[order, 0], rows)
        axes.set_xlabel(ALPHA)
        return figure
    if kind == "property_class":
        return _by_class(alpha[order], rows, names.modelled)
    if mixing is None:
        raise ValueError("weights of kind 'matrix' need their mixing [F, C, C]; got None")
    matrix = alpha[order, :, None] * np.eye(len(names.modelled)) + mixing[order]
    return _as_matrix(alpha[order, 0], matrix, rows, names.modelled)


def _by_category(alpha: Float[np.ndarray, "F"], rows: _Rows) -> Figure:
    present = list(dict.fromkeys(rows.category))
    first = [rows.category.index(name) for name in present]
    height = alpha[first]
    figure = Figure((WIDTH * 0.75, 1.1 + 0.62 * len(present)), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(present)), height, 0.5, color=[rows.colours[f] for f in first])
    for row, (name, value) in enumerate(zip(present, height, strict=True)):
        axes.text(value, row, f" {value:.2f}", va="center", fontsize=9.5)
        features = zip(rows.features, rows.category, strict=True)
        text = shortened(", ".join(f for f, category in features if category == name), 95)
        place = {"xytext": (4, 0), "textcoords": "offset points", "va": "top"}
        axes.annotate(text, (0, row + 0.28), **place, fontsize=8, color=MUTED)
    axes.set_yticks(range(len(present)), [shortened(name, 20) for name in present])
    axes.set_ylim(len(present) - 0.3, -0.5)
    axes.set_xlim(0, 1.12 * max(float(height.max()), 1.0))
    _mark_one(axes)
    axes.set_xlabel(ALPHA)
    return figure


def _bars(axes: Axes, alpha: Float[np.ndarray, "F"], rows: _Rows) -> None:
    axes.barh(range(len(alpha)), alpha, 0.72, color=rows.colours)
    box = {"facecolor": "white", "linewidth": 0, "pad": 0.8}
    for row, value in enumerate(alpha):
        look = {"va": "center", "fontsize": 7.5, "color": MUTED, "bbox": box}
        axes.annotate(f"{value:.2f}", (value, row), (3, 0), textcoords="offset points", **look)
    axes.set_yticks(range(len(alpha)), rows.features)
    axes.set_ylim(len(alpha) - 0.5, -0.5)
    right = 1.22 * max(float(alpha.max()), 1.0)
    axes.set_xlim(0, right)
    _mark_one(axes)
    axes.hlines(rows.breaks, 0, right, color=FAINT, linewidth=0.9)
    _legend(axes, rows, n_columns=4)


def _mark_one(axes: Axes) -> None:
    axes.axvline(1.0, color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)), zorder=0)
    axes.tick_params(axis="y", length=0)


def _by_class(alpha: Float[np.ndarray, "F C"], rows: _Rows, classes: Sequence[str]) -> Figure:
    n_features, n_classes = alpha.shape
    size = (min(WIDTH, 4.6 + 0.75 * n_classes), 1.7 + ROW * max(n_features, 4))
    figure = Figure(size, layout="constrained")
    axes = figure.subplots()
    limits = Normalize(0.0, max(1.0, float(alpha.max())))
    mesh = axes.imshow(alpha, cmap="Blues", norm=limits, aspect="auto")
    _numbers(axes, alpha, mesh, 8.0)
    _frame_cells(axes, rows, classes, crowded=n_classes > 5)
    axes.set_yticks(range(n_features), rows.features)
    for tick, colour in zip(axes.get_yticklabels(), rows.colours, strict=True):
        tick.set_color(colour)
    _legend(axes, rows, n_columns=2)
    axes.set_xlabel("class")
    figure.colorbar(mesh, ax=axes, label=ALPHA, fraction=0.05, aspect=30)
    return figure


def _as_matrix(
    alpha: Float[np.ndarray, "F"],
    matrix: Float[np.ndarray, "F C C"],
    rows: _Rows,
    classes: Sequence[str],
) -> Figure:
    n_features, n_classes = matrix.shape[:2]
    per_row = min(n_classes, max(1, COLUMNS_IN_A_ROW // n_classes))
    n_rows = -(-n_classes // per_row)
    per_row = -(-n_classes // n_rows)  # spread evenly over the rows
    size = (WIDTH, 1.2 + n_rows * (0.9 + ROW * max(n_features, 4)))
    figure = Figure(size, layout=ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.06, wspace=0.02))
    widths = [1.25 * n_classes**0.3] + [n_classes**0.6] * per_row
    axes = figure.subplots(n_rows, per_row + 1, squeeze=False, width_ratios=widths)
    _bars(axes[0, 0], alpha, rows)
    axes[0, 0].set_xlabel("α (1: naive Bayes)", fontsize=8.5)
    for panel in axes[1:, 0]:
        panel.set(ylim=(n_features - 0.5, -0.5), xticks=[])
        panel.set_yticks(range(n_features), rows.features)
        panel.tick_params(axis="y", length=0)
        panel.spines[:].set_visible(False)
    # A quantile, so that a single large weight does not fade all others.
    limit = max(1e-3, float(np.quantile(np.abs(matrix), 0.995)))
    mesh = ScalarMappable(Normalize(-limit, limit), "RdBu_r")
    panels = axes[:, 1:].ravel()
    for c, (name, panel) in enumerate(zip(classes, panels, strict=False)):
        panel.imshow(matrix[:, c], cmap=mesh.cmap, norm=mesh.norm, aspect="auto")
        if n_classes * per_row <= 20:
            _numbers(panel, matrix[:, c], mesh, 6.5)
        _frame_cells(panel, rows, classes, crowded=n_classes > 2)
        panel.set_yticks([])
        title = {"color": class_colours(classes)[name], "fontsize": 9.5, "fontweight": "bold"}
        panel.set_title(f"score of {shortened(name, 12)}", **title)
    for panel in panels[n_classes:]:
        panel.set_visible(False)
    figure.supxlabel("columns: class of the log-likelihood", fontsize=9.5, x=0.65)
    bar = figure.colorbar(mesh, ax=axes[:, 1:], fraction=0.025, aspect=40, pad=0.01, extend="both")
    bar.set_label("weight W (ln odds per ln likelihood)")
    return figure


def _legend(axes: Axes, rows: _Rows, n_columns: int) -> None:
    colours = dict(zip(rows.category, rows.colours, strict=True))
    handles = [Patch(color=colour) for colour in colours.values()]
    names = [shortened(name, 20) for name in colours]
    place = {"loc": "outside upper left", "ncols": n_columns, "columnspacing": 1.2}
    axes.figure.legend(handles, names, **place)


def _numbers(axes: Axes, cells: np.ndarray, mesh: ScalarMappable, size: float) -> None:
    for row, column in np.ndindex(*cells.shape):
        value = cells[row, column]
        text = "0" if abs(value) < 0.05 else f"{value:.1f}".replace("-", "−")
        colour = readable_on(mesh.to_rgba(value))
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)


def _frame_cells(axes: Axes, rows: _Rows, classes: Sequence[str], crowded: bool) -> None:
    """Name the columns, and draw white lines between the categories."""
    names = [shortened(name, 12) for name in classes]
    axes.set_xticks(range(len(classes)), names, rotation=90 if crowded else 0)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.hlines(rows.breaks, -0.5, len(classes) - 0.5, color="white", linewidth=2.2)
