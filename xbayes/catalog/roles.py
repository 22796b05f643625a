"""Check that a catalogue has the columns that a config names, and mask its missing values."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from astropy.table import MaskedColumn, Table
from jaxtyping import Bool

from xbayes.catalog.columns import masked_column
from xbayes.catalog.whole_check import WholeCheck
from xbayes.config.checks import did_you_mean
from xbayes.config.schema import CatalogConfig
from xbayes.types import InputError

Purpose = Literal["train", "classify"]
_ROLES = ("ra", "dec", "label", "source", "group", "block")


def check_catalog(
    table: Table, config: CatalogConfig, needed: Sequence[str], purpose: Purpose
) -> Table:
    """A copy of the table that has every needed column and masks every missing value.

    The markers of `config.missing_values` and infinite numbers are masked. Columns of
    `config.optional` that the table lacks are added, all masked, with `meta["absent"]`.

    Parameters
    ----------
    table
        The catalogue.
    config
        The roles of its columns.
    needed
        Columns that features are computed from.
    purpose
        "train" needs every column that the config names. "classify" needs the id and the `needed`
        columns; a single row without an id column is named "row 1".

    Raises
    ------
    InputError
        For a lacking column, a missing or repeated id, and coordinates out of range.
    """
    table = uniform_catalog(table, config, needed, purpose)
    check = WholeCheck(config)
    check.add(table)
    check.close(lambda: [table])
    return table


def uniform_catalog(
    table: Table, config: CatalogConfig, needed: Sequence[str], purpose: Purpose
) -> Table:
    """As `check_catalog`, for a chunk: ids and coordinates are not checked."""
    table = Table(table, masked=True, copy=True)
    if purpose == "classify" and len(table) == 1 and config.id not in table.colnames:
        table.add_column(MaskedColumn(["row 1"], name=config.id), index=0)
    check_present(table.colnames, config, needed, purpose)
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
    return table


def check_present(
    colnames: Sequence[str], config: CatalogConfig, needed: Sequence[str], purpose: Purpose
) -> None:
    """Raise InputError for a column that is needed, but neither present nor optional."""
    if config.id not in colnames:
        near = did_you_mean(config.id, colnames)
        raise InputError(f"the catalogue lacks its id column {config.id!r}{near}; set catalog.id")
    wanted = list(needed)
    if purpose == "train":
        wanted += [getattr(config, role) for role in _ROLES if getattr(config, role) is not None]
        wanted += [*config.keep, *config.missing_values]
    present = {*colnames, *config.optional}
    lacking = [name for name in dict.fromkeys(wanted) if name not in present]
    if lacking:
        names = "; ".join(f"{name!r}{did_you_mean(name, colnames)}" for name in lacking[:3])
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
    """Mask more values, with NaN or "" under the mask."""
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
        # 32-bit numbers equal a marker only if the marker is rounded to 32 bits too.
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
