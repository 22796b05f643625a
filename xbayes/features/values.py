"""The values of a column or of an expression, row by row, and which of them are missing.

A cell is present or missing. What a missing cell means for a feature, not detected or not
available, is decided in `build.py`.
"""

from collections.abc import Sized
from typing import Literal, NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Shaped

from xbayes.catalog.units import Unit, is_certain
from xbayes.config.checks import did_you_mean
from xbayes.errors import InputError

# An entirely empty column could hold any type; "unknown" is accepted wherever a type is required.
Kind = Literal["number", "condition", "text", "unknown"]


class Value(NamedTuple):
    """A column, or the result of an expression; "..." is N, or 1 for a constant."""

    kind: Kind
    data: Shaped[np.ndarray, "..."]  # float64, bool or str; meaningless where missing
    missing: Bool[np.ndarray, "..."]
    # Missing although its inputs are present: log of 0, division by 0, root of -1.
    undefined: Bool[np.ndarray, "..."]
    unit: Unit = None  # None: a pure number, or not known


def constant(value: float | str) -> Value:
    """A number or a text, the same in every row."""
    kind: Kind = "text" if isinstance(value, str) else "number"
    present = np.array([False])
    return Value(kind=kind, data=np.array([value]), missing=present, undefined=present)


def nothing(kind: Kind) -> Value:
    """A value of this kind that is missing in every row."""
    data = {"condition": np.array([False]), "text": np.array([""])}.get(kind, np.array([np.nan]))
    return Value(kind=kind, data=data, missing=np.array([True]), undefined=np.array([False]))


def read_column(table: Table, name: str) -> Value:
    """The column as numbers, conditions or text.

    Masked, NaN, infinite and empty cells are missing.

    Raises
    ------
    InputError
        If the table lacks the column, or the column holds another type.
    """
    if name not in table.colnames:
        raise InputError(f"unknown column {name!r}{did_you_mean(name, table.colnames)}")
    column = np.ma.asarray(table[name])
    data, missing = np.ma.getdata(column), np.ma.getmaskarray(column)
    if data.ndim != 1:
        raise InputError(f"column {name!r} holds arrays; an expression needs one value per row")
    if data.dtype.kind == "O":
        data, missing = _from_objects(name, data, missing)
    kind: Kind
    if data.dtype.kind == "b":
        kind = "condition"
    elif data.dtype.kind in "iuf":
        kind, data = "number", data.astype(np.float64)
        missing = missing | ~np.isfinite(data)
        data = np.where(missing, np.nan, data)
    elif data.dtype.kind in "SU":
        # Latin-1 decodes every byte, so no file is refused for its encoding.
        data = np.char.decode(data, "latin-1") if data.dtype.kind == "S" else data
        kind, missing = "text", missing | (data == "")
    else:
        raise InputError(
            f"column {name!r} holds {data.dtype}; an expression reads numbers, text and true/false"
        )
    if missing.all():
        kind, data = "unknown", np.full(len(data), np.nan)
    unit = getattr(table[name], "unit", None)
    return Value(
        kind=kind,
        data=data,
        missing=missing,
        undefined=np.zeros(len(data), bool),
        unit=unit if kind == "number" and is_certain(unit) else None,
    )


def _from_objects(
    name: str, data: np.ndarray, missing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Python objects as numbers if all are numbers, else as text; None is missing."""
    missing = missing | np.array([cell is None or cell is np.ma.masked for cell in data], bool)
    data, present = data.copy(), data[~missing]
    odd = next((cell for cell in present if not np.isscalar(cell)), None)
    if odd is not None:
        found = f"{type(odd).__name__} of {len(odd)}" if isinstance(odd, Sized) else str(odd)
        raise InputError(
            f"column {name!r} holds cells such as a {found}; an expression needs one number, text "
            "or true/false per row"
        )
    if all(isinstance(cell, int | float | np.number) for cell in present):
        numbers = np.full(len(data), np.nan)
        numbers[~missing] = present.astype(np.float64)
        return numbers, missing
    data[missing] = ""
    return data.astype(str), missing
