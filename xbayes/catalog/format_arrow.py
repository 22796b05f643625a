"""Columns as an Arrow table, from which Parquet, CSV and ECSV are written.

CSV stores values and missing cells only.
"""

from collections.abc import Sequence
from io import BufferedIOBase
from typing import TYPE_CHECKING, Any

import numpy as np

from xbayes.catalog.columns import FileColumn
from xbayes.catalog.ragged import element_type

if TYPE_CHECKING:
    import pyarrow as pa

META = b"xbayes"  # key of the metadata of a Parquet file


def to_arrow(columns: Sequence[FileColumn]) -> "pa.Table":
    """An Arrow table: nulls for missing values, and the other attributes as field metadata."""
    import pyarrow as pa

    fields, arrays = [], []
    for column in columns:
        is_ragged = element_type(column) is not None
        array = _lists(column) if is_ragged else _to_arrow_array(column.values, column.missing)
        texts = {"unit": column.unit, "description": column.description, "ucd": column.ucd}
        metadata = {key: text for key, text in texts.items() if text}
        fields.append(pa.field(column.name, array.type, metadata=metadata or None))
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _to_arrow_array(values: np.ndarray, missing: np.ndarray) -> "pa.Array":
    """The values; arrays as lists of fixed size, in which single elements may be missing."""
    import pyarrow as pa

    if values.ndim > 1:
        flat = (part.reshape(-1, *part.shape[2:]) for part in (values, missing))
        return pa.FixedSizeListArray.from_arrays(_to_arrow_array(*flat), values.shape[1])
    if values.dtype.kind in "cOmM":
        # For checksums only: no file is written with such values.
        values = values.astype(str)
    return pa.array(values, mask=missing)


def _lists(column: FileColumn) -> "pa.Array":
    """Arrays of different lengths; NaN in them is missing."""
    import pyarrow as pa

    cells = [
        np.zeros(0) if gone else cell
        for cell, gone in zip(column.values, column.missing, strict=True)
    ]
    offsets = np.cumsum([0, *map(len, cells)], dtype=np.int32)
    elements = np.concatenate([cell for cell in cells if len(cell)] or [_none_of(column)])
    return pa.ListArray.from_arrays(
        pa.array(offsets),
        pa.array(elements, from_pandas=elements.dtype.kind == "f"),
        mask=pa.array(column.missing),
    )


def _none_of(column: FileColumn) -> np.ndarray:
    """No elements, of the type of the column."""
    dtype = element_type(column)
    return np.zeros(0, np.float64 if dtype is None else dtype)


def write_csv(columns: Sequence[FileColumn], meta: dict[str, Any], handle: BufferedIOBase) -> None:
    """Write values and missing cells. CSV has no units, descriptions, UCDs and metadata."""
    from pyarrow import csv

    csv.write_csv(to_arrow(columns), handle, csv.WriteOptions(quoting_style="needed"))
