"""FITS: read one table of a file, write one binary table.

Units, descriptions and UCDs are in the keywords TUNITn, TCOMMn and TUCDn, which TOPCAT reads. The
metadata of the table is JSON in XBMETA. FITS text is ASCII and loses blanks at its end.
Astropy misreads two character sequences in a keyword, which are therefore replaced in descriptions:
a single quote before a slash (by a double quote), and & in a text longer than a card (by +).
"""

import io
import json
import math
import os
import re
from collections.abc import Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from xbayes.catalog.columns import FileColumn
from xbayes.catalog.formats import file_bytes, is_zipped
from xbayes.catalog.ragged import element_type
from xbayes.catalog.several_tables import TableName, choose_table
from xbayes.errors import InputError

_FORMATS = {"bool": "L", "uint8": "B", "int16": "I", "int32": "J", "int64": "K"}
_FORMATS |= {"float32": "E", "float64": "D", "complex64": "C", "complex128": "M"}
_META = "XBMETA"
_CARD = 67  # characters that fit into one card; quotes are doubled


def read_fits(path: Path, table: str | None = None) -> tuple[list[FileColumn], dict[str, Any]]:
    """Columns and metadata of the table of this name or number, else of the first.

    Raises InputError if the file holds no table.
    """
    data = io.BytesIO(file_bytes(path)) if is_zipped(path) else path
    size = data.getbuffer().nbytes if isinstance(data, io.BytesIO) else os.path.getsize(path)
    with fits.open(data, memmap=False) as hdus:
        hdu = _chosen(path, hdus, table)
        # Astropy would fill up or ignore rows that are missing at the end.
        if hdu.fileinfo()["datLoc"] + hdu.size > size:
            raise InputError(
                f"{path} is truncated: its table needs {hdu.fileinfo()['datLoc'] + hdu.size} "
                f"bytes, the file has {size}; make or fetch it again"
            )
        names = _take_names(hdu.header)
        columns = [_read_column(hdu, index, name) for index, name in enumerate(names)]
        meta = hdu.header.get(_META)
    return columns, json.loads(meta) if meta else {}


def _chosen(path: Path, hdus: Any, wanted: str | None) -> Any:
    """The extension that is read."""
    tables, others = [], []
    hdu: Any
    for number, hdu in enumerate(hdus):
        is_table = isinstance(hdu, fits.BinTableHDU | fits.TableHDU)
        name = str(hdu.header.get("EXTNAME", "")).strip()
        n_rows = int(hdu.header.get("NAXIS2", 0)) if is_table else 0
        (tables if is_table else others).append(
            (TableName(number=number, names=(name,) if name else (), n_rows=n_rows), hdu)
        )
    if not tables:
        images = [name.title for name, hdu in others if hdu.header.get("NAXIS", 0)]
        found = f", only images (extensions {', '.join(images)})" if images else ""
        raise InputError(
            f"{path} is FITS but holds no table{found}, or is truncated before it; give a file "
            "with a table extension, binary or ASCII, or fetch this one again"
        )
    return tables[choose_table(path, [name for name, _ in tables], wanted)][1]


def _take_names(header: fits.Header) -> list[str]:
    """The names of the columns. Their keywords then say c1, c2, ...

    Astropy needs distinct names, and reads a damaged name as another.
    """
    n_columns: Any = header["TFIELDS"]
    numbers = range(1, n_columns + 1)
    names = [str(header.get(f"TTYPE{number}", "")).strip() for number in numbers]
    for number in numbers:
        header[f"TTYPE{number}"] = f"c{number}"
    return names


def _read_column(hdu: Any, index: int, name: str) -> FileColumn:
    column, number = hdu.columns[index], index + 1
    stored = hdu.data.view(np.ndarray)[hdu.columns.names[index]]
    width = stored.dtype.itemsize * int(np.prod(stored.shape[1:]))
    if not width:
        # Numpy would show whatever lies in memory.
        values, missing = np.full(len(stored), ""), np.ones(len(stored), bool)
        values = values if stored.dtype.kind == "S" else np.full(len(stored), np.nan)
    elif stored.dtype.kind == "S" and isinstance(hdu, fits.TableHDU):
        values, missing = np.asarray(hdu.data.field(index)), _blank(stored, column.null)
        values = np.char.rstrip(values) if values.dtype.kind in "SU" else values
    elif stored.dtype.kind == "S":
        values = np.char.rstrip(_ended(stored))
        missing = values == b""
    elif _letter(column) == "L" and stored.dtype == np.int8:
        values, missing = stored == ord("T"), stored == 0
    else:
        values, missing = _numbers(hdu, index, stored)
    return FileColumn(
        name=name,
        values=np.asarray(values),
        missing=missing,
        unit=str(column.unit or ""),
        description=str(hdu.header.get(f"TCOMM{number}", "")),
        ucd=str(hdu.header.get(f"TUCD{number}", "")),
    )


def _ended(texts: np.ndarray) -> np.ndarray:
    """The texts up to the first zero byte, which ends a text in FITS; anything may follow it."""
    if not any(b"\0" in text for text in texts.ravel().tolist()):
        return texts
    cells = [text.split(b"\0", 1)[0] for text in texts.ravel().tolist()]
    return np.array(cells, texts.dtype).reshape(texts.shape)


def _letter(column: fits.Column) -> str:
    """The letter of the type in a TFORM such as 3L or PJ(5)."""
    return str(column.format).lstrip("0123456789")[:1]


