"""How pure and how complete a sample of each class can be."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import PercentFormatter

from xbayes.figures.style import FAINT, INK, MUTED, WIDTH, class_colours, shortened, styled

COLUMNS = 4
F1_LEVELS = (0.2, 0.4, 0.6, 0.8)


def precision_recall(
    probability: Float[np.ndarray, "N"], hit: Bool[np.ndarray, "N"]
) -> tuple[Float[np.ndarray, "T"], Float[np.ndarray, "T"]]:
    """Precision and recall at every threshold, from the highest; sources of one value together.

    Recall is NaN where there is nothing to find.
    """
    order = np.argsort(-probability, kind="stable")
    last = np.append(np.diff(probability[order]) != 0, True)  # of each run of equal values
    hits, taken = np.cumsum(hit[order])[last], np.flatnonzero(last) + 1
    found = hits / hit.sum() if hit.any() else np.full(len(hits), np.nan)
    return hits / taken, found


@styled
def draw_precision_recall(
    posterior: Float[np.ndarray, "N C"],
    truth: Int[np.ndarray, "N"],
    prediction: Int[np.ndarray, "N"],
    classes: Sequence[str],
) -> Figure:
    """Precision against recall, one panel a class; the point is the decision `prediction`."""
    n_columns = min(COLUMNS, len(classes))
    n_rows = -(-len(classes) // n_columns)
    size = (max(5.5, WIDTH * n_columns / COLUMNS), 0.5 + 3.1 * n_rows)
    figure = Figure(size, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06))
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for c, (name, colour) in enumerate(class_colours(classes).items()):
        panel, hit = axes.flat[c], truth == c
        frame_precision(panel)
        panel.axhline(hit.mean(), color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)), label="chance")
        precision, recall = precision_recall(posterior[:, c], hit)
        panel.step(
            recall, precision, where="post", color=colour, linewidth=1.8, label="any threshold"
        )
        _operating_point(panel, hit, prediction == c, colour)
        panel.set_title(shortened(name, 12), fontweight="bold")
        panel.set_title(f"{hit.sum():,} sources", loc="right", fontsize=8.5, color=MUTED)
        panel.set_xlabel("recall")
        if c % n_columns == 0:
            panel.set_ylabel("precision")
    handles = {
        name: handle
        for panel in axes.flat
        for handle, name in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=4 if n_columns > 2 else 2,
    )
    for panel in axes.flat[len(classes) :]:
        panel.set_visible(False)
    return figure


def frame_precision(axes: Axes) -> None:
    """Lines of equal F1, and the frame."""
    for k, level in enumerate(F1_LEVELS):
        recall = np.linspace(level / (2 - level), 1, 60)
        precision = level * recall / (2 * recall - level)
        label = "equal F1" if k == 0 else "_"
        axes.plot(recall, precision, color=FAINT, linewidth=0.9, zorder=1, label=label)
        axes.text(
            *(1.01, level / (2 - level), f"{level:.1f}"),
            fontsize=7,
            color=MUTED,
            va="center",
            clip_on=False,
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
        axis.set_ticks(np.linspace(0, 1, 6))


def _operating_point(axes: Axes, hit: np.ndarray, taken: np.ndarray, colour: str) -> None:
    if not hit.any() or not taken.any():
        text = "no source given this class" if hit.any() else "no source of this class"
        axes.text(0.5, 0.5, text, ha="center", color=MUTED, fontsize=8.5)
        return
    precision, recall = (hit & taken).sum() / taken.sum(), (hit & taken).sum() / hit.sum()
    axes.plot(
        *(recall, precision, "o"),
        markersize=9,
        color=colour,
        markeredgecolor=INK,
        markeredgewidth=1.4,
        clip_on=False,
        zorder=5,
        linestyle="none",
        label="decision of this run",
    )
    text = f"precision {100 * precision:.0f} %\nrecall {100 * recall:.0f} %"
    axes.text(
        *(0.05, 0.05, text),
        fontsize=8.5,
        color=INK,
        va="bottom",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 2.0, "alpha": 0.9},
        zorder=4,
    )
