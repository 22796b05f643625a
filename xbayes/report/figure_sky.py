"""The sky by predicted class."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from xbayes.report.style import (
    FAINT,
    MUTED,
    WIDTH,
    class_colours,
    class_markers,
    shortened,
    styled,
)

LONGITUDES = (150, 120, 90, 60, 30, 0, -30, -60, -90, -120, -150)
LEGEND_COLUMNS = 5


@styled
def draw_sky(
    l_deg: Float[np.ndarray, "N"],
    b_deg: Float[np.ndarray, "N"],
    prediction: Int[np.ndarray, "N"],
    classes: Sequence[str],
) -> Figure:
    """Galactic Mollweide map, l in [-180, 180) growing to the left; the rarest class on top.

    Sources without a position (NaN) are not drawn.
    """
    lines = -(-len(classes) // LEGEND_COLUMNS)
    figure = Figure((WIDTH, 5.65 + 0.22 * lines))
    below = (0.35 + 0.22 * lines) / figure.get_figheight()
    axes = figure.add_axes((0.045, below, 0.91, 0.97 - below), projection="mollweide")
    known = np.isfinite(l_deg)
    size = float(np.clip(4.5 * (2000 / max(known.sum(), 1)) ** 0.3, 0.8, 4.5))  # points
    counts = np.bincount(prediction[known], minlength=len(classes))
    for order, c in enumerate(np.argsort(-counts)):
        rows, name = known & (prediction == c), classes[c]
        axes.plot(
            np.radians(-l_deg[rows]),
            np.radians(b_deg[rows]),
            class_markers(classes)[name],
            markersize=size,
            color=class_colours(classes)[name],
            alpha=0.75,
            markeredgecolor="white",
            markeredgewidth=0.25 if size > 2 else 0,
            zorder=3 + order,
        )
    _frame(axes)
    _legend(figure, classes, counts)
    return figure


def _frame(axes) -> None:
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xticks(np.radians(LONGITUDES)[::-1])
    axes.set_xticklabels([f"{l % 360}°" for l in LONGITUDES])  # noqa: E741
    axes.set_yticks(np.radians([-60, -30, 0, 30, 60]))
    axes.tick_params(labelsize=8, axis="y")
    # The labels of longitude stand on the equator, among the sources.
    for label in axes.get_xticklabels():
        label.set(fontsize=7.5, color=MUTED, zorder=20, va="bottom")
        label.set_bbox({"facecolor": "white", "alpha": 0.75, "pad": 0.6, "linewidth": 0})


def _legend(figure: Figure, classes: Sequence[str], counts: np.ndarray) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=class_markers(classes)[name],
            color=class_colours(classes)[name],
            markersize=6.5,
        )
        for name in classes
    ]
    names = [f"{shortened(n, 14)} ({k:,})" for n, k in zip(classes, counts.tolist(), strict=True)]
    figure.legend(
        handles, names, loc="lower center", ncols=min(len(classes), LEGEND_COLUMNS), borderpad=0.3
    )
    figure.text(0.045, 0.02, "galactic l, b", fontsize=8.5, color=MUTED)
