"""The figure of the outlier p-values."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import binom

from xbayes.figures.labels import shortened
from xbayes.figures.panels import COLUMNS, panel_stacks
from xbayes.figures.style import INK, MUTED, class_colours, styled

LEVEL = 0.05  # a source with a smaller p-value is called an outlier
BINS = {20: 200, 10: 0}  # number of bins: smallest number of sources


@styled
def draw_outliers(
    outlier_p: Float[np.ndarray, "N"], prediction: Int[np.ndarray, "N"], classes: Sequence[str]
) -> Figure:
    """Histograms of the outlier p-values, one panel per predicted class.

    The dashed line is the count expected if no source is an outlier, the band its central 90 %
    (binomial).
    """
    figure, stacks = panel_stacks(len(classes), 2.6, extra=0.5)
    for c, (name, colour) in enumerate(class_colours(classes).items()):
        (panel,), of_class = stacks[c], outlier_p[prediction == c]
        panel.set_title(shortened(name, 12), fontweight="bold")
        panel.set_title(f"{len(of_class):,} predicted", loc="right", fontsize=8.5, color=MUTED)
        _panel(panel, of_class, colour)
        panel.set_xlabel("outlier_p")
        if c % COLUMNS == 0:
            panel.set_ylabel("sources")
    handles, names = stacks[0, 0].get_legend_handles_labels()
    n_columns = 3 if len(classes) > 2 else 1
    figure.legend(handles, names, loc="outside lower center", ncols=n_columns)
    return figure


def _panel(axes: Axes, outlier_p: np.ndarray, colour: str) -> None:
    n = len(outlier_p)
    n_bins = next(bins for bins, least in BINS.items() if n >= least)
    count, edges = np.histogram(outlier_p, n_bins, (0.0, 1.0))
    low, high = binom.ppf([0.05, 0.95], n, 1 / n_bins)
    expected = {"color": MUTED, "linewidth": 1.0, "linestyle": (0, (4, 2))}
    axes.axhspan(low, high, color="#E3E7EA", linewidth=0, label="central 90 % without outliers")
    axes.stairs(count, edges, fill=True, color=colour, alpha=0.35, linewidth=0)
    axes.stairs(count, edges, color=colour, linewidth=1.2)
    axes.axhline(n / n_bins, **expected, label="expected without outliers")
    axes.axvline(LEVEL, color=INK, linewidth=1.0, linestyle=(0, (1.2, 1.1)), label="level 0.05")
    highest = max(float(count.max()), high, 1.0)
    axes.set(xlim=(0, 1), ylim=(0, 1.3 * highest), xticks=np.linspace(0, 1, 6))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    below = int((outlier_p <= LEVEL).sum())
    text = f"{100 * below / n:.1f} % " if n else ""
    text += f"({below:,}) at or below {LEVEL}"
    place = {"transform": axes.transAxes, "ha": "right", "va": "top"}
    axes.text(0.97, 0.97, text, fontsize=8.5, **place)
