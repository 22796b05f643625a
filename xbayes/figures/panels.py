"""Grids of small panels and their legends."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from xbayes.figures.labels import FeatureLabel, axis_label, shortened
from xbayes.figures.style import WIDTH, class_colours, class_lines

COLUMNS = 4
LABEL_WIDTH = 34  # characters that fit below a panel
LABEL_LINES = 3
LEGEND_LETTERS = 120  # that fit side by side, with markers and gaps counted as letters


def panel_stacks(
    n_panels: int,
    height: float,
    extra: float = 0.0,
    ratios: Sequence[int] = (1,),
    pads: tuple[float, float] = (0.08, 0.06),
    **options: Any,
) -> tuple[Figure, np.ndarray]:
    """A figure, and its axes `[n_panels, len(ratios)]`, each row one above the other.

    Parameters
    ----------
    height, extra
        Inches of a row of panels, and of the rest of the figure.
    ratios
        Relative heights of the axes of a panel.
    pads
        Inches around the axes, across and up.
    options
        Of `Figure.subplots`.
    """
    n_columns = min(COLUMNS, n_panels)
    n_rows = -(-n_panels // n_columns)
    size = (max(5.5, WIDTH * n_columns / COLUMNS), extra + height * n_rows)
    figure = Figure(size, layout=ConstrainedLayoutEngine(w_pad=pads[0], h_pad=pads[1]))
    n_each = len(ratios)
    heights = [*ratios] * n_rows
    axes = figure.subplots(
        n_each * n_rows, n_columns, squeeze=False, height_ratios=heights, **options
    )
    stacks = axes.reshape(n_rows, n_each, n_columns).swapaxes(1, 2).reshape(-1, n_each)
    for unused in stacks[n_panels:].flat:
        unused.set_visible(False)
    return figure, stacks[:n_panels]


def panel_grid(
    n_panels: int, classes: Sequence[str], above: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """A figure with room for `class_legend`, and its panels row by row.

    `above` is the room above each panel for more than its title, in inches.
    """
    head = 0.22 + 0.18 * -(-len(classes) // _names_per_line(min(COLUMNS, n_panels)))
    figure, stacks = panel_stacks(n_panels, 2.3 + above, head + 0.35, pads=(0.06, 0.06))
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(rect=(0, 0, 1, 1 - head / figure.get_figheight()))
    return figure, list(stacks[:, 0])


def class_legend(figure: Figure, classes: Sequence[str]) -> None:
    """Put the lines of the classes at the top."""
    colours, lines = class_colours(classes), class_lines(classes)
    handles = [Line2D([], [], color=colours[c], linestyle=lines[c], linewidth=2) for c in classes]
    figure.legend(
        handles,
        [shortened(name, 14) for name in classes],
        loc="upper left",
        ncols=min(_names_per_line(figure.get_figwidth() / WIDTH * COLUMNS), len(classes)),
        handlelength=2.6,
        columnspacing=1.4,
        borderaxespad=0.3,
    )


def legend_columns(names: Sequence[str]) -> int:
    """The number of columns of a legend whose longest entries fit on the page."""
    return max(1, min(LEGEND_LETTERS // (max(map(len, names)) + 5), 6))


def panel_label(axes: Axes, label: FeatureLabel, pad: float | None = None) -> None:
    """Put the name of the feature above the panel, and its description and unit below."""
    axes.set_title(shortened(label.name, 26), fontweight="bold", fontsize=9.5, pad=pad)
    lines = axis_label(label, LABEL_WIDTH).replace("$", r"\$").split("\n")
    if len(lines) > LABEL_LINES:
        lines = [*lines[: LABEL_LINES - 1], "…"]
    axes.set_xlabel("\n".join(lines), fontsize=8.5)


def _names_per_line(n_columns: int | float) -> int:
    return 5 if n_columns < 3 else 8
