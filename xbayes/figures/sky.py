"""The figure of the sky."""

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
    ax: Axes | None = None,
) -> Axes:
    """Galactic Mollweide map of the sources by predicted class, the rarest class on top.

    Parameters
    ----------
    l_deg, b_deg
        Galactic coordinates in degrees, l in [-180, 180); NaN for a source without a position,
        which is not drawn.
    ax
        Axes with ``projection="mollweide"``; l grows to the left.
    """
    axes = _page(len(classes)) if ax is None else ax
    if axes.name != "mollweide":
        raise ValueError(f"draw_sky needs axes with projection='mollweide'; got {axes.name!r}")
    known = np.isfinite(l_deg)
    handles = plot_classes(axes, -np.radians(l_deg), np.radians(b_deg), known, prediction, classes)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xticks(-np.radians(LONGITUDES), [f"{at % 360}°" for at in LONGITUDES])
    axes.set_yticks(np.radians(LATITUDES), [f"{at}°".replace("-", "−") for at in LATITUDES])
    axes.tick_params(labelsize=8, axis="y")
    # The labels of longitude stand on the equator, among the sources.
    for label in axes.get_xticklabels():
        label.set(fontsize=7.5, color=MUTED, zorder=20, va="bottom")
        label.set_bbox({"facecolor": "white", "alpha": 0.75, "pad": 0.6, "linewidth": 0})
    columns = min(len(classes), LEGEND_COLUMNS)
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "ncols": columns}
    axes.legend(handles=handles, **place)
    corner = {"transform": axes.transAxes, "va": "top"}
    axes.text(-0.03, 1.0, "galactic l, b", fontsize=8.5, color=MUTED, **corner)
    return axes


def _page(n_classes: int) -> Axes:
    """Axes above room for the legend."""
    legend_lines = -(-n_classes // LEGEND_COLUMNS)
    height = 5.65 + 0.22 * legend_lines
    below = (0.35 + 0.22 * legend_lines) / height
    figure = Figure((WIDTH, height))
    return figure.add_axes((0.045, below, 0.91, 0.97 - below), projection="mollweide")
