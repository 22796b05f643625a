"""The finder chart of a source as an image for its page."""

import threading
from collections.abc import Mapping

from xbayes.app.served_run import ServedRun

_DRAWING = threading.Lock()  # matplotlib's settings are of the process


def finder_svg(run: ServedRun, row: Mapping[str, object], *, with_classes: bool = True) -> bytes:
    """The chart as SVG, with the predicted classes of the neighbours or without.

    Raises InputError for a source without a position.
    """
    from xbayes.figures.style import figure_bytes
    from xbayes.tasks.finder_chart import finder_chart

    classes = run.fitted.classes if with_classes else ()
    with _DRAWING:
        return figure_bytes(finder_chart(run.catalogue, row, classes), ".svg")
