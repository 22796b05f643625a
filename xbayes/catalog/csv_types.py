"""The type of a column of a CSV file: whole numbers, numbers, truth values, or text.

A number in the cells of a file that does not say which columns are numbers may be a name: 007 is
not 7. A column becomes numbers where a feature reads it, or where the numbers are written as they
were read. Whole numbers stay whole numbers, with gaps too.
"""

from typing import TYPE_CHECKING, NamedTuple

from xbayes.catalog.format_parquet import compute

if TYPE_CHECKING:
    import pyarrow as pa

_WHOLE = r"^[+-]?[0-9]+$"
_FORTRAN = r"^(\s*[+-]?[0-9.]+)[dD]([+-]?[0-9]+\s*)$"
_SURELY_FORTRAN = r"^\s*[+-]?([0-9]+\.[0-9]*|\.[0-9]+)[dD][+-]?[0-9]+\s*$"
_HEAD = 200  # rows that show what a column is not


class _Numbers(NamedTuple):
    """A column as numbers, and the cells from which these were read."""

    cells: "pa.ChunkedArray"
    numbers: "pa.ChunkedArray"
    is_whole: bool


def typed(
    cells: "pa.ChunkedArray", *, is_number: bool, is_known: bool
) -> "pa.ChunkedArray | pa.Array":
    """The cells as whole numbers, numbers or truth values; as they stand if they are none.

    Parameters
    ----------
    cells
        Text; empty cells are null.
    is_number
        Whether the column is, or may be, numbers. Any other column stays text where the numbers
        would be written in another way.
    is_known
        Whether `is_number` was said, not guessed. A column that only may be numbers stays text if
        it holds whole numbers with leading zeros or of more than 64 bits.
    """
    import pyarrow as pa

    if cells.null_count == len(cells):
        return cells.cast(pa.float64())
    head = cells.slice(0, _HEAD)
    may_be_whole = True
    if len(cells) > _HEAD and head.null_count < len(head):
        # A cast that fails takes many times as long as one that does not.
        first = _read(head, is_number=is_number, is_known=is_known)
        if first is None and _truth_values(head, is_number) is None:
            return cells
        is_name = not is_number and first is not None and not first.is_whole
        if first is not None and is_name and not _are_wide(first) and not _same(first):
            return cells
        may_be_whole = first is None or first.is_whole
    read = _read(cells, is_number=is_number, is_known=is_known, may_be_whole=may_be_whole)
    if read is None:
        truth = _truth_values(cells, is_number)
        return cells if truth is None else truth
    return _chosen(read, cells, is_number=is_number, is_known=is_known)


def _chosen(
    read: _Numbers, cells: "pa.ChunkedArray", *, is_number: bool, is_known: bool
) -> "pa.ChunkedArray | pa.Array":
    """The numbers that were read, or the cells as they stand."""
    if not read.is_whole:
        if read.cells.null_count == len(read.cells):
            return read.numbers  # NaN alone
        if _are_wide(read):
            return _wide(read, is_number=is_number and is_known)
        return read.numbers if is_number or _same(read) else cells
    if is_number and (is_known or not _has_leading_zero(read.cells)):
        return read.numbers
    return read.numbers if _same(read) else cells


def _read(
    cells: "pa.ChunkedArray", *, is_number: bool, is_known: bool, may_be_whole: bool = True
) -> _Numbers | None:
    """The cells as whole numbers, else as numbers; None if some are no numbers."""
    import pyarrow as pa

    pc = compute()
    whole = _cast(cells, pa.int64()) if may_be_whole else None
    if whole is not None:
        return _Numbers(cells=cells, numbers=whole, is_whole=True)
    found = _cast(cells, pa.float64())
    if found is None and is_number:
        trimmed = _trimmed(cells)
        if trimmed.null_count > cells.null_count or not trimmed.equals(cells):
            return _read(trimmed, is_number=is_number, is_known=is_known)
        found = _cast(_without_fortran(cells, is_known=is_known), pa.float64())
    if found is None:
        return None
    gaps = pc.is_nan(found)
    if pc.any(gaps).as_py():
        cells = pc.if_else(gaps, pa.scalar(None, pa.string()), cells)
        whole = _cast(cells, pa.int64()) if cells.null_count < len(cells) else None
    return _Numbers(
        cells=cells, numbers=found if whole is None else whole, is_whole=whole is not None
    )


def _without_fortran(cells: "pa.ChunkedArray", *, is_known: bool) -> "pa.ChunkedArray":
    """The cells with exponents as other languages write them: 1.5D+03 as 1.5e+03."""
    pc = compute()
    if not is_known and not pc.all(pc.match_substring_regex(cells, _SURELY_FORTRAN)).as_py():
        return cells  # 1d5 may be a name
    return pc.replace_substring_regex(cells, _FORTRAN, r"\1e\2")


def _trimmed(cells: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """The cells without blanks at their ends."""
    import pyarrow as pa

    pc = compute()
    trimmed = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _are_wide(read: _Numbers) -> bool:
    """Whether the cells are whole numbers, written out, some of which int64 does not hold."""
    pc = compute()
    if pc.max(pc.abs(read.numbers)).as_py() < 2**63:
        return False
    return pc.all(pc.match_substring_regex(read.cells, _WHOLE)).as_py()


def _wide(read: _Numbers, *, is_number: bool) -> "pa.ChunkedArray | pa.Array":
    """Whole numbers above int64: text, unless they must be numbers."""
    import pyarrow as pa

    if not is_number:
        return read.cells
    exact = _cast(read.cells, pa.uint64())
    return read.numbers if exact is None else exact


def _truth_values(cells: "pa.ChunkedArray", is_number: bool) -> "pa.ChunkedArray | None":
    """Truth values if all cells are true or false, for a feature in upper case too."""
    import pyarrow as pa

    pc = compute()
    plain = pc.utf8_lower(_trimmed(cells)) if is_number else cells
    spelled = pc.is_in(plain, pa.array(["true", "false", None]))
    return plain.cast(pa.bool_()) if pc.all(spelled).as_py() else None


def _cast(cells: "pa.ChunkedArray", kind: "pa.DataType") -> "pa.ChunkedArray | None":
    import pyarrow as pa

    try:
        return cells.cast(kind)
    except pa.ArrowInvalid:
        return None


def _same(read: _Numbers) -> bool:
    """Whether the numbers are written as the cells stand in the file, or with .0 at the end."""
    import pyarrow as pa

    pc = compute()
    written = read.numbers.cast(pa.string())
    same = pc.equal(written, read.cells)
    if pc.all(same).as_py() is not False:
        return True
    with_point = pc.binary_join_element_wise(written, ".0", "")
    return pc.all(pc.or_(same, pc.equal(with_point, read.cells))).as_py() is not False


def _has_leading_zero(cells: "pa.ChunkedArray") -> bool:
    pc = compute()
    return pc.any(pc.match_substring_regex(cells, r"^[+-]?0[0-9]")).as_py() is True
