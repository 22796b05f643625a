"""Names of sources and groups that probably stand for no name, and would join unrelated rows."""

import re
from typing import NamedTuple

import numpy as np
from astropy.table import Table

from xbayes.catalog.columns import masked_column
from xbayes.catalog.stand_ins import KNOWN

MIN_ROWS = 3  # rows of one name
MANY_TIMES = 5  # times the rows of a usual name
_NO_NAME = re.compile(
    r"\s*(-+|\.+|\?+|null|none|n/?a|nan|<na>|missing|unknown|undefined|no ?(match|source|id))\s*",
    re.IGNORECASE,
)


class _Name(NamedTuple):
    """A name that many rows have."""

    text: str
    count: int


def marked_name_warnings(table: Table, *, source: str | None, group: str | None) -> list[str]:
    """Warnings of names that stand for no name, such as -99, but would count as one source.

    A name is suspect if it is one that catalogues use for a missing value, and many more rows have
    it than another name, or it is the only negative number; text such as "null" in any two rows.

    Parameters
    ----------
    table
        The training catalogue, in which listed markers are masked.
    source, group
        The columns that name the source and the group of each row.
    """
    warnings = []
    for column, what in ((source, "source"), (group, "group")):
        found = [] if column is None else _suspects(table, column)
        if found:
            markers = ", ".join(_marker(name.text) for name in found)
            warnings.append(
                f"column {column!r} (catalog.{what}) holds {_listed(found)}, which count as one "
                f"{what}; if that stands for no {what}, write in the config, under catalog: "
                f"missing_values: {{{column}: [{markers}]}}; each of these rows is then a {what} "
                "of its own"
            )
    return warnings


def pooled_name_warning(table: Table, by: str) -> str | None:
    """The warning for detections that would be pooled under a name that stands for no name."""
    found = _suspects(table, by)
    if not found:
        return None
    return (
        f"column {by!r} holds {_listed(found)}, which are pooled as one source; if that stands for "
        "no source, remove these detections, or give each a name of its own"
    )


def _listed(names: list[_Name]) -> str:
    return " and ".join(f"{name.text} in {name.count} rows" for name in names)


def _suspects(table: Table, column: str) -> list[_Name]:
    if column not in table.colnames:
        return []
    cells = np.ma.asarray(masked_column(table, column))
    if cells.ndim != 1 or cells.dtype.kind not in "iufU":
        return []
    names, counts = np.unique(np.ma.getdata(cells)[~np.ma.getmaskarray(cells)], return_counts=True)
    if len(names) < 2:
        return []
    numbers = np.array([_number(name) for name in names.tolist()])
    is_marker = np.isin(numbers, KNOWN) | np.isin(numbers, (-1.0, 0.0))
    often = counts >= max(MIN_ROWS, MANY_TIMES * float(np.median(counts)))
    # Among names without a sign, the only one with a sign is a marker even if it is rare.
    negative = numbers < 0
    alone = negative & (negative.sum() == 1) & (counts >= 2)
    suspect = is_marker & (often | alone)
    if names.dtype.kind == "U":
        no_name = [_NO_NAME.fullmatch(name) is not None for name in names.tolist()]
        suspect |= np.array(no_name) & (counts >= 2)
    order = np.flatnonzero(suspect)
    return [_Name(text=str(names[k]).removesuffix(".0"), count=int(counts[k])) for k in order]


def _number(name: str | int | float) -> float:
    try:
        return float(name)
    except ValueError:
        return np.nan


def _marker(text: str) -> str:
    return text if not np.isnan(_number(text)) else f'"{text}"'
