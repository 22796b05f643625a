"""The figure of the confusion matrix."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xbayes.figures.labels import shortened
from xbayes.figures.style import WIDTH, readable_on, styled


@styled
def draw_confusion(confusion: Float[np.ndarray, "C C"], classes: Sequence[str]) -> Figure:
    """The confusion matrix, normalised by true class (left) and by predicted class (right).

    `confusion` holds counts of sources, weighted or not; rows are the true classes. A row or
    column without sources has no percentages.
    """
    figure = Figure((WIDTH, max(3.6, 0.5 * WIDTH - 0.6)), layout="constrained")
    left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.05})
    _panel(left, confusion, _share(confusion, axis=1), classes)
    left.set_title("rows sum to 100 %; diagonal: recall")
    _panel(right, confusion, _share(confusion, axis=0), classes)
    right.set_title("columns sum to 100 %; diagonal: precision")
    return figure


def _share(confusion: np.ndarray, axis: int) -> np.ndarray:
    total = confusion.sum(axis, keepdims=True)
    return np.divide(confusion, total, out=np.full(confusion.shape, np.nan), where=total > 0)


def _panel(axes: Axes, counts: np.ndarray, share: np.ndarray, classes: Sequence[str]) -> None:
    n_classes = len(classes)
    mesh = axes.imshow(np.nan_to_num(share), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    small = n_classes > 6
    for row, column in np.ndindex(n_classes, n_classes):
        colour = readable_on(mesh.to_rgba(np.nan_to_num(share[row, column])))
        number = _count(float(counts[row, column]))
        axes.text(
            column,
            row - 0.03,
            number,
            ha="center",
            va="bottom",
            color=colour,
            fontsize=(7.5 if small else 10.5) - max(0, len(number) - 6) * 0.5,
            fontweight="bold" if row == column else "normal",
        )
        text = "–" if np.isnan(share[row, column]) else _percent(float(share[row, column]))
        size = 6.5 if small else 8.5
        axes.text(column, row + 0.05, text, ha="center", va="top", color=colour, fontsize=size)
    # White lines between the cells.
    edges = np.arange(n_classes - 1) + 0.5
    axes.hlines(edges, -0.5, n_classes - 0.5, color="white", linewidth=1.5)
    axes.vlines(edges, -0.5, n_classes - 0.5, color="white", linewidth=1.5)
    axes.spines[:].set_visible(False)
    names = [shortened(name, 14) for name in classes]
    crowded = small or max(map(len, names)) * n_classes > 44
    axes.set_xticks(range(n_classes), names, rotation=90 if crowded else 0)
    axes.set_yticks(range(n_classes), names)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:.1f}"


def _percent(share: float) -> str:
    percent = 100 * share
    if 0 < percent < 0.05:
        return "<0.1 %"
    return f"{percent:.0f} %" if percent >= 9.95 or percent == 0 else f"{percent:.1f} %"
