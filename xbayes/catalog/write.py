"""Write a catalogue in any of the formats. An interrupted write leaves no file."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from xbayes.catalog.columns import FileColumn, from_table, plain_meta
from xbayes.catalog.format_arrow import parquet_writer, write_csv
from xbayes.catalog.format_ecsv import write_ecsv
from xbayes.catalog.format_fits import write_fits, write_fits_gz
from xbayes.catalog.format_votable import write_votable
from xbayes.catalog.formats import format_of
from xbayes.types import InputError

_WRITERS = {
    "FITS": write_fits,
    "VOTable": write_votable,
    "ECSV": write_ecsv,
    "CSV": write_csv,
}


def write_catalog(table: Table, path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Write a table as FITS, VOTable, ECSV, CSV or Parquet; the file ending gives the format.

    Masked values, NaN and the empty string are written as missing. Units, descriptions, UCDs and
    plain metadata are written too, except in CSV.

    Limits of the formats: FITS holds ASCII text only and drops blanks at its end; ECSV drops blanks
    at both ends; a CSV column of text that looks like numbers is read back as numbers; FITS and
    VOTable store int8, uint16, uint32 and uint64 in the next wider type that they have; FITS stores
    8-bit and 16-bit integers with missing values in 32 bits.

    Raises InputError if the file exists (unless `overwrite`), if its folder does not exist, or if
    the format cannot hold a column.
    """
    with catalog_writer(path, overwrite) as append:
        append(table)


@contextmanager
def catalog_writer(
    path: str | os.PathLike[str], overwrite: bool = False
) -> Iterator[Callable[[Table], None]]:
    """A function that appends a chunk of the table; the file appears when the block ends.

    Chunks of a Parquet file are written at once; for the other formats they are collected in
    memory. Raises InputError as `write_catalog` does.
    """
    path = Path(path).expanduser()
    check_output(path, overwrite)
    temporary = path.with_name(f".xbayes-{secrets.token_hex(8)}.tmp")
    kind = format_of(path).name
    open_writer = parquet_writer if kind == "Parquet" else _collecting(kind, path)
    try:
        with temporary.open("wb") as handle, open_writer(handle) as append:
            yield lambda table: append(from_table(table), plain_meta(table.meta))
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _collecting(kind: str, path: Path):
    """A writer that collects the chunks and writes them together."""
    write = write_fits_gz if path.name.lower().endswith(".gz") else _WRITERS[kind]

    @contextmanager
    def open_writer(handle) -> Iterator[Callable[[list[FileColumn], dict[str, Any]], None]]:
        chunks: list[tuple[list[FileColumn], dict[str, Any]]] = []
        yield lambda columns, meta: chunks.append((columns, meta))
        if chunks:
            write(*_joined(chunks), handle)

    return open_writer


def _joined(
    chunks: list[tuple[list[FileColumn], dict[str, Any]]],
) -> tuple[list[FileColumn], dict[str, Any]]:
    if len(chunks) == 1:
        return chunks[0]
    each = zip(*(columns for columns, _ in chunks), strict=True)
    columns = [
        same[0]._replace(
            values=np.concatenate([column.values for column in same]),
            missing=np.concatenate([column.missing for column in same]),
        )
        for same in each
    ]
    return columns, chunks[0][1]


def check_output(path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Raise InputError if no catalogue can be written there; call this before long work."""
    path = Path(path).expanduser()
    format_of(path)
    check_place(path, overwrite)


def check_place(path: Path, overwrite: bool = False) -> None:
    """Raise InputError if no file can be written there, whatever its format."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file to write")
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {path.parent}; make it first")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; give another name or --overwrite")
