"""The figure of precision against recall."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from xbayes.figures.labels import shortened
from xbayes.figures.panels import COLUMNS, panel_stacks
from xbayes.figures.style import FAINT, INK, MUTED, class_colours, styled

F1_LEVELS = (0.2, 0.4, 0.6, 0.8)


def precision_recall(
    probability: Float[np.ndarray, "N"], hit: Bool[np.ndarray, "N"]
) -> tuple[Float[np.ndarray, "T"], Float[np.ndarray, "T"]]:
    """Precision and recall at each of the T distinct thresholds, from the highest.

    `hit` marks the sources of the class. Recall is NaN if there are none.
    """
    order = np.argsort(-probability, kind="stable")
    last = np.append(np.diff(probability[order]) != 0, True)  # of each run of equal values
    hits, selected = np.cumsum(hit[order])[last], np.flatnonzero(last) + 1
    recall = hits / hit.sum() if hit.any() else np.full(len(hits), np.nan)
    return hits / selected, recall


@styled
def draw_precision_recall(
    posterior: Float[np.ndarray, "N C"],
    truth: Int[np.ndarray, "N"],
    prediction: Int[np.ndarray, "N"],
    classes: Sequence[str],
) -> Figure:
    """Precision against recall, one panel per class; the point is that of `prediction`."""
    figure, stacks = panel_stacks(len(classes), 3.1, extra=0.5)
    legend = {}
    for c, (name, colour) in enumerate(class_colours(classes).items()):
        (panel,), hit = stacks[c], truth == c
        frame_precision(panel)
        panel.axhline(hit.mean(), color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)), label="chance")
        precision, recall = precision_recall(posterior[:, c], hit)
        look = {"color": colour, "linewidth": 1.8}
        panel.step(recall, precision, where="post", label="any threshold", **look)
        _operating_point(panel, hit, prediction == c, colour)
        panel.set_title(shortened(name, 12), fontweight="bold")
        panel.set_title(f"{hit.sum():,} sources", loc="right", fontsize=8.5, color=MUTED)
        panel.set_xlabel("recall")
        if c % COLUMNS == 0:
            panel.set_ylabel("precision")
        handles, labels = panel.get_legend_handles_labels()
        legend |= dict(zip(labels, handles, strict=True))
    n_columns = 4 if len(classes) > 2 else 2
    handles, labels = list(legend.values()), list(legend)
    figure.legend(handles, labels, loc="outside lower center", ncols=n_columns)
    return figure


def frame_precision(axes: Axes) -> None:
    """Set the limits and ticks of precision against recall, and draw lines of equal F1."""
    for k, level in enumerate(F1_LEVELS):
        recall = np.linspace(level / (2 - level), 1, 60)
        precision = level * recall / (2 * recall - level)
        label = "equal F1" if k == 0 else "_"
        axes.plot(recall, precision, color=FAINT, linewidth=0.9, zorder=1, label=label)
        look = {"fontsize": 7, "color": MUTED, "va": "center", "clip_on": False}
        axes.text(1.01, level / (2 - level), f"{level:.1f}", **look)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
        axis.set_ticks(np.linspace(0, 1, 6))


def _operating_point(axes: Axes, hit: np.ndarray, selected: np.ndarray, colour: str) -> None:
    if not hit.any() or not selected.any():
        text = "class never predicted" if hit.any() else "no source of this class"
        axes.text(0.5, 0.5, text, ha="center", color=MUTED, fontsize=8.5)
        return
    precision = (hit & selected).sum() / selected.sum()
    recall = (hit & selected).sum() / hit.sum()
    axes.plot(
        recall,
        precision,
        "o",
        markersize=9,
        color=colour,
        markeredgecolor=INK,
        markeredgewidth=1.4,
        clip_on=False,
        zorder=5,
        linestyle="none",
        label="decision rule of this run",
    )
    text = f"precision {100 * precision:.0f} %\nrecall {100 * recall:.0f} %"
    box = {"facecolor": "white", "edgecolor": "none", "pad": 2.0, "alpha": 0.9}
    axes.text(0.05, 0.05, text, fontsize=8.5, color=INK, va="bottom", bbox=box, zorder=4)
