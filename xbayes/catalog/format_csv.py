"""CSV, read by pyarrow: every cell as it stands, unless it is known to be a number.

A number in the cells of a file that does not say which columns are numbers may be a name: 007 is
not 7. A column becomes numbers where a feature reads it, or where the numbers are written as they
were read. Whole numbers stay whole numbers, with gaps too.
"""

import csv
import io
import re
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xbayes.catalog.adapt import distinct_names
from xbayes.catalog.columns import FileColumn
from xbayes.catalog.format_parquet import arrow_columns, compute
from xbayes.catalog.formats import file_bytes
from xbayes.errors import XbayesWarning
from xbayes.types import InputError

if TYPE_CHECKING:
    import pyarrow as pa

_ODD_LINE = re.compile(rb"\n(?:#|[ \t,\"]*\r?\n)")
_WHOLE = r"^[+-]?[0-9]+$"
_ROW = re.compile(r"Row #(\d+)")
_BLANK, _NO_VALUE = b" \t\r\n", b', \t"\r\n'
# A quote opens a cell only where the cell begins: in 5" it is a letter.
_OPENS = re.compile(rb'(?:^|[,\r\n])"')
_CLOSES = re.compile(rb'(?:[^"]++|"")*+"')
_BEFORE = (b",", b"\n", b"\r")
_FORTRAN = r"^(\s*[+-]?[0-9.]+)[dD]([+-]?[0-9]+\s*)$"


class _Lines(NamedTuple):
    """The lines of a file without comments and blank rows."""

    data: bytes
    comments: list[int]  # line numbers of comments below the header
    blank: list[int]  # line numbers of blank rows, but not of those at the end
    kept: list[int]  # the line number of each kept line; empty: nothing was left out


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
    data = _checked(path, _utf8(path, file_bytes(path)))
    # A row without any value is a row of a table, but no source.
    lines = _without_comments(data, _BLANK if numbers is None else _NO_VALUE)
    _refuse_open_quote(path, lines)
    header = _header(path, lines.data)
    table = _parsed(path, lines, len(header))
    _tell(path, lines)
    names = [name or f"unnamed_{i + 1}" for i, name in enumerate(header)]
    # Columns are named as they will be read: without blanks, and each name once.
    usable = distinct_names(names, "")
    wanted = set(usable) if numbers is None else set(numbers)
    columns = []
    for name, cells in zip(usable, table.columns, strict=True):
        if name not in text:
            cells = _typed(cells, is_number=name in wanted, is_known=numbers is not None)
        columns.append(cells)
    return arrow_columns(names, columns), {}


def _utf8(path: Path, data: bytes) -> bytes:
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        warnings.warn(
            f"{path} is not UTF-8 text (line {line}); it is read as Latin-1: convert the file if "
            "that shows wrong letters",
            XbayesWarning,
            stacklevel=2,
        )
        return data.decode("latin-1").encode()
    return data


def _checked(path: Path, data: bytes) -> bytes:
    """The bytes with an end of the last line. Raises InputError for binary data."""
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise InputError(f"{path}: line {line} holds a byte 0, so the file is damaged or no CSV")
    if not data.endswith((b"\n", b"\r")):
        # Some programs never end the last line, so this is not an error.
        warnings.warn(f"the last line of {path} has no end: is the file complete?", stacklevel=3)
        data += b"\n"
    return data


def _without_comments(data: bytes, no_value: bytes) -> _Lines:
    """The lines without comments and blank rows, which hold only characters of `no_value`."""
    if not data.startswith((b"#", b"\n", b"\r", b" ", b",")) and _ODD_LINE.search(data) is None:
        return _Lines(data=data, comments=[], blank=[], kept=[])
    one_column = b"," not in _first_line(data)
    lines = data.splitlines(keepends=True)
    kept, comments, blank, numbers = [], [], [], []
    header, inside = b"", False  # inside a quoted cell, which may hold line ends
    for number, line in enumerate(lines, start=1):
        if not inside and line.startswith(b"#"):
            comments += [number] if kept else []
            header = header if kept else line
            continue
        # In a file of one column an empty line is an empty cell.
        if not inside and not line.strip(no_value) and not (one_column and kept):
            blank += [number] if kept else []
            continue
        if inside or b'"' in line:
            inside = _open_quote(line, inside) is not None
        kept.append(line)
        numbers.append(number)
    if header and kept and _is_row(kept[0]) and not _is_row(header):
        # The names stand in the last comment, as some programs write them.
        kept.insert(0, header.lstrip(b"# \t"))
        numbers.insert(0, 0)
    last = numbers[-1] if numbers else 0
    return _Lines(
        data=b"".join(kept),
        comments=comments,
        blank=[number for number in blank if number < last],
        kept=numbers,
    )


