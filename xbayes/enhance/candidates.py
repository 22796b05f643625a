"""The entries of a catalogue around X-ray positions, moved to the X-ray epoch, with magnitudes."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Float

from xbayes.catalog.columns import masked_column
from xbayes.config.counterparts import CounterpartCatalogue
from xbayes.config.enhance_tables import Names, sigma_over_error
from xbayes.enhance.nearby import Near, entries_of
from xbayes.enhance.others import Others, from_service, local_objects
from xbayes.enhance.pairs import Ellipses, Positions, moved, offsets
from xbayes.enhance.services import Services
from xbayes.enhance.sky import degrees_of, numbers_in
from xbayes.errors import InputError

_MAS = 1e-3
_MOST_MAGNITUDE = 60.0  # larger numbers, and such as -99, stand for no magnitude
_TO_ARCSEC = {"arcsec": 1.0, "mas": _MAS, "deg": 3600.0}


class XraySky(NamedTuple):
    """X-ray positions in degrees, their errors, and their epochs in years (NaN where unknown)."""

    place: Positions
    errors: Ellipses
    year: Float[np.ndarray, "N"]

    def rows(self, chosen: np.ndarray) -> "XraySky":
        """Some of them: a mask or their indices."""
        return XraySky(
            place=self.place.rows(chosen),
            errors=self.errors.rows(chosen),
            year=self.year[chosen],
        )


class Candidates(NamedTuple):
    """The entries of one catalogue, in order of the X-ray positions; NaN where unknown."""

    near: Near
    place: Positions  # at the X-ray epoch
    listed: Positions  # at the epoch of the catalogue
    separation: Float[np.ndarray, "P"]  # arcsec, at the X-ray epoch
    id: np.ndarray  # P texts
    magnitude: Mapping[str, Float[np.ndarray, "P"]]
    pm_ra: Float[np.ndarray, "P"]  # mas/yr
    pm_dec: Float[np.ndarray, "P"]
    further: Mapping[str, Float[np.ndarray, "P"]]


def candidates(
    sky: XraySky,
    catalogue: CounterpartCatalogue,
    *,
    radius: float,
    motion: float,
    table: Table | None,
    services: Services | None,
    hats: bool = False,
) -> Candidates:
    """The entries within the radius of each position, at the epoch of the position.

    Parameters
    ----------
    sky
        The X-ray positions.
    catalogue
        What its columns are.
    radius
        In arcsec.
    motion
        Entries are sought in a radius larger by this (arcsec), if the catalogue has proper motion.
    table
        The catalogue, if it is a local file.
    services
        Archives; needed without a table.
    hats
        Whether the file of the catalogue is a HATS catalogue, which LSDB matches by partitions.

    Raises
    ------
    InputError
        For columns of positions that are absent, and an answer that is not to be had.
    """
    key = f"counterparts.catalogues.{catalogue.name}"
    reach = np.full(len(sky.year), radius + (motion if catalogue.pm_ra is not None else 0.0))
    if hats:
        # LSDB is imported where it is used: few users have it.
        from xbayes.enhance.hats_objects import hats_objects

        path, read = str(catalogue.file), columns_read(catalogue)
        found = hats_objects(sky.place, reach, path, read, f"{key}.file")
    elif table is not None:
        found = local_objects(sky.place, reach, table, catalogue.ra, catalogue.dec, key)
    elif services is not None:
        name = str(catalogue.catalogue)
        found = from_service(
            sky.place,
            reach,
            lambda sent, limit: services.crossmatch(sent, name, limit),
            "angDist",
        )
    else:
        raise InputError(f"{key} needs the network; give a file instead")
    if not len(found.row):
        found = Others(row=np.zeros(0, np.int64), separation=np.zeros(0), table=Table())
    return _at_epoch(sky, catalogue, found, radius, key)


def columns_read(catalogue: CounterpartCatalogue) -> list[str]:
    """Every column that is read where the catalogue has it."""
    groups = (
        catalogue.ra, catalogue.dec, catalogue.id, catalogue.error, catalogue.error_minor,
        catalogue.error_angle, catalogue.pm_ra, catalogue.pm_dec, *catalogue.magnitudes.values(),
        *catalogue.fluxes.values(), *(column.names for column in catalogue.further.values()),
    )  # fmt: skip
    return [name for names in groups for name in names or ()]


def _at_epoch(
    sky: XraySky, catalogue: CounterpartCatalogue, found: Others, radius: float, key: str
) -> Candidates:
    """The entries that are within the radius at the epoch of their X-ray positions."""
    table, row = found.table, found.row.astype(np.int64)
    listed = Positions(ra=np.zeros(0), dec=np.zeros(0))
    if len(row):
        listed = degrees_of(table, catalogue.ra, catalogue.dec, key=key)
    pm_ra = _numbers(table, catalogue.pm_ra, len(row), key, "mas / yr")
    pm_dec = _numbers(table, catalogue.pm_dec, len(row), key, "mas / yr")
    years = sky.year[row] - (np.nan if catalogue.epoch is None else catalogue.epoch)
    way = np.stack([pm_ra, pm_dec], 1) * _MAS * years[:, None]
    place = moved(listed, np.where(np.isfinite(way.sum(1, keepdims=True)), way, 0.0))
    origin = sky.place.rows(row)
    separation = np.hypot(*offsets(origin, place).T)
    kept = np.flatnonzero(separation <= radius)
    errors = _errors(table, catalogue, len(row), key).rows(kept)
    magnitude = {
        name: values[kept] for name, values in _magnitudes(table, catalogue, len(row), key)
    }
    entries = entries_of(sky.place, row[kept], kept, place.rows(kept), errors)
    near = Near(
        name=catalogue.name,
        entries=entries,
        features={name: _feature(name, magnitude) for name in catalogue.priors},
    )
    return Candidates(
        near=near,
        place=place.rows(kept),
        listed=listed.rows(kept),
        separation=separation[kept],
        id=_texts(table, catalogue.id, len(row))[kept],
        magnitude=magnitude,
        pm_ra=pm_ra[kept],
        pm_dec=pm_dec[kept],
        further={
            name: _numbers(table, column.names, len(row), key, "")[kept]
            for name, column in catalogue.further.items()
        },
    )


def _named(table: Table, names: Names | None) -> str | None:
    """The first of the names that the table has."""
    return next((name for name in names or () if name in table.colnames), None)


def _numbers(
    table: Table, names: Names | None, size: int, key: str, unit: str
) -> Float[np.ndarray, "P"]:
    """A column as numbers in a unit; NaN where it is absent."""
    name = _named(table, names)
    return np.full(size, np.nan) if name is None else numbers_in(table, [name], unit, key)


def _errors(table: Table, catalogue: CounterpartCatalogue, size: int, key: str) -> Ellipses:
    """1 sigma ellipses; the default where an entry has no error."""
    factor = sigma_over_error(catalogue.error_kind)

    def axis(names: Names | None) -> Float[np.ndarray, "P"]:
        values = factor * _numbers(table, names, size, key, "arcsec")
        name = _named(table, names)
        if name is not None and masked_column(table, name).unit is None:
            values = values * _TO_ARCSEC[catalogue.error_unit]
        return np.where(values > 0, values, np.nan)

    major, minor = axis(catalogue.error), axis(catalogue.error_minor)
    major = np.where(np.isfinite(major), major, catalogue.default_error)
    minor = np.where(np.isfinite(minor), minor, major)
    angle = _numbers(table, catalogue.error_angle, size, key, "deg")
    return Ellipses(
        major=np.hypot(major, catalogue.least_error),
        minor=np.hypot(minor, catalogue.least_error),
        angle=np.where(np.isfinite(angle), angle, 0.0),
    )


def _magnitudes(
    table: Table, catalogue: CounterpartCatalogue, size: int, key: str
) -> Sequence[tuple[str, Float[np.ndarray, "P"]]]:
    made = []
    for name, columns in catalogue.magnitudes.items():
        values = _numbers(table, columns, size, key, "")  # archives name many systems as units
        made.append((name, np.where(np.abs(values) < _MOST_MAGNITUDE, values, np.nan)))
    for name, columns in catalogue.fluxes.items():
        flux = _numbers(table, columns, size, key, "")
        positive = np.where(flux > 0, flux, np.nan)
        made.append((name, 22.5 - 2.5 * np.log10(positive)))
    return made


def _feature(name: str, magnitude: Mapping[str, Float[np.ndarray, "P"]]) -> Float[np.ndarray, "P"]:
    """A magnitude, or the colour of two."""
    first, _, second = name.partition("-")
    return magnitude[first] - magnitude[second] if second else magnitude[first]


def _texts(table: Table, names: Names | None, size: int) -> np.ndarray:
    name = _named(table, names)
    if name is None:
        return np.full(size, "", dtype=object).astype(str)
    column = masked_column(table, name)
    texts = np.ma.getdata(column).astype(str)
    return np.where(np.ma.getmaskarray(column), "", texts)
