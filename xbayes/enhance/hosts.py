"""The step `hosts`: sources inside the D25 ellipse of a galaxy, their luminosity, and ULX."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from astropy.coordinates import angular_separation, position_angle
from astropy.table import Table
from jaxtyping import Float, Int

from xbayes.config.enhance import EnhanceCatalogConfig
from xbayes.config.enhance_flux import HostsConfig
from xbayes.config.enhance_reader import local_file
from xbayes.enhance.others import read_file
from xbayes.enhance.pairs import Positions, find_pairs, unit_vectors
from xbayes.enhance.services import Services
from xbayes.enhance.sky import (
    columns_of_positions,
    degrees_of,
    flat,
    numbers_in,
    places_of,
    row_names,
)
from xbayes.enhance.steps import AddedColumn, Made, column_of
from xbayes.errors import InputError

MPC_CM = 3.0856775814913673e24
_LOG_UNIT_ARCMIN = 0.1  # of logd25


class Galaxies(NamedTuple):
    """Galaxies with their ellipses; NaN where unknown."""

    name: np.ndarray
    place: Positions
    major: Float[np.ndarray, "M"]  # semi-axes at D25, arcmin
    minor: Float[np.ndarray, "M"]
    angle: Float[np.ndarray, "M"]  # degrees east of north
    distance: Float[np.ndarray, "M"]  # Mpc
    log_mass: Float[np.ndarray, "M"]
    log_sfr: Float[np.ndarray, "M"]


class FindHosts:
    """Host galaxies."""

    name = "hosts"

    def __init__(self, settings: HostsConfig, catalog: EnhanceCatalogConfig) -> None:
        self.settings = settings
        self.catalog = catalog

    def reads(self) -> Sequence[str]:
        """See `Step`."""
        return [*columns_of_positions(self.catalog), *flat(self.settings.flux)]

    def files(self) -> Sequence[Path]:
        """See `Step`."""
        file = self.settings.file
        return [] if file is None else [local_file(file, "hosts.file")]

    def columns(self) -> Sequence[AddedColumn]:
        """See `Step`."""
        settings = self.settings
        made = [
            AddedColumn("host_name", "Host galaxy: inside its D25 ellipse", "", "meta.id.parent"),
            AddedColumn(
                "host_n", f"Number of galaxies within {settings.scale:g} D25 radii", "",
                "meta.number",
            ),
            AddedColumn(
                "host_separation", "Separation from the centre of the host", "arcmin",
                "pos.angDistance",
            ),
            AddedColumn(
                "host_radius_ratio",
                "Separation over the D25 radius of the host in that direction", "",
                "pos.angDistance;arith.ratio",
            ),
            AddedColumn("host_distance", "Distance of the host", "Mpc", "pos.distance"),
        ]  # fmt: skip
        if settings.log_mass is not None:
            text = "Decimal logarithm of the stellar mass of the host over that of the Sun"
            made.append(AddedColumn("host_log_mass", text, "", "phys.mass"))
        if settings.log_sfr is not None:
            text = "Decimal logarithm of the star-formation rate of the host, in Suns per year"
            made.append(AddedColumn("host_log_sfr", text, "", "phys.SFR"))
        if settings.flux is not None:
            text = f"Whether it is above {settings.ulx_luminosity:g} erg/s and not in the nucleus"
            made += [
                AddedColumn(
                    "host_luminosity", "Luminosity at the distance of the host", "erg / s",
                    "phys.luminosity;em.X-ray",
                ),
                AddedColumn("host_ulx", f"{text}; empty where unknown", "", "meta.code"),
            ]  # fmt: skip
        return made

    def run(self, table: Table, services: Services | None) -> Made:
        """See `Step`."""
        places = places_of(table, self.catalog)
        galaxies = self._galaxies(places.position, services)
        host, ratio, number = hosts_of(places.position, galaxies, self.settings.scale)
        has, n_rows = host >= 0, len(table)

        def of_host(values: Float[np.ndarray, "M"]) -> Float[np.ndarray, "N"]:
            found = np.full(n_rows, np.nan)
            found[has] = values[host[has]]
            return found

        names = np.full(n_rows, "", dtype=object)
        names[has] = galaxies.name[host[has]]
        separation = np.full(n_rows, np.nan)
        at = galaxies.place.rows(host[has])
        separation[has] = 60 * _separation_deg(at, places.position.rows(has))
        values = {
            "host_name": names.astype(str),
            "host_n": number,
            "host_separation": separation,
            "host_radius_ratio": ratio,
            "host_distance": of_host(galaxies.distance),
            "host_log_mass": of_host(galaxies.log_mass),
            "host_log_sfr": of_host(galaxies.log_sfr),
        }
        missing = {"host_n": ~places.known}
        if self.settings.flux is not None:
            flux = numbers_in(table, self.settings.flux, "erg / (s cm2)", "hosts.flux")
            light = luminosity(flux, values["host_distance"])
            nucleus = np.maximum(
                self.settings.nucleus_arcsec,
                3 * np.where(places.given_sigma, places.sigma, 0.0),
            )
            bright = (light > self.settings.ulx_luminosity) & (60 * separation > nucleus)
            values |= {"host_luminosity": light, "host_ulx": bright}
            missing["host_ulx"] = ~places.known | (has & ~np.isfinite(light))
        columns = {
            added.name: column_of(added, values[added.name], missing.get(added.name))
            for added in self.columns()
        }
        note = f"{has.sum()} of {places.known.sum()} positions are inside a galaxy"
        return Made(columns=columns, notes=(note,))

    def _galaxies(self, position: Positions, services: Services | None) -> Galaxies:
        """The galaxies of the file, or those of VizieR around the positions."""
        settings = self.settings
        if settings.file is not None:
            table = read_file(settings.file, "hosts")
        elif services is None:
            raise InputError("hosts.catalogue needs the network; give a file instead")
        else:
            table = services.tap("vizier", self._query(position, services))
        return read_galaxies(table, settings)

    def _query(self, position: Positions, services: Services) -> str:
        """The galaxies around the positions; those of the whole sky if these are all over it."""
        settings = self.settings
        has = columns_of_table(str(settings.catalogue), services)
        wanted = flat(
            settings.name, settings.ra, settings.dec, settings.semi_major, settings.semi_minor,
            settings.position_angle, settings.distance, settings.log_mass, settings.log_sfr,
        )  # fmt: skip
        columns = [name for name in wanted if name in has]
        ra, dec = (
            next((name for name in names if name in has), names[0])
            for names in (settings.ra, settings.dec)
        )
        listed = ", ".join(f'"{name}"' for name in dict.fromkeys(columns))
        adql = f'SELECT {listed} FROM "{settings.catalogue}"'
        centre, radius = enclosing_circle(position)
        radius += settings.scale * settings.largest_arcmin / 60
        if radius > 60:
            return adql
        circle = f"CIRCLE('ICRS', {centre[0]:.6f}, {centre[1]:.6f}, {radius:.6f})"
        return f'{adql} WHERE 1 = CONTAINS(POINT(\'ICRS\', "{ra}", "{dec}"), {circle})'


def columns_of_table(table: str, services: Services) -> list[str]:
    """The columns of a table of VizieR. Raises InputError if there is no such table."""
    name = table.replace("'", "''")
    found = services.tap(
        "vizier",
        "SELECT column_name FROM TAP_SCHEMA.columns WHERE "
        f"table_name = '{name}' OR table_name = '\"{name}\"'",
        wait=False,
    )
    if not len(found):
        raise InputError(
            f"hosts.catalogue: VizieR has no table {table!r}; correct the name, give a file, or "
            "leave the step out: --set hosts=null"
        )
    return [str(column).strip('"') for column in found["column_name"]]


def enclosing_circle(position: Positions) -> tuple[tuple[float, float], float]:
    """A circle around all positions: its centre and its radius in degrees (180: the whole sky)."""
    at = position.rows(np.isfinite(position.ra))
    mean = unit_vectors(at).sum(0)
    length = float(np.linalg.norm(mean))
    if length < 1e-6 * max(len(at.ra), 1):
        return (0.0, 0.0), 180.0
    x, y, z = mean / length
    ra, dec = float(np.rad2deg(np.arctan2(y, x)) % 360), float(np.rad2deg(np.arcsin(z)))
    centre = Positions(ra=np.full(len(at.ra), ra), dec=np.full(len(at.ra), dec))
    return (ra, dec), float(_separation_deg(centre, at).max())


def read_galaxies(table: Table, settings: HostsConfig) -> Galaxies:
    """The galaxies in a table, with the axes as semi-axes in arcmin."""

    def read(names: Sequence[str] | None, unit: str, label: str) -> Float[np.ndarray, "M"]:
        if names is None:
            return np.full(len(table), np.nan)
        return numbers_in(table, names, unit, f"hosts.{label}")

    logarithmic = settings.axes == "log_full"
    unit = "" if logarithmic else "arcmin"
    major = read(settings.semi_major, unit, "semi_major")
    minor = read(settings.semi_minor, unit, "semi_minor")
    if logarithmic:  # logd25: diameter in 0.1 arcmin; logr25: the axis ratio, above 1
        with np.errstate(over="ignore"):
            major = _LOG_UNIT_ARCMIN * 10**major / 2
            minor = major / 10 ** np.abs(minor)
    elif settings.axes == "full":
        major, minor = major / 2, minor / 2
    minor = np.where(np.isfinite(minor) & (minor > 0), minor, major)
    return Galaxies(
        name=row_names(table, settings.name, "hosts.name"),
        place=degrees_of(table, settings.ra, settings.dec, key="hosts"),
        major=np.where(major > 0, np.maximum(major, minor), np.nan),
        minor=np.where(major > 0, np.minimum(major, minor), np.nan),
        angle=read(settings.position_angle, "deg", "position_angle"),
        distance=read(settings.distance, "Mpc", "distance"),
        log_mass=read(settings.log_mass, "", "log_mass"),
        log_sfr=read(settings.log_sfr, "", "log_sfr"),
    )


def hosts_of(
    position: Positions, galaxies: Galaxies, scale: float
) -> tuple[Int[np.ndarray, "N"], Float[np.ndarray, "N"], Int[np.ndarray, "N"]]:
    """The host of each position (-1 for none), its radius ratio, and the number of galaxies.

    The radius ratio is the separation over the radius of the D25 ellipse in that direction; of
    several galaxies within `scale`, the one with the smallest ratio is the host. An ellipse of
    unknown position angle counts as the circle of the same area.
    """
    radius = 60 * scale * galaxies.major
    pairs = find_pairs(galaxies.place, position, np.minimum(radius, 180 * 3600))
    ratio = radius_ratio(galaxies, pairs.first, position.rows(pairs.second), pairs.separation / 60)
    inside = ratio <= scale
    galaxy, row, ratio = pairs.first[inside], pairs.second[inside], ratio[inside]
    number = np.bincount(row, minlength=len(position.ra))
    host = np.full(len(position.ra), -1)
    smallest = np.full(len(position.ra), np.nan)
    order = np.lexsort((ratio, row))
    found, first = np.unique(row[order], return_index=True)
    host[found], smallest[found] = galaxy[order[first]], ratio[order[first]]
    return host, smallest, number


def radius_ratio(
    galaxies: Galaxies,
    galaxy: Int[np.ndarray, "P"],
    position: Positions,
    separation: Float[np.ndarray, "P"],
) -> Float[np.ndarray, "P"]:
    """The separation (arcmin) over the radius of the ellipse in the direction of the position."""
    at = galaxies.place.rows(galaxy)
    angles = (np.deg2rad(a) for a in (at.ra, at.dec, position.ra, position.dec))
    direction: Any = position_angle(*angles)
    from_axis = direction.to_value("rad") - np.deg2rad(galaxies.angle[galaxy])
    major, minor = galaxies.major[galaxy], galaxies.minor[galaxy]
    elliptical = np.hypot(np.cos(from_axis) / major, np.sin(from_axis) / minor)
    known = np.isfinite(elliptical)
    return separation * np.where(known, elliptical, 1 / np.sqrt(major * minor))


def luminosity(
    flux: Float[np.ndarray, "N"], distance_mpc: Float[np.ndarray, "N"]
) -> Float[np.ndarray, "N"]:
    """4 pi d^2 times the flux (erg/s/cm2), in erg/s; NaN where the flux is not positive."""
    light = 4 * np.pi * (distance_mpc * MPC_CM) ** 2 * flux
    return np.where(flux > 0, light, np.nan)


def _separation_deg(one: Positions, other: Positions) -> Float[np.ndarray, "P"]:
    angles = (np.deg2rad(a) for a in (one.ra, one.dec, other.ra, other.dec))
    return np.rad2deg(angular_separation(*angles))
