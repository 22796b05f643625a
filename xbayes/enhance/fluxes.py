"""Fluxes and upper limits of detections, in one band, with their errors and times."""

import warnings
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float, Int

from xbayes.config.enhance_tables import FluxColumns, Names
from xbayes.enhance.sky import mjd_of, numbers_in
from xbayes.errors import XbayesWarning

FLUX_UNIT = "erg / (s cm2)"


@runtime_checkable
class _Read(Protocol):
    """Gives a column as numbers in the unit of fluxes; NaN without a name."""

    def __call__(self, names: Names | None, label: str) -> Float[np.ndarray, "M"]: ...


class Fluxes(NamedTuple):
    """One entry a measurement: a flux with its errors, or an upper limit."""

    source: Int[np.ndarray, "M"]  # number of the source
    mission: np.ndarray  # M texts
    detection: np.ndarray  # M texts; names of the detections
    flux: Float[np.ndarray, "M"]  # or the upper limit, erg/s/cm2
    error_low: Float[np.ndarray, "M"]  # NaN where unknown, and for limits
    error_high: Float[np.ndarray, "M"]
    limit: Bool[np.ndarray, "M"]
    start: Float[np.ndarray, "M"]  # MJD, NaN where unknown
    end: Float[np.ndarray, "M"]
    separation: Float[np.ndarray, "M"]  # arcsec, from the source; 0 for its own detections

    def rows(self, chosen: np.ndarray) -> "Fluxes":
        """Some of the measurements: a mask or their indices."""
        return Fluxes._make(field[chosen] for field in self)

    @property
    def middle(self) -> Float[np.ndarray, "M"]:
        """The middle of each measurement, as MJD."""
        return (self.start + self.end) / 2


def joined(parts: list[Fluxes]) -> Fluxes:
    """All measurements, in order of source and time."""
    every = Fluxes._make(np.concatenate(each) for each in zip(*parts, strict=True))
    return every.rows(np.lexsort((every.middle, every.source)))


def fluxes_of(
    table: Table,
    given: FluxColumns,
    factor: float,
    *,
    source: Int[np.ndarray, "M"],
    separation: Float[np.ndarray, "M"],
    detection: np.ndarray,
    mission: str,
    key: str,
) -> Fluxes:
    """The fluxes in the rows of a table, times a factor; rows without flux or limit are left out.

    Where the flux is missing or not positive, the upper limit is taken, or else the upper end of
    the interval of the flux; that is a limit, too.

    Raises
    ------
    InputError
        For a column that is absent or in a unit of something else; `key` names its section.
    """

    def read(names: Names | None, label: str) -> Float[np.ndarray, "M"]:
        if names is None:
            return np.full(len(table), np.nan)
        return numbers_in(table, names, FLUX_UNIT, f"{key}.{label}")

    flux, low, high = _with_errors(read, given)
    bound = read(given.upper_limit, "upper_limit")
    bound = np.where(bound > 0, bound, read(given.flux_high, "flux_high"))
    measured = flux > 0
    limit = ~measured & (bound > 0)
    systematic = given.calibration * flux
    start, end = _times(table, given, key)
    every = Fluxes(
        source=source,
        mission=np.full(len(table), mission, dtype=object).astype(str),
        detection=detection,
        flux=factor * np.where(limit, bound, flux),
        error_low=factor * np.where(limit, np.nan, np.hypot(low, systematic)),
        error_high=factor * np.where(limit, np.nan, np.hypot(high, systematic)),
        limit=limit,
        start=start,
        end=end,
        separation=separation,
    )
    return every.rows(measured | limit)


def _with_errors(
    read: _Read, given: FluxColumns
) -> tuple[Float[np.ndarray, "M"], Float[np.ndarray, "M"], Float[np.ndarray, "M"]]:
    """The flux and its errors downwards and upwards; NaN where an error is unknown."""
    flux = read(given.flux, "flux")
    if given.flux_low is not None:
        low = flux - read(given.flux_low, "flux_low")
        high = read(given.flux_high, "flux_high") - flux
        return flux, np.where(low >= 0, low, np.nan), np.where(high >= 0, high, np.nan)
    if given.flux_error_low is not None:
        low = np.abs(read(given.flux_error_low, "flux_error_low"))
        return flux, low, np.abs(read(given.flux_error_high, "flux_error_high"))
    error = read(given.flux_error, "flux_error")
    error = np.where(error > 0, error, np.nan)
    return flux, error, error


def _times(
    table: Table, given: FluxColumns, key: str
) -> tuple[Float[np.ndarray, "M"], Float[np.ndarray, "M"]]:
    """Start and end as MJD; a single time is both."""

    def read(names: Names | None, label: str) -> Float[np.ndarray, "M"]:
        if names is None:
            return np.full(len(table), np.nan)
        if not set(names) & set(table.colnames):
            warnings.warn(
                f"{key}.{label}: no column {' or '.join(names)}; these times are not available",
                XbayesWarning,
                stacklevel=4,
            )
            return np.full(len(table), np.nan)
        return mjd_of(table, names, f"{key}.{label}")

    start, end = read(given.start, "start"), read(given.end, "end")
    return start, np.where(np.isfinite(end), end, start)
