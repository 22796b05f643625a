"""A value of every row with what is missing, and the column of a table as such a value."""

from typing import Literal, NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Shaped

from xbayes.config.checks import did_you_mean
from xbayes.types import InputError

# A column that is missing everywhere may have been anything, so it is "unknown" and fits all uses.
Kind = Literal["number", "condition", "text", "unknown"]


class Value(NamedTuple):
    """A column or what an expression makes of columns; "..." is N, or 1 for a constant."""

    kind: Kind
    data: Shaped[np.ndarray, "..."]  # float64, bool or str; no meaning where missing
    missing: Bool[np.ndarray, "..."]
    # Missing because present numbers have no result: log of 0, division by 0, root of -1.
    nonpositive: Bool[np.ndarray, "..."]


def constant(value: float | str) -> Value:
    """A number or a text, the same in every row."""
    kind: Kind = "text" if isinstance(value, str) else "number"
    return Value(kind, np.array([value]), np.array([False]), np.array([False]))


def nothing(kind: Kind) -> Value:
    """A value of the kind that is missing in every row."""
    data = {"condition": np.array([False]), "text": np.array([""])}.get(kind, np.array([np.nan]))
    return Value(kind, data, np.array([True]), np.array([False]))


def read_column(table: Table, name: str) -> Value:
    """The column as numbers, conditions or text; masked, NaN, infinite and empty are missing.

    Raises InputError where the table has no such column or it holds anything else.
    """
    if name not in table.colnames:
        raise InputError(f"unknown column {name!r}{did_you_mean(name, table.colnames)}")
    column = table[name]
    data = np.ma.getdata(np.ma.asarray(column))
    missing = np.ma.getmaskarray(np.ma.asarray(column))
    if data.ndim != 1:
        raise InputError(f"column {name!r} holds arrays; an expression needs one value a row")
    kind: Kind
    if data.dtype.kind == "O":
        data, missing = _from_objects(data, missing)
    if data.dtype.kind == "b":
        kind = "condition"
    elif data.dtype.kind in "iuf":
        kind, data = "number", data.astype(np.float64)
        missing = missing | ~np.isfinite(data)
        data = np.where(missing, np.nan, data)
    elif data.dtype.kind in "SU":
        # Latin-1 has a character for every byte, so no file is refused for its encoding.
        data = np.char.decode(data, "latin-1") if data.dtype.kind == "S" else data
        kind, missing = "text", missing | (data == "")
    else:
        raise InputError(
            f"column {name!r} holds {data.dtype}; an expression reads numbers, text and true/false"
        )
    if missing.all():
        kind, data = "unknown", np.full(len(data), np.nan)
    return Value(kind, data, missing, np.zeros(len(data), bool))


def _from_objects(data: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Python objects as numbers where all are numbers, else as text; None is missing."""
    missing = missing | np.array([cell is None or cell is np.ma.masked for cell in data], bool)
    data, present = data.copy(), data[~missing]
    if all(isinstance(cell, int | float | np.number) for cell in present):
        numbers = np.full(len(data), np.nan)
        numbers[~missing] = present.astype(np.float64)
        return numbers, missing
    data[missing] = ""
    return data.astype(str), missing
