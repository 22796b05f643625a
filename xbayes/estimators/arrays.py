"""Arrays that can mark values as missing, as plain arrays in which NaN is missing.

`np.asarray` of a masked array returns the values under the mask. So every array that an estimator
receives passes through `plain` (missing values allowed) or `complete` (refused).
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from xbayes.errors import InputError

DEEPEST = 4  # of nested lists


def plain(data: Any) -> Any:
    """The data with NaN (None in text) where a value is masked or null, else as they are.

    Understands masked arrays of NumPy and Astropy (MaskedColumn, Masked Quantity) and lists of
    them, tables of Astropy, pandas with nullable types, and PyArrow. Tables become data frames,
    which keep their column names.

    Raises
    ------
    InputError
        A table of Astropy has a column with more than one value per row.
    """
    if isinstance(data, list | tuple):
        return _unmasked(data) if _holds_mask(data, DEEPEST) else _without_na(data)
    if _is_masked_quantity(data):
        return _filled(np.asarray(data.unmasked), np.asarray(data.mask))
    if _is_of(data, "astropy.table", "Table"):
        return _frame_of(data.colnames, data)
    if any(_is_of(data, "pyarrow", name) for name in ("Table", "RecordBatch")):
        return plain(data.to_pandas())
    if any(_is_of(data, "pyarrow", name) for name in ("Array", "ChunkedArray")):
        return plain(data.to_pandas().to_numpy())
    if _is_of(data, "pandas", "DataFrame"):
        # A column keeps its name, so that scikit-learn sees the names of the features.
        return data.apply(_plain_series, axis=0) if data.shape[1] else data
    if _is_of(data, "pandas", "Series"):
        return _plain_series(data)
    if _is_of(data, "pandas.api.extensions", "ExtensionArray"):
        return plain(sys.modules["pandas"].Series(data)).to_numpy()
    return _of_numpy(data) if isinstance(data, np.ndarray) else data


def complete(name: str, data: Any) -> Any:
    """The data as `plain` gives them.

    Raises
    ------
    InputError
        A value is masked, null or NaN.
    """
    array = plain(data)
    lacking = 0
    if array is not None and not (array is data and np.isscalar(array)):
        lacking = int(_is_missing(np.asarray(array)).sum())
    if lacking:
        raise InputError(
            f"{name} has {lacking} missing values (masked, null or NaN); "
            "leave out the rows without one, or give a value"
        )
    return array


def _of_numpy(data: np.ndarray) -> Any:
    if data.dtype.names:
        return plain(_frame_of(data.dtype.names, data))
    if isinstance(data, np.ma.MaskedArray):
        return _filled(np.ma.getdata(data), np.ma.getmaskarray(data))
    return _without_na(data) if data.dtype == object else data


def _is_masked_quantity(data: Any) -> bool:
    """Whether the data are an `astropy.utils.masked.Masked`."""
    return hasattr(data, "unmasked") and hasattr(data, "mask")


def _filled(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The values with NaN under the mask, or None where the type has no NaN."""
    if not mask.any():
        return values
    kind = values.dtype.kind
    target = np.float64 if kind in "biu" else values.dtype if kind in "fc" else object
    result = values.astype(target)
    result[mask] = None if target is object else np.nan
    return result


def _holds_mask(data: Any, depth: int) -> bool:
    """Whether nested lists hold a masked value, or masked arrays."""
    if isinstance(data, np.ma.MaskedArray) or _is_masked_quantity(data):
        return True
    if depth and isinstance(data, list | tuple):
        return any(_holds_mask(item, depth - 1) for item in data)
    return False


def _unmasked(data: Any) -> Any:
    """Nested lists with None (NaN once it is a number) for a masked value."""
    if isinstance(data, list | tuple):
        return [_unmasked(item) for item in data]
    return None if data is np.ma.masked else plain(data)


def _without_na(data: Any) -> Any:
    """Lists and arrays of objects with NaN in place of pandas.NA, which has no number."""
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return data
    array = np.asarray(data, object) if _holds(data, pandas.NA, DEEPEST) else None
    if array is None:
        return data
    array = array.copy()
    array[pandas.isna(array)] = np.nan
    return array


def _holds(data: Any, marker: Any, depth: int) -> bool:
    if isinstance(data, np.ndarray):
        return data.dtype == object and any(item is marker for item in data.flat)
    if depth and isinstance(data, list | tuple):
        return any(item is marker or _holds(item, marker, depth - 1) for item in data)
    return False


def _frame_of(names: Sequence[str], table: Any) -> Any:
    """A data frame of the columns of a table or a structured array."""
    import pandas

    wide = [name for name in names if np.ndim(table[name]) > 1]
    if wide:
        raise InputError(f"columns {wide} have several values per row; give one column per feature")
    return pandas.DataFrame({name: plain(table[name]) for name in names})


def _plain_series(series: Any) -> Any:
    """A column of NumPy's types; nulls are NaN in numbers, None in text."""
    if isinstance(series.dtype, np.dtype):
        if series.dtype == object:
            return series.astype(object).where(series.notna(), np.nan)
        return series
    mask = np.asarray(series.isna(), bool)
    if not mask.any():
        values = series.to_numpy()
    else:
        known = series[~mask].to_numpy()
        values = np.empty(len(series), known.dtype)
        values[~mask] = known
        values = _filled(values, mask)
    return type(series)(values, index=series.index, name=series.name)


def _is_missing(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind in "fc":
        return np.isnan(array)
    if array.dtype == object:
        return np.asarray([item is None or item != item for item in array.flat], bool)
    return np.zeros(array.shape, bool)


def _is_of(data: Any, module: str, name: str) -> bool:
    """Whether the data have that type, without an import of its package."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(data, kind)
