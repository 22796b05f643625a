"""VOTable: read one table of a file, write one table in BINARY2.

BINARY2 stores every value and blank exactly and flags missing values of any type. It is written
here because astropy loops over rows and cells: it takes 40 times as long, minutes for a million
rows. The version is 1.3, in which units are spelled as the CDS spells them: astropy warns of every
`erg` in the grammar of version 1.4.
"""

import base64
import io
import json
import math
import re
from collections.abc import Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from xbayes.catalog.columns import FileColumn
from xbayes.catalog.formats import file_bytes
from xbayes.catalog.ragged import element_type
from xbayes.catalog.several_tables import TableName, choose_table
from xbayes.errors import InputError

_DATATYPES = {
    "uint8": "unsignedByte",
    "int16": "short",
    "int32": "int",
    "int64": "long",
    "float32": "float",
    "float64": "double",
    "complex64": "floatComplex",
    "complex128": "doubleComplex",
}
_META = "xbayes"
_FIELD = re.compile(rb"<FIELD\b[^>]*>")
_ARRAYSIZE = re.compile(rb"""arraysize\s*=\s*(["'])(\d+(?:x(?:\d+|\*))+\*?)\1""")
_CHARACTERS = re.compile(rb"""datatype\s*=\s*(["'])(?:char|unicodeChar)\1""")
_START = """<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<RESOURCE type="results">
"""
_END = "\n</STREAM>\n</BINARY2>\n</DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n"
_CHUNK = 30_000  # rows that are encoded at once


def read_votable(path: Path, table: str | None = None) -> tuple[list[FileColumn], dict[str, Any]]:
    """Columns and metadata of the table of this name, ID or number, else of the first.

    Raises InputError if the file holds no table.
    """
    from astropy.io.votable import parse

    # Given a file name, the parser would also unpack or fetch it; bytes are only read.
    data = _FIELD.sub(_one_text, file_bytes(path))
    file = parse(io.BytesIO(data), verify="ignore")
    tables = list(file.iter_tables())
    if not tables:
        raise InputError(f"{path} is a VOTable without a table; make or fetch it again")
    names = [
        TableName(
            number=n,
            names=tuple(name for name in (each.name, each.ID) if name),
            n_rows=len(each.array),
        )
        for n, each in enumerate(tables, start=1)
    ]
    chosen = tables[choose_table(path, names, table)]
    infos = {info.name: info.value for resource in file.resources for info in resource.infos}
    cells = zip(chosen.fields, chosen.array.dtype.names or (), strict=True)
    columns = [_read_field(field, chosen.array[key]) for field, key in cells]
    return columns, json.loads(infos.get(_META, "{}"))


def _one_text(field: re.Match[bytes]) -> bytes:
    """A field of arrays of texts as one of texts: astropy refuses a file with the former."""
    tag = field[0]
    sizes = _ARRAYSIZE.search(tag)
    if sizes is None or _CHARACTERS.search(tag) is None:
        return tag
    fixed = not sizes[2].endswith(b"*")
    size = str(math.prod(map(int, sizes[2].split(b"x")))).encode() if fixed else b"*"
    return tag[: sizes.start(2)] + size + tag[sizes.end(2) :]


def _read_field(field: Any, cells: Any) -> FileColumn:
    values, missing = np.asarray(np.ma.getdata(cells)), np.ma.getmaskarray(cells)
    return FileColumn(
        name=field.name or "",
        values=values,
        missing=np.array(missing),
        unit="" if field.unit is None else field.unit.to_string(),
        description=str(field.description or ""),
        ucd=str(field.ucd or ""),
    )


def write_votable(
    columns: Sequence[FileColumn], meta: dict[str, Any], handle: BufferedIOBase
) -> None:
    """Write one table of columns that VOTable can hold (`xbayes.catalog.adapt`)."""
    columns = [_with_free_blank(column) for column in columns]
    cells, datatypes = zip(*[_cells(column) for column in columns], strict=True)
    info = f"<INFO name={quoteattr(_META)} value={quoteattr(json.dumps(meta))}/>\n" if meta else ""
    fields = "".join(map(_field, columns, datatypes))
    data = "<DATA>\n<BINARY2>\n<STREAM encoding='base64'>\n"
    handle.write(f"{_START}{info}<TABLE>\n{fields}{data}".encode())
    whole = [column.missing.all(tuple(range(1, column.missing.ndim))) for column in columns]
    flags = np.packbits(np.stack(whole, axis=1), axis=1)
    rest = b""
    for start in range(0, len(flags), _CHUNK):
        rows = slice(start, start + _CHUNK)
        data = rest + _records(flags[rows], [c[rows] for c in cells])
        # Base64 turns 3 bytes into 4 characters: parts of a multiple of 3 join without padding.
        whole_part = len(data) // 3 * 3
        handle.write(base64.b64encode(data[:whole_part]))
        rest = data[whole_part:]
    handle.write(base64.b64encode(rest))
    handle.write(_END.encode())


def votable_header(columns: Sequence[FileColumn]) -> str:
    """A VOTable without data, in which readers of Parquet find units, descriptions and UCDs.

    The convention is VOParquet (IVOA note of 2025, version 1.0).
    """
    fields = "".join(_field(column, _header_type(column)) for column in columns)
    return f"{_START}<TABLE>\n{fields}</TABLE>\n</RESOURCE>\n</VOTABLE>\n"


