"""Units as the file formats spell them, so that readers take them without a warning.

FITS has a grammar of its own. VOTable is written in the spelling of the CDS, which VOUnit mostly
shares: astropy warns of every `erg` in the grammar of VOUnit. ECSV and Parquet take any unit that
astropy knows.
"""

import warnings
from functools import lru_cache
from typing import Any

import astropy.units as u

from xbayes.catalog.columns import FileColumn, parse_unit

_GRAMMARS = {"FITS": "fits", "VOTable": "cds", "ECSV": "generic", "Parquet": "generic"}
_UNIT_IN_TEXT = " [unit: {}]"


def with_standard_unit(column: FileColumn, format_name: str) -> FileColumn:
    """The column with its unit as the format spells it.

    A unit that the format has no spelling for moves to the end of the description, from where
    `read_catalog` takes it back.
    """
    if not column.unit or format_name not in _GRAMMARS:
        return column
    unit = standard_unit(column.unit, _GRAMMARS[format_name])
    if unit is not None:
        return column._replace(unit=unit)
    description = column.description + _UNIT_IN_TEXT.format(column.unit)
    return column._replace(unit="", description=description.strip())


@lru_cache(maxsize=4096)
def standard_unit(text: str, grammar: str) -> str | None:
    """The unit as a grammar of astropy spells it; None if it cannot.

    A text that astropy does not know as a unit stays as it is where the grammar takes it.
    """
    parse: Any = u.Unit
    unit = parse_unit(text)
    known = None if isinstance(unit, u.UnrecognizedUnit) else unit
    for spelled in (_spelled(known, grammar), text):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found = parse(spelled, format=grammar)
        except (ValueError, TypeError, Warning):
            continue
        if spelled and (known is None or found == known):
            return spelled
    return None


def _spelled(unit: Any, grammar: str) -> str:
    """The unit as the grammar spells it; empty if it cannot."""
    if unit is None:
        return ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about spellings that are refused when they are parsed
        try:
            return unit.to_string(grammar)
        except (ValueError, TypeError):
            return ""
