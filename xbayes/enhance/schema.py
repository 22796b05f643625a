"""The columns that a TAP service has, from its own description of its tables (TAP_SCHEMA)."""

import re
import warnings

import numpy as np
from astropy.table import Table

from xbayes.catalog.columns import masked_column
from xbayes.config.known_catalogs import FetchConfig
from xbayes.enhance.services import Services
from xbayes.errors import InputError, XbayesWarning

_COLUMNS = (
    "SELECT column_name, ucd FROM TAP_SCHEMA.columns WHERE table_name IN ('{name}', '\"{name}\"')"
)
_TABLES = "SELECT table_name FROM TAP_SCHEMA.tables WHERE table_name LIKE '%{name}%'"


def as_served(services: Services, service: str, given: FetchConfig) -> FetchConfig:
    """What to ask for, with the position columns under the names that the service gives them.

    Archives rename columns now and then: a column that is gone is replaced by the main one of its
    UCD, with a warning.

    Raises InputError if the service has no such table, or no column of positions.
    """
    if given.table is None:
        return given
    described = services.tap(service, _COLUMNS.format(name=given.table), wait=False)
    names = _texts(described, "column_name")
    if not names:
        raise _no_table(services, service, given.table)
    ucds = _texts(described, "ucd")
    found = {}
    for axis in ("ra", "dec"):
        wanted = str(getattr(given, axis))
        main = [n for n, ucd in zip(names, ucds, strict=True) if _is_main(ucd, f"pos.eq.{axis}")]
        if wanted not in names and not main:
            raise InputError(
                f"{service} describes no column {wanted!r} of positions in {given.table}; it has "
                f"{', '.join(names[:20])}; write a query with the right one: QUERY.adql"
            )
        found[axis] = wanted if wanted in names else main[0]
        if found[axis] != wanted:
            text = f"{service} calls the column {wanted!r} of {given.table} {found[axis]!r}"
            warnings.warn(f"{text}; name it so in a config", XbayesWarning, stacklevel=4)
    return given.model_copy(update={axis: _written(name) for axis, name in found.items()})


def _no_table(services: Services, service: str, table: str) -> InputError:
    folder = table.rpartition("/")[0] or table
    others = services.tap(service, _TABLES.format(name=folder), wait=False)
    names = ", ".join(sorted(_texts(others, "table_name"))[:20])
    have = f"; of {folder} it has {names}" if names else ""
    return InputError(
        f"{service} has no table {table!r}{have}; fetch another with a query: QUERY.adql"
    )


def _texts(table: Table, name: str) -> list[str]:
    """The texts of a column; some services put quotes around names."""
    texts = np.ma.filled(masked_column(table, name).astype(str), "").tolist()
    return [text.strip('"') for text in texts]


def _is_main(ucd: str, wanted: str) -> bool:
    parts = ucd.lower().split(";")
    return parts[0] == wanted and "meta.main" in parts


def _written(name: str) -> str:
    """A column in ADQL."""
    return name if re.fullmatch(r"[A-Za-z]\w*", name) else f'"{name}"'
