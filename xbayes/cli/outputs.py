"""The figures and tables that a command writes; the file ending selects the format."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from rich.console import Console

from xbayes.catalog.formats import FORMATS
from xbayes.catalog.write import check_output, check_place, write_catalog
from xbayes.errors import InputError

if TYPE_CHECKING:
    from astropy.table import Table
    from matplotlib.figure import Figure


@runtime_checkable
class Drawable(Protocol):
    """A result with a table and a figure."""

    @property
    def table(self) -> "Table":
        """The numbers."""
        ...

    def plot(self) -> "Figure":
        """The figure."""
        ...


def checked_outputs(outs: list[Path], overwrite: bool) -> list[Path]:
    """The files to write. Raises InputError, before the long work, if one cannot be written."""
    from xbayes.figures.style import FIGURE_ENDINGS

    outs = [out.expanduser() for out in outs]
    for out in outs:
        if out.suffix.lower() in FIGURE_ENDINGS:
            check_place(out, overwrite)
        elif out.name.lower().endswith(tuple(FORMATS)):
            check_output(out, overwrite)
        else:
            raise InputError(
                f"--out {out}: unknown file ending {out.suffix!r}; use {' '.join(FIGURE_ENDINGS)} "
                f"for the figure or {' '.join(FORMATS)} for the table"
            )
    if len({out.resolve() for out in outs}) < len(outs):
        raise InputError("--out names the same file twice; give a figure and a table")
    return outs


def write_outputs(outs: list[Path], result: Drawable, overwrite: bool) -> None:
    """Write the table and the figure of the result; the table first, which cannot be redrawn."""
    from xbayes.figures.style import FIGURE_ENDINGS, figure_bytes
    from xbayes.output.files import write_whole

    for out in sorted(outs, key=lambda out: out.suffix.lower() in FIGURE_ENDINGS):
        if out.suffix.lower() in FIGURE_ENDINGS:
            write_whole(out, figure_bytes(result.plot(), out.suffix.lower()))
        else:
            write_catalog(result.table, out, overwrite)
    say(f"written: {', '.join(map(str, outs))}" if outs else "for the figure: --out FILE.pdf")


def write_table(out: Path | None, table: "Table", overwrite: bool, hint: str = "") -> None:
    """Write the table if a file is given, and print its name; otherwise print the hint."""
    if out is not None:
        write_catalog(table, out, overwrite)
    if out is not None or hint:
        say(f"written: {out}" if out is not None else hint)


def say(message: str) -> None:
    """Print a message on standard error; standard output is for results."""
    Console(stderr=True).print(message, highlight=False, markup=False, soft_wrap=True)
