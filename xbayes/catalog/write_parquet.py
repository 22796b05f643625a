"""Parquet, written so that astropy, pandas, polars and TOPCAT read it too.

Missing values are nulls; missing text is empty, because astropy reads a null as the text None.
Unit, description and UCD are in the metadata of each field. The metadata of the file repeat for
astropy the units, descriptions and lengths of texts, and tell pandas which integers have gaps: it
would read them as floating-point numbers and lose digits. For TOPCAT they hold the header of a
VOTable (VOParquet).
"""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedIOBase
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table.meta import get_yaml_from_table

from xbayes.catalog.columns import FileColumn, empty_table
from xbayes.catalog.format_arrow import META, to_arrow
from xbayes.catalog.format_votable import votable_header
from xbayes.catalog.ragged import element_type
from xbayes.catalog.standard_units import with_standard_unit

if TYPE_CHECKING:
    import pyarrow as pa

VOPARQUET = "IVOA.VOTable-Parquet"  # begin of the keys of this convention
_PANDAS = {"int16": "Int16", "int32": "Int32", "int64": "Int64", "uint64": "UInt64"}
_PANDAS |= {"int8": "Int8", "bool": "boolean"}


@contextmanager
def parquet_writer(
    handle: BufferedIOBase,
) -> Iterator[Callable[[Sequence[FileColumn], dict[str, Any]], None]]:
    """A function that appends chunks of one table; the first sets types and metadata."""
    from pyarrow import parquet

    writer: Any = None
    header: dict[str, str] = {}
    length: dict[str, int] = {}  # of the longest text of each column of text
    gaps: dict[str, str] = {}  # the type of each column of integers with missing values

    def append(columns: Sequence[FileColumn], meta: dict[str, Any]) -> None:
        nonlocal writer
        table = to_arrow([with_empty_text(column) for column in columns])
        for column in columns:
            name, dtype = column.name, column.values.dtype
            text = element_type(column) or dtype
            if text.kind == "U":
                length[name] = max(length.get(name, 1), text.itemsize // 4)
            elif column.values.ndim == 1 and dtype.kind in "iub" and column.missing.any():
                gaps[name] = dtype.name
        if writer is None:
            header[META.decode()] = json.dumps(meta)
            header["table_meta_yaml"] = "\n".join(get_yaml_from_table(empty_table(columns, meta)))
            header.update(_for_topcat(columns))
            # Numbers rarely repeat: a dictionary of them costs more time than it saves.
            dictionary: Any = list(length) or False
            writer = parquet.ParquetWriter(
                handle, table.schema, use_dictionary=dictionary, store_schema=False
            )
        writer.write_table(table.cast(writer.schema))

    try:
        yield append
        if writer is not None:
            # What depends on all chunks is known now, so the schema is stored at the end.
            header |= {f"table::len::{name}": str(size) for name, size in length.items()}
            header["pandas"] = _for_pandas(gaps)
            writer.add_key_value_metadata(
                {**header, "ARROW:schema": _encoded(writer.schema.with_metadata(header))}
            )
    finally:
        if writer is not None:
            writer.close()


def with_empty_text(column: FileColumn) -> FileColumn:
    """The column with empty text, not nulls, for missing text, and with empty lists of text."""
    element = element_type(column)
    if element is not None and element.kind == "U":
        return column._replace(missing=np.zeros(len(column.values), bool))
    if column.values.dtype.kind != "U":
        return column
    values = np.where(column.missing, "", column.values)
    return column._replace(values=values, missing=np.zeros(values.shape, bool))


def _for_topcat(columns: Sequence[FileColumn]) -> dict[str, str]:
    spelled = [with_standard_unit(column, "VOTable") for column in columns]
    return {f"{VOPARQUET}.version": "1.0", f"{VOPARQUET}.content": votable_header(spelled)}


def _for_pandas(gaps: dict[str, str]) -> str:
    columns = [
        {
            "name": name,
            "field_name": name,
            "pandas_type": dtype,
            "numpy_type": _PANDAS[dtype],
            "metadata": None,
        }
        for name, dtype in gaps.items()
    ]
    return json.dumps({"index_columns": [], "column_indexes": [], "columns": columns})


def _encoded(schema: "pa.Schema") -> str:
    """A schema as the Arrow libraries store it in a Parquet file."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()
