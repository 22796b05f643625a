"""What in a catalogue is probably not what it seems: stand-ins for missing values, other units."""

from collections.abc import Mapping, Sequence

import astropy.units as u
import numpy as np
from astropy.table import MaskedColumn, Table

from xbayes.catalog.columns import masked_column
from xbayes.types import InputError

# Numbers that catalogues write where there is none.
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
MIN_ROWS = 3  # as often, and at the end of the column's range, it is hardly measured


def stand_in_warnings(table: Table, names: Sequence[str]) -> list[str]:
    """A warning for each column whose largest or smallest value looks like 'no value'."""
    warnings = []
    for name in names:
        column = masked_column(table, name)
        values = np.ma.asarray(column).compressed()
        if values.dtype.kind not in "fi" or not values.size:
            continue
        for end, sign in ((values.min(), -1), (values.max(), 1)):
            rows = int((values == end).sum())
            if sign * end > 0 and float(end) in STAND_INS and rows >= MIN_ROWS:
                warnings.append(
                    f"column {name!r} holds {end:g} in {rows} rows; if that stands for no value, "
                    f"list it under catalog.missing_values: {{{name}: [{end:g}]}}"
                )
    return warnings


def units_of(table: Table, names: Sequence[str]) -> dict[str, str]:
    """The units of the columns that have one."""
    return {
        name: str(unit)
        for name in names
        if name in table.colnames and (unit := masked_column(table, name).unit) is not None
    }


def convert_units(table: Table, units: Mapping[str, str]) -> Table:
    """The table in the units the model was trained in; a column without a unit is taken as it is.

    Raises InputError where a unit cannot be converted.
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
            f"column {name!r} is in {found}, but the run was trained on {wanted}, and one does not "
            "convert into the other; correct the unit or the column"
        ) from None