def _numbers(hdu: Any, index: int, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers, and all other cells that astropy reads as they are meant."""
    column: Any = hdu.columns[index]
    if _letter(column) not in "BIJK":
        values = hdu.data.field(index)
        return values, np.zeros(np.shape(values), bool)
    missing = np.zeros(stored.shape, bool) if column.null is None else stored == column.null
    zero, scale = column.bzero or 0, column.bscale or 1
    if float(scale) != 1 or not float(zero).is_integer() or abs(zero) > 2**63:
        return hdu.data.field(index), missing
    return _shifted(stored, missing, int(zero)), missing


def _shifted(stored: np.ndarray, missing: np.ndarray, zero: int) -> np.ndarray:
    """Stored integers plus TZERO with every digit, which are floats to astropy."""
    if not zero or not stored.size:
        return stored
    same_width = {1: np.int8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
    bits = np.uint64(zero % 2**64)
    total = stored.astype(np.int64).view(np.uint64) + bits  # wraps around
    width = stored.dtype.itemsize
    if zero == (-(2**7) if width == 1 else 2 ** (8 * width - 1)):
        return total.astype(same_width[width])
    present = stored[~missing]
    low, high = (int(present.min()), int(present.max())) if present.size else (0, 0)
    if low + zero >= -(2**63) and high + zero < 2**63:
        return total.view(np.int64)
    if low + zero >= 0 and high + zero < 2**64:
        return total
    return stored.astype(object) + zero


def _blank(stored: np.ndarray, null: Any) -> np.ndarray:
    """Where a cell of an ASCII table is empty or holds the null value."""
    cells = np.char.strip(stored)
    return (cells == b"") | (cells == str(null or "").strip().encode())


def write_fits(columns: Sequence[FileColumn], meta: dict[str, Any], handle: BufferedIOBase) -> None:
    """Write one binary table of columns that FITS can hold (`xbayes.catalog.adapt`)."""
    hdu: Any = fits.BinTableHDU.from_columns([_write_column(column) for column in columns])
    for number, column in enumerate(columns, start=1):
        for keyword, text in (("TCOMM", column.description), ("TUCD", column.ucd)):
            if text:
                hdu.header[f"{keyword}{number}"] = _card(text)
        if column.values.dtype.kind == "b" and column.missing.any():
            # In FITS a zero byte is an undefined truth value; astropy has no option to write it.
            stored = hdu.data.view(np.ndarray)[hdu.columns.names[number - 1]]
            stored[column.missing.reshape(stored.shape)] = 0  # arrays of one element are scalars
    if meta:
        hdu.header[_META] = _meta_card(meta)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(handle)


def _write_column(column: FileColumn) -> fits.Column:
    if column.values.dtype.kind == "O":
        return _write_arrays(column)
    values, null = column.values, None
    shape = values.shape[1:]
    if values.dtype.kind == "U":
        values = np.char.encode(np.where(column.missing, "", values), "ascii")
        width = max(values.dtype.itemsize, 1)
        form, shape = f"{width * math.prod(shape)}A", (*shape, width) if shape else ()
    else:
        values, null = _with_null(column)
        form = f"{math.prod(shape)}{_FORMATS[values.dtype.name]}" if shape else ""
        form = form or _FORMATS[values.dtype.name]
    dim = str(shape[::-1]).replace(" ", "") if len(shape) > 1 else None
    unit = _card(column.unit) or None
    return fits.Column(column.name, form, unit=unit, null=null, dim=dim, array=values)


def _write_arrays(column: FileColumn) -> fits.Column:
    """Arrays of different lengths, which FITS stores behind the rows."""
    element = element_type(column) or np.dtype(np.float64)
    cells = np.empty(len(column.values), object)
    for row, (cell, gone) in enumerate(zip(column.values, column.missing, strict=True)):
        cells[row] = np.zeros(0, element) if gone else cell
    # Pointers of 32 bits reach 2 GB.
    pointer = "Q" if element.itemsize * sum(map(len, cells)) >= 2**31 else "P"
    form = f"{pointer}{_FORMATS[element.name]}()"
    return fits.Column(column.name, form, unit=_card(column.unit) or None, array=cells)


def _with_null(column: FileColumn) -> tuple[np.ndarray, int | None]:
    """Values with the missing ones replaced, and the integer that marks them, if one does."""
    values, missing = column.values, column.missing
    if values.dtype.kind in "fc":
        return np.where(missing, values.dtype.type(np.nan), values), None
    if values.dtype.kind == "b" or not missing.any():
        return values, None
    # A column of a narrow type may hold all values of the type, so that none is free as marker.
    values = values.astype(np.int32) if values.dtype.itemsize < 4 else values
    null = int(np.iinfo(values.dtype).min)
    while np.any(values[~missing] == null):
        null += 1
    return np.where(missing, values.dtype.type(null), values), null


def _card(text: str) -> str:
    """The text, changed where a keyword cannot hold it or astropy would not read it back."""
    text = re.sub(r"'(?=\s*/)", '"', text.encode("ascii", "replace").decode())
    return text.replace("&", "+") if len(text) + text.count("'") > _CARD else text


def _meta_card(meta: dict[str, Any]) -> str:
    """JSON with escapes for the characters that astropy misreads."""
    return json.dumps(meta).replace("'", "\\u0027").replace("&", "\\u0026")
