"""Figures in a notebook: what Jupyter shows below a cell, without the help of IPython."""

from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from xbayes.figures.style import png_bytes
from xbayes.types import InputError


class Picture(NamedTuple):
    """A PNG that Jupyter shows where it is the last value of a cell."""

    png: bytes

    def _repr_png_(self) -> bytes:
        return self.png

    def __repr__(self) -> str:
        return f"Picture of {len(self.png):,} bytes"


def show(figure: Figure | Path) -> Picture:
    """A figure of `xbayes.figures.all_figures`, or a PNG file of a run, to look at in a notebook.

    Raises `InputError` for a file that is not there.
    """
    if isinstance(figure, Figure):
        return Picture(png_bytes(figure))
    if not figure.is_file():
        near = ", ".join(sorted(p.stem for p in figure.parent.glob("*.png"))) or "none"
        raise InputError(f"no figure {figure}; the figures there are: {near}")
    return Picture(figure.read_bytes())
