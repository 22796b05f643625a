"""The lines of a CSV file before its cells are read: comments, blank rows, quotes, the header."""

import csv
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from xbayes.errors import InputError, XbayesWarning

BLANK, NO_VALUE = b" \t\r\n", b', \t"\r\n'  # what a row without any value may hold
_ODD_LINE = re.compile(rb"\n(?:#|[ \t,\"]*\r?\n)")
# A quote opens a cell only where the cell begins: in 5" it is a letter.
_OPENS = re.compile(rb'(?:^|[,\r\n])"')
_CLOSES = re.compile(rb'(?:[^"]++|"")*+"')
_QUOTED = re.compile(rb'(?:^|[,\r\n])("(?:[^"]++|"")*+"?)')
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BEFORE, _AFTER = (b",", b"\n", b"\r"), (b"", b",", b"\n", b"\r")
_MOST_LINES = 200  # of a cell that is meant to hold them
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_FIRST_ROWS = 20


class Lines(NamedTuple):
    """The lines of a file without comments and blank rows."""

    data: bytes
    comments: list[int]  # line numbers of comments below the header
    blank: list[int]  # line numbers of blank rows, but not of those at the end
    kept: list[int]  # the line number of each kept line; empty: nothing was left out

    def number_at(self, position: int) -> int:
        """The number of the line in the file at this position of the data."""
        line = len(_LINE_END.findall(self.data, 0, position))
        return self.kept[min(line, len(self.kept) - 1)] if self.kept else line + 1


class _Swallowed(NamedTuple):
    """A quoted cell that holds whole lines, which it hardly should."""

    position: int
    why: str
    sure: bool


