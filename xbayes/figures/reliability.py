"""Whether a probability means what it says."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator, PercentFormatter
from scipy.stats import beta

from xbayes.figures.style import FAINT, MUTED, WIDTH, class_colours, shortened, styled

N_BINS = 10
COLUMNS = 4
N_DRAWS = 500  # of the consistency band


class Reliability(NamedTuple):
    """One class in bins of its predicted probability; NaN where a bin is empty."""

    size: Int[np.ndarray, "bins"]
    predicted: Float[np.ndarray, "bins"]  # mean probability
    observed: Float[np.ndarray, "bins"]  # fraction truly of the class
    interval: Float[np.ndarray, "2 bins"]  # central 90 %, Jeffreys
    calibrated: Float[np.ndarray, "2 bins"]  # consistency: central 90 %, if calibrated


def reliability(probability: Float[np.ndarray, "N"], hit: Bool[np.ndarray, "N"]) -> Reliability:
    """Ten equal bins of the probability of a class, against whether a source is of it.

    The consistency band redraws the sources and their labels from the probabilities themselves
    (Bröcker & Smith 2007, section 3).
    """
    bins = np.minimum((probability * N_BINS).astype(int), N_BINS - 1)
    size = np.bincount(bins, minlength=N_BINS)
    hits = np.bincount(bins, hit, N_BINS)
    full = np.where(size > 0, size, np.nan)
    predicted = np.clip(np.bincount(bins, probability, N_BINS) / full, 0.0, 1.0)
    observed = hits / full
    low, high = beta.ppf([[0.05], [0.95]], hits + 0.5, full - hits + 0.5)
    # Jeffreys' interval reaches the limit where all or none are hits (Brown et al. 2001).
    low, high = np.where(hits == 0, full * 0.0, low), np.where(hits == size, full / full, high)
    return Reliability(size, predicted, observed, np.stack([low, high]), _band(probability, bins))


def _band(probability: np.ndarray, bins: np.ndarray) -> Float[np.ndarray, "2 bins"]:
    rng, n = np.random.default_rng(0), len(probability)
    there = np.bincount(bins, minlength=N_BINS) > 0
    drawn = np.full((N_DRAWS, N_BINS), np.nan)
    for draw in drawn:
        # A bin that the redrawn sources leave empty says nothing in this draw.
        rows = rng.integers(n, size=n)
        size = np.bincount(bins[rows], minlength=N_BINS)
        hits = np.bincount(bins[rows], rng.random(n) < probability[rows], N_BINS)
        np.divide(hits, size, out=draw, where=size > 0)
    band = np.full((2, N_BINS), np.nan)
    band[:, there] = np.nanquantile(drawn[:, there], [0.05, 0.95], axis=0)
    return band


@styled
def draw_reliability(
    posterior: Float[np.ndarray, "N C"], truth: Int[np.ndarray, "N"], classes: Sequence[str]
) -> Figure:
    """Observed against predicted probability, one panel a class, over the counts behind it.

    Bars are 90 % intervals (Jeffreys) of the observed fraction; the grey band holds 90 % of what a
    calibrated model would show with as many sources, whose labels are drawn from its probabilities.
    """
    n_columns = min(COLUMNS, len(classes))
    n_rows = -(-len(classes) // n_columns)
    size = (max(5.5, WIDTH * n_columns / COLUMNS), (1.0 if n_columns > 3 else 1.4) + 3.4 * n_rows)
    figure = Figure(size, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06))
    axes = figure.subplots(
        2 * n_rows, n_columns, squeeze=False, height_ratios=[3, 1] * n_rows, sharex=True
    )
    for c, (name, colour) in enumerate(class_colours(classes).items()):
        row, column = divmod(c, n_columns)
        panel, below = axes[2 * row, column], axes[2 * row + 1, column]
        bins = reliability(posterior[:, c], truth == c)
        draw_diagram(panel, bins, colour)
        _histogram(below, bins, colour)
        short = shortened(name, 12)
        panel.set_title(short, fontweight="bold")
        panel.set_title(f"{np.sum(truth == c):,} sources", loc="right", fontsize=8.5, color=MUTED)
        of_class = f" of {short}" if len(name) < 12 else ""
        below.set_xlabel("predicted probability" + of_class)
        if column == 0:
            panel.set_ylabel("observed fraction")
            below.set_ylabel("sources")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3 if n_columns > 3 else 1)
    for c in range(len(classes), n_rows * n_columns):
        row, column = divmod(c, n_columns)
        axes[2 * row, column].set_visible(False)
        axes[2 * row + 1, column].set_visible(False)
    return figure


def draw_diagram(axes: Axes, bins: Reliability, colour: str) -> None:
    """The observed fractions with their intervals, and what a calibrated model would show."""
    edges = np.linspace(0, 1, N_BINS + 1)
    dashed = {"color": MUTED, "linewidth": 0.9, "linestyle": (0, (4, 2))}
    axes.plot([0, 1], [0, 1], **dashed, label="perfect calibration")
    low, high = bins.calibrated
    axes.bar(
        edges[:-1],
        high - low,
        1 / N_BINS,
        low,
        align="edge",
        color="#E3E7EA",
        linewidth=0,
        label="90 % of what a calibrated model would show",
    )
    error = np.abs(bins.interval - bins.observed)
    axes.errorbar(
        *(bins.predicted, bins.observed, error),
        fmt="o",
        markersize=4.5,
        color=colour,
        capsize=2.5,
        linewidth=1.3,
        markeredgecolor="white",
        markeredgewidth=0.5,
        zorder=3,
        label="observed, 90 % interval",
    )
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=np.linspace(0, 1, 6))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.tick_params(labelbottom=False)
    axes.grid(color=FAINT, linewidth=0.4)


def _histogram(axes: Axes, bins: Reliability, colour: str) -> None:
    edges = np.linspace(0, 1, N_BINS + 1)
    axes.bar(
        edges[:-1],
        bins.size,
        1 / N_BINS,
        align="edge",
        color=colour,
        alpha=0.7,
        edgecolor="white",
        linewidth=0.8,
    )
    axes.set_yscale("log")
    axes.set_ylim(0.7, max(10.0, 2.0 * bins.size.max()))
    axes.yaxis.set_major_locator(LogLocator(10.0, numticks=5))
    axes.yaxis.minorticks_off()
    axes.tick_params(labelbottom=True)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
