"""FITS: read the first table of a file, write one binary table.

Units, descriptions and UCDs are in the keywords TUNITn, TCOMMn and TUCDn, which TOPCAT reads. The
metadata of the table is JSON in XBMETA. FITS text is ASCII and loses blanks at its end.
Astropy misreads two character sequences in a keyword, which are therefore replaced in descriptions:
a single quote before a slash (by a double quote), and & in a text longer than a card (by +).
"""

import gzip
import io
import json
import os
import re
from collections.abc import Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from xbayes.catalog.columns import FileColumn, standard_width
from xbayes.types import InputError

_FORMATS = {"bool": "L", "uint8": "B", "int16": "I", "int32": "J", "int64": "K"}
_FORMATS |= {"float32": "E", "float64": "D"}
_META = "XBMETA"
_CARD = 30  # characters that fit into one card even if all are quotes, which are doubled


def read_fits(path: Path) -> tuple[list[FileColumn], dict[str, Any]]:
    """Columns and metadata of the first table. Raises InputError if there is none."""
    zipped = path.name.lower().endswith(".gz")
    data = io.BytesIO(gzip.decompress(path.read_bytes())) if zipped else path
    size = data.getbuffer().nbytes if isinstance(data, io.BytesIO) else os.path.getsize(path)
    with fits.open(data, memmap=False) as hdus:
        tables = (hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU))
        hdu: Any = next(tables, None)
        if hdu is None:
            raise InputError(f"{path} is FITS but holds no table, or is truncated before it")
        # Astropy would fill up or ignore rows that are missing at the end.
        if hdu.fileinfo()["datLoc"] + hdu.size > size:
            raise InputError(
                f"{path} is truncated: its table needs {hdu.fileinfo()['datLoc'] + hdu.size} "
                f"bytes, the file has {size}; make or fetch it again"
            )
        columns = [_read_column(hdu, index) for index in range(len(hdu.columns))]
        meta = hdu.header.get(_META)
    return columns, json.loads(meta) if meta else {}


def _read_column(hdu: Any, index: int) -> FileColumn:
    column, number = hdu.columns[index], index + 1
    stored = hdu.data.view(np.ndarray)[hdu.columns.names[index]]
    if stored.dtype.kind == "S" and isinstance(hdu, fits.TableHDU):
        values, missing = np.asarray(hdu.data.field(index)), _blank(stored, column.null)
        values = np.char.rstrip(values) if values.dtype.kind in "SU" else values
    elif stored.dtype.kind == "S":
        values = np.char.rstrip(stored)
        missing = values == b""
    elif column.format.endswith("L"):
        values, missing = stored == ord("T"), stored == 0
    else:
        values = hdu.data.field(index)
        missing = np.zeros(np.shape(values), bool) if column.null is None else stored == column.null
    return FileColumn(
        name=column.name,
        values=np.asarray(values),
        missing=missing,
        unit=column.unit or "",
        description=str(hdu.header.get(f"TCOMM{number}", "")),
        ucd=str(hdu.header.get(f"TUCD{number}", "")),
    )


def _blank(stored: np.ndarray, null: Any) -> np.ndarray:
    """Where a cell of an ASCII table is empty or holds the null value."""
    cells = np.char.strip(stored)
    return (cells == b"") | (cells == str(null or "").strip().encode())


def write_fits(columns: Sequence[FileColumn], meta: dict[str, Any], handle: BufferedIOBase) -> None:
    """Write one binary table. Raises InputError for text that is not ASCII."""
    columns = [standard_width(column) for column in columns]
    hdu = fits.BinTableHDU.from_columns([_write_column(column) for column in columns])
    for number, column in enumerate(columns, start=1):
        for keyword, text in (("TCOMM", column.description), ("TUCD", column.ucd)):
            if text:
                hdu.header[f"{keyword}{number}"] = _card(text)
        if column.values.dtype.kind == "b" and column.missing.any():
            # In FITS a zero byte is an undefined truth value; astropy has no option to write it.
            hdu.data.view(np.ndarray)[column.name][column.missing] = 0
    if meta:
        hdu.header[_META] = _meta_card(meta)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(handle)


def write_fits_gz(
    columns: Sequence[FileColumn], meta: dict[str, Any], handle: BufferedIOBase
) -> None:
    """Write one compressed binary table; the same table gives the same bytes."""
    with gzip.GzipFile(filename="", fileobj=handle, mode="wb", mtime=0) as zipped:
        write_fits(columns, meta, zipped)


def _write_column(column: FileColumn) -> fits.Column:
    values, null = column.values, None
    if _card(column.name) != column.name:
        raise InputError(f"column {column.name!r} cannot be a FITS name; rename it or use .parquet")
    if values.dtype.kind == "U":
        values = _ascii_values(column)
        form = f"{max(values.dtype.itemsize, 1)}A"
    else:
        values, null = _with_null(column)
        form = _FORMATS[values.dtype.name]
    return fits.Column(column.name, form, unit=_card(column.unit) or None, null=null, array=values)


def _with_null(column: FileColumn) -> tuple[np.ndarray, int | None]:
    """Values with the missing ones replaced, and the integer that marks them, if one does."""
    values, missing = column.values, column.missing
    if values.dtype.kind == "f":
        return np.where(missing, values.dtype.type(np.nan), values), None
    if values.dtype.kind == "b" or not missing.any():
        return values, None
    # A column of a narrow type may hold all values of the type, so that none is free as marker.
    values = values.astype(np.int32) if values.dtype.itemsize < 4 else values
    null = int(np.iinfo(values.dtype).min)
    while np.any(values[~missing] == null):
        null += 1
    return np.where(missing, values.dtype.type(null), values), null


def _ascii_values(column: FileColumn) -> np.ndarray:
    values = np.where(column.missing, "", column.values)
    if not _is_printable(values):
        bad = next(value for value in values.tolist() if not _is_printable(np.array([value])))
        raise InputError(
            f"column {column.name!r} holds {bad!r}, but FITS holds plain ASCII text only; "
            "replace it, or write .parquet or .vot"
        )
    return np.char.encode(values, "ascii")


def _is_printable(text: np.ndarray) -> bool:
    codes = np.ascontiguousarray(text).view(np.uint32)
    # Text shorter than the column is padded with zeros.
    return bool(np.all((codes == 0) | ((codes >= 32) & (codes <= 126))))


def _card(text: str) -> str:
    """The text, changed where a keyword cannot hold it or astropy would not read it back."""
    text = re.sub(r"'(?=\s*/)", '"', text.encode("ascii", "replace").decode())
    return text.replace("&", "+") if len(text) > _CARD else text


def _meta_card(meta: dict[str, Any]) -> str:
    """JSON with escapes for the characters that astropy misreads."""
    return json.dumps(meta).replace("'", "\\u0027").replace("&", "\\u0026")
