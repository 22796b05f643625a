"""The positions of a catalogue in ICRS, with their errors, whatever frame and unit they are in."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from astropy import units as u
from astropy.coordinates import FK4, FK5, ICRS, Galactic, SkyCoord
from astropy.table import Table
from astropy.time import Time
from jaxtyping import Float

from xbayes.catalog.columns import masked_column
from xbayes.catalog.units import factor_between, in_degrees
from xbayes.config.checks import did_you_mean
from xbayes.config.enhance import EnhanceCatalogConfig
from xbayes.config.enhance_tables import ErrorKind, sigma_over_error
from xbayes.enhance.pairs import Positions, positions
from xbayes.errors import InputError

_MJD_2000 = 51544.5


class Places(NamedTuple):
    """Positions in degrees (ICRS), and their standard deviation per axis in arcsec."""

    position: Positions  # NaN where unknown
    sigma: Float[np.ndarray, "N"]
    given_sigma: np.ndarray  # whether the catalogue gives it

    @property
    def known(self) -> np.ndarray:
        """The rows that have a position."""
        return np.isfinite(self.position.ra)


def places_of(table: Table, catalog: EnhanceCatalogConfig) -> Places:
    """The positions of the catalogue.

    Raises
    ------
    InputError
        If a column is absent or no angle, and for positions that cannot be in the stated frame.
    """
    position = icrs_positions(table, catalog)
    sigma, given = position_errors(
        table, catalog.error, catalog.error_kind, catalog.default_error, "catalog.error"
    )
    return Places(position=position, sigma=sigma, given_sigma=given)


def columns_of_positions(catalog: EnhanceCatalogConfig) -> list[str]:
    """The columns that `places_of` may read."""
    return flat(catalog.ra, catalog.dec, catalog.error)


def flat(*names: Sequence[str] | None) -> list[str]:
    """All the names that columns may have."""
    return [name for each in names if each is not None for name in each]


def found_column(table: Table, names: Sequence[str], key: str) -> str:
    """The first of the names that the table has. Raises InputError; `key` is that of the config."""
    for name in names:
        if name in table.colnames:
            return name
    shown = " or ".join(repr(name) for name in names)
    raise InputError(
        f"{key}: the table has no column {shown}{did_you_mean(names[0], table.colnames)}; name "
        f"the column: --set {key}=NAME (null if it has none and the key may be left out)"
    )


def icrs_positions(table: Table, catalog: EnhanceCatalogConfig) -> Positions:
    """The positions in ICRS, in degrees; NaN where one of the two coordinates is missing."""
    given = degrees_of(table, catalog.ra, catalog.dec, key="catalog")
    if catalog.frame == "icrs":
        return given
    known = np.isfinite(given.ra)
    there = SkyCoord(given.ra[known] * u.deg, given.dec[known] * u.deg, frame=_frame(catalog))
    icrs: Any = there.transform_to(ICRS())
    ra, dec = np.full((2, len(given.ra)), np.nan)
    ra[known], dec[known] = icrs.ra.deg, icrs.dec.deg
    return Positions(ra=ra, dec=dec)


def degrees_of(table: Table, ra: Sequence[str], dec: Sequence[str], *, key: str) -> Positions:
    """Two columns as angles in degrees; both NaN where one is missing or infinite."""
    names = found_column(table, ra, f"{key}.ra"), found_column(table, dec, f"{key}.dec")
    converted = in_degrees(table, *names)
    place = positions(*(masked_column(converted, name) for name in names))
    known = np.isfinite(place.ra) & np.isfinite(place.dec)
    return Positions(
        ra=np.where(known, place.ra % 360, np.nan), dec=np.where(known, place.dec, np.nan)
    )


def galactic_of(position: Positions) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]]:
    """Galactic longitude (0 to 360) and latitude in degrees; NaN where unknown."""
    known = np.isfinite(position.ra)
    there: Any = SkyCoord(position.ra[known] * u.deg, position.dec[known] * u.deg).galactic
    longitude, latitude = np.full((2, len(known)), np.nan)
    longitude[known], latitude[known] = there.l.deg, there.b.deg
    return longitude, latitude


def position_errors(
    table: Table, column: Sequence[str] | None, kind: ErrorKind, default: float, key: str
) -> tuple[Float[np.ndarray, "N"], np.ndarray]:
    """Standard deviations per axis in arcsec, and whether the table gives them.

    The default fills rows without an error, or with one that is not positive.
    """
    if column is None:
        return np.full(len(table), default), np.zeros(len(table), bool)
    values = numbers_in(table, column, "arcsec", key)
    given = np.isfinite(values) & (values > 0)
    return np.where(given, values * sigma_over_error(kind), default), given


def numbers_in(table: Table, names: Sequence[str], unit: str, key: str) -> Float[np.ndarray, "N"]:
    """A column as numbers in a unit, NaN where missing. A column without unit is taken as it is.

    Raises InputError if it is absent, no numbers, or in a unit that does not convert; `key` names
    the key of the config.
    """
    column = found_column(table, names, key)
    found = masked_column(table, column)
    if found.dtype.kind not in "iufb":
        raise InputError(f"{key}: column {column!r} holds {found.dtype}; it must hold numbers")
    factor = 1.0
    if found.unit is not None and unit:
        converted = factor_between(found.unit, u.Unit(unit))
        if converted is None:
            raise InputError(
                f"{key}: column {column!r} is in {found.unit}, which does not convert to {unit}; "
                "correct its unit (catalog.units), or name another column"
            )
        factor = converted
    values = np.ma.filled(found.astype(np.float64), np.nan) * factor
    return np.where(np.isfinite(values), values, np.nan)


def row_names(table: Table, names: Sequence[str] | None, key: str) -> np.ndarray:
    """The names of the rows as text, "" where missing; their numbers from 1 without a column."""
    if names is None:
        return np.arange(1, len(table) + 1).astype(str)
    column = masked_column(table, found_column(table, names, key))
    texts = np.ma.getdata(column).astype(str)
    return np.where(np.ma.getmaskarray(column), "", np.char.strip(texts))


def mjd_of(table: Table, names: Sequence[str], key: str) -> Float[np.ndarray, "N"]:
    """Times as MJD: from years, JD or MJD by size, or from text in ISO 8601; NaN where missing.

    Numbers below 3000 are years, from 1e6 on Julian dates, between them modified Julian dates.
    """
    column = found_column(table, names, key)
    if masked_column(table, column).dtype.kind not in "US":
        values = numbers_in(table, [column], "", key)
        mjd = np.where(values >= 1e6, values - 2_400_000.5, values)
        return np.where(values < 3000, _MJD_2000 + (values - 2000) * 365.25, mjd)
    texts = row_names(table, [column], key)
    given = texts != ""
    mjd = np.full(len(texts), np.nan)
    try:
        mjd[given] = Time(texts[given].tolist(), scale="utc").mjd if given.any() else []
    except ValueError as error:
        raise InputError(
            f"{key}: column {column!r} is no time ({error}); give years, JD, MJD or ISO 8601"
        ) from None
    return mjd


def years_of(table: Table, names: Sequence[str], key: str) -> Float[np.ndarray, "N"]:
    """Times as Julian years; see `mjd_of`."""
    return 2000 + (mjd_of(table, names, key) - _MJD_2000) / 365.25


def _frame(catalog: EnhanceCatalogConfig) -> FK4 | FK5 | Galactic:
    if catalog.frame == "galactic":
        return Galactic()
    year = catalog.equinox
    if catalog.frame == "fk4":
        return FK4(equinox=Time(1950 if year is None else year, format="byear"))
    return FK5(equinox=Time(2000 if year is None else year, format="jyear"))
