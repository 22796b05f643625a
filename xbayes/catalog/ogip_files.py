"""The tables of a FITS file of high-energy data, in memory, read with limits on its size."""

import gzip
import io
import warnings
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from astropy.io import fits
from jaxtyping import Float

from xbayes.errors import InputError

MOST_BYTES = 64 * 2**20  # of a file, unpacked


class OgipTable(NamedTuple):
    """A table of a FITS file; names and keywords are in capitals."""

    name: str
    columns: Mapping[str, Float[np.ndarray, "B"]]  # of numbers, one a row
    header: Mapping[str, str | int | float | bool]

    def number(self, key: str, default: float) -> float:
        """A keyword as a number; the default if it is absent or none."""
        value = self.header.get(key)
        return float(value) if isinstance(value, int | float) else default

    def text(self, key: str) -> str:
        """A keyword as text; empty if it is absent."""
        return str(self.header.get(key, "")).strip()

    def column(self, name: str, default: float) -> Float[np.ndarray, "B"]:
        """A column, or the keyword of this name in every row, or the default."""
        if name in self.columns:
            return self.columns[name]
        size = len(next(iter(self.columns.values())))
        return np.full(size, self.number(name, default))

    @property
    def instrument(self) -> str:
        """Telescope and instrument."""
        return f"{self.text('TELESCOP')} {self.text('INSTRUME')}".strip()


def read_tables(path: Path) -> list[OgipTable]:
    """The binary tables of a FITS file, which may be packed with gzip.

    Raises InputError if the file is too large, damaged or no FITS file.
    """
    content = _content(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about style; damage raises an error
        try:
            with fits.open(io.BytesIO(content), memmap=False) as hdus:
                parts: Any = hdus
                return [_table(hdu) for hdu in parts if isinstance(hdu, fits.BinTableHDU)]
        except Exception as error:
            # For damaged bytes astropy raises errors of any type.
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            raise InputError(f"cannot read {path.name} as FITS: {reason}") from error


def table_with(
    tables: Sequence[OgipTable], path: Path, usual: str, needed: str, one_of: tuple[str, ...]
) -> OgipTable:
    """The table with these columns: the one with the usual name, else the first.

    Raises InputError if there is none, or it has no rows.
    """
    fitting = [t for t in tables if needed in t.columns and {*one_of} & {*t.columns}]
    if not fitting:
        raise InputError(
            f"{path.name} needs a table with the columns {needed} and {' or '.join(one_of)}, one "
            "number a row"
        )
    found = next((table for table in fitting if table.name == usual), fitting[0])
    if not len(found.columns[needed]):
        raise InputError(f"{path.name} has no rows in its table {found.name}")
    return found


def _table(hdu: Any) -> OgipTable:
    columns = {}
    for name in hdu.columns.names:
        values = hdu.data[name]
        if values.ndim == 1 and values.dtype.kind in "iufb":
            columns[name.upper()] = values.astype(np.float64)  # in the byte order of the machine
    header = {
        str(key).upper(): value
        for key, value in hdu.header.items()
        if isinstance(value, str | int | float | bool)
    }
    return OgipTable(name=hdu.name.upper(), columns=columns, header=header)


def _content(path: Path) -> bytes:
    """The bytes of a file, unpacked."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.open(raw) if packed else raw as stream:
                content = stream.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"cannot read {path.name}: {reason}") from None
    if len(content) > MOST_BYTES:
        raise InputError(f"{path.name} is larger than {MOST_BYTES // 2**20} MiB; it is not read")
    return content