def utf8(path: Path, data: bytes) -> bytes:
    """The bytes as UTF-8 without a byte order mark; other bytes are taken for Latin-1, and told."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data.isascii():
        return data
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


def ended(path: Path, data: bytes) -> bytes:
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


def without_comments(data: bytes, no_value: bytes) -> Lines:
    """The lines without comments and blank rows, which hold only characters of `no_value`."""
    if not data.startswith((b"#", b"\n", b"\r", b" ", b",")) and _ODD_LINE.search(data) is None:
        return Lines(data=data, comments=[], blank=[], kept=[])
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
            inside = _is_open(line, inside)
        kept.append(line)
        numbers.append(number)
    if header and kept and _is_row(kept[0]) and not _is_row(header):
        # The names stand in the last comment, as some programs write them.
        kept.insert(0, header.lstrip(b"# \t"))
        numbers.insert(0, 0)
    last = numbers[-1] if numbers else 0
    return Lines(
        data=b"".join(kept),
        comments=comments,
        blank=[number for number in blank if number < last],
        kept=numbers,
    )


def _is_open(line: bytes, inside: bool) -> bool:
    """Whether a quoted cell, which may be open before the line, is open at its end."""
    position = 0
    while True:
        if not inside:
            found = _OPENS.search(line, position)
            if found is None:
                return False
            position = found.end()
        closing = _CLOSES.match(line, position)
        if closing is None:
            return True
        position, inside = closing.end(), False


def check_quotes(path: Path, lines: Lines, n_columns: int) -> None:
    """Warn of a quoted cell that may have swallowed rows because a quote lacks its partner.

    Raises InputError if it certainly did, or if a quote does not end: all that follows would be
    one cell.
    """
    if b'"' not in lines.data:
        return
    parts = lines.data.split(b'"')
    # Most files: each quote that may open a cell does, and each cell is within one line.
    plain = len(parts) % 2 == 1 and all(part.endswith(_BEFORE) for part in parts[:-1:2] if part)
    if plain and not _LINE_END.search(b"".join(parts[1::2])):
        return
    for swallowed in _swallowing(lines.data, n_columns):
        number = lines.number_at(swallowed.position)
        text = f'{path}: a quote (") opens a cell in line {number} and {swallowed.why}'
        if swallowed.sure:
            raise InputError(
                f"{text}; the file is truncated, or a quote is missing or not doubled: correct "
                f"line {number}"
            )
        warnings.warn(
            f"{text}; if that is no text of several lines, a quote is missing in line {number}",
            XbayesWarning,
            stacklevel=3,
        )
        return


def _swallowing(data: bytes, n_columns: int) -> Iterator[_Swallowed]:
    """The quoted cells that do not end, or that hold what should be other rows."""
    for found in _QUOTED.finditer(data):
        cell, start, end = found[1], found.start(1), found.end(1)
        if cell.count(b'"') % 2:
            yield _Swallowed(position=start, why="none closes it", sure=True)
            return
        n_ends = len(_LINE_END.findall(cell))
        if not n_ends:
            continue
        holds = f"the cell holds {n_ends + 1} lines"
        if data[end : end + 1] not in _AFTER:
            why = f"{holds}, before text that follows its end without a comma"
            yield _Swallowed(position=start, why=why, sure=True)
        elif n_ends >= _MOST_LINES:
            yield _Swallowed(position=start, why=holds, sure=True)
        elif (alike := _rows_within(data, start, end, n_columns)) is not None:
            why = f"{holds}, which look like rows of {n_columns} cells"
            yield _Swallowed(position=start, why=why, sure=alike)


def _rows_within(data: bytes, start: int, end: int, n_columns: int) -> bool | None:
    """Whether the lines of a quoted cell are rows; False: perhaps; None: they are text."""
    line_start = max(data.rfind(b"\n", 0, start), data.rfind(b"\r", 0, start)) + 1
    line_end = _LINE_END.search(data, end)
    rows = [
        row.replace(b'"', b"").decode().split(",")
        for row in _LINE_END.split(data[line_start : line_end.start() if line_end else len(data)])
    ]
    alike = [row for row in rows if len(row) == n_columns]
    if n_columns < 2 or len(alike) < max(2, 0.8 * len(rows)):
        return None
    numbers = [{at for at, cell in enumerate(row) if _is_number(cell)} for row in alike]
    return n_columns > 3 or bool(set.intersection(*numbers))


def _first_line(data: bytes) -> bytes:
    """The first line that is no comment."""
    lines = (line for line in data.splitlines() if not line.startswith(b"#"))
    return next((line for line in lines if line.strip()), b"")


def _is_row(line: bytes) -> bool:
    """Whether a line holds a number, and so is no header."""
    return any(_is_number(cell.strip().strip('"')) for cell in line.decode().split(","))


def header_of(data: bytes) -> list[str]:
    """The cells of the first line."""
    # A name may hold line ends.
    lines = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    return next(csv.reader(lines), [])


def check_header(path: Path, names: list[str], data: bytes) -> None:
    """Raise InputError for a first line that names no columns, or not between commas."""
    _refuse_other_separators(path, names, data)
    if all(_is_number(name) or not name for name in names):
        found = ", ".join(name or "nothing" for name in names[:3]) or "nothing"
        raise InputError(
            f"{path}: the first line must name the columns, but it holds {found}; add the names"
        )


def _refuse_other_separators(path: Path, names: list[str], data: bytes) -> None:
    """Raise InputError where something other than commas separates the cells."""
    head = data[: 2000 * _FIRST_ROWS].decode("utf-8", "replace")
    rows = [row for row in head.splitlines() if row.strip()][: _FIRST_ROWS + 1]
    header, rows = ",".join(names), rows[1:]
    for mark, name in _SEPARATORS.items():
        times = header.count(mark)
        # In names, a mark separates only if each row has as many.
        alike = bool(rows) and all(row.count(mark) == times for row in rows)
        if times and (len(names) == 1 or (alike and times >= len(names) - 1)):
            raise _other_separator(path, header, name, repr(mark))
    if len(names) != 1:
        return
    words = len(header.split())
    alike = bool(rows) and all(len(row.split()) == words for row in rows)
    numbers = min((sum(map(_is_number, row.split())) for row in rows), default=0)
    # Text with blanks in it makes more words of a row.
    if words > 1 and ((alike and (len(rows) > 1 or numbers)) or numbers > 1):
        raise _other_separator(path, header, "blanks", r"r'\s+'")
    if "," in header:
        raise InputError(
            f"{path}: quotes enclose the whole header {_short(header)!r}, so that it is one name; "
            "write quotes around single cells only"
        )


def _other_separator(path: Path, header: str, name: str, mark: str) -> InputError:
    convert = f"pandas.read_csv(FILE, sep={mark}).to_csv('new.csv', index=False)"
    return InputError(
        f"{path}: the cells of the header {_short(header)!r} seem to be separated by {name}; "
        f"separate them by commas, in Python: {convert}"
    )


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}..."


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def tell_left_out(path: Path, lines: Lines) -> None:
    """Warn of comments and blank rows between the rows."""
    for what, found in (("comment line", lines.comments), ("blank row", lines.blank)):
        if found:
            warnings.warn(
                f"{path}: left out {len(found)} {what}{'s' if len(found) > 1 else ''} (the first "
                f"is line {found[0]})",
                XbayesWarning,
                stacklevel=3,
            )
