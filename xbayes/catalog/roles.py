"""The roles of columns: what a config asks of a catalogue, checked and made uniform."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from astropy import units as u
from astropy.table import MaskedColumn, Table
from jaxtyping import Bool

from xbayes.catalog.columns import masked_column
from xbayes.config import CatalogConfig
from xbayes.config_checks import did_you_mean
from xbayes.types import InputError

Purpose = Literal["train", "classify"]
_ROLES = ("ra", "dec", "label", "group", "block")


def check_catalog(
    table: Table, config: CatalogConfig, needed: Sequence[str], purpose: Purpose
) -> Table:
    """A copy of the table in which missing is masked and every column asked for is there.

    Masked are the markers of `config.missing_values` and infinite numbers; columns of
    `config.optional` that are absent are added, all missing, with `meta["absent"]`. To train,
    every column the config names must be there; to classify, the id and the `needed` ones, and
    a single row without an id is named "row 1". Raises InputError for a lacking column, an id
    that is missing or repeated, and coordinates out of range.
    """
    table = Table(table, masked=True, copy=True)
    if purpose == "classify" and len(table) == 1 and config.id not in table.colnames:
        table.add_column(MaskedColumn(["row 1"], name=config.id), index=0)
    _check_present(table, config, needed, purpose)
    for name, markers in config.missing_values.items():
        if name in table.colnames:
            _mask(table, name, _equals_any(masked_column(table, name), markers))
    for name in table.colnames:
        column = masked_column(table, name)
        if column.dtype.kind == "f":
            _mask(table, name, np.isinf(np.ma.getdata(column)))
    for name in config.optional:
        if name not in table.colnames:
            table[name] = _absent(name, len(table))
    ids = masked_column(table, config.id)
    _check_ids(ids)
    for name, low, high in ((config.ra, 0, 360), (config.dec, -90, 90)):
        if name is not None and name in table.colnames:
            _check_coordinate(masked_column(table, name), ids, low, high)
    return table


def _check_present(
    table: Table, config: CatalogConfig, needed: Sequence[str], purpose: Purpose
) -> None:
    if config.id not in table.colnames:
        near = did_you_mean(config.id, table.colnames)
        raise InputError(f"the catalogue lacks its id column {config.id!r}{near}; set catalog.id")
    asked = list(needed)
    if purpose == "train":
        asked += [getattr(config, role) for role in _ROLES if getattr(config, role) is not None]
        asked += [*config.keep, *config.missing_values]
    present = {*table.colnames, *config.optional}
    lacking = [name for name in dict.fromkeys(asked) if name not in present]
    if lacking:
        names = "; ".join(f"{name!r}{did_you_mean(name, table.colnames)}" for name in lacking[:3])
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise InputError(
            f"the catalogue lacks column {names}{more}; rename it in the catalogue or the "
            "config, or list it under catalog.optional"
        )


def _absent(name: str, n_rows: int) -> MaskedColumn:
    values = np.full(n_rows, np.nan)
    meta = {"absent": True}
    column: Any = MaskedColumn(values, mask=True, name=name, fill_value=np.nan, meta=meta)
    return column


def _mask(table: Table, name: str, where: Bool[np.ndarray, "..."]) -> None:
    """Mask more values, and put under them what lies under missing values everywhere."""
    column = masked_column(table, name)
    if not where.any():
        return
    column.mask = np.ma.getmaskarray(column) | where
    if column.dtype.kind in "fU":
        np.ma.getdata(column)[where] = np.nan if column.dtype.kind == "f" else ""


def _equals_any(
    column: MaskedColumn, markers: Sequence[str | int | float]
) -> Bool[np.ndarray, "..."]:
    """Where a value is one of the markers; "-99", "-99.0" and -99 are the same marker."""
    values = np.ma.getdata(column)
    numbers = [number for number in map(_number, markers) if number is not None]
    if values.dtype.kind in "iuf":
        # 32-bit numbers equal a marker only after the marker is rounded as they were.
        kind = values.dtype.type if values.dtype.kind == "f" else np.float64
        return np.isin(values, np.array(numbers, dtype=kind))
    if values.dtype.kind not in "bU":
        return np.zeros(values.shape, bool)
    texts = {str(marker).strip().lower() for marker in markers}
    distinct, inverse = np.unique(values.astype(str), return_inverse=True)
    cells = [cell.strip().lower() for cell in distinct.tolist()]
    return np.array([cell in texts or _number(cell) in numbers for cell in cells], bool)[inverse]


def _number(marker: str | int | float) -> float | None:
    try:
        return float(marker)
    except ValueError:
        return None


def _check_ids(ids: MaskedColumn) -> None:
    missing = np.flatnonzero(np.ma.getmaskarray(ids))
    if len(missing):
        raise InputError(
            f"{len(missing)} rows have no id in column {ids.name!r}, the first is row "
            f"{missing[0] + 1}; every row needs one"
        )
    names, counts = np.unique(np.ma.getdata(ids), return_counts=True)
    repeated = names[counts > 1].tolist()
    if repeated:
        shown = ", ".join(repr(name) for name in repeated[:3])
        more = f" and {len(repeated) - 3} more" if len(repeated) > 3 else ""
        raise InputError(
            f"ids must be unique, but column {ids.name!r} repeats {shown}{more}; remove the "
            "repeated rows or set catalog.id to a column that tells them apart"
        )


def _check_coordinate(column: MaskedColumn, ids: MaskedColumn, low: int, high: int) -> None:
    """Raise InputError unless all values are degrees between low and high, or missing."""
    measured = ~np.ma.getmaskarray(column)
    values = np.ma.getdata(column)
    if not measured.any():
        return
    if values.dtype.kind not in "iuf" or values.ndim > 1:
        found = values[measured][:1].tolist()[0]
        raise InputError(
            f"column {column.name!r} must hold decimal degrees; found {found!r}; convert it"
        )
    unit = column.unit
    if unit is not None and unit != u.deg and unit.is_equivalent(u.deg):
        raise InputError(f"column {column.name!r} must be in degrees; its unit is {unit}")
    outside = np.flatnonzero(measured & ((values < low) | (values > high)))
    if len(outside):
        row = outside[0]
        raise InputError(
            f"column {column.name!r} must lie in [{low}, {high}] degrees; found "
            f"{values[row]:.10g} in row {ids[row]!s} and {len(outside) - 1} more such rows; "
            "correct or empty them"
        )
