"""The figure of the members of each cluster."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from xbayes.figures.labels import FeatureLabel, axis_label, shortened
from xbayes.figures.ranges import robust_range, with_margin
from xbayes.figures.style import INK, WIDTH, styled

MARGIN = 0.08
POINTS = 3000  # drawn in a panel at most
COLUMNS = 3


@styled
def draw_members(
    value: Float[np.ndarray, "N 2"],
    colour: Float[np.ndarray, "N"],
    cluster: Int[np.ndarray, "N"],
    labels: Sequence[FeatureLabel],
    n_clusters: int,
) -> Figure:
    """Two scaled features, one panel per cluster, coloured by a third; `labels` are of all three.

    NaN means that the source has no value. All other sources are grey.
    """
    n_rows = -(-n_clusters // COLUMNS)
    figure = Figure((WIDTH, 0.5 + 2.6 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, COLUMNS, squeeze=False, sharex=True, sharey=True).ravel()
    has_place = np.isfinite(value).all(1)
    has_colour = np.isfinite(colour) & has_place
    low, high = np.percentile(colour[has_colour], [2, 98]) if has_colour.any() else (0.0, 1.0)
    limits = [with_margin(*robust_range(column), MARGIN) for column in value.T]
    background, points = np.flatnonzero(has_place)[:POINTS], None
    for k, axes in enumerate(panels[:n_clusters]):
        axes.plot(*value[background].T, ".", color="#DDE2E6", markersize=2, zorder=1)
        rows = np.flatnonzero(has_colour & (cluster == k))
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), POINTS)).astype(int)]
        look = {"cmap": "cividis", "vmin": low, "vmax": high}
        points = axes.scatter(*value[rows].T, c=colour[rows], s=5, zorder=2, **look)
        axes.tick_params(labelbottom=k + COLUMNS >= n_clusters)
        axes.set_xlim(*limits[0])
        axes.set_ylim(*limits[1])
        axes.set_title(f"cluster {k + 1} ({np.sum(cluster == k):,} sources)", color=INK)
    for axes in panels[n_clusters:]:
        axes.set_visible(False)
    figure.supxlabel(_axis(labels[0]), fontsize=9.5)
    figure.supylabel(_axis(labels[1]), fontsize=9.5)
    if points is not None:
        bar = figure.colorbar(points, ax=list(panels[:n_clusters]), shrink=0.8, extend="both")
        bar.set_label(_axis(labels[2]))
    return figure


def _axis(label: FeatureLabel) -> str:
    return shortened(axis_label(label), 60)
