"""Figures in a notebook, displayed without IPython."""

from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xbayes.errors import InputError
from xbayes.figures.style import png_bytes


class Picture(NamedTuple):
    """A PNG that Jupyter displays if it is the last value of a cell."""

    png: bytes

    def _repr_png_(self) -> bytes:
        return self.png

    def __repr__(self) -> str:
        return f"Picture of {len(self.png):,} bytes"


def show(figure: Figure | Axes | Path) -> Picture:
    """The picture of a figure of `xbayes.figures`, or of a PNG file of a run.

    Raises
    ------
    InputError
        The file does not exist.
    """
    if not isinstance(figure, Path):
        return Picture(png_bytes(figure))
    if not figure.is_file():
        names = ", ".join(sorted(p.stem for p in figure.parent.glob("*.png"))) or "none"
        raise InputError(f"no figure {figure}; figures in that folder: {names}")
    return Picture(figure.read_bytes())
