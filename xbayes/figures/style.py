"""One look for all figures: colours that colour-blind readers can tell apart, sizes, saving.

Figures are made with matplotlib's object API (`matplotlib.figure.Figure`): no display, no global
state, so they can be drawn anywhere and in any number.
"""

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image, ImageChops

DPI = 150  # an 11 inch figure is then sharp on a laptop, and on paper
PAPER_DPI = 200
FIGURE_ENDINGS = (".png", ".pdf", ".svg")
UNSEEN = 6  # of 255: a change of colour that nobody sees
WIDTH = 11.0  # inches, of every figure of the report

# Okabe & Ito (2008) in an order that keeps neighbours apart in grey too; their yellow, too faint
# for a line on white, gives way to an olive, and a grey and a wine red (Paul Tol) complete the ten.
CLASS_PALETTE = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00"),
    *("#56B4E9", "#222222", "#999933", "#882255", "#8A8A8A"),
)
CLASS_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", "*", ">")
CLASS_LINES = (
    *("solid", (0, (5, 1.4)), (0, (1.2, 1.1)), (0, (5, 1.2, 1.2, 1.2)), (0, (9, 1.6))),
    *((0, (3, 1, 1, 1, 1, 1)), (0, (2, 2)), (0, (1, 2.5)), (0, (7, 3, 1, 3)), (0, (4, 4))),
)
# Paul Tol's "muted", darker first: categories are never taken for classes.
CATEGORY_PALETTE = (
    *("#44718F", "#8F5C73", "#6B8048", "#B08A3E"),
    *("#6A6391", "#3F8A83", "#9C6349", "#737373"),
)
INK, MUTED, FAINT, BAND = "#1D232A", "#5F6B76", "#C9D0D6", "#F4F6F8"

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.labelsize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "hatch.linewidth": 0.7,
    "pdf.fonttype": 42,  # journals take no fonts of type 3
    "svg.hashsalt": "xbayes",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
styled = matplotlib.rc_context(_RC)  # the decorator of everything that draws


def class_colours(classes: Sequence[str]) -> dict[str, str]:
    """The colour of each class, fixed by its place in the taxonomy."""
    return {name: CLASS_PALETTE[i % len(CLASS_PALETTE)] for i, name in enumerate(classes)}


def class_lines(classes: Sequence[str]) -> dict[str, Any]:
    """The line style of each class, so that it is told apart without colour."""
    return {name: CLASS_LINES[i % len(CLASS_LINES)] for i, name in enumerate(classes)}


def class_markers(classes: Sequence[str]) -> dict[str, str]:
    """The marker of each class, so that its points are told apart without colour."""
    return {name: CLASS_MARKERS[i % len(CLASS_MARKERS)] for i, name in enumerate(classes)}


def category_colours(categories: Sequence[str]) -> dict[str, str]:
    """The colour of each category of properties; none is that of a class."""
    return {name: CATEGORY_PALETTE[i % len(CATEGORY_PALETTE)] for i, name in enumerate(categories)}


def lighter(colour: str) -> tuple[float, float, float]:
    """A paler colour of the same hue; opaque, so that no grid shines through."""
    red, green, blue = (1 - 0.6 * (1 - channel) for channel in to_rgb(colour))
    return red, green, blue


def readable_on(colour) -> str:
    """Ink or white, whichever is read more easily on `colour`."""
    red, green, blue = to_rgb(colour)
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.58 else INK


def shortened(text: str, length: int) -> str:
    """At most `length` characters, an ellipsis where some were dropped; never a formula."""
    short = text if len(text) <= length else text[: max(length - 1, 1)].rstrip() + "…"
    return short.replace("$", r"\$")  # or matplotlib would set what is between two as mathematics


@styled
def png_bytes(figure: Figure, dpi: int = DPI) -> bytes:
    """The figure as PNG, without dates or versions: the same figure, the same bytes.

    In 256 colours, a third of the bytes, where that changes no pixel so that it can be seen.
    """
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    few = pixels.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    change = ImageChops.difference(pixels, few.convert("RGB"))
    alike = int(np.asarray(change).max()) <= UNSEEN
    stream = io.BytesIO()
    (few if alike else pixels).save(stream, format="png")
    return stream.getvalue()


@styled
def figure_bytes(figure: Figure, ending: str) -> bytes:
    """The figure for a paper, as .png, .pdf or .svg; without dates, as `png_bytes`."""
    if ending == ".png":
        return png_bytes(figure, PAPER_DPI)
    stream = io.BytesIO()
    date = {".pdf": "CreationDate", ".svg": "Date"}[ending]
    figure.savefig(stream, format=ending[1:], metadata={date: None})
    return stream.getvalue()


def data_uri(png: bytes) -> str:
    """A PNG as the `src` of an `img`, so that a page needs no other file."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