def _open_quote(data: bytes, inside: bool = False) -> int | None:
    """Where the cell begins whose quote does not end in the data; None if all quotes end."""
    position = opened = 0
    while True:
        if not inside:
            found = _OPENS.search(data, position)
            if found is None:
                return None
            position, opened = found.end(), found.end() - 1
        closing = _CLOSES.match(data, position)
        if closing is None:
            return opened
        position, inside = closing.end(), False


def _refuse_open_quote(path: Path, lines: _Lines) -> None:
    """Raise InputError for a quote that does not end: the rest of the file would be one cell."""
    outside = lines.data.split(b'"')[::2]
    is_paired = lines.data.count(b'"') % 2 == 0
    # Most files: every quote that may open a cell does. The others are scanned.
    if is_paired and all(part.endswith(_BEFORE) for part in outside[:-1] if part):
        return
    opened = _open_quote(lines.data)
    if opened is not None:
        number = lines.data.count(b"\n", 0, opened)
        line = lines.kept[number] if lines.kept else number + 1
        raise InputError(
            f'{path}: a quote (") opens a cell in line {line} and none closes it; the file is '
            "truncated, or a quote inside a cell is not doubled"
        )


def _first_line(data: bytes) -> bytes:
    """The first line that is no comment."""
    lines = (line for line in data.splitlines() if not line.startswith(b"#"))
    return next((line for line in lines if line.strip()), b"")


def _is_row(line: bytes) -> bool:
    """Whether a line holds a number, and so is no header."""
    return any(_is_number(cell.strip().strip('"')) for cell in line.decode().split(","))


def _header(path: Path, data: bytes) -> list[str]:
    """The names of the columns. Raises InputError for a first line that holds no names."""
    # A name may hold line ends.
    lines = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    names = next(csv.reader(lines), [])
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        raise InputError(
            f"{path}: the header {names[0]!r} has no comma, so the cells seem to be separated "
            "by something else; separate them by commas"
        )
    if len(names) == 1 and _by_blanks(data):
        raise InputError(
            f"{path}: the header {names[0]!r} has no comma, so the cells seem to be separated "
            "by blanks; separate them by commas"
        )
    if all(_is_number(name) or not name for name in names):
        found = ", ".join(name or "nothing" for name in names[:3]) or "nothing"
        raise InputError(
            f"{path}: the first line must name the columns, but it holds {found}; add the names"
        )
    return names


def _by_blanks(data: bytes) -> bool:
    """Whether header and first row hold as many words, some of which are numbers."""
    header, row = ([*line.split()] for line in [*data.splitlines()[:2], b"", b""][:2])
    return len(header) == len(row) > 1 and any(_is_number(word.decode()) for word in row)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parsed(path: Path, lines: _Lines, n_columns: int) -> "pa.Table":
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
        parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=n_columns > 1),
        convert_options=csv.ConvertOptions(
            null_values=[""], strings_can_be_null=True, column_types=types
        ),
    )


def _reason(lines: _Lines, n_columns: int) -> str:
    """What is wrong, and where; several threads do not know the row."""
    import pyarrow as pa

    try:
        _cells(lines.data, n_columns, use_threads=False)
    except pa.ArrowInvalid as error:
        text = str(error).strip().split("\n")[0].removeprefix("CSV parse error: ")
        return _ROW.sub(lambda row: _place(lines, int(row[1])), text)
    return "the rows cannot be read"


def _place(lines: _Lines, row: int) -> str:
    """The line of a row, if every row is a line."""
    if b'"' in lines.data:
        return f"row {row - 1}"
    return f"line {lines.kept[row - 1] if lines.kept else row}"


