"""Read a catalogue in any of the formats, or one row given as key=value pairs."""

import errno
import os
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning

from xbayes.catalog.columns import FileColumn, subset, to_table, usual_column
from xbayes.catalog.format_csv import read_csv
from xbayes.catalog.format_ecsv import read_ecsv
from xbayes.catalog.format_fits import read_fits
from xbayes.catalog.format_parquet import parquet_chunks, parquet_schema, read_parquet
from xbayes.catalog.format_votable import read_votable
from xbayes.catalog.formats import ENDINGS, check_looks, format_of
from xbayes.catalog.names import usable_names
from xbayes.catalog.text_numbers import are_numbers, numbers_of
from xbayes.config.checks import did_you_mean
from xbayes.errors import InputError


def read_catalog(
    path: str | os.PathLike[str],
    text: Sequence[str] = (),
    *,
    numbers: Collection[str] | None = None,
    table: str | None = None,
) -> Table:
    """The table in a FITS, VOTable, ECSV, CSV or Parquet file; the file ending gives the format.

    Every column is a masked column. Values that the format flags as missing, NaN and the empty
    string are masked; the values under the mask are NaN or "". Text is str. Units, descriptions and
    UCDs (`column.meta["ucd"]`) are read too. Integers keep every digit, as text where 64 bits do
    not hold them. Names that are not distinct or printable are changed, with a warning.

    Parameters
    ----------
    path
        The file, which may be compressed (.gz), other than Parquet.
    text
        Columns of a CSV file that stay text even if all cells look like numbers, such as an id 007.
    numbers
        Columns of a CSV file that are read as numbers wherever that is possible. All others are
        read as they stand, so that 007, 1e5 and 1.50 stay text. None: any column that looks like
        numbers is read as numbers, other than whole numbers with leading zeros or above 64 bits.
    table
        Name or number of the table, if a FITS file or VOTable holds several.

    Raises
    ------
    InputError
        If the file is not a complete table with at least one row.
    """
    path = _existing(path)
    kind = format_of(path).name
    _check_file(path)
    with _reporting_damage(path):
        # The other formats store the type of each column.
        if kind == "CSV":
            columns, meta = read_csv(path, text, numbers)
        elif kind in ("FITS", "VOTable"):
            columns, meta = (read_fits if kind == "FITS" else read_votable)(path, table)
        else:
            columns, meta = (read_ecsv if kind == "ECSV" else read_parquet)(path)
        _check_rows(path, len(columns), len(columns[0].values) if columns else 0)
        names = usable_names([column.name for column in columns], path)
        columns = [c._replace(name=name) for c, name in zip(columns, names, strict=True)]
        if kind != "Parquet":  # of which each chunk has the types of the whole
            columns = list(map(usual_column, columns))
        return to_table(columns, meta)


class Reading(TypedDict):
    """The keyword arguments of `read_catalog`, but for the path."""

    text: Sequence[str]
    numbers: Collection[str] | None
    table: str | None


class Chunks(NamedTuple):
    """A catalogue in chunks, which can be read more than once."""

    colnames: tuple[str, ...]
    n_rows: int
    size: int  # rows of a chunk; the last one may have fewer
    # The chunks in order, with the named columns or with all.
    read: Callable[[Sequence[str] | None], Iterator[Table]]


def open_chunks(
    path: str | os.PathLike[str],
    size: int,
    text: Sequence[str] = (),
    *,
    numbers: Collection[str] | None = None,
    table: str | None = None,
) -> Chunks:
    """The table of `read_catalog` in chunks of `size` rows.

    A Parquet file of more than `size` rows is streamed, with one chunk in memory at a time. Any
    other catalogue is read once, as a whole. Raises InputError as `read_catalog` does; damage in a
    Parquet file is found only when its chunk is read.
    """
    path = _existing(path)
    if format_of(path).name != "Parquet":
        return table_chunks(read_catalog(path, text, numbers=numbers, table=table), size)
    _check_file(path)
    with _reporting_damage(path):
        colnames, n_rows = parquet_schema(path)
    _check_rows(path, len(colnames), n_rows)
    if n_rows <= size:
        return table_chunks(read_catalog(path), size)

    def read(names: Sequence[str] | None) -> Iterator[Table]:
        chunks = parquet_chunks(path, size, names)
        while True:
            # Not around the whole loop: an error of the caller between chunks is not damage.
            with _reporting_damage(path):
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield to_table(*chunk)

    return Chunks(colnames, n_rows, size, read)


