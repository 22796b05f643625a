"""Long-term light curves: the table that `xbayes enhance` writes, read source by source."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import MaskedColumn, Table

from xbayes.catalog.columns import masked_column
from xbayes.catalog.inputs import as_table
from xbayes.errors import InputError

COLUMNS = (
    *("source", "mission", "detection", "mjd_start", "mjd_end", "flux"),
    *("flux_error_low", "flux_error_high", "upper_limit"),
)


class FluxPoint(NamedTuple):
    """One flux of a source, or an upper limit."""

    mission: str
    detection: str
    mjd: float | None  # middle of the observation
    mjd_start: float | None
    mjd_end: float | None
    flux: float
    error_low: float | None
    error_high: float | None
    is_limit: bool


class LightCurves:
    """The long-term light curves of many sources.

    Parameters
    ----------
    path
        The table of light curves that `xbayes enhance` wrote.

    Raises
    ------
    InputError
        If it cannot be read or lacks a column.
    """

    def __init__(self, path: Path) -> None:
        self._table: Table = as_table(path, text=["source", "mission", "detection"])
        missing = [name for name in COLUMNS if name not in self._table.colnames]
        if missing:
            raise InputError(
                f"{path} has no column {missing[0]!r}; light curves are the table that "
                "xbayes enhance writes in its step variability"
            )
        self._source = np.ma.getdata(masked_column(self._table, "source")).astype(str)
        flux: MaskedColumn = masked_column(self._table, "flux")
        self.unit, self.description = str(flux.unit or ""), flux.description or ""

    def of(self, names: Sequence[str]) -> list[FluxPoint]:
        """The fluxes of the source with one of these names, in order of time."""
        rows = np.flatnonzero(np.isin(self._source, [name for name in names if name]))
        points = [self._point(row) for row in rows.tolist()]
        known = [point for point in points if point is not None]
        return sorted(known, key=lambda point: np.inf if point.mjd is None else point.mjd)

    def _point(self, row: int) -> FluxPoint | None:
        cells = {name: _cell(self._table[name][row]) for name in COLUMNS}
        flux, start, end = (cells[name] for name in ("flux", "mjd_start", "mjd_end"))
        if not isinstance(flux, float):
            return None
        known = [time for time in (start, end) if isinstance(time, float)]
        return FluxPoint(
            mission=str(cells["mission"] or ""),
            detection=str(cells["detection"] or ""),
            mjd=float(np.mean(known)) if known else None,
            mjd_start=_number(start),
            mjd_end=_number(end),
            flux=flux,
            error_low=_number(cells["flux_error_low"]),
            error_high=_number(cells["flux_error_high"]),
            is_limit=bool(cells["upper_limit"]),
        )


def _cell(value: object) -> float | str | bool | None:
    if value is np.ma.masked:
        return None
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return bool(value) if isinstance(value, bool | np.bool_) else str(value)


def _number(value: object) -> float | None:
    return value if isinstance(value, float) else None
