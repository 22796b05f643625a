"""Parquet, read by pyarrow in one piece or in chunks, and tables of Arrow in memory.

Files of pandas, lsdb and astropy are read too. The type of a column is the same in every chunk: it
follows from the schema, and where that does not decide, from a first pass over the column.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xbayes.catalog.cells import decoded, usual_cells
from xbayes.catalog.columns import FileColumn
from xbayes.catalog.names import usable_names

if TYPE_CHECKING:
    import pyarrow as pa

_META = b"xbayes"
_ASTROPY = b"table_meta_yaml"
_DIGITS = 18  # of a decimal that certainly fits in int64
_FLOAT_DIGITS = 15  # of a decimal that a float certainly keeps


class _Column(NamedTuple):
    """A column that is read."""

    index: int  # in the schema
    stored: str  # its name there
    name: str
    flag: str | None  # a further column that holds its mask, as astropy stores it


class _Extent(NamedTuple):
    """What the schema does not say about a column of decimals or lists."""

    low: int = 0
    high: int = 0
    whole: bool = True  # no decimal has a fraction
    longest: int = 0  # list


def read_parquet(path: Path) -> tuple[list[FileColumn], dict[str, Any]]:
    """Columns and metadata. Lists and structures become objects; times become text."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        # The schema of the file, as for chunks: that of the table may lack metadata.
        schema = file.schema_arrow
        return _columns_of(file.read(), schema, path), _meta(schema)


