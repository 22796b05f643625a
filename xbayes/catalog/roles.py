"""The roles of columns: what a config asks of a catalogue, checked and made uniform."""

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
    """A copy of the table in which missing is masked and every column asked for is there.

    Masked are the markers of `config.missing_values` and infinite numbers; columns of
    `config.optional` that are absent are added, all missing, with `meta["absent"]`. To train,
    every column the config names must be there; to classify, the id and the `needed` ones, and
    a single row without an id is named "row 1". Raises InputError for a lacking column, an id
    that is missing or repeated, and coordinates out of range.
    """
    table = uniform_catalog(table, config, needed, purpose)
    check = WholeCheck(config)
    check.add(table)
    check.close(lambda: [table])
    return table


def uniform_catalog(
    table: Table, config: CatalogConfig, needed: Sequence[str], purpose: Purpose
) -> Table:
    """The same for a chunk of a catalogue, without the checks of ids and coordinates."""
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
    """Raise InputError for a column that is asked for and neither there nor optional."""
    if config.id not in colnames:
        near = did_you_mean(config.id, colnames)
        raise InputError(f"the catalogue lacks its id column {config.id!r}{near}; set catalog.id")
    asked = list(needed)
    if purpose == "train":
        asked += [getattr(config, role) for role in _ROLES if getattr(config, role) is not None]
        asked += [*config.keep, *config.missing_values]
    present = {*colnames, *config.optional}
    lacking = [name for name in dict.fromkeys(asked) if name not in present]
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
