"""Units of columns: what the file and the user say, conversion, and warnings where units differ.

Coordinates become degrees whatever angular unit they are in; hours of right ascension and
sexagesimal text (`h:m:s`, `d:m:s`) too. A file's own unit wins over `catalog.units` of the config.
"""

import shlex
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import astropy.units as u
import numpy as np
from astropy.table import MaskedColumn, Table
from astropy.utils.exceptions import AstropyWarning

from xbayes.catalog.columns import masked_column, parse_unit
from xbayes.config.catalog import SEXAGESIMAL
from xbayes.errors import InputError

Unit = u.UnitBase | u.function.FunctionUnitBase | None  # None: a pure number, or not known
_TEXT_FORM = "sexagesimal"  # key in the metadata of a column of text
_DEGREES = "deg"


def is_certain(unit: Unit) -> TypeGuard[u.UnitBase]:
    """Whether astropy knows the unit, and it is no logarithm of another one."""
    return isinstance(unit, u.UnitBase) and not isinstance(unit, u.UnrecognizedUnit)


def factor_between(found: Unit, wanted: Unit) -> float | None:
    """The factor from one unit to the other; None if they do not convert into each other."""
    if found is not None and found == wanted:
        return 1.0
    if not (is_certain(found) and is_certain(wanted)):
        return None
    angular = [unit for unit in (found, wanted) if unit.is_equivalent(u.deg)]
    if len(angular) == 1:
        # Right ascension is given in hours or degrees.
        degrees, other = angle_to(found, u.deg, hours=True), angle_to(wanted, u.deg, hours=True)
        return None if degrees is None or other is None else degrees / other
    return _ratio(found, wanted) if found.is_equivalent(wanted) else None


def angle_to(found: Unit, wanted: u.UnitBase, *, hours: bool) -> float | None:
    """The factor from an angle to another unit of angle, or None.

    `hours`: a unit of time counts as a right ascension, 24 hours in the circle.
    """
    if not is_certain(found):
        return None
    if hours and found.is_equivalent(u.hour):
        return _ratio(found, u.hour) * _ratio(u.hourangle, wanted)
    return _ratio(found, wanted) if found.is_equivalent(wanted) else None


def _ratio(found: u.UnitBase, wanted: u.UnitBase) -> float:
    factor: Any = found.to(wanted)
    return float(factor)


def known_unit(text: str, place: str) -> Unit:
    """The unit that a user names; `place` says where, for the InputError if it is not known."""
    unit = parse_unit(text)
    if unit is None or isinstance(unit, u.UnrecognizedUnit):
        raise InputError(
            f"{place}: no unit {text!r} is known; write it as in FITS or VOTable, such as "
            "erg/s/cm2, mag, deg or mJy; for sexagesimal text h:m:s or d:m:s"
        )
    return unit


def units_of(table: Table, names: Sequence[str]) -> dict[str, str]:
    """The unit of each of these columns that has one."""
    return {
        name: unit.to_string()
        for name in names
        if name in table.colnames and (unit := masked_column(table, name).unit) is not None
    }


def state_units(table: Table, units: Mapping[str, str]) -> None:
    """Give these units to the columns that have none, in place; text gets its sexagesimal form."""
    for name, text in units.items():
        if name in table.colnames:
            state_unit(masked_column(table, name), text, only_missing=True)


def state_unit(column: MaskedColumn, text: str, *, only_missing: bool = False) -> None:
    """Give a column this unit, or the sexagesimal form `h:m:s` or `d:m:s` if it holds text."""
    is_text, meta = np.ma.getdata(column).dtype.kind in "USO", dict(column.meta or {})
    if text in SEXAGESIMAL:
        if is_text and not (only_missing and _TEXT_FORM in meta):
            column.meta = {**meta, _TEXT_FORM: text}
    elif not is_text and (column.unit is None or not only_missing):
        column.unit = known_unit(text, f"catalog.units.{column.name}")


def in_degrees(table: Table, ra: str | None, dec: str | None) -> Table:
    """The table with right ascension and declination in degrees, whatever angle they were given as.

    Where nothing differs, it is the table itself.

    Parameters
    ----------
    table
        A table of masked columns; it is not altered.
    ra, dec
        The columns; None, or a column that the table lacks, is passed over.

    Raises
    ------
    InputError
        For text without a stated form, and units that are no angle.
    """
    converted = _sexagesimal_in_degrees(table)
    for name, hours in ((ra, True), (dec, False)):
        if name is None or name not in table.colnames:
            continue
        column = converted[name] if name in converted else masked_column(table, name)
        values, missing = np.ma.getdata(column), np.ma.getmaskarray(column)
        if missing.all():
            continue
        if values.dtype.kind not in "iuf" or values.ndim > 1:
            found = values[~missing][:1].tolist()[0]
            form = "h:m:s" if hours else "d:m:s"
            raise InputError(
                f"column {name!r} must hold an angle, such as decimal degrees; found {found!r}; "
                "for sexagesimal text name its form, h:m:s or d:m:s: catalog.units: "
                f'{{{name}: "{form}"}} (or --units {name}={form})'
            )
        if column.unit is None or column.unit == u.deg:
            continue
        factor = angle_to(column.unit, u.deg, hours=hours)
        if factor is None:
            allowed = "an angle or hours" if hours else "an angle"
            raise InputError(
                f"column {name!r} must be in a unit of {allowed}; its unit is {column.unit}; "
                f"correct it (--units {name}=deg, or the file)"
            )
        converted[name] = _in_unit(column, values * factor, _DEGREES)
    return _with_columns(table, converted)


