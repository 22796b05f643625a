"""The columns of a catalogue between astropy tables and the file formats.

The conventions of all formats are defined here: NaN and the empty string are missing values, text
is str, and a column may have a unit, a description and a UCD.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from astropy import units as u
from astropy.table import Column, MaskedColumn, Table
from jaxtyping import Bool

from xbayes.catalog.cells import decoded, usual_cells
from xbayes.errors import InputError

# Control characters, and further characters that XML cannot hold.
UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_UNIT_IN_TEXT = re.compile(r"\[unit: (.+)\]$")
# Spellings that catalogues use and no standard knows.
_PLURALS = {
    **{"ergs": u.erg, "photons": u.photon, "electrons": u.electron, "pixels": u.pix},
    **{"count": u.ct, "counts": u.ct, "cts": u.ct, "mags": u.mag, "magnitudes": u.mag},
    **{"Angstroms": u.AA, "angstroms": u.AA, "microns": u.um, "degrees": u.deg, "degs": u.deg},
    **{"arcsecs": u.arcsec, "arcseconds": u.arcsec, "arcmins": u.arcmin, "arcminutes": u.arcmin},
    **{"sec": u.s, "secs": u.s, "seconds": u.s, "days": u.d, "hours": u.h, "years": u.yr},
}
# Units whose capitals mean nothing else: MPC is no milliparsec.
_SAFE = {u.deg, u.rad, u.arcmin, u.arcsec, u.mas, u.mag, u.erg, u.s, u.cm, u.ct, u.ph, u.h, u.yr}
# Types that FITS and VOTable lack, and the type that is written in their place.
_WIDER = {"int8": np.int16, "uint16": np.int32, "uint32": np.int64, "uint64": np.int64}
# Readers of Parquet other than those of Arrow may ignore that a type has no sign.
_SIGNED = {"uint8": np.int16, "uint16": np.int32, "uint32": np.int64}


class FileColumn(NamedTuple):
    """One column. The values where `missing` is true have no meaning."""

    name: str
    values: np.ndarray  # [N], or [N, ...] if each cell is an array
    missing: Bool[np.ndarray, "..."]  # same shape as values
    unit: str = ""
    description: str = ""
    ucd: str = ""


def to_table(columns: Sequence[FileColumn], meta: Mapping[str, Any]) -> Table:
    """A table of masked columns, with NaN or "" under the mask."""
    masked = [_masked_column(column) for column in columns]
    return Table(masked, masked=True, copy=False, meta=plain_meta(meta))


def empty_table(columns: Sequence[FileColumn], meta: Mapping[str, Any]) -> Table:
    """A table without rows, for the header of a file; units are taken as they are spelled."""
    empty = []
    for column in columns:
        ucd = {"ucd": column.ucd} if column.ucd else None
        made: Any = Column(
            column.values[:0],
            name=column.name,
            unit=parse_unit(column.unit),
            description=column.description or None,
            meta=ucd,
        )
        empty.append(made)
    return Table(empty, meta=plain_meta(meta))


def masked_column(table: Table, name: str) -> MaskedColumn:
    """A column as a masked one, whether any cell is masked or not."""
    column: Any = table[name]
    return column if isinstance(column, MaskedColumn) else MaskedColumn(column, copy=False)


def file_column(column: Column) -> FileColumn:
    """A plain column of astropy, as it is."""
    return FileColumn(
        name=str(column.name),
        values=np.asarray(np.ma.getdata(column)),
        missing=np.array(np.ma.getmaskarray(column)),
        unit="" if column.unit is None else column.unit.to_string(),
        description=column.description or "",
        ucd=str((column.meta or {}).get("ucd") or ""),
    )


def any_column(column: Any, name: str) -> FileColumn:
    """Any column of an astropy table: quantities as numbers with a unit, times as text."""
    if isinstance(column, Column):
        return file_column(column)._replace(name=name)
    unit = getattr(column, "unit", None)
    texts = [str(cell) for cell in column] if unit is None else []
    values = np.asarray(column.value) if unit is not None else np.array(texts)
    missing = np.zeros(values.shape, bool)
    mask = np.asarray(getattr(column, "mask", False), bool)
    if mask.shape in ((), values.shape):
        missing = missing | mask
    return FileColumn(name=name, values=values, missing=missing, unit=str(unit or ""))


def plain_columns(table: Table) -> Table:
    """The table with plain columns where nothing is masked, which all of numpy takes."""
    columns: list[Any] = [table[name] for name in table.colnames]
    plain = [
        Column(column, copy=False)
        if isinstance(column, MaskedColumn) and not np.any(column.mask)
        else column
        for column in columns
    ]
    return Table(plain, names=table.colnames, meta=table.meta, copy=False)


def usual_column(column: FileColumn) -> FileColumn:
    """The column with one value of one type a cell, where that is possible."""
    values, missing = usual_cells(column.values, np.array(column.missing, dtype=bool))
    return column._replace(values=values, missing=missing)


def subset(
    table: Table, names: Sequence[str] | None = None, rows: np.ndarray | slice = slice(None)
) -> Table:
    """Some columns and rows of a table."""
    part: Any = table[list(names)] if names is not None else table
    return part[rows]


def from_table(table: Table) -> list[FileColumn]:
    """The columns to write. Raises InputError for what is no plain column, such as times."""
    if not table.colnames:
        raise InputError("a table without columns cannot be written; give it at least one")
    return [_writable(table[name]) for name in table.colnames]


def plain_meta(meta: Mapping[str, Any] | None) -> dict[str, Any]:
    """The metadata of a table that is stored: text, numbers, and lists or mappings of them."""
    plain = {str(key): _plain(value) for key, value in (meta or {}).items()}
    return {key: value for key, value in plain.items() if value is not None}


def standard_width(column: FileColumn) -> FileColumn:
    """The same values in a type of FITS and VOTable; integers above 2**63 - 1 as text."""
    wider = _WIDER.get(column.values.dtype.name)
    if wider is None:
        return column
    values = np.where(column.missing, np.zeros(1, column.values.dtype), column.values)
    if column.values.dtype == np.uint64 and np.any(values > np.iinfo(np.int64).max):
        return column._replace(values=np.where(column.missing, "", values.astype(str)))
    return column._replace(values=values.astype(wider))


def signed(column: FileColumn) -> FileColumn:
    """The same values in a type with a sign; 64 bits without a sign stay as they are."""
    return column._replace(
        values=column.values.astype(_SIGNED.get(column.values.dtype.name, column.values.dtype))
    )


@lru_cache(maxsize=1024)
def parse_unit(text: str) -> u.UnitBase | u.function.FunctionUnitBase | None:
    """The unit that a file names; a unit that astropy does not know keeps its text."""
    if not text:
        return None
    # Astropy's metaclass hides the arguments of Unit from type checkers.
    parse: Any = u.Unit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)  # about style, such as two slashes
        unit = parse(text, parse_strict="silent")
        if not isinstance(unit, u.UnrecognizedUnit):
            return unit
        # The FITS grammar also reads erg/cm2/s, which the general grammar refuses.
        in_fits = parse(text, format="fits", parse_strict="silent")
        if not isinstance(in_fits, u.UnrecognizedUnit):
            return in_fits
        with u.add_enabled_aliases(_PLURALS):
            spelled_out = parse(text, parse_strict="silent")
            if isinstance(spelled_out, u.UnrecognizedUnit) and text != text.lower():
                spelled_out = _in_small_letters(text)
    return unit if isinstance(spelled_out, u.UnrecognizedUnit) else spelled_out


def _in_small_letters(text: str) -> Any:
    """The unit that a file writes in capitals, such as DEG, if it can mean no other one."""
    parse: Any = u.Unit
    unit = parse(text.lower(), parse_strict="silent")
    known = isinstance(unit, u.UnitBase) and not isinstance(unit, u.UnrecognizedUnit)
    return unit if known and set(unit.bases) <= _SAFE else u.UnrecognizedUnit(text)


def _masked_column(column: FileColumn) -> MaskedColumn:
    values = _as_usual(column.values) if column.values.dtype.kind != "O" else column.values
    missing = np.array(column.missing, dtype=bool) | _is_blank(values)
    unit, description = _unit_and_description(column)
    fill = {"f": np.nan, "U": ""}.get(values.dtype.kind)
    if fill is not None and missing.any():
        values = np.where(missing, values.dtype.type(fill), values)
    masked: Any = MaskedColumn(
        values,
        mask=missing,
        name=column.name,
        fill_value=fill,
        unit=parse_unit(unit),
        description=description or None,
        meta={"ucd": column.ucd} if column.ucd else None,
        copy=False,
    )
    return masked


def _unit_and_description(column: FileColumn) -> tuple[str, str]:
    """The unit, also where it was written at the end of the description (`standard_units`)."""
    found = _UNIT_IN_TEXT.search(column.description)
    if column.unit or found is None:
        return column.unit, column.description
    return found[1], column.description[: found.start()].rstrip()


def _as_usual(values: np.ndarray) -> np.ndarray:
    """Text as str, be it bytes or objects, and numbers in native byte order."""
    # The default fill value of masked arrays overflows 16-bit floats.
    native = np.float32 if values.dtype == np.float16 else values.dtype.newbyteorder("=")
    values = values.astype(native, copy=False)
    if values.dtype.kind == "S":
        return decoded(values)
    if values.dtype.kind != "O" or values.ndim != 1 or not any(isinstance(c, str) for c in values):
        return values
    cells = ["" if cell is None or cell is np.ma.masked else cell for cell in values]
    return np.array(cells, dtype=str) if all(isinstance(cell, str) for cell in cells) else values


def _writable(column: Any) -> FileColumn:
    name = getattr(getattr(column, "info", None), "name", None)
    if not isinstance(column, Column):
        kind = type(column).__name__
        raise InputError(f"column {name!r} is a {kind}; a catalogue holds plain columns only")
    values = _as_usual(np.asarray(np.ma.getdata(column)))
    plain = file_column(column)
    description = " ".join(UNWRITABLE.sub(" ", plain.description).split())
    missing = plain.missing | _is_blank(values)
    return plain._replace(values=values, missing=missing, description=description)


def _is_blank(values: np.ndarray) -> Bool[np.ndarray, "..."]:
    """Where a value is NaN or the empty string."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    return values == "" if values.dtype.kind == "U" else np.zeros(values.shape, bool)


def _plain(value: Any) -> Any:
    """The value as JSON holds it, or None."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return plain_meta(value) if isinstance(value, Mapping) else None
