"""A grid of small panels, one a property, below one legend of the classes."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from xbayes.figures.labels import FeatureLabel, axis_label
from xbayes.figures.style import WIDTH, class_colours, class_lines, shortened

COLUMNS = 4
LABEL_WIDTH = 34  # characters that fit below a panel
LABEL_LINES = 3


def panel_grid(
    n_panels: int, classes: Sequence[str], above: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """The panels, row by row; `above` inches more above each, beside its title."""
    n_columns = min(COLUMNS, n_panels)
    n_rows = -(-n_panels // n_columns)
    head = _head(classes, n_columns)
    size = (max(5.5, WIDTH * n_columns / COLUMNS), head + 0.35 + (2.3 + above) * n_rows)
    room = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, rect=(0, 0, 1, 1 - head / size[1]))
    figure = Figure(size, layout=room)
    axes = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
    for panel in axes[n_panels:]:
        panel.set_visible(False)
    return figure, axes[:n_panels]


def class_legend(figure: Figure, classes: Sequence[str]) -> None:
    """The lines of the classes, on top."""
    colours, lines = class_colours(classes), class_lines(classes)
    handles = [Line2D([], [], color=colours[c], linestyle=lines[c], linewidth=2) for c in classes]
    figure.legend(
        handles,
        [shortened(name, 14) for name in classes],
        loc="upper left",
        ncols=min(_per_line(figure.get_figwidth() / WIDTH * COLUMNS), len(classes)),
        handlelength=2.6,
        columnspacing=1.4,
        borderaxespad=0.3,
    )


def panel_label(axes: Axes, label: FeatureLabel, pad: float | None = None) -> None:
    """The name of the property above, what it is below."""
    axes.set_title(shortened(label.name, 26), fontweight="bold", fontsize=9.5, pad=pad)
    axes.set_xlabel(_few_lines(axis_label(label, LABEL_WIDTH)), fontsize=8.5)


def _per_line(n_columns: int | float) -> int:
    return 5 if n_columns < 3 else 8


def _head(classes: Sequence[str], n_columns: int) -> float:
    """Inches of the legend."""
    return 0.22 + 0.18 * -(-len(classes) // _per_line(n_columns))


def _few_lines(text: str) -> str:
    lines = text.replace("$", r"\$").split("\n")
    return "\n".join(lines if len(lines) <= LABEL_LINES else [*lines[: LABEL_LINES - 1], "…"])
