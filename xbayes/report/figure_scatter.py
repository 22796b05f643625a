"""Two properties against each other."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from xbayes.report.labels import PropertyLabel, axis_label
from xbayes.report.style import FAINT, class_colours, class_markers, shortened, styled

TAIL = 0.002  # share of the values at either end that may lie outside the frame
LABEL_WIDTH = 70


@styled
def draw_scatter(
    value: Float[np.ndarray, "N 2"],
    prediction: Int[np.ndarray, "N"],
    labels: Sequence[PropertyLabel],
    classes: Sequence[str],
) -> Figure:
    """The sources by predicted class, the rarest on top; NaN where a value is missing."""
    figure = Figure((9.0, 5.6), layout="constrained")
    axes = figure.subplots()
    both = np.isfinite(value).all(1)
    size = float(np.clip(4.5 * (2000 / max(both.sum(), 1)) ** 0.3, 0.8, 4.5))
    counts = np.bincount(prediction[both], minlength=len(classes))
    for order, c in enumerate(np.argsort(-counts)):
        rows, name = both & (prediction == c), classes[c]
        axes.plot(
            *value[rows].T,
            class_markers(classes)[name],
            markersize=size,
            color=class_colours(classes)[name],
            alpha=0.7,
            markeredgecolor="white",
            markeredgewidth=0.25,
            label=f"{shortened(name, 14)} ({counts[c]:,})",
            zorder=3 + order,
        )
    _limits(axes, value[both])
    axes.grid(color=FAINT, linewidth=0.5)
    for label, put in zip(labels, (axes.set_xlabel, axes.set_ylabel), strict=True):
        put(shortened(axis_label(label), LABEL_WIDTH))
    handles, names = axes.get_legend_handles_labels()
    place = np.argsort(np.argsort(-counts))  # in the order of the classes
    figure.legend(
        [handles[i] for i in place],
        [names[i] for i in place],
        loc="outside upper left",
        ncols=5,
        markerscale=max(1.0, 5 / size),
    )
    return figure


def _limits(axes, shown: np.ndarray) -> None:
    if not len(shown):
        return
    for values, put in zip(shown.T, (axes.set_xlim, axes.set_ylim), strict=True):
        low, high = np.quantile(values, [TAIL, 1 - TAIL])
        room = 0.04 * (high - low) or 0.5
        put(low - room, high + room)
