"""What the classifier relies on: the weight of each category, property and class."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from xbayes.figures.style import (
    FAINT,
    MUTED,
    WIDTH,
    category_colours,
    class_colours,
    readable_on,
    shortened,
    styled,
)

ROW = 0.235  # inches a property
NAME_LENGTH = 24
ALPHA = "weight α (1: plain naive Bayes)"
COLUMNS_IN_A_ROW = 40  # of the matrix, before its blocks go on below


@styled
def draw_weights(
    alpha: Float[np.ndarray, "F C"],
    mixing: Float[np.ndarray, "F C C"] | None,
    features: Sequence[str],
    categories: Sequence[str],
    category: Sequence[int],
    classes: Sequence[str],
    kind: str,
) -> Figure:
    """The weights, in the picture that fits their kind.

    category, property: bars of alpha. property_class: a heat map of alpha. matrix: bars of alpha
    beside the whole W = alpha times the identity + mixing, a block per scored class c, in it a
    column per class c' whose log-likelihood is read. Names stand in the order of their
    categories.
    """
    order = np.argsort(np.asarray(category), kind="stable")
    features = [shortened(features[int(f)], NAME_LENGTH) for f in order]
    group = np.asarray(category)[order]
    if kind == "category":
        return _by_category(alpha[order], features, categories, group)
    if kind == "property":
        figure = Figure((WIDTH * 0.75, 1.1 + ROW * max(len(order), 3)), layout="constrained")
        axes = figure.subplots()
        _bars(axes, alpha[order, 0], features, categories, group)
        axes.set_xlabel(ALPHA)
        return figure
    if kind == "property_class":
        return _by_class(alpha[order], features, categories, group, classes)
    if mixing is None:
        raise ValueError("weights of kind 'matrix' need their mixing [F, C, C]; got None")
    matrix = alpha[order, :, None] * np.eye(len(classes)) + mixing[order]
    return _as_matrix(alpha[order, 0], matrix, features, categories, group, classes)


def _by_category(alpha, features, categories, group) -> Figure:
    present = np.unique(group)
    figure = Figure((WIDTH * 0.75, 1.1 + 0.62 * len(present)), layout="constrained")
    axes = figure.subplots()
    members = [[name for name, g in zip(features, group, strict=True) if g == p] for p in present]
    colours = category_colours(categories)
    first = [int(np.flatnonzero(group == p)[0]) for p in present]
    height = alpha[first, 0]
    axes.barh(range(len(present)), height, 0.5, color=[colours[categories[p]] for p in present])
    for row, (value, names) in enumerate(zip(height, members, strict=True)):
        axes.text(value, row, f" {value:.2f}", va="center", fontsize=9.5)
        text = shortened(", ".join(names), 95)
        place = {"xytext": (4, 0), "textcoords": "offset points", "va": "top"}
        axes.annotate(text, (0, row + 0.28), **place, fontsize=8, color=MUTED)
    axes.set_yticks(range(len(present)), [shortened(categories[p], 20) for p in present])
    axes.set_ylim(len(present) - 0.3, -0.5)
    axes.set_xlim(0, 1.12 * max(float(height.max()), 1.0))
    _mark_one(axes)
    axes.set_xlabel(ALPHA)
    return figure


def _bars(axes: Axes, alpha, features, categories, group) -> None:
    colours = category_colours(categories)
    axes.barh(range(len(group)), alpha, 0.72, color=[colours[categories[g]] for g in group])
    limit = max(float(alpha.max()), 1.0)
    for row, value in enumerate(alpha):
        place = ((value, row), (3, 0))
        axes.annotate(
            f"{value:.2f}",
            *place,
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=MUTED,
            bbox={"facecolor": "white", "linewidth": 0, "pad": 0.8},
        )
    axes.set_yticks(range(len(features)), features)
    axes.set_ylim(len(features) - 0.5, -0.5)
    axes.set_xlim(0, 1.22 * limit)
    _mark_one(axes)
    breaks = np.flatnonzero(np.diff(group)) + 0.5
    axes.hlines(breaks, 0, 1.22 * limit, color=FAINT, linewidth=0.9)
    _legend(axes, categories, group, n_columns=4)


def _mark_one(axes: Axes) -> None:
    axes.axvline(1.0, color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)), zorder=0)
    axes.tick_params(axis="y", length=0)


def _by_class(alpha, features, categories, group, classes) -> Figure:
    n_features, n_classes = alpha.shape
    size = (min(WIDTH, 4.6 + 0.75 * n_classes), 1.7 + ROW * max(n_features, 4))
    figure = Figure(size, layout="constrained")
    axes = figure.subplots()
    limits = Normalize(0.0, max(1.0, float(alpha.max())))
    mesh = axes.imshow(alpha, cmap="Blues", norm=limits, aspect="auto")
    _numbers(axes, alpha, mesh, 8.0)
    _class_ticks(axes, classes, crowded=n_classes > 5)
    axes.set_yticks(range(n_features), features)
    _separate_cells(axes, group, n_classes)
    _name_categories(axes, categories, group)
    axes.set_xlabel("class")
    figure.colorbar(mesh, ax=axes, label=ALPHA, fraction=0.05, aspect=30)
    return figure


def _as_matrix(alpha, matrix, features, categories, group, classes) -> Figure:
    n_features, n_classes = matrix.shape[:2]
    per_row = min(n_classes, max(1, COLUMNS_IN_A_ROW // n_classes))
    n_rows = -(-n_classes // per_row)
    per_row = -(-n_classes // n_rows)  # as even as the rows can be
    size = (WIDTH, 1.2 + n_rows * (0.9 + ROW * max(n_features, 4)))
    figure = Figure(size, layout=ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.06, wspace=0.02))
    widths = [1.25 * n_classes**0.3] + [n_classes**0.6] * per_row
    axes = figure.subplots(n_rows, per_row + 1, squeeze=False, width_ratios=widths)
    _bars(axes[0, 0], alpha, features, categories, group)
    axes[0, 0].set_xlabel("α (1: naive Bayes)", fontsize=8.5)
    for panel in axes[1:, 0]:
        _name_only(panel, features)
    # One stray weight must not bleach all the others.
    mesh = ScalarMappable(cmap="RdBu_r")
    limit = max(1e-3, float(np.quantile(np.abs(matrix), 0.995)))
    mesh.set_clim(-limit, limit)
    for c, panel in enumerate(axes[:, 1:].flat):
        if c < n_classes:
            _block(panel, matrix[:, c], c, mesh, group, classes, n_classes * per_row <= 20)
        else:
            panel.set_visible(False)
    figure.supxlabel("columns: log-likelihood of this class is read", fontsize=9.5, x=0.65)
    bar = figure.colorbar(mesh, ax=axes[:, 1:], fraction=0.025, aspect=40, pad=0.01, extend="both")
    bar.set_label("weight W (ln odds per ln likelihood)")
    return figure


def _block(
    axes: Axes, weights, scored, mesh: ScalarMappable, group, classes, numbers: bool
) -> None:
    """What the log-likelihoods `[F, C]` add to the score of one class."""
    low, high = mesh.get_clim()
    axes.imshow(weights, cmap=mesh.cmap, vmin=low, vmax=high, aspect="auto")
    if numbers:
        _numbers(axes, weights, mesh, 6.5)
    _class_ticks(axes, classes, crowded=len(classes) > 2)
    axes.set_yticks([])
    _separate_cells(axes, group, len(classes))
    name = classes[scored]
    title = {"color": class_colours(classes)[name], "fontsize": 9.5, "fontweight": "bold"}
    axes.set_title(f"score of {shortened(name, 12)}", **title)


def _name_only(axes: Axes, features: Sequence[str]) -> None:
    axes.set(ylim=(len(features) - 0.5, -0.5), xticks=[])
    axes.set_yticks(range(len(features)), features)
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)


def _name_categories(axes: Axes, categories: Sequence[str], group: np.ndarray) -> None:
    """Colours the names of the properties by category, which a legend explains."""
    colours = category_colours(categories)
    for tick, g in zip(axes.get_yticklabels(), group, strict=True):
        tick.set_color(colours[categories[int(g)]])
    _legend(axes, categories, group, n_columns=2)


def _legend(axes: Axes, categories: Sequence[str], group: np.ndarray, n_columns: int) -> None:
    present = [categories[int(g)] for g in np.unique(group)]
    handles = [Patch(color=category_colours(categories)[name]) for name in present]
    names = [shortened(name, 20) for name in present]
    place = {"loc": "outside upper left", "ncols": n_columns, "columnspacing": 1.2}
    axes.figure.legend(handles, names, **place)


def _numbers(axes: Axes, cells: np.ndarray, mesh: ScalarMappable, size: float) -> None:
    for row, column in np.ndindex(*cells.shape):
        value = cells[row, column]
        text = "0" if abs(value) < 0.05 else f"{value:.1f}".replace("-", "−")
        colour = readable_on(mesh.to_rgba(value))
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)


def _class_ticks(axes: Axes, classes: Sequence[str], crowded: bool) -> None:
    names = [shortened(name, 12) for name in classes]
    axes.set_xticks(range(len(classes)), names, rotation=90 if crowded else 0)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _separate_cells(axes: Axes, group: np.ndarray, n_columns: int) -> None:
    breaks = np.flatnonzero(np.diff(group)) + 0.5
    axes.hlines(breaks, -0.5, n_columns - 0.5, color="white", linewidth=2.2)
