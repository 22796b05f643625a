"""Whether the tail probability of strange sources is one."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from scipy.stats import binom

from xbayes.figures.style import INK, MUTED, WIDTH, class_colours, shortened, styled

COLUMNS = 4
LEVEL = 0.05  # a source below it is called strange
BINS = {20: 200, 10: 0}  # number of bins, from so many sources on


@styled
def draw_outliers(
    outlier_p: Float[np.ndarray, "N"], prediction: Int[np.ndarray, "N"], classes: Sequence[str]
) -> Figure:
    """Histogram of the tail probability, one panel a predicted class.

    The dashed line is what is expected of ordinary sources, the band 90 % of its binomial chance.
    """
    n_columns = min(COLUMNS, len(classes))
    n_rows = -(-len(classes) // n_columns)
    size = (max(5.5, WIDTH * n_columns / COLUMNS), 0.5 + 2.6 * n_rows)
    figure = Figure(size, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06))
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for c, (name, colour) in enumerate(class_colours(classes).items()):
        panel, own = axes.flat[c], outlier_p[prediction == c]
        panel.set_title(shortened(name, 12), fontweight="bold")
        panel.set_title(f"given to {len(own):,}", loc="right", fontsize=8.5, color=MUTED)
        _panel(panel, own, colour)
        panel.set_xlabel("outlier_p")
        if c % n_columns == 0:
            panel.set_ylabel("sources")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3 if n_columns > 2 else 1)
    for panel in axes.flat[len(classes) :]:
        panel.set_visible(False)
    return figure


def _panel(axes: Axes, own: np.ndarray, colour: str) -> None:
    n_bins = next(bins for bins, least in BINS.items() if len(own) >= least)
    count, edges = np.histogram(own, n_bins, (0.0, 1.0))
    low, high = binom.ppf([0.05, 0.95], len(own), 1 / n_bins)
    expected = {"color": MUTED, "linewidth": 1.0, "linestyle": (0, (4, 2))}
    axes.axhspan(low, high, color="#E3E7EA", linewidth=0, label="90 % of what chance gives")
    axes.stairs(count, edges, fill=True, color=colour, alpha=0.35, linewidth=0)
    axes.stairs(count, edges, color=colour, linewidth=1.2)
    axes.axhline(len(own) / n_bins, **expected, label="expected: flat")
    axes.axvline(LEVEL, color=INK, linewidth=1.0, linestyle=(0, (1.2, 1.1)), label="level 0.05")
    highest = max(float(count.max()), high, 1.0)
    axes.set(xlim=(0, 1), ylim=(0, 1.3 * highest), xticks=np.linspace(0, 1, 6))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    below = int((own <= LEVEL).sum())
    share = f"{100 * below / len(own):.1f} % " if len(own) else ""
    axes.text(
        *(0.97, 0.97, f"{share}({below:,}) at or below 0.05"),
        transform=axes.transAxes,
        ha="right",
        va="top",
        fontsize=8.5,
    )
