"""Parquet and CSV, read and written by pyarrow.

Parquet stores missing values as nulls, and unit, description and UCD in the metadata of each field.
Files of pandas, lsdb and astropy are read too. CSV stores values and missing cells only.
"""

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xbayes.catalog.columns import FileColumn
from xbayes.types import InputError

if TYPE_CHECKING:
    import pyarrow as pa

_META = b"xbayes"


def read_parquet(path: Path) -> tuple[list[FileColumn], dict[str, Any]]:
    """Columns and metadata. Lists and structures become objects; times become text."""
    from pyarrow import parquet

    return _parquet_columns(path, parquet.ParquetFile(path).read())


def parquet_schema(path: Path) -> tuple[tuple[str, ...], int]:
    """The names of the columns that `read_parquet` returns, and the number of rows."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        columns, _ = _parquet_columns(path, file.schema_arrow.empty_table())
        return tuple(column.name for column in columns), file.metadata.num_rows


def parquet_chunks(
    path: Path, size: int, names: Sequence[str] | None = None
) -> Iterator[tuple[list[FileColumn], dict[str, Any]]]:
    """Chunks of `size` rows (the last one may be shorter), each as `read_parquet` returns it."""
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(path, pre_buffer=False) as file:
        wanted = None
        if names is not None:
            flags = [f"{name}.mask" for name in names]
            wanted = [n for n in file.schema_arrow.names if n in {*names, *flags}]
        waiting: list[pa.RecordBatch] = []
        # A batch ends with its row group, so batches are joined and cut to chunks of one size.
        for batch in file.iter_batches(batch_size=size, columns=wanted):
            waiting.append(batch)
            while sum(map(len, waiting)) >= size:
                table = pa.Table.from_batches(waiting)
                yield _parquet_columns(path, table.slice(0, size))
                waiting = table.slice(size).to_batches()
        if sum(map(len, waiting)):
            yield _parquet_columns(path, pa.Table.from_batches(waiting))


def columns_of_arrow(table: "pa.Table", place: object) -> list[FileColumn]:
    """The columns of an Arrow table; `place` names the table in messages."""
    return _parquet_columns(place, table)[0]


def _parquet_columns(path: object, table: "pa.Table") -> tuple[list[FileColumn], dict[str, Any]]:
    # Row numbers that pandas stored, and masks that astropy stored, are not columns.
    flags = _astropy_flags(table)
    names = [n for n in table.column_names if n not in flags and not n.startswith("__index_level_")]
    columns = []
    for name in names:
        if table.column_names.count(name) > 1:
            raise InputError(f"{path}: column {name!r} occurs more than once; rename one")
        column = _from_arrow(name, table.column(name), table.schema.field(name))
        flag = flags.get(f"{name}.mask")
        columns.append(column if flag is None else column._replace(missing=column.missing | flag))
    return columns, json.loads((table.schema.metadata or {}).get(_META, b"{}"))


def _astropy_flags(table: "pa.Table") -> dict[str, np.ndarray]:
    """The masks that astropy stores as extra columns x.mask."""
    if b"table_meta_yaml" not in (table.schema.metadata or {}):
        return {}
    names = [n for n in table.column_names if n.endswith(".mask") and n[:-5] in table.column_names]
    return {name: table.column(name).to_numpy().astype(bool) for name in names}


@contextmanager
def parquet_writer(
    handle: BufferedIOBase,
) -> Iterator[Callable[[Sequence[FileColumn], dict[str, Any]], None]]:
    """A function that appends chunks of one table; the first sets types and metadata."""
    from pyarrow import parquet

    with ExitStack() as stack:
        writer: Any = None

        def append(columns: Sequence[FileColumn], meta: dict[str, Any]) -> None:
            nonlocal writer
            table = to_arrow(columns)
            if writer is None:
                if meta:
                    table = table.replace_schema_metadata({_META: json.dumps(meta)})
                # Numbers rarely repeat: a dictionary of them costs more time than it saves.
                text = [f.name for f in table.schema if str(f.type) in ("string", "large_string")]
                dictionary: Any = text or False
                opened = parquet.ParquetWriter(handle, table.schema, use_dictionary=dictionary)
                writer = stack.enter_context(opened)
            writer.write_table(table.cast(writer.schema))

        yield append


def to_arrow(columns: Sequence[FileColumn]) -> "pa.Table":
    """An Arrow table: nulls for missing values, and the other attributes as field metadata."""
    import pyarrow as pa

    fields, arrays = [], []
    for column in columns:
        array = pa.array(column.values, mask=column.missing)
        texts = {"unit": column.unit, "description": column.description, "ucd": column.ucd}
        metadata = {key: text for key, text in texts.items() if text}
        fields.append(pa.field(column.name, array.type, metadata=metadata or None))
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _from_arrow(name: str, column: "pa.ChunkedArray", field: "pa.Field") -> FileColumn:
    texts = {key.decode(): text.decode() for key, text in (field.metadata or {}).items()}
    return FileColumn(
        name=name,
        values=_to_numpy(column),
        missing=column.is_null().to_numpy().astype(bool),
        unit=texts.get("unit", ""),
        description=texts.get("description", ""),
        ucd=texts.get("ucd", ""),
    )


def _to_numpy(column: "pa.ChunkedArray") -> np.ndarray:
    """Values, arbitrary where the column is null."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = kind.value_type
    if pa.types.is_null(kind) or pa.types.is_decimal(kind):
        kind, column = pa.float64(), column.cast(pa.float64())
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return column.fill_null(pa.scalar(0).cast(kind)).to_numpy()
    if pa.types.is_nested(kind):
        values = np.empty(len(column), dtype=object)
        values[:] = column.to_pylist()
        return values
    text = column.cast(pa.large_string()).fill_null("")
    return text.to_numpy(zero_copy_only=False).astype(str)


