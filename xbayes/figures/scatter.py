"""Two properties against each other."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xbayes.figures.class_points import plot_classes
from xbayes.figures.labels import FeatureLabel, axis_label
from xbayes.figures.style import FAINT, shortened, styled

TAIL = 0.002  # share of the values at either end that may lie outside the frame
LABEL_WIDTH = 70


@styled
def draw_scatter(
    value: Float[np.ndarray, "N 2"],
    prediction: Int[np.ndarray, "N"],
    labels: Sequence[FeatureLabel],
    classes: Sequence[str],
) -> Figure:
    """The sources by predicted class, the rarest on top; NaN where a value is missing."""
    figure = Figure((9.0, 5.6), layout="constrained")
    axes = figure.subplots()
    both = np.isfinite(value.sum(1))
    handles = plot_classes(axes, value[:, 0], value[:, 1], both, prediction, classes)
    _limits(axes, value[both])
    axes.grid(color=FAINT, linewidth=0.5)
    for label, put in zip(labels, (axes.set_xlabel, axes.set_ylabel), strict=True):
        put(shortened(axis_label(label), LABEL_WIDTH))
    figure.legend(handles=handles, loc="outside upper left", ncols=5)
    return figure


def _limits(axes: Axes, shown: np.ndarray) -> None:
    if not len(shown):
        return
    for values, put in zip(shown.T, (axes.set_xlim, axes.set_ylim), strict=True):
        low, high = np.quantile(values, [TAIL, 1 - TAIL])
        room = 0.04 * (high - low) or 0.5
        put(low - room, high + room)
