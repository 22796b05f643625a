"""The style of all figures: colour-blind safe colours, sizes, and writing them as images.

Figures are made with matplotlib's object API (`matplotlib.figure.Figure`), which needs no display
and has no global state.
"""

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image, ImageChops

DPI = 150  # sharp at 11 inches, on a laptop and on paper
PAPER_DPI = 200
FIGURE_ENDINGS = (".png", ".pdf", ".svg")
UNSEEN = 6  # of 255: an invisible change of colour
WIDTH = 11.0  # inches, of the figures of the report

# Okabe & Ito (2008), ordered so that neighbours differ in grey too. Olive replaces their yellow,
# which is too faint for a line on white; wine red (Paul Tol) and a grey complete the ten.
CLASS_PALETTE = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00"),
    *("#56B4E9", "#222222", "#999933", "#882255", "#8A8A8A"),
)
CLASS_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", "*", ">")
CLASS_LINES = (
    *("solid", (0, (5, 1.4)), (0, (1.2, 1.1)), (0, (5, 1.2, 1.2, 1.2)), (0, (9, 1.6))),
    *((0, (3, 1, 1, 1, 1, 1)), (0, (2, 2)), (0, (1, 2.5)), (0, (7, 3, 1, 3)), (0, (4, 4))),
)
# Paul Tol's "muted", darker first, so that categories look different from classes.
CATEGORY_PALETTE = (
    *("#44718F", "#8F5C73", "#6B8048", "#B08A3E"),
    *("#6A6391", "#3F8A83", "#9C6349", "#737373"),
)
INK, MUTED, FAINT, BAND = "#1D232A", "#5F6B76", "#C9D0D6", "#F4F6F8"

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same figure on every machine
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
    "pdf.fonttype": 42,  # journals refuse fonts of type 3
    "svg.hashsalt": "xbayes",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
styled = matplotlib.rc_context(_RC)  # the decorator of every function that draws


def class_colours(classes: Sequence[str]) -> dict[str, str]:
    """The colour of each class, which depends on its place in the taxonomy only."""
    return {name: CLASS_PALETTE[i % len(CLASS_PALETTE)] for i, name in enumerate(classes)}


def class_lines(classes: Sequence[str]) -> dict[str, Any]:
    """The line style of each class, which identifies it without colour."""
    return {name: CLASS_LINES[i % len(CLASS_LINES)] for i, name in enumerate(classes)}


def class_markers(classes: Sequence[str]) -> dict[str, str]:
    """The marker of each class, which identifies it without colour."""
    return {name: CLASS_MARKERS[i % len(CLASS_MARKERS)] for i, name in enumerate(classes)}


def category_colours(categories: Sequence[str]) -> dict[str, str]:
    """The colour of each category of features; no class has it."""
    return {name: CATEGORY_PALETTE[i % len(CATEGORY_PALETTE)] for i, name in enumerate(categories)}


def lighter(colour: str) -> tuple[float, float, float]:
    """A paler colour of the same hue; opaque, so that no grid shines through."""
    red, green, blue = (1 - 0.6 * (1 - channel) for channel in to_rgb(colour))
    return red, green, blue


def readable_on(colour) -> str:
    """Ink or white, whichever is more readable on `colour`."""
    red, green, blue = to_rgb(colour)
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.58 else INK


def figure_of(drawn: Figure | Axes) -> Figure:
    """A figure itself, or the figure of axes."""
    figure = drawn if isinstance(drawn, Figure) else drawn.get_figure(root=True)
    assert figure is not None, "axes that were removed from their figure"
    return figure


@styled
def png_bytes(drawn: Figure | Axes, dpi: int = DPI) -> bytes:
    """A PNG of the figure without dates or versions: equal figures give equal bytes.

    It has 256 colours, and a third of the size, unless a reader could see the difference.
    """
    figure = figure_of(drawn)
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    few = pixels.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    change = ImageChops.difference(pixels, few.convert("RGB"))
    same = int(np.asarray(change).max()) <= UNSEEN
    stream = io.BytesIO()
    (few if same else pixels).save(stream, format="png")
    return stream.getvalue()


@styled
def figure_bytes(drawn: Figure | Axes, ending: str) -> bytes:
    """The figure for a paper as .png, .pdf or .svg, without dates."""
    if ending == ".png":
        return png_bytes(drawn, PAPER_DPI)
    stream = io.BytesIO()
    date = {".pdf": "CreationDate", ".svg": "Date"}[ending]
    figure_of(drawn).savefig(stream, format=ending[1:], metadata={date: None})
    return stream.getvalue()


def data_uri(png: bytes) -> str:
    """A PNG as the `src` of an `img` element of a self-contained page."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