def read_csv(path: Path, text: Sequence[str] = ()) -> tuple[list[FileColumn], dict[str, Any]]:
    """Columns of a CSV file, and no metadata. Only empty cells are missing.

    A column holds whole numbers, truth values, numbers or text: the first of these types that fits
    all its cells. Dates, and the columns named in `text`, are text. Raises InputError for rows of
    unequal length and other damage. Warns if the last line has no end: nothing else shows that a
    file was cut within its last cell.
    """
    data = path.read_bytes()
    if data.count(b'"') % 2:
        # The parser would read the rest of the file as one cell.
        raise InputError(
            f'{path}: a quote (") opens a cell and none closes it; the file is truncated, or a '
            "quote inside a cell is not doubled"
        )
    if not data.endswith((b"\n", b"\r")):
        # Some programs never end the last line, so this is not an error.
        warnings.warn(f"the last line of {path} has no end: is the file complete?", stacklevel=2)
        data += b"\n"
    table = _parse_csv(data, dict.fromkeys(text, "string"))
    dates = [field.name for field in table.schema if _is_date(field)]
    if dates:
        # Arrow would write them in another format.
        table = _parse_csv(data, dict.fromkeys([*dates, *text], "string"))
    _check_header(path, table.column_names)
    for field in table.schema:
        if str(field.type) == "binary":
            raise InputError(f"{path}: column {field.name!r} is not UTF-8 text; convert the file")
    names = [name or f"unnamed_{i + 1}" for i, name in enumerate(table.column_names)]
    columns = zip(names, table.columns, table.schema, strict=True)
    return [_from_arrow(*column) for column in columns], {}


def _parse_csv(data: bytes, types: dict[str, str]) -> "pa.Table":
    import pyarrow as pa
    from pyarrow import csv

    # An empty line is an empty cell if there is one column; else it is skipped.
    one_column = b"," not in data.split(b"\n", 1)[0]
    return csv.read_csv(
        pa.BufferReader(data),
        parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=not one_column),
        convert_options=csv.ConvertOptions(
            null_values=[""], strings_can_be_null=True, column_types=types
        ),
    )


def _is_date(field: "pa.Field") -> bool:
    import pyarrow as pa

    return pa.types.is_temporal(field.type)


def _check_header(path: Path, names: Sequence[str]) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(f"{path}: column {min(twice)!r} occurs more than once; rename one")
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        raise InputError(
            f"{path}: the header {names[0]!r} has no comma, so the cells seem to be separated "
            "by something else; separate them by commas"
        )
    if all(_is_number(name) or not name for name in names):
        found = ", ".join(name or "nothing" for name in names[:3])
        raise InputError(
            f"{path}: the first line must name the columns, but it holds {found}; add the names"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write_csv(columns: Sequence[FileColumn], meta: dict[str, Any], handle: BufferedIOBase) -> None:
    """Write values and missing cells. CSV has no units, descriptions, UCDs and metadata."""
    from pyarrow import csv

    csv.write_csv(to_arrow(columns), handle, csv.WriteOptions(quoting_style="needed"))
