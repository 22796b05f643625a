"""ECSV: a CSV file under a YAML header with units, descriptions, UCDs and metadata.

Text loses blanks at both ends, and every line break in it becomes a newline.
"""

import io
import json
from collections.abc import Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from xbayes.catalog.columns import FileColumn, any_column, empty_table
from xbayes.catalog.format_arrow import to_arrow
from xbayes.catalog.formats import file_bytes
from xbayes.errors import InputError


def read_ecsv(path: Path) -> tuple[list[FileColumn], dict[str, Any]]:
    """Columns and metadata. Times and coordinates become text."""
    data = file_bytes(path)
    if not data.endswith(b"\n"):
        raise InputError(
            f"{path} is truncated: its last line has no end; make or fetch it again, or add a "
            "newline if it is complete"
        )
    table = Table.read(io.BytesIO(data), format="ascii.ecsv")
    return [any_column(table[name], name) for name in table.colnames], table.meta


def write_ecsv(columns: Sequence[FileColumn], meta: dict[str, Any], handle: BufferedIOBase) -> None:
    """Write one table. Arrow writes the rows, because astropy needs minutes for a million."""
    from pyarrow import csv

    header = io.StringIO()
    empty_table(columns, meta).write(header, format="ascii.ecsv", delimiter=",")
    handle.write(header.getvalue().encode())
    rows = to_arrow([_spelled(column) for column in columns])
    if len(columns) == 1:
        # A reader of ECSV skips empty lines; an empty text is written with quotes.
        name = rows.column_names[0]
        rows = rows.set_column(0, name, rows.column(0).cast("string").fill_null(""))
    options = csv.WriteOptions(include_header=False, quoting_style="needed")
    csv.write_csv(rows, handle, options)


def _spelled(column: FileColumn) -> FileColumn:
    """Truth values and arrays as ECSV spells them."""
    if column.values.dtype.kind == "O":
        texts = np.array([_json(cell) for cell in column.values], str)
        return column._replace(values=texts)
    if column.values.ndim > 1:
        cells = column.values.astype(object)
        cells[column.missing] = None
        texts = np.array([json.dumps(cell) for cell in cells.tolist()])
        return column._replace(values=texts, missing=np.zeros(len(texts), bool))
    if column.values.dtype.kind != "b":
        return column
    return column._replace(values=np.where(column.values, "True", "False"))


def _json(cell: Any) -> str:
    """An array of any length; NaN is missing."""
    items = [] if cell is None else np.asarray(cell).tolist()
    return json.dumps([None if item != item else item for item in items])
