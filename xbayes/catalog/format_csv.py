"""CSV, read by pyarrow: every cell as it stands, unless it is known to be a number."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xbayes.catalog.adapt import distinct_names
from xbayes.catalog.columns import FileColumn
from xbayes.catalog.csv_lines import (
    BLANK,
    NO_VALUE,
    Lines,
    check_header,
    check_quotes,
    ended,
    header_of,
    tell_left_out,
    utf8,
    without_comments,
)
from xbayes.catalog.csv_types import typed
from xbayes.catalog.format_parquet import arrow_columns
from xbayes.catalog.formats import file_bytes
from xbayes.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

_ROW = re.compile(r"Row #(\d+)")


def read_csv(
    path: Path, text: Sequence[str] = (), numbers: Collection[str] | None = None
) -> tuple[list[FileColumn], dict[str, Any]]:
    """Columns of a CSV file, and no metadata. Only empty cells, and NaN among numbers, are missing.

    A column holds whole numbers, numbers, truth values or text: the first of these types that fits
    all its cells. Lines that begin with # are comments; the last one above the rows may hold the
    names of the columns. A warning tells of comments and blank rows between the rows, of text that
    is not UTF-8, and of a last line without end: nothing else shows that a file was cut within its
    last cell.

    Parameters
    ----------
    path
        The file.
    text
        Columns that are text even if every cell looks like a number.
    numbers
        Columns that are numbers wherever that is possible. Any other column stays text where
        numbers would be written in another way than in the file, such as 007, 1e5 or 1.50. With
        None, only whole numbers with leading zeros, or of more than 64 bits, stay text.

    Raises
    ------
    InputError
        For rows of unequal length and other damage.
    """
    data = ended(path, utf8(path, file_bytes(path)))
    # A row without any value is a row of a table, but no source.
    lines = without_comments(data, BLANK if numbers is None else NO_VALUE)
    header = header_of(lines.data)
    check_quotes(path, lines, len(header))
    check_header(path, header, lines.data)
    table = _parsed(path, lines, len(header))
    tell_left_out(path, lines)
    names = [name or f"unnamed_{i + 1}" for i, name in enumerate(header)]
    # Columns are named as they will be read: without blanks, and each name once.
    usable = distinct_names(names, "")
    wanted = set(usable) if numbers is None else set(numbers)
    columns = []
    for name, cells in zip(usable, table.columns, strict=True):
        if name not in text:
            cells = typed(cells, is_number=name in wanted, is_known=numbers is not None)
        columns.append(cells)
    return arrow_columns(names, columns), {}


def _parsed(path: Path, lines: Lines, n_columns: int) -> "pa.Table":
    """The cells of all rows as text. Raises InputError for rows of unequal length."""
    import pyarrow as pa

    try:
        # The header is read as a row, because names may be repeated.
        return _cells(lines.data, n_columns).slice(1)
    except pa.ArrowInvalid:
        reason = _reason(lines, n_columns)
    raise InputError(
        f"{path}: {reason}; every row needs {n_columns} cells: correct the row, or make or fetch "
        "the file again"
    )


def _cells(data: bytes, n_columns: int, use_threads: bool = True) -> "pa.Table":
    import pyarrow as pa
    from pyarrow import csv

    types = dict.fromkeys((f"f{index}" for index in range(n_columns)), "string")
    return csv.read_csv(
        pa.BufferReader(data),
        read_options=csv.ReadOptions(autogenerate_column_names=True, use_threads=use_threads),
        parse_options=csv.ParseOptions(
            # Without line ends in cells, several threads read the rows.
            newlines_in_values=b'"' in data,
            ignore_empty_lines=n_columns > 1,
        ),
        convert_options=csv.ConvertOptions(
            null_values=[""], strings_can_be_null=True, column_types=types
        ),
    )


def _reason(lines: Lines, n_columns: int) -> str:
    """What is wrong, and where; several threads do not know the row."""
    import pyarrow as pa

    try:
        _cells(lines.data, n_columns, use_threads=False)
    except pa.ArrowInvalid as error:
        text = str(error).strip().split("\n")[0].removeprefix("CSV parse error: ")
        return _ROW.sub(lambda row: _place(lines, int(row[1])), text)
    return "the rows cannot be read"


def _place(lines: Lines, row: int) -> str:
    """The line of a row, if every row is a line."""
    if b'"' in lines.data:
        return f"row {row - 1}"
    return f"line {lines.kept[row - 1] if lines.kept else row}"