def parquet_schema(path: Path) -> tuple[tuple[str, ...], int]:
    """The names of the columns that `read_parquet` returns, and the number of rows."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        columns = _columns(file.schema_arrow, path)
        return tuple(column.name for column in columns), file.metadata.num_rows


def parquet_chunks(
    path: Path, size: int, names: Sequence[str] | None = None
) -> Iterator[tuple[list[FileColumn], dict[str, Any]]]:
    """Chunks of `size` rows (the last one may be shorter), each as `read_parquet` returns it."""
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(path, pre_buffer=False) as file:
        schema = file.schema_arrow
        columns = [c for c in _columns(schema, None) if names is None or c.name in names]
        open_ended = [c for c in columns if _is_open(schema.field(c.index).type)]
        batches = (
            pa.Table.from_batches([batch])
            for batch in file.iter_batches(size, columns=_stored(schema, open_ended))
        )
        extents = _extents(schema, open_ended, batches) if open_ended else {}
        waiting: list[pa.RecordBatch] = []
        # A batch ends with its row group, so batches are joined and cut to chunks of one size.
        for batch in file.iter_batches(batch_size=size, columns=_stored(schema, columns)):
            waiting.append(batch)
            while sum(map(len, waiting)) >= size:
                table = pa.Table.from_batches(waiting)
                yield _read(table.slice(0, size), schema, columns, extents), _meta(schema)
                waiting = table.slice(size).to_batches()
        if sum(map(len, waiting)):
            yield _read(pa.Table.from_batches(waiting), schema, columns, extents), _meta(schema)


def columns_of_arrow(table: "pa.Table", place: object) -> list[FileColumn]:
    """The columns of an Arrow table; `place` names the table in messages."""
    return _columns_of(table, table.schema, place)


def _columns_of(table: "pa.Table", schema: "pa.Schema", place: object) -> list[FileColumn]:
    columns = _columns(schema, place)
    open_ended = [c for c in columns if _is_open(schema.field(c.index).type)]
    return _read(table, schema, columns, _extents(schema, open_ended, [table]))


def arrow_columns(names: Sequence[str], arrays: Sequence["pa.ChunkedArray"]) -> list[FileColumn]:
    """Columns of simple types under the given names."""
    columns = zip(names, arrays, strict=True)
    return [_file_column(name, array, None, _Extent()) for name, array in columns]


def compute() -> Any:
    """The functions of Arrow, which it makes when it is imported: type checkers know none."""
    import pyarrow.compute

    return pyarrow.compute


def _meta(schema: "pa.Schema") -> dict[str, Any]:
    return json.loads((schema.metadata or {}).get(_META, b"{}"))


def _columns(schema: "pa.Schema", place: object | None) -> list[_Column]:
    """The columns that are read. A `place` is told of the names that are changed."""
    # Row numbers that pandas stored, and masks that astropy stored, are not columns.
    flags = _astropy_flags(schema)
    kept = [
        (index, name)
        for index, name in enumerate(schema.names)
        if name not in flags and not name.startswith("__index_level_")
    ]
    usable = usable_names([name for _, name in kept], place, tell=place is not None)
    return [
        _Column(
            index=index,
            stored=stored,
            name=name,
            flag=f"{stored}.mask" if f"{stored}.mask" in flags else None,
        )
        for (index, stored), name in zip(kept, usable, strict=True)
    ]


def _astropy_flags(schema: "pa.Schema") -> set[str]:
    """The extra columns x.mask in which astropy stores masks."""
    import pyarrow as pa

    metadata = schema.metadata or {}
    if _ASTROPY not in metadata or _META in metadata:
        return set()
    return {
        field.name
        for field in schema
        # Any other column of such a name is a column of the user.
        if field.name.endswith(".mask")
        and field.name[:-5] in schema.names
        and pa.types.is_boolean(field.type)
    }


def _stored(schema: "pa.Schema", columns: Sequence[_Column]) -> list[str] | None:
    """The names to read from the file; None, for all, if a name is not enough."""
    if len(set(schema.names)) < len(schema.names):
        return None
    return [name for c in columns for name in (c.stored, c.flag) if name is not None]


def _array(table: "pa.Table", schema: "pa.Schema", column: _Column) -> "pa.ChunkedArray":
    """A column of a table that has all columns of the schema, or those of `_stored`."""
    complete = len(table.schema.names) == len(schema.names)
    return table.column(column.index if complete else column.stored)


def _read(
    table: "pa.Table",
    schema: "pa.Schema",
    columns: Sequence[_Column],
    extents: Mapping[int, _Extent],
) -> list[FileColumn]:
    read = []
    for column in columns:
        array = _array(table, schema, column)
        metadata = schema.field(column.index).metadata
        made = _file_column(column.name, array, metadata, extents.get(column.index, _Extent()))
        if column.flag is not None:
            flag = np.asarray(table.column(column.flag).to_numpy()).astype(bool)
            made = made._replace(missing=made.missing | flag)
        read.append(made)
    return read


def _is_open(kind: "pa.DataType") -> bool:
    """Whether the values decide the type of the column, not the schema alone."""
    import pyarrow as pa

    if pa.types.is_decimal(kind):
        return kind.precision > (_DIGITS if kind.scale <= 0 else _FLOAT_DIGITS)
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _extents(
    schema: "pa.Schema", columns: Sequence[_Column], tables: Iterable["pa.Table"]
) -> dict[int, _Extent]:
    """Range of the integers, and length of the longest list, of each column."""
    import pyarrow as pa

    pc = compute()
    extents = {column.index: _Extent() for column in columns}
    for table in tables if columns else ():
        for column in columns:
            array, known = _array(table, schema, column), extents[column.index]
            if pa.types.is_decimal(array.type):
                ends = [int(end or 0) for end in pc.min_max(array).as_py().values()]
                known = known._replace(low=min(known.low, *ends), high=max(known.high, *ends))
                if array.type.scale > 0 and known.whole:
                    whole = pc.all(pc.equal(pc.round(array), array)).as_py()
                    known = known._replace(whole=whole is not False)
            else:
                longest = pc.max(pc.list_value_length(array)).as_py() or 0
                known = known._replace(longest=max(known.longest, longest))
            extents[column.index] = known
    return extents


def _file_column(
    name: str,
    array: "pa.ChunkedArray",
    metadata: Mapping[bytes, bytes] | None,
    extent: _Extent,
) -> FileColumn:
    texts = {
        key.decode("utf-8", "replace"): text.decode("utf-8", "replace")
        for key, text in (metadata or {}).items()
    }
    values, missing = _to_numpy(array, extent)
    return FileColumn(
        name=name,
        values=values,
        missing=missing,
        unit=texts.get("unit", ""),
        description=texts.get("description", ""),
        ucd=texts.get("ucd", ""),
    )


def _to_numpy(column: "pa.ChunkedArray", extent: _Extent) -> tuple[np.ndarray, np.ndarray]:
    """Values, arbitrary where the column is null, and where they are missing."""
    import pyarrow as pa

    column = _plain(column)
    kind, missing = column.type, np.zeros(len(column), bool)
    if column.null_count:
        missing = np.array(column.is_null().to_numpy(), dtype=bool)
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan), missing
    if pa.types.is_decimal(kind):
        return _of_decimals(column, extent), missing
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        if column.null_count and not pa.types.is_floating(kind):
            column = column.fill_null(pa.scalar(0).cast(kind))
        return column.to_numpy(), missing  # NaN where a float is null
    if pa.types.is_fixed_size_list(kind):
        return _of_arrays(column, extent)
    if is_list and extent.longest <= 1:
        cells = [cell[0] if cell else None for cell in column.to_pylist()]
        return _to_numpy(pa.chunked_array([pa.array(cells, kind.value_type)]), _Extent())
    if not is_list and not pa.types.is_nested(kind) and not _is_binary(kind):
        try:
            text = column.cast(pa.large_string()).fill_null("")
            return text.to_numpy(zero_copy_only=False).astype(str), missing
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return np.array([str(cell or "") for cell in column.to_pylist()], str), missing
    if _is_binary(kind):
        return decoded(np.array([cell or b"" for cell in column.to_pylist()])), missing
    values = np.empty(len(column), dtype=object)
    values[:] = column.to_pylist()
    return values, missing


def _plain(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """The column without an encoding: categories, repeated values, types of other libraries."""
    import pyarrow as pa

    if isinstance(column.type, pa.BaseExtensionType):
        storage = column.type.storage_type
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], storage)
    if pa.types.is_dictionary(column.type) or pa.types.is_run_end_encoded(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.float32()) if pa.types.is_float16(column.type) else column


def _is_binary(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    is_one_of = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(is_one(kind) for is_one in is_one_of)


def _of_decimals(column: "pa.ChunkedArray", extent: _Extent) -> np.ndarray:
    """Whole numbers with every digit, as text beyond 64 bits; other decimals as floats.

    A type with decimal places holds whole numbers too: they stay whole where a float would change
    a digit.
    """
    import pyarrow as pa

    large = extent.whole and max(-extent.low, extent.high) > 2**53
    if column.type.scale > 0 and large:
        # Ids of a database, which stores every number with decimals.
        wide = pa.decimal128(38, 0) if column.type.precision <= 38 else pa.decimal256(76, 0)
        column = column.cast(wide)
    if column.type.scale > 0:
        target: pa.DataType = pa.float64()
    elif column.type.precision <= _DIGITS or -(2**63) <= extent.low <= extent.high < 2**63:
        target = pa.int64()
    elif extent.low >= 0 and extent.high < 2**64:
        target = pa.uint64()
    else:
        return np.array([str(int(cell or 0)) for cell in column.to_pylist()], str)
    return column.cast(target).fill_null(pa.scalar(0).cast(target)).to_numpy()


def _of_arrays(column: "pa.ChunkedArray", extent: _Extent) -> tuple[np.ndarray, np.ndarray]:
    """Lists of one length as an array with one more axis."""
    import pyarrow as pa

    length, array = column.type.list_size, column.combine_chunks()
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    flat = [chunk.values.slice(chunk.offset * length, len(chunk) * length) for chunk in chunks]
    inner = pa.chunked_array(flat, column.type.value_type)
    values, missing = _to_numpy(inner, extent)
    shape = (len(column), length, *values.shape[1:])
    gone = np.asarray(column.is_null().to_numpy()).astype(bool)
    missing = missing.reshape(shape) | gone.reshape(-1, *[1] * (len(shape) - 1))
    return usual_cells(values.reshape(shape), missing)
