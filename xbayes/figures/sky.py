"""The sky by predicted class."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xbayes.figures.class_points import plot_classes
from xbayes.figures.projection import LONGITUDES
from xbayes.figures.style import FAINT, MUTED, WIDTH, styled

LATITUDES = (-60, -30, 0, 30, 60)
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
    handles = plot_classes(axes, -np.radians(l_deg), np.radians(b_deg), known, prediction, classes)
    _frame(axes)
    columns = min(len(classes), LEGEND_COLUMNS)
    figure.legend(handles=handles, loc="lower center", ncols=columns, borderpad=0.3)
    figure.text(0.02, 0.97, "galactic l, b", fontsize=8.5, color=MUTED, va="top")
    return figure


def _frame(axes: Axes) -> None:
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xticks(-np.radians(LONGITUDES), [f"{at % 360}°" for at in LONGITUDES])
    axes.set_yticks(np.radians(LATITUDES), [f"{at}°".replace("-", "−") for at in LATITUDES])
    axes.tick_params(labelsize=8, axis="y")
    # The labels of longitude stand on the equator, among the sources.
    for label in axes.get_xticklabels():
        label.set(fontsize=7.5, color=MUTED, zorder=20, va="bottom")
        label.set_bbox({"facecolor": "white", "alpha": 0.75, "pad": 0.6, "linewidth": 0})
