"""ECSV: a CSV file under a YAML header with units, descriptions, UCDs and metadata.

Text loses blanks at both ends, and every line break in it becomes a newline.
"""

import io
from collections.abc import Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, Table

from xbayes.catalog.columns import FileColumn, file_column, to_table
from xbayes.catalog.format_arrow import to_arrow
from xbayes.types import InputError


def read_ecsv(path: Path) -> tuple[list[FileColumn], dict[str, Any]]:
    """Columns and metadata. Raises InputError for mixin columns, such as times."""
    if not path.read_bytes().endswith(b"\n"):
        raise InputError(
            f"{path} is truncated: its last line has no end; make or fetch it again, or add a "
            "newline if it is complete"
        )
    table = Table.read(path, format="ascii.ecsv")
    for name in table.colnames:
        if not isinstance(table[name], Column):
            kind = type(table[name]).__name__
            raise InputError(f"{path}: column {name!r} is a {kind}; store it as plain columns")
    return [file_column(table[name]) for name in table.colnames], table.meta


def write_ecsv(columns: Sequence[FileColumn], meta: dict[str, Any], handle: BufferedIOBase) -> None:
    """Write one table. Arrow writes the rows, because astropy needs minutes for a million."""
    from pyarrow import csv

    header = io.StringIO()
    empty = to_table(
        [c._replace(values=c.values[:0], missing=c.missing[:0]) for c in columns], meta
    )
    empty.write(header, format="ascii.ecsv", delimiter=",")
    handle.write(header.getvalue().encode())
    rows = to_arrow([_spelled(column) for column in columns])
    if len(columns) == 1:
        # A reader of ECSV skips empty lines; an empty text is written with quotes.
        name = rows.column_names[0]
        rows = rows.set_column(0, name, rows.column(0).cast("string").fill_null(""))
    options = csv.WriteOptions(include_header=False, quoting_style="needed")
    csv.write_csv(rows, handle, options)


def _spelled(column: FileColumn) -> FileColumn:
    """Truth values as ECSV spells them."""
    if column.values.dtype.kind != "b":
        return column
    return column._replace(values=np.where(column.values, "True", "False"))
