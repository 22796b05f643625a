"""The cells of a column in their usual types: one value of one type a cell, where that is possible.

One-element arrays become scalars. Python objects become truth values, integers, numbers or text;
integers beyond 64 bits become text, so that every digit is kept.
"""

from collections.abc import Sized
from decimal import Decimal
from typing import Any

import numpy as np
from jaxtyping import Bool

_INT64, _UINT64 = np.iinfo(np.int64), np.iinfo(np.uint64)
EXACT = {4: 2**24, 8: 2**53}  # bytes of a float -> integers up to here keep every digit
_INTEGER, _NUMBER = (int, np.integer), (int, float, np.integer, np.floating, Decimal)


def usual_cells(
    values: np.ndarray, missing: Bool[np.ndarray, "..."]
) -> tuple[np.ndarray, Bool[np.ndarray, "..."]]:
    """The values in their usual type, and which of them are missing."""
    if values.ndim > 1 and values.size == len(values) and len(values):
        values, missing = values.reshape(-1), missing.reshape(-1)
    if values.ndim > 1 and not values.size and len(values):
        # Arrays without elements hold nothing.
        return np.full(len(values), np.nan), np.ones(len(values), bool)
    if values.dtype.kind == "O" and values.ndim == 1:
        return _of_objects(values, missing)
    if values.dtype.kind == "S":
        return decoded(values), missing
    # The default fill value of masked arrays overflows 16-bit floats.
    native = np.float32 if values.dtype == np.float16 else values.dtype.newbyteorder("=")
    return values.astype(native, copy=False), missing


def integers(cells: list[int]) -> np.ndarray:
    """Python integers in the type that holds them all: int64, uint64 or text."""
    low, high = min(cells, default=0), max(cells, default=0)
    if low >= _INT64.min and high <= _INT64.max:
        return np.array(cells, np.int64)
    fits = low >= 0 and high <= _UINT64.max
    return np.array(cells, np.uint64) if fits else np.array([str(cell) for cell in cells])


def _of_objects(
    values: np.ndarray, missing: Bool[np.ndarray, "N"]
) -> tuple[np.ndarray, Bool[np.ndarray, "N"]]:
    cells = [None if gone else _scalar(cell) for cell, gone in zip(values, missing, strict=True)]
    missing = np.array([cell is None for cell in cells], bool)
    present = [cell for cell in cells if cell is not None]
    typed = _typed(present)
    if typed is None:
        filled = np.empty(len(cells), object)
        filled[:] = values
        filled[missing] = None
        return filled, missing
    filled = np.zeros(len(cells), typed.dtype)
    filled[~missing] = typed
    return filled, missing


def _scalar(cell: Any) -> Any:
    """The only element of a cell; None for nothing and for a cell without elements."""
    while isinstance(cell, list | tuple | np.ndarray):
        if isinstance(cell, np.ndarray) and cell.ndim == 0:
            cell = cell[()]
        elif _size(cell) > 1:
            return cell
        elif not _size(cell):
            return None
        else:
            (cell,) = cell.reshape(-1) if isinstance(cell, np.ndarray) else cell
    if cell is None or cell is np.ma.masked or type(cell).__name__ in ("NAType", "NaTType"):
        return None
    nan = isinstance(cell, float | np.floating) and np.isnan(cell)
    return None if nan or (isinstance(cell, Decimal) and cell.is_nan()) else cell


def _size(cell: Sized) -> int:
    return cell.size if isinstance(cell, np.ndarray) else len(cell)


def _typed(cells: list[Any]) -> np.ndarray | None:
    """The cells in one type; None if they have none in common."""
    if not cells:
        return np.zeros(0)
    if all(isinstance(cell, bytes) for cell in cells):
        return decoded(np.array(cells))
    if all(isinstance(cell, str) for cell in cells):
        return np.array(cells, str)
    if all(isinstance(cell, bool | np.bool_) for cell in cells):
        return np.array(cells, bool)
    if any(isinstance(cell, bool | np.bool_) for cell in cells):
        return None
    if all(isinstance(cell, _INTEGER) for cell in cells):
        return integers([int(cell) for cell in cells])
    if all(isinstance(cell, Decimal) and cell == cell.to_integral_value() for cell in cells):
        return integers([int(cell) for cell in cells])
    if all(isinstance(cell, _NUMBER) for cell in cells):
        return np.array([float(cell) for cell in cells])
    if all(isinstance(cell, (str, *_NUMBER)) for cell in cells):
        return np.array([str(cell) for cell in cells])
    return None


def decoded(values: np.ndarray) -> np.ndarray:
    """Text of bytes."""
    try:
        return np.char.decode(values, "utf-8")
    except UnicodeDecodeError:
        # Older files hold Latin-1, in which every byte is valid.
        return np.char.decode(values, "latin-1")