def convert_units(
    table: Table,
    units: Mapping[str, str],
    names: Sequence[str] = (),
    *,
    wanted_by: str = "the run was trained on",
) -> Table:
    """The table with columns in the given units; the table itself where all of them are.

    A column without a unit is taken to be in the given one. Of the columns in `names`, one that has
    no given unit loses its own: the run knows none for it.

    Raises InputError if a unit cannot be converted; it says by whom the other one is wanted.
    """
    converted = _sexagesimal_in_degrees(table)

    def column_of(name: str) -> MaskedColumn:
        return converted[name] if name in converted else masked_column(table, name)

    for name, wanted in units.items():
        if name not in table.colnames:
            continue
        column = column_of(name)
        if np.ma.getdata(column).dtype.kind not in "iuf":
            continue
        factor = 1.0 if column.unit is None else _factor(column, wanted, wanted_by)
        if factor != 1.0 or str(column.unit or "") != wanted:
            values = np.ma.getdata(column)
            converted[name] = _in_unit(column, values * factor if factor != 1.0 else values, wanted)
    for name in names:
        if name in table.colnames and name not in units:
            column = column_of(name)
            if column.unit is not None:
                converted[name] = _in_unit(column, np.ma.getdata(column), None)
    return _with_columns(table, converted)


def unit_warnings(
    found: Mapping[str, str], trained: Mapping[str, str], names: Sequence[str]
) -> list[str]:
    """Warnings where only one of a catalogue and a run has units.

    Parameters
    ----------
    found
        The units of the columns of the catalogue that have one.
    trained
        The units of the columns of the run.
    names
        The columns that features need and that the catalogue has.
    """
    messages = []
    lacking = {name: trained[name] for name in names if name in trained and name not in found}
    if lacking:
        name, unit = next(iter(lacking.items()))
        messages.append(
            f"the catalogue names no unit for {_listed(lacking)}; the values are taken to be in "
            "the units of the run, shown in brackets; where that is wrong, name the unit: "
            f"--units {name}=UNIT (in Python units={{{name!r}: 'UNIT'}}), such as {unit}"
        )
    unknown = {name: found[name] for name in names if name in found and name not in trained}
    if unknown:
        name, unit = next(iter(unknown.items()))
        messages.append(
            f"the run was trained without units for {_listed(unknown)}, which have the units in "
            "brackets here; the values are taken as they stand; to have them converted, name the "
            f"units of the training catalogue and run again: catalog.units: {{{name}: {unit}}}"
        )
    return messages


def units_option(name: str, unit: str) -> str:
    """The option of a command that gives a column its unit."""
    return f"--units {shlex.quote(f'{name}={unit}')}"


def _listed(units: Mapping[str, str]) -> str:
    return ", ".join(f"{name!r} [{unit}]" for name, unit in units.items())


def _sexagesimal_in_degrees(table: Table) -> dict[str, MaskedColumn]:
    """The columns of sexagesimal text with a stated form, in degrees."""
    converted = {}
    for name in table.colnames:
        column = masked_column(table, name)
        if column.dtype.kind != "U":
            continue
        # VizieR names the form as the unit, in quotes.
        of_file = str(column.unit or "").strip("\"'")
        form = (column.meta or {}).get(_TEXT_FORM, of_file)
        if form in SEXAGESIMAL:
            converted[name] = _in_unit(column, _parse_angles(column, form), _DEGREES)
    return converted


def _with_columns(table: Table, columns: Mapping[str, MaskedColumn]) -> Table:
    """The table with these columns in place of its own; the table itself if there are none."""
    if not columns:
        return table
    copied = table.copy(copy_data=False)
    for name, column in columns.items():
        copied[name] = column
    return copied


def _parse_angles(column: MaskedColumn, form: str) -> np.ndarray:
    from astropy.coordinates import Angle  # slow to import, and rarely needed

    values, missing = np.ma.getdata(column), np.ma.getmaskarray(column)
    degrees = np.full(len(values), np.nan)
    present = values[~missing].tolist()
    try:
        if present:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AstropyWarning)  # 60 seconds are a minute
                degrees[~missing] = Angle(present, unit=SEXAGESIMAL[form]).degree
    except (ValueError, u.UnitsError):
        wrong = next(text for text in present if not _is_angle(text, form))
        raise InputError(
            f"column {column.name!r}: {wrong!r} is no angle of the form {form}; write it as in "
            "05:34:31.9, correct the cell, or name the right form under catalog.units (--units)"
        ) from None
    return degrees


def _is_angle(text: str, form: str) -> bool:
    from astropy.coordinates import Angle

    try:
        Angle(text, unit=SEXAGESIMAL[form])
    except (ValueError, u.UnitsError):
        return False
    return True


def _in_unit(column: MaskedColumn, values: np.ndarray, unit: str | None) -> MaskedColumn:
    masked: Any = MaskedColumn(
        np.asarray(values),  # a column would bring its own unit
        mask=np.ma.getmaskarray(column),
        name=column.name,
        unit=None if unit is None else parse_unit(unit),
        description=column.description,
        meta={key: value for key, value in (column.meta or {}).items() if key != _TEXT_FORM},
        copy=False,
    )
    return masked


def _factor(column: MaskedColumn, wanted: str, wanted_by: str) -> float:
    name, found = column.name, column.unit
    if str(found) == wanted:
        return 1.0
    unit = parse_unit(wanted)
    factor = None if unit is None else factor_between(found, unit)
    if factor is None:
        raise InputError(
            f"column {name!r} is in {found}, but {wanted_by} {wanted}, and the units do "
            "not convert into each other; convert the column, or name its right unit: "
            f"{units_option(str(name), wanted)} (in Python units=)"
        )
    return factor