def table_chunks(table: Table, size: int) -> Chunks:
    """A table in memory as chunks."""

    def read(names: Sequence[str] | None) -> Iterator[Table]:
        for first in range(0, len(table), size):
            yield subset(table, names, slice(first, first + size))

    return Chunks(tuple(table.colnames), len(table), size, read)


def _check_rows(path: Path, n_columns: int, n_rows: int) -> None:
    if not n_columns or not n_rows:
        raise InputError(
            f"{path} has {n_columns} columns but no rows; give a file with at least one row, or "
            "make or fetch it again if it should have some"
        )


def _existing(path: str | os.PathLike[str]) -> Path:
    """The path with ~ expanded. Raises InputError unless a file is there."""
    try:
        path = Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{path}: there is no such user; give the whole path") from None
    try:
        if path.is_dir():
            inside = sorted(file.name for file in path.iterdir() if _is_catalog(file))[:3]
            hint = f", such as {', '.join(inside)}" if inside else ""
            raise InputError(f"{path} is a folder; give a file{hint}")
        if not path.exists():
            if path.is_symlink():
                raise InputError(
                    f"{path} is a link to {path.readlink()}, which does not exist; give the file "
                    "itself, or mend the link"
                )
            raise InputError(f"no file {path}{_near(path)}")
        if not path.is_file():
            raise InputError(
                f"{path} is a pipe or a device, which can be read only once; give a file"
            )
    except OSError as error:
        raise _unreadable(path, error) from error
    return path


def _check_file(path: Path) -> None:
    """Raise InputError unless it is a readable file of the format that its ending names."""
    try:
        check_looks(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> InputError:
    too_long = error.errno == errno.ENAMETOOLONG
    advice = "give a shorter path" if too_long else "check that you may read it"
    return InputError(f"cannot read {path}: {error.strerror}; {advice}")


def _near(path: Path) -> str:
    where = "" if path.is_absolute() else f" in {Path.cwd()}"
    if not path.parent.is_dir():
        return f"{where}; there is no folder {path.parent}"
    names = sorted(filter(_is_catalog_name, os.listdir(path.parent)))
    return where + did_you_mean(path.name, names)


def _is_catalog_name(name: str) -> bool:
    return name.lower().endswith(ENDINGS)


def _is_catalog(path: Path) -> bool:
    return _is_catalog_name(path.name)


@contextmanager
def _reporting_damage(path: Path) -> Iterator[None]:
    with warnings.catch_warnings():
        # These warnings are about style, such as the spelling of units; damage raises an error.
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            # For damaged bytes the parsers raise errors of any type.
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            raise InputError(
                f"cannot read {path} as {format_of(path).name}: {reason}; "
                "the file is damaged or truncated: make or fetch it again"
            ) from error


def parse_row(pairs: Sequence[str]) -> dict[str, str]:
    """The cells of one source from `key=value` pairs.

    Raises InputError for no pair, a pair without `=` or name, and a name given twice.
    """
    cells: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not name:
            raise InputError(f"a row is given as key=value pairs; found {pair!r}")
        if name in cells:
            raise InputError(f"{name!r} is given twice: {cells[name]!r} and {value!r}; keep one")
        cells[name] = value
    if not cells:
        raise InputError("a row needs at least one key=value pair; found none")
    return cells


def row_table(
    cells: Mapping[str, float | int | str | None], numbers: Collection[str] | None = None
) -> Table:
    """A table of one row; None and "" are missing.

    Text that looks like a number becomes one in the columns `numbers`. Any other text stays as it
    stands. None: in every column, other than whole numbers with leading zeros or above 2**53.
    """
    columns = [usual_column(_cell(name, value, numbers)) for name, value in cells.items()]
    return to_table(columns, {})


def _cell(
    name: str, value: float | int | str | None, numbers: Collection[str] | None
) -> FileColumn:
    if value is None or value == "":
        return FileColumn(name=name, values=np.array([np.nan]), missing=np.array([True]))
    is_number = name in numbers if numbers is not None else _may_be(value)
    cell = np.array([value], dtype=object)
    if isinstance(value, str) and is_number and are_numbers(np.array([value])).all():
        cell = numbers_of(np.array([value]))
    return FileColumn(name=name, values=cell, missing=np.array([False]))


def _may_be(text: float | int | str) -> bool:
    """Whether a text may be a number, rather than the digits of a name."""
    digits = str(text).strip().lstrip("+-")
    if not digits.isdecimal():
        return True
    return str(int(digits)) == digits and int(digits) <= 2**53