def _header_type(column: FileColumn) -> str:
    """The XML attributes of the type; the Parquet file says the exact width of integers."""
    element = element_type(column) or column.values.dtype
    sizes = "x".join(map(str, column.values.shape[:0:-1]))
    size = "*" if column.values.dtype.kind == "O" else sizes
    if element.kind == "U":
        arraysize = f"{max(element.itemsize // 4, 1)}x{size}" if size else "*"
        return f'datatype="unicodeChar" arraysize="{arraysize}"'
    name = {"b": "boolean", "i": "long", "u": "long"}.get(element.kind, "double")
    datatype = _DATATYPES.get(element.name, name)
    return f'datatype="{datatype}"' + (f' arraysize="{size}"' if size else "")


def _records(flags: np.ndarray, cells: Sequence[np.ndarray]) -> bytes:
    """Rows in the layout of BINARY2: flags of missing values, then the cells."""
    if any(cell.dtype.kind == "O" for cell in cells):
        return _long_records(flags, cells)
    layout = [("flags", "u1", (flags.shape[1],))]
    layout += [(f"c{index}", cell.dtype, cell.shape[1:]) for index, cell in enumerate(cells)]
    records = np.zeros(len(flags), layout)
    records["flags"] = flags
    for index, cell in enumerate(cells):
        records[f"c{index}"] = cell
    return records.tobytes()


def _long_records(flags: np.ndarray, cells: Sequence[np.ndarray]) -> bytes:
    """Rows of different lengths, because some cells are arrays of any length, given as bytes."""
    parts = []
    for cell in (flags, *cells):
        if cell.dtype.kind == "O":
            parts.append(cell.tolist())
        else:
            # As plain bytes: numpy takes zeros off the ends of texts.
            width = cell.dtype.itemsize * math.prod(cell.shape[1:])
            data = cell.tobytes()
            parts.append([data[width * row : width * (row + 1)] for row in range(len(cell))])
    return b"".join(part for row in zip(*parts, strict=True) for part in row)


def _cells(column: FileColumn) -> tuple[np.ndarray, str]:
    """Big-endian cells, and the XML attributes of their type."""
    values, missing = column.values, column.missing
    if values.dtype.kind == "O":
        return _long_cells(column)
    if values.dtype.kind == "U":
        return _characters(np.where(missing, "", values))
    size = "x".join(map(str, values.shape[:0:-1]))
    arraysize = f' arraysize="{size}"' if size else ""
    if values.dtype.kind == "b":
        cells = np.where(missing, b"?", np.where(values, b"T", b"F"))
        return cells, f'datatype="boolean"{arraysize}'
    values = np.where(missing, values.dtype.type(_blank(column)), values)
    datatype = f'datatype="{_DATATYPES[values.dtype.name]}"{arraysize}'
    return values.astype(values.dtype.newbyteorder(">")), datatype


def _long_cells(column: FileColumn) -> tuple[np.ndarray, str]:
    """Arrays of any length: the number of elements, then these."""
    element = element_type(column) or np.dtype(np.float64)
    cells = np.empty(len(column.values), object)
    for row, (cell, gone) in enumerate(zip(column.values, column.missing, strict=True)):
        array = np.zeros(0, element) if gone else cell
        if element.kind == "b":
            array = np.where(array, b"T", b"F")
        big_endian = array.astype(array.dtype.newbyteorder(">")).tobytes()
        cells[row] = len(array).to_bytes(4, "big") + big_endian
    datatype = "boolean" if element.kind == "b" else _DATATYPES[element.name]
    return cells, f'datatype="{datatype}" arraysize="*"'


def _blank(column: FileColumn) -> float | int:
    """The value in place of a missing one; flags tell it, or for integers in arrays VALUES."""
    if column.values.dtype.kind in "fc":
        return np.nan
    if column.values.ndim == 1:
        return 0
    return _free(column)


def _free(column: FileColumn) -> int:
    """The smallest integer of the type that no cell holds."""
    limits, used = np.iinfo(column.values.dtype), set()
    values = column.values[~column.missing]
    if len(values) and values.min() == limits.min:
        used = set(np.unique(values).tolist())
    return next((n for n in range(limits.min, limits.max + 1) if n not in used), limits.min)


def _with_free_blank(column: FileColumn) -> FileColumn:
    """The column in a wider type if it is arrays of integers, with gaps, that use every value."""
    is_array = column.values.ndim > 1 and column.values.dtype.kind in "iu"
    if not is_array or column.values.dtype.itemsize > 2 or not column.missing.any():
        return column
    if _free(column) not in column.values[~column.missing]:
        return column
    return column._replace(values=column.values.astype(np.int32))


def _characters(values: np.ndarray) -> tuple[np.ndarray, str]:
    """Text of fixed width: one byte per character if all text is ASCII, else two."""
    plain = bool(np.all(np.ascontiguousarray(values).view(np.uint32) < 128))
    cells = np.char.encode(values, "ascii" if plain else "utf-16-be")
    size = 1 if plain else 2
    width = max(-(-cells.dtype.itemsize // size), 1)
    datatype = "char" if plain else "unicodeChar"
    arraysize = "x".join(map(str, (width, *values.shape[:0:-1])))
    return cells.astype(f"S{width * size}"), f'datatype="{datatype}" arraysize="{arraysize}"'


def _field(column: FileColumn, datatype: str) -> str:
    attributes = {"name": column.name, "unit": column.unit, "ucd": column.ucd}
    given = " ".join(f"{key}={quoteattr(text)}" for key, text in attributes.items() if text)
    description = escape(column.description)
    body = f"<DESCRIPTION>{description}</DESCRIPTION>" if description else ""
    if column.values.ndim > 1 and column.values.dtype.kind in "iu" and column.missing.any():
        body += f'<VALUES null="{_blank(column)}"/>'
    return f"<FIELD {given} {datatype}>{body}</FIELD>\n"
