"""Text that holds numbers: told apart from text, and turned into numbers where that loses nothing.

A marker such as "--" for a missing value makes text of a whole column of numbers.
"""

import re
from collections.abc import Sequence

import numpy as np
from astropy.table import MaskedColumn, Table
from jaxtyping import Bool

from xbayes.catalog.cells import EXACT, integers
from xbayes.catalog.columns import masked_column
from xbayes.errors import InputError

_NUMBER = re.compile(
    r"\s*[+-]?(\d+\.?\d*([eEdD][+-]?\d+)?|\.\d+([eEdD][+-]?\d+)?|inf|nan)\s*", re.I
)
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_SHOWN = 3


def are_numbers(texts: np.ndarray) -> Bool[np.ndarray, "N"]:
    """Which of the texts are numbers."""
    distinct, inverse = np.unique(texts, return_inverse=True)
    known = [_NUMBER.fullmatch(text) is not None for text in distinct.tolist()]
    return np.array(known, bool)[inverse]


def with_numbers(table: Table, names: Sequence[str]) -> None:
    """Replace columns of text by numbers, if every cell that is not missing is a number."""
    for name in names:
        column = masked_column(table, name)
        values, missing = np.ma.getdata(column), np.ma.getmaskarray(column)
        if values.dtype.kind != "U" or values.ndim != 1 or not are_numbers(values[~missing]).all():
            continue
        numbers = np.full(len(values), np.nan)
        numbers[~missing] = numbers_of(values[~missing]).astype(np.float64)
        table.replace_column(name, _like(column, numbers, missing | np.isnan(numbers)))


def as_it_stood(read: Table, table: Table) -> None:
    """Give columns of numbers back the text that `with_numbers` read them from.

    All chunks of a catalogue then have the same types. `read` is the chunk before `table` was made.
    """
    for name in {*read.colnames} & {*table.colnames}:
        column, numbers = masked_column(read, name), masked_column(table, name)
        if column.dtype.kind == "U" and numbers.dtype.kind == "f":
            missing = np.ma.getmaskarray(numbers)
            texts = np.where(missing, "", np.ma.getdata(column))
            table.replace_column(name, _like(numbers, texts, missing))


def text_counts(texts: np.ndarray) -> dict[str, tuple[int, int]]:
    """Each text that is no number, with its count and first position; the most frequent first."""
    at = np.flatnonzero(~are_numbers(texts))
    distinct, first, count = np.unique(texts[at], return_index=True, return_counts=True)
    found = zip(distinct.tolist(), count.tolist(), at[first].tolist(), strict=True)
    ordered = sorted(found, key=lambda each: (-each[1], each[2]))
    return {text: (number, position) for text, number, position in ordered}


def say_markers(name: str, texts: np.ndarray, rows: np.ndarray) -> str | None:
    """The message for a column of numbers with some text; None if most cells are no numbers.

    Parameters
    ----------
    name
        The column.
    texts, rows
        Its cells that are not missing, and their rows, counted from 0.
    """
    counts = text_counts(texts)
    n_texts = sum(count for count, _ in counts.values())
    if not counts or 2 * n_texts > len(texts):
        return None
    shown = [
        f"{text!r} in {count} row{'s' if count > 1 else ''} (the first is row {rows[at] + 1})"
        for text, (count, at) in list(counts.items())[:_SHOWN]
    ]
    more = f" and {len(counts) - _SHOWN} other texts" if len(counts) > _SHOWN else ""
    markers = list(counts)[:_SHOWN]
    listed = ", ".join(f'"{marker}"' for marker in markers)
    options = " ".join(f"--missing-values '{name}={marker}'" for marker in markers)
    return (
        f"column {name!r} holds numbers, and {', '.join(shown)}{more}; if that marks a missing "
        f"value, list it under catalog.missing_values: {{{name}: [{listed}]}} (to classify: "
        f"{options}, or missing_values={{{name!r}: {markers}}}); if not, correct the cells"
    )


def refuse_rounded(table: Table, name: str, role: str) -> None:
    """Raise InputError for names of rows or sources that are floats too large for every digit."""
    column = masked_column(table, name)
    values = np.ma.getdata(column)
    if values.dtype.kind != "f":
        return
    with np.errstate(invalid="ignore"):
        large = np.abs(values) >= EXACT.get(values.dtype.itemsize, 2**63)
    large &= ~np.ma.getmaskarray(column) & np.isfinite(values)
    if large.any():
        raise InputError(
            f"column {name!r} ({role}) holds numbers of type {values.dtype} such as "
            f"{values[large.argmax()]:.0f}, which have lost their last digits, so that different "
            "ones may have become equal; write or read the column as integers or text: in pandas "
            f"dtype={{{name!r}: 'Int64'}} or 'string', which have gaps too"
        )


def numbers_of(texts: np.ndarray) -> np.ndarray:
    """The numbers in texts that are all numbers; whole numbers stay whole numbers."""
    cells = [text.strip() for text in texts.tolist()]
    if all(_WHOLE.fullmatch(cell) for cell in cells):
        whole = integers([int(cell) for cell in cells])
        if whole.dtype.kind in "iu":
            return whole
    return np.array([float(re.sub("[dD]", "e", cell)) for cell in cells])


def _like(column: MaskedColumn, values: np.ndarray, missing: np.ndarray) -> MaskedColumn:
    """A column with the attributes of another."""
    made: object = MaskedColumn(
        values,
        mask=missing,
        name=column.name,
        unit=column.unit,
        description=column.description,
        meta=column.meta,
        fill_value=np.nan if values.dtype.kind == "f" else None,
    )
    assert isinstance(made, MaskedColumn)
    return made
