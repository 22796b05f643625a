"""What the clusters are: how the classes share them, and where they lie."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xbayes.figures.labels import FeatureLabel
from xbayes.figures.style import INK, WIDTH, readable_on, shortened, styled

POINTS = 3000  # drawn in a panel at most
COLUMNS = 3


@styled
def draw_assignment(
    assignment: Float[np.ndarray, "K C"],
    size: Float[np.ndarray, "K"],
    membership: Float[np.ndarray, "K C"],
    classes: Sequence[str],
) -> Figure:
    """The assignment matrix P(class | cluster), and the mean membership of each class's sources."""
    n_clusters = len(size)
    figure = Figure((WIDTH, 1.6 + 0.36 * n_clusters), layout="constrained")
    left, middle, right = figure.subplots(1, 3, gridspec_kw={"width_ratios": [2, 2, 1]})
    names = [f"cluster {k + 1}" for k in range(n_clusters)]
    for axes, share in ((left, assignment), (middle, membership)):
        mesh = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for k, c in np.ndindex(*share.shape):
            colour = readable_on(mesh.to_rgba(share[k, c]))
            text = f"{100 * share[k, c]:.0f} %" if share[k, c] >= 0.005 else "<1 %"
            axes.text(c, k, text, ha="center", va="center", fontsize=8.5, color=colour)
        axes.set_xticks(range(len(classes)), [shortened(name, 12) for name in classes])
        axes.set_yticks(range(n_clusters), names if axes is left else [""] * n_clusters)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    left.set_title("classes of each cluster, P(c | k) (rows)")
    middle.set_title("clusters of each class (columns: mean membership)")
    right.barh(range(n_clusters), 100 * size, color="#8A97A3")
    right.set_ylim(n_clusters - 0.5, -0.5)
    right.set_yticks([])
    right.set_xlabel("labelled sources, %")
    right.set_title("size")
    return figure


@styled
def draw_members(
    value: Float[np.ndarray, "N 2"],
    colour: Float[np.ndarray, "N"],
    cluster: Int[np.ndarray, "N"],
    labels: Sequence[FeatureLabel],
    n_clusters: int,
) -> Figure:
    """Two properties, a panel a cluster, coloured by a third; `labels` are of all three."""
    n_rows = -(-n_clusters // COLUMNS)
    figure = Figure((WIDTH, 0.5 + 2.6 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, COLUMNS, squeeze=False, sharex=True, sharey=True).ravel()
    there = np.isfinite(value).all(1)
    shown = np.isfinite(colour) & there
    low, high = np.percentile(colour[shown], [2, 98]) if shown.any() else (0.0, 1.0)
    points = None
    limits = np.nanpercentile(value, [0.3, 99.7], axis=0).T if there.any() else [(0, 1)] * 2
    for k, axes in enumerate(panels):
        if k >= n_clusters:
            axes.set_visible(False)
            continue
        everyone, own = np.flatnonzero(there)[:POINTS], np.flatnonzero(shown & (cluster == k))
        axes.plot(*value[everyone].T, ".", color="#DDE2E6", markersize=2, zorder=1)
        own = own[np.linspace(0, len(own) - 1, min(len(own), POINTS)).astype(int)]
        points = axes.scatter(
            *value[own].T, c=colour[own], s=5, cmap="cividis", vmin=low, vmax=high, zorder=2
        )
        axes.set_xlim(*_widened(*limits[0]))
        axes.set_ylim(*_widened(*limits[1]))
        axes.set_title(f"cluster {k + 1} ({np.sum(cluster == k):,} sources)", color=INK)
    figure.supxlabel(_axis(labels[0]), fontsize=9.5)
    figure.supylabel(_axis(labels[1]), fontsize=9.5)
    if points is not None:
        bar = figure.colorbar(points, ax=list(panels[:n_clusters]), shrink=0.8, extend="both")
        bar.set_label(_axis(labels[2]))
    return figure


@styled
def draw_criterion(
    n_components: Int[np.ndarray, "M"], bic: Float[np.ndarray, "M R"], taken: int
) -> Figure:
    """BIC and its gradient over the number of components, with the spread of the runs."""
    figure = Figure((WIDTH, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    curves = (
        (left, n_components, bic / 1e3, "BIC / 1000"),
        (right, n_components[1:], np.diff(bic, axis=0) / 1e3, "change of BIC / 1000"),
    )
    for axes, at, runs, name in curves:
        middle, low, high = runs.mean(1), runs.min(1), runs.max(1)
        axes.fill_between(at, low, high, color="#0072B2", alpha=0.25, linewidth=0)
        axes.plot(at, middle, "o-", color="#0072B2", markersize=4)
        axes.axvline(taken, color="#D55E00", linestyle="--", linewidth=1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("number of components K")
        axes.set_ylabel(name)
    left.set_title("mean of the runs, and their range (band)")
    right.set_title(f"its gradient; taken: K = {taken} (dashed)")
    right.axhline(0, color=INK, linewidth=0.6)
    return figure


def _widened(low: float, high: float) -> tuple[float, float]:
    margin = 0.08 * (high - low) or 1.0
    return low - margin, high + margin


def _axis(label: FeatureLabel) -> str:
    text = label.description or label.name
    return f"{shortened(text, 60)}" + (f" [{label.unit}]" if label.unit else "")