def _tell(path: Path, lines: _Lines) -> None:
    for what, found in (("comment line", lines.comments), ("blank row", lines.blank)):
        if found:
            warnings.warn(
                f"{path}: left out {len(found)} {what}{'s' if len(found) > 1 else ''} (the first "
                f"is line {found[0]})",
                XbayesWarning,
                stacklevel=3,
            )


def _typed(
    cells: "pa.ChunkedArray", *, is_number: bool, is_known: bool
) -> "pa.ChunkedArray | pa.Array":
    """The cells as whole numbers, numbers or truth values; as they stand if they are none.

    A number stays text if it would be written in another way: any number of a column that
    `is_number` does not name, and of the others, if they only may be numbers (not `is_known`),
    whole numbers with leading zeros or of more than 64 bits.
    """
    import pyarrow as pa

    pc = compute()
    if cells.null_count == len(cells):
        return cells.cast(pa.float64())
    plain = _trimmed(cells) if is_number else cells
    whole = _cast(plain, pa.int64())
    if whole is None:
        found = _cast(plain, pa.float64())
        if found is None and is_number:
            found = _cast(pc.replace_substring_regex(plain, _FORTRAN, r"\1e\2"), pa.float64())
        if found is None:
            truth = _truth_values(plain, is_number)
            return cells if truth is None else truth
        gaps = pc.is_nan(found)
        if pc.all(gaps).as_py():
            return found
        plain = pc.if_else(gaps, pa.scalar(None, pa.string()), plain)
        whole = _cast(plain, pa.int64())
        if whole is None and _are_wide(plain, found):
            return _wide(plain, found, is_number=is_number and is_known)
        if whole is None:
            return found if is_number or _same(found, plain) else cells
    if _same(whole, plain) or (is_number and (is_known or not _has_leading_zero(plain))):
        return whole
    return cells


def _trimmed(cells: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """The cells without blanks at their ends."""
    import pyarrow as pa

    pc = compute()
    trimmed = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _are_wide(cells: "pa.ChunkedArray", numbers: "pa.ChunkedArray") -> bool:
    """Whether the cells are whole numbers, written out, some of which int64 does not hold."""
    pc = compute()
    if pc.max(pc.abs(numbers)).as_py() < 2**63:
        return False
    return pc.all(pc.match_substring_regex(cells, _WHOLE)).as_py()


def _wide(
    cells: "pa.ChunkedArray", numbers: "pa.ChunkedArray", *, is_number: bool
) -> "pa.ChunkedArray":
    """Whole numbers above int64: text, unless they must be numbers."""
    import pyarrow as pa

    if not is_number:
        return cells
    exact = _cast(cells, pa.uint64())
    return numbers if exact is None else exact


def _truth_values(cells: "pa.ChunkedArray", is_number: bool) -> "pa.ChunkedArray | None":
    """Truth values if all cells are true or false, for a feature in upper case too."""
    import pyarrow as pa

    pc = compute()
    plain = pc.utf8_lower(cells) if is_number else cells
    spelled = pc.is_in(plain, pa.array(["true", "false", None]))
    return plain.cast(pa.bool_()) if pc.all(spelled).as_py() else None


def _cast(cells: "pa.ChunkedArray", kind: "pa.DataType") -> "pa.ChunkedArray | None":
    import pyarrow as pa

    try:
        return cells.cast(kind)
    except pa.ArrowInvalid:
        return None


def _same(numbers: "pa.ChunkedArray", cells: "pa.ChunkedArray") -> bool:
    """Whether the numbers are written as the cells stand in the file, or with .0 at the end."""
    import pyarrow as pa

    pc = compute()
    written = numbers.cast(pa.string())
    with_point = pc.binary_join_element_wise(written, ".0", "")
    same = pc.or_(pc.equal(written, cells), pc.equal(with_point, cells))
    return pc.all(same).as_py() is not False


def _has_leading_zero(cells: "pa.ChunkedArray") -> bool:
    pc = compute()
    return pc.any(pc.match_substring_regex(cells, r"^[+-]?0[0-9]")).as_py() is True
