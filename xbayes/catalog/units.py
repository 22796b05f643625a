"""Warn of numbers that probably stand for a missing value; convert units."""

from collections.abc import Mapping, Sequence

import astropy.units as u
import numpy as np
from astropy.table import MaskedColumn, Table

from xbayes.catalog.columns import masked_column
from xbayes.types import InputError

# Numbers that catalogues use for a missing value.
STAND_INS = (
    -9.0,
    -99.0,
    -999.0,
    -9999.0,
    -9.99,
    -99.9,
    -99.99,
    -999.9,
    99.0,
    99.9,
    99.99,
    999.0,
    9999.0,
)
MIN_ROWS = 3  # a measured value rarely is the extreme of its column this often


def stand_in_warnings(table: Table, names: Sequence[str]) -> list[str]:
    """A warning for each column whose largest or smallest value probably stands for no value."""
    warnings = []
    for name in names:
        column = masked_column(table, name)
        values = np.ma.asarray(column).compressed()
        if values.dtype.kind not in "fi" or not values.size:
            continue
        for extreme, sign in ((values.min(), -1), (values.max(), 1)):
            rows = int((values == extreme).sum())
            if sign * extreme > 0 and float(extreme) in STAND_INS and rows >= MIN_ROWS:
                warnings.append(
                    f"column {name!r} holds {extreme:g} in {rows} rows; if that stands for no "
                    f"value, list it under catalog.missing_values: {{{name}: [{extreme:g}]}}"
                )
    return warnings


def units_of(table: Table, names: Sequence[str]) -> dict[str, str]:
    """The unit of each of these columns that has one."""
    return {
        name: str(unit)
        for name in names
        if name in table.colnames and (unit := masked_column(table, name).unit) is not None
    }


def convert_units(table: Table, units: Mapping[str, str]) -> Table:
    """The table, converted to the given units; a column without a unit is left as it is.

    Raises InputError if a unit cannot be converted.
    """
    converted = table.copy(copy_data=False)
    for name, wanted in units.items():
        if name not in table.colnames or masked_column(table, name).unit is None:
            continue
        column = masked_column(table, name)
        factor = _factor(name, str(column.unit), wanted)
        if factor != 1.0:
            values = np.ma.array(np.ma.asarray(column) * factor)
            converted[name] = MaskedColumn(values, unit=wanted, description=column.description)
    return converted


def _factor(name: str, found: str, wanted: str) -> float:
    if found == wanted:
        return 1.0
    try:
        return float(np.asarray(u.Quantity(1.0, found).to_value(wanted)).item())
    except (ValueError, TypeError, u.UnitConversionError):
        raise InputError(
            f"column {name!r} is in {found}, but the run was trained on {wanted}, and the units do "
            "not convert into each other; correct the unit or the column"
        ) from None
