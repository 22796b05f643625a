"""The figure of the reliability of the class probabilities."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, PercentFormatter
from scipy.stats import beta

from xbayes.figures.labels import shortened
from xbayes.figures.panels import COLUMNS, panel_stacks
from xbayes.figures.style import CLASS_PALETTE, FAINT, MUTED, class_colours, styled

N_BINS = 10
EDGES = np.linspace(0, 1, N_BINS + 1)
N_DRAWS = 500  # for the consistency band


class Reliability(NamedTuple):
    """One class in bins of its predicted probability; NaN for an empty bin."""

    size: Int[np.ndarray, "bins"]
    predicted: Float[np.ndarray, "bins"]  # mean probability
    observed: Float[np.ndarray, "bins"]  # fraction of the class
    interval: Float[np.ndarray, "2 bins"]  # of the fraction: central 90 %, Jeffreys
    calibrated: Float[np.ndarray, "2 bins"]  # fraction of a calibrated model: central 90 %


def reliability(probability: Float[np.ndarray, "N"], hit: Bool[np.ndarray, "N"]) -> Reliability:
    """Observed fractions of a class in ten equal bins of its probability.

    `hit` marks the sources of the class. The consistency band resamples the sources and draws
    their labels from the probabilities (Bröcker & Smith 2007, section 3).
    """
    bins = np.minimum((probability * N_BINS).astype(int), N_BINS - 1)
    size = np.bincount(bins, minlength=N_BINS)
    hits = np.bincount(bins, hit, N_BINS)
    full = np.where(size > 0, size, np.nan)
    low, high = beta.ppf([[0.05], [0.95]], hits + 0.5, full - hits + 0.5)
    # Jeffreys' interval reaches the limit if all or none are hits (Brown et al. 2001).
    low, high = np.where(hits == 0, full * 0.0, low), np.where(hits == size, full / full, high)
    return Reliability(
        size=size,
        predicted=np.clip(np.bincount(bins, probability, N_BINS) / full, 0.0, 1.0),
        observed=hits / full,
        interval=np.stack([low, high]),
        calibrated=_consistency_band(probability, bins),
    )


def _consistency_band(probability: np.ndarray, bins: np.ndarray) -> Float[np.ndarray, "2 bins"]:
    rng, n = np.random.default_rng(0), len(probability)
    filled = np.bincount(bins, minlength=N_BINS) > 0
    fraction = np.full((N_DRAWS, N_BINS), np.nan)
    for draw in fraction:
        # A bin that the resampled sources leave empty stays NaN in this draw.
        rows = rng.integers(n, size=n)
        size = np.bincount(bins[rows], minlength=N_BINS)
        hits = np.bincount(bins[rows], rng.random(n) < probability[rows], N_BINS)
        np.divide(hits, size, out=draw, where=size > 0)
    band = np.full((2, N_BINS), np.nan)
    band[:, filled] = np.nanquantile(fraction[:, filled], [0.05, 0.95], axis=0)
    return band


@styled
def draw_reliability(
    posterior: Float[np.ndarray, "N C"], truth: Int[np.ndarray, "N"], classes: Sequence[str]
) -> Figure:
    """Reliability diagrams, one panel per class, above the number of sources in each bin."""
    wide = len(classes) > 3
    figure, stacks = panel_stacks(
        len(classes), 3.4, extra=1.0 if wide else 1.4, ratios=(3, 1), sharex=True
    )
    for c, (name, colour) in enumerate(class_colours(classes).items()):
        above, below = stacks[c]
        bins = reliability(posterior[:, c], truth == c)
        draw_reliability_diagram(bins, above, colour=colour)
        above.set(xlabel="", ylabel="")
        above.tick_params(labelbottom=False)
        _histogram(below, bins, colour)
        short = shortened(name, 12)
        above.set_title(short, fontweight="bold")
        above.set_title(f"{np.sum(truth == c):,} sources", loc="right", fontsize=8.5, color=MUTED)
        of_class = f" of {short}" if len(name) < 12 else ""
        below.set_xlabel("predicted probability" + of_class)
        if c % COLUMNS == 0:
            above.set_ylabel("observed fraction")
            below.set_ylabel("sources")
    handles, names = stacks[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3 if wide else 1)
    return figure


@styled
def draw_reliability_diagram(
    bins: Reliability, ax: Axes | None = None, *, colour: str = CLASS_PALETTE[0]
) -> Axes:
    """Observed against predicted probability of one class, as binned by `reliability`.

    Bars are 90 % intervals (Jeffreys) of the observed fraction. The grey band holds 90 % of the
    fractions of a calibrated model with as many sources.
    """
    axes = Figure((4.5, 4.5), layout="constrained").subplots() if ax is None else ax
    dashed = {"color": MUTED, "linewidth": 0.9, "linestyle": (0, (4, 2))}
    axes.plot([0, 1], [0, 1], **dashed, label="perfect calibration")
    low, high = bins.calibrated
    band = {"color": "#E3E7EA", "linewidth": 0, "label": "90 % range of a calibrated model"}
    axes.bar(EDGES[:-1], high - low, 1 / N_BINS, low, align="edge", **band)
    axes.errorbar(
        bins.predicted,
        bins.observed,
        np.abs(bins.interval - bins.observed),
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
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.set(xlabel="predicted probability", ylabel="observed fraction")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
        axis.set_ticks(np.linspace(0, 1, 6))
    axes.grid(color=FAINT, linewidth=0.4)
    return axes


def _histogram(axes: Axes, bins: Reliability, colour: str) -> None:
    look = {"color": colour, "alpha": 0.7, "edgecolor": "white", "linewidth": 0.8}
    axes.bar(EDGES[:-1], bins.size, 1 / N_BINS, align="edge", **look)
    axes.set_yscale("log")
    axes.set_ylim(0.7, max(10.0, 2.0 * bins.size.max()))
    axes.yaxis.set_major_locator(LogLocator(10.0, numticks=5))
    axes.yaxis.minorticks_off()
    axes.tick_params(labelbottom=True)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
