"""The figure of two features against each other."""

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
    ax: Axes | None = None,
) -> Axes:
    """Two scaled features of the sources by predicted class, the rarest class on top.

    Sources without one of the values (NaN) are not drawn.
    """
    axes = Figure((9.0, 5.6), layout="constrained").subplots() if ax is None else ax
    both = np.isfinite(value.sum(1))
    handles = plot_classes(axes, value[:, 0], value[:, 1], both, prediction, classes)
    if both.any():
        low, high = np.quantile(value[both], [TAIL, 1 - TAIL], axis=0)
        room = np.where(high > low, 0.04 * (high - low), 0.5)
        (left, bottom), (right, top) = low - room, high + room
        axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.grid(color=FAINT, linewidth=0.5)
    axes.set_xlabel(shortened(axis_label(labels[0]), LABEL_WIDTH))
    axes.set_ylabel(shortened(axis_label(labels[1]), LABEL_WIDTH))
    if ax is None:
        axes.figure.legend(handles=handles, loc="outside upper left", ncols=5)
    else:
        axes.legend(handles=handles)
    return axes
