"""How each class looks: a colour, and a symbol and a line style that identify it without colour."""

from collections.abc import Sequence

from xbayes.figures.style import CLASS_MARKERS, class_colours, class_markers
from xbayes.report.interactive import SYMBOLS

_TEXT: dict[str, str] = dict(zip(CLASS_MARKERS, "●▲■◆▼✚✖◀★▶", strict=True))
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "3px,3px", "1px,4px")


def class_looks(classes: Sequence[str]) -> dict[str, dict[str, str]]:
    """The look of each class, which depends on its place in the taxonomy only.

    Returns
    -------
    For each class its `colour`, the character `text` that is its symbol in tables, and `symbol` and
    `dash`, its point and line in plots.
    """
    colours, markers = class_colours(classes), class_markers(classes)
    return {
        name: {
            "colour": colours[name],
            "text": _TEXT[markers[name]],
            "symbol": SYMBOLS[markers[name]],
            "dash": _DASHES[number % len(_DASHES)],
        }
        for number, name in enumerate(classes)
    }
