"""Sources as points, coloured by predicted class."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from xbayes.figures.labels import shortened
from xbayes.figures.style import class_colours, class_markers


def plot_classes(
    axes: Axes,
    x: Float[np.ndarray, "N"],
    y: Float[np.ndarray, "N"],
    shown: Bool[np.ndarray, "N"],
    prediction: Int[np.ndarray, "N"],
    classes: Sequence[str],
) -> list[Line2D]:
    """The legend entries of the rows `shown`, which it plots with the rarest class on top."""
    size = float(np.clip(4.5 * (2000 / max(shown.sum(), 1)) ** 0.3, 0.8, 4.5))  # points
    counts = np.bincount(prediction[shown], minlength=len(classes)).tolist()
    colours, markers = class_colours(classes), class_markers(classes)
    edge = {"markeredgecolor": "white", "markeredgewidth": 0.25 if size > 2 else 0}
    for order, c in enumerate(sorted(range(len(classes)), key=lambda c: -counts[c])):
        rows, name = shown & (prediction == c), classes[c]
        look = {"color": colours[name], "markersize": size, "alpha": 0.75, **edge}
        axes.plot(x[rows], y[rows], markers[name], zorder=3 + order, **look)
    return [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=markers[name],
            color=colours[name],
            markersize=6.5,
            label=f"{shortened(name, 14)} ({count:,})",
        )
        for name, count in zip(classes, counts, strict=True)
    ]
