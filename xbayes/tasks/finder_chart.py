"""The finder chart of a source, from what its own catalogue holds around it."""

from collections.abc import Mapping

import astropy.units as u
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from xbayes.catalog.columns import parse_unit
from xbayes.catalog.query import VIEW, ParquetCatalogue
from xbayes.catalog.selection import ConeSearch, Selection, where
from xbayes.catalog.units import factor_between
from xbayes.errors import InputError
from xbayes.figures.finder import Counterparts, Neighbours, finder

RADIUS = 60.0  # arcsec
MOST = 500  # neighbours
ARCSEC = 3600.0  # in a degree
# Position errors of common catalogues, in arcsec where they name no unit; the first is used.
ERRORS = ("sc_poserr", "poserr", "pos_err", "radec_err", "err_ellipse_r0", "err90", "e_pos")
COUNTERPART = {  # columns that `xbayes enhance` adds, by the position that they hold
    "counterpart": ("counterpart_ra", "counterpart_dec"),
}


def finder_chart(
    catalogue: ParquetCatalogue,
    row: Mapping[str, object],
    classes: tuple[str, ...],
    radius: float = RADIUS,
) -> Axes:
    """The chart of a source of the catalogue; its neighbours are the catalogue's own sources.

    Parameters
    ----------
    catalogue
        The classified catalogue.
    row
        The columns of the source.
    classes
        The names of the classes.
    radius
        Half the side of the chart, in arcsec.

    Raises
    ------
    InputError
        If the source has no position, or the radius is not between 1 arcsec and a degree.
    """
    if not 1 <= radius <= ARCSEC:
        raise InputError(f"the radius of a chart must be 1 to 3600 arcsec; found {radius:g}")
    ra, dec = (_number(row.get(name)) if name else None for name in (catalogue.ra, catalogue.dec))
    if ra is None or dec is None:
        raise InputError("a finder chart needs a position; the source has none")
    title = str(row.get(catalogue.id, ""))
    return finder(
        _neighbours(catalogue, title, ConeSearch(ra=ra, dec=dec, radius=radius), classes),
        classes,
        radius=radius,
        error_radius=_error(catalogue, row),
        counterparts=_counterparts(row, ra, dec),
        title=title,
    )


def offsets(
    ra: Float[np.ndarray, "N"], dec: Float[np.ndarray, "N"], ra_0: float, dec_0: float
) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]]:
    """Offsets to the east and north in arcsec, on the plane that touches the sky at ra_0, dec_0.

    The gnomonic projection (Calabretta & Greisen 2002, A&A 395, 1077). Positions in degrees.
    """
    d_ra, dec, dec_0 = np.radians(ra - ra_0), np.radians(dec), np.radians(dec_0)
    depth = np.sin(dec_0) * np.sin(dec) + np.cos(dec_0) * np.cos(dec) * np.cos(d_ra)
    depth = np.where(depth > 0, depth, np.nan)  # the other half of the sky
    east = np.cos(dec) * np.sin(d_ra) / depth
    north = np.cos(dec_0) * np.sin(dec) - np.sin(dec_0) * np.cos(dec) * np.cos(d_ra)
    return np.degrees(east) * ARCSEC, np.degrees(north / depth) * ARCSEC


def _neighbours(
    catalogue: ParquetCatalogue, own: str, cone: ConeSearch, classes: tuple[str, ...]
) -> Neighbours:
    """The sources in the square of the chart, without the source itself."""
    corner = np.sqrt(2) * cone.radius / ARCSEC
    selection = Selection(cone=cone._replace(radius=corner))
    sql, parameters = where(selection, catalogue)
    names = [catalogue.quoted(name) for name in (catalogue.id, catalogue.ra, catalogue.dec) if name]
    found = catalogue.query(
        f"SELECT CAST({names[0]} AS VARCHAR) AS id, {names[1]} AS ra, {names[2]} AS dec, "
        f"prediction FROM {VIEW} WHERE {sql} LIMIT {MOST}",
        parameters,
    ).to_pydict()
    other = [n for n, name in enumerate(found["id"]) if str(name) != own]
    ra, dec = (np.array([found[key][n] for n in other], float) for key in ("ra", "dec"))
    east, north = offsets(ra, dec, cone.ra, cone.dec)
    index = {name: c for c, name in enumerate(classes)}
    prediction = np.array([index.get(found["prediction"][n], -1) for n in other], int)
    return Neighbours(east=east, north=north, prediction=prediction)


def _error(catalogue: ParquetCatalogue, row: Mapping[str, object]) -> float | None:
    """The position error of the source in arcsec; None if no column of it is known."""
    by_name = {name.lower(): name for name in row}
    for known in ERRORS:
        name = by_name.get(known)
        value = None if name is None else _number(row[name])
        if name is not None and value is not None:
            info = catalogue.columns.get(name)
            unit = parse_unit(info.unit) if info is not None else None
            factor = 1.0 if unit is None else factor_between(unit, u.arcsec)
            return None if factor is None else value * factor
    return None


def _counterparts(row: Mapping[str, object], ra: float, dec: float) -> Counterparts | None:
    places, labels = [], []
    for label, (ra_name, dec_name) in COUNTERPART.items():
        place = _number(row.get(ra_name)), _number(row.get(dec_name))
        if place[0] is not None and place[1] is not None:
            places.append(place)
            labels.append(label)
    if not places:
        return None
    at = np.array(places, float)
    east, north = offsets(at[:, 0], at[:, 1], ra, dec)
    return Counterparts(east=east, north=north, label=labels)


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and np.isfinite(value):
        return float(value)
    return None
