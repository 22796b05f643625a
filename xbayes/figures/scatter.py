"""The figure of two features against each other."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xbayes.figures.class_points import plot_classes
from xbayes.figures.labels import FeatureLabel, axis_label, shortened
from xbayes.figures.ranges import robust_range, with_margin
from xbayes.figures.style import FAINT, styled

MARGIN = 0.04
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
    for set_range, column in zip((axes.set_xlim, axes.set_ylim), value[both].T, strict=True):
        set_range(*with_margin(*robust_range(column), MARGIN))
    axes.grid(color=FAINT, linewidth=0.5)
    axes.set_xlabel(shortened(axis_label(labels[0]), LABEL_WIDTH))
    axes.set_ylabel(shortened(axis_label(labels[1]), LABEL_WIDTH))
    if ax is None:
        axes.figure.legend(handles=handles, loc="outside upper left", ncols=5)
    else:
        axes.legend(handles=handles)
    return axes
