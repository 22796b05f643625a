"""Columns of lists or arrays: one array if all cells have one shape, else arrays of one type.

Formats differ in what they hold of these (`xbayes.catalog.adapt`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xbayes.catalog.columns import FileColumn

# The types of elements that all formats have, in place of those that only some have.
_USUAL = {"float16": "f4", "float128": "f8", "longdouble": "f8", "int8": "i2", "uint8": "i2"}
_USUAL |= {"uint16": "i4", "uint32": "i8"}


def with_arrays(column: FileColumn, *, as_lists: bool = False) -> FileColumn:
    """The column with arrays for lists; as it is if the cells have no type in common.

    Cells of one shape become one array with more axes, unless `as_lists` is true and they have one
    axis. Cells of different lengths become arrays of one type (`element_type`). Cells without
    elements are missing.
    """
    if column.values.dtype.kind != "O":
        return column
    given = zip(column.values.tolist(), _gone(column), strict=True)
    cells = [None if gone or cell is None else _array(cell) for cell, gone in given]
    present = [cell for cell in cells if cell is not None and cell.size]
    missing = np.array([cell is None or not cell.size for cell in cells], bool)
    if not present and not as_lists:
        return column._replace(values=np.full(len(cells), np.nan), missing=missing)
    dtype = _common_type(present) if present else np.dtype(np.float64)
    if dtype is None or len({cell.ndim for cell in present}) > 1:
        return column
    shapes = {cell.shape for cell in present}
    if len(shapes) == 1 and not (as_lists and present[0].ndim == 1):
        return _stacked(column, cells, missing, np.zeros(shapes.pop(), dtype))
    if present and present[0].ndim != 1:
        return column
    values = np.empty(len(cells), object)
    for row, cell in enumerate(cells):
        values[row] = np.zeros(0, dtype) if cell is None or missing[row] else cell.astype(dtype)
    return column._replace(values=values, missing=missing)


def element_type(column: FileColumn) -> np.dtype | None:
    """The type of the elements, if each cell is an array with one axis and all are of one type."""
    if column.values.dtype.kind != "O" or column.values.ndim != 1:
        return None
    cells = [*column.values]
    if not all(
        isinstance(c, np.ndarray) and c.ndim == 1 and c.dtype.kind in "biufU" for c in cells
    ):
        return None
    types = {cell.dtype for cell in cells}
    return types.pop() if len(types) == 1 else None


def model_of(column: FileColumn) -> FileColumn:
    """The type of a column, without its rows but one of arrays of different lengths."""
    rows = slice(0)
    if column.values.dtype.kind == "O":
        some = int(np.argmin(column.missing))
        rows = slice(some, some + 1)
    return column._replace(values=column.values[rows].copy(), missing=column.missing[rows].copy())


def all_missing(model: FileColumn, n_rows: int) -> FileColumn:
    """As many rows as asked for, all missing, in the type of the model."""
    shape = (n_rows, *model.values.shape[1:])
    values = np.zeros(shape, model.values.dtype)
    if model.values.dtype.kind == "O":
        for row in range(n_rows):
            values[row] = model.values[0][:0]
    return model._replace(values=values, missing=np.ones(shape, bool))


def conformed(column: FileColumn, model: FileColumn) -> FileColumn | None:
    """The column in the type of the model; None if some value does not fit."""
    values, missing, target = column.values, column.missing, model.values.dtype
    if missing.all():
        return all_missing(model, len(values))
    if target.kind == "O":
        return _as_lists(column, model)
    if values.shape[1:] != model.values.shape[1:] or values.dtype.kind == "O":
        return None
    kinds = values.dtype.kind + target.kind
    if target.kind == "U":
        return model._replace(values=values.astype(str), missing=missing)
    if "U" in kinds or ("b" in kinds and kinds != "bb"):
        return None
    with np.errstate(invalid="ignore"):
        cast = np.where(missing, np.zeros(1, target), values.astype(target))
        same = cast.astype(values.dtype) == values
    return model._replace(values=cast, missing=missing) if np.all(same | missing) else None


def _as_lists(column: FileColumn, model: FileColumn) -> FileColumn | None:
    """Cells, one value or array each, as arrays of the type of the model."""
    target = element_type(model)
    values = np.empty(len(column.values), object)
    gone = _gone(column)
    for row, cell in enumerate(column.values):
        array = np.zeros(0, target) if gone[row] else np.atleast_1d(cell)
        if target is None or array.ndim > 1 or (array.dtype.kind == "U") != (target.kind == "U"):
            return None
        cast = array.astype(str if target.kind == "U" else target)
        if not np.array_equal(cast.astype(array.dtype), array, equal_nan=array.dtype.kind == "f"):
            return None
        values[row] = cast
    # Texts of one width, as `element_type` asks.
    return with_arrays(model._replace(values=values, missing=gone), as_lists=True)


def as_objects(column: FileColumn) -> FileColumn:
    """The column with one Python object a cell, so that cells of any kind can follow."""
    values = np.empty(len(column.values), object)
    missing = _gone(column)
    for row, cell in enumerate(column.values):
        values[row] = None if missing[row] else cell
    return column._replace(values=values, missing=missing)


def _gone(column: FileColumn) -> np.ndarray:
    """Which cells are missing as a whole."""
    return np.all(column.missing.reshape(len(column.values), -1), axis=1)


def _array(cell: Any) -> np.ndarray:
    """The cell as an array of numbers, truth values or text, else as one of objects."""
    masked = np.ma.isMaskedArray(cell)
    found = np.asarray(cell.filled(np.nan) if masked and cell.dtype.kind == "f" else cell)
    if masked and cell.dtype.kind != "f" and np.any(cell.mask):
        return np.empty(0, object)
    if found.dtype.kind != "O" or not found.size:
        return found if found.size else np.zeros(found.shape, bool)
    if all(item is None or isinstance(item, float | int | np.number) for item in found.ravel()):
        return np.array([np.nan if x is None else x for x in found.ravel()]).reshape(found.shape)
    return found


def _common_type(cells: Sequence[np.ndarray]) -> np.dtype | None:
    """The type that holds the elements of all cells exactly."""
    kinds = {cell.dtype.kind for cell in cells}
    # Scalars are no arrays; text and truth values mix with nothing else.
    if any(not cell.ndim for cell in cells) or not kinds <= set("biufU"):
        return None
    if len(kinds) > 1 and kinds & set("bU"):
        return None
    dtype = np.result_type(*{cell.dtype for cell in cells})
    if dtype == np.uint64 and all(cell.max() < 2**63 for cell in cells):
        return np.dtype(np.int64)
    integers = [cell for cell in cells if cell.dtype.kind in "iu"]
    if dtype.kind == "f" and any(np.any(c.astype(dtype).astype(c.dtype) != c) for c in integers):
        return None
    return np.dtype(_USUAL.get(dtype.name, dtype))


def _stacked(
    column: FileColumn, cells: Sequence[np.ndarray | None], missing: np.ndarray, blank: np.ndarray
) -> FileColumn:
    """Cells of one shape as one array; NaN is missing. `blank` is a cell without values."""
    values = np.stack(
        [
            blank if cell is None or gone else cell.astype(blank.dtype)
            for cell, gone in zip(cells, missing, strict=True)
        ]
    )
    gone = np.broadcast_to(missing.reshape(-1, *[1] * blank.ndim), values.shape)
    is_nan = np.isnan(values) if blank.dtype.kind == "f" else np.zeros(values.shape, bool)
    return column._replace(values=values, missing=gone | is_nan)
