"""Nearby galaxies of the simulated sky, and the X-ray sources inside their ellipses.

In every galaxy the sources follow surface densities that are known: the logN-logS of AGN times the
area of the ellipse, and luminosity functions scaled by star formation and stellar mass. A prior
that depends on the source can be checked against them (`number_densities`).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from xbayes.simulate.sky import Place
from xbayes.simulate.subclasses import NAMES, stream

REACH = 1.26  # of the D25 ellipse: a source within it has the galaxy as its host
POPULATIONS = ("agn", "xrb", "soft")  # of the sources inside a galaxy, besides its nucleus
_HARD_SHARE = 0.75  # flux in 2-10 keV over flux in 0.5-7 keV, for an AGN
_SPHERE = 4 * np.pi * 3.0857e24**2  # cm2, of radius 1 Mpc
_HIGHEST = -11.0  # log10 of the largest flux
_NUCLEUS = 0.25  # share of galaxies with an active nucleus
_BLENDED = 0.6  # share of the sources inside a galaxy whose counterpart is lost in its light
# Of galaxies that the sky without hosts names too: longitude, latitude, distance in Mpc, semi-major
# axis of D25 in degrees, axis ratio, log10 stellar mass, star formation in solar masses a year.
_KNOWN = {
    "M31": (121.17, -21.57, 0.78, 1.5, 0.32, 11.0, 0.4),
    "M33": (133.61, -31.33, 0.85, 0.58, 0.6, 9.5, 0.4),
    "M81": (142.09, 40.90, 3.6, 0.22, 0.5, 10.8, 0.5),
    "Centaurus A": (309.52, 19.42, 3.7, 0.21, 0.8, 11.0, 0.8),
    "M83": (314.58, 31.97, 4.6, 0.11, 0.9, 10.5, 4.0),
    "M101": (102.04, 59.77, 6.7, 0.24, 0.93, 10.5, 3.5),
    "M87": (283.78, 74.49, 16.5, 0.07, 0.8, 11.6, 0.1),
}


class Galaxies(NamedTuple):
    """The galaxies: places and shapes of their D25 ellipses, stellar masses, star formation."""

    name: np.ndarray
    longitude: Float[np.ndarray, "H"]  # galactic, degrees
    latitude: Float[np.ndarray, "H"]
    distance: Float[np.ndarray, "H"]  # Mpc
    semi_major: Float[np.ndarray, "H"]  # of D25, degrees
    axis_ratio: Float[np.ndarray, "H"]
    angle: Float[np.ndarray, "H"]  # of the major axis from north to east, radians
    log_mass: Float[np.ndarray, "H"]
    star_formation: Float[np.ndarray, "H"]

    @property
    def area(self) -> Float[np.ndarray, "H"]:
        """Area of the ellipse of hosts, in square degrees."""
        return np.pi * (REACH * self.semi_major) ** 2 * self.axis_ratio


class HostSources(NamedTuple):
    """Sources inside galaxies and clusters of galaxies: class, subclass, place, brightness."""

    label: np.ndarray
    subclass: Int[np.ndarray, "N"]  # whose spectrum and counterparts the source has
    place: Place
    log_flux: Float[np.ndarray, "N"]
    log_limit: Float[np.ndarray, "N"]
    has_counterpart: np.ndarray
    extent: Float[np.ndarray, "N"]  # arcsec


def agn_per_square_degree(flux: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """AGN per square degree and unit of ln flux, at a flux in 0.5-7 keV (erg/s/cm2).

    The derivative of the logN-logS of Moretti et al. 2003 (A&A 588, 696) in 2-10 keV.
    """
    s = _HARD_SHARE * flux
    steep, flat, broken = 1.57, 0.44, 4.5e-15
    tail = broken ** (steep - flat) * s**flat
    number = 5300 * 2e-15**steep / (s**steep + tail)
    return number * (steep * s**steep + flat * tail) / (s**steep + tail)


def number_densities(
    flux: Float[np.ndarray, "N"],
    distance_mpc: Float[np.ndarray, "N"],
    area_deg2: Float[np.ndarray, "N"],
    log_mass: Float[np.ndarray, "N"],
    star_formation: Float[np.ndarray, "N"],
) -> Float[np.ndarray, "N 3"]:
    """Expected numbers in a host per unit of ln flux: AGN behind it, its XRB, its soft sources.

    HMXB follow Mineo et al. 2012 (MNRAS 419, 2095); LMXB and soft sources are a power law with an
    exponential end.
    """
    luminosity = flux * _SPHERE * distance_mpc**2 / 1e38
    hmxb = 1.49 * star_formation * luminosity**-0.6 * (luminosity < 110)
    lmxb = 4.0 * 10 ** (log_mass - 10) * luminosity**-0.8 * np.exp(-luminosity / 10)
    soft = 2.0 * star_formation * luminosity**-1.0 * np.exp(-luminosity / 3)
    return np.stack([agn_per_square_degree(flux) * area_deg2, hmxb + lmxb, soft], axis=-1)


def draw_galaxies(number: int, seed: int) -> Galaxies:
    """The known galaxies, and `number` more within 30 Mpc, away from the Galactic plane."""
    rng = stream(seed, "galaxies")
    sine = rng.uniform(np.sin(np.radians(15)), 1, number) * rng.choice([-1, 1], number)
    log_mass = rng.uniform(9.2, 11.2, number)
    late = rng.random(number) < 0.6
    per_mass = np.where(late, rng.normal(-10.2, 0.3, number), rng.normal(-12, 0.4, number))
    distance = 30 * rng.uniform(0.1**3, 1, number) ** (1 / 3)
    radius_kpc = 11 * 10 ** (0.35 * (log_mass - 10.5) + 0.08 * rng.standard_normal(number))
    known = np.array(list(_KNOWN.values()))
    more = (
        rng.uniform(0, 360, number),
        np.degrees(np.arcsin(sine)),
        distance,
        np.degrees(radius_kpc / (1000 * distance)),
        rng.uniform(0.35, 1, number),
        log_mass,
        10 ** (per_mass + log_mass),
    )
    columns = [np.concatenate([old, new]) for old, new in zip(known.T, more, strict=True)]
    names = [*_KNOWN, *(f"HOST {k:04d}" for k in range(1, number + 1))]
    longitude, latitude, distance, semi_major, ratio, log_mass, formation = columns
    return Galaxies(
        name=np.array(names),
        longitude=longitude,
        latitude=latitude,
        distance=distance,
        semi_major=semi_major,
        axis_ratio=ratio,
        angle=rng.uniform(0, np.pi, len(names)),
        log_mass=log_mass,
        star_formation=formation,
    )


def draw_host_sources(galaxies: Galaxies, n_clusters: int, seed: int) -> HostSources:
    """The sources inside the galaxies above the limit of each, and extended sources anywhere.

    Those of the known galaxies are drawn only at the depth of a short observation.
    """
    rng = stream(seed, "sources in hosts")
    depth = rng.normal(-14.3, 0.3, len(galaxies.name))
    depth[: len(_KNOWN)] = -12.4
    kinds, hosts, fluxes = [], [], []
    for h in range(len(galaxies.name)):
        kind, log_flux = _in_galaxy(galaxies, h, depth[h], rng)
        kinds.append(kind)
        hosts.append(np.full(len(kind), h))
        fluxes.append(log_flux)
    kind, host, log_flux = (np.concatenate(parts) for parts in (kinds, hosts, fluxes))
    inside = _host_places(galaxies, host, kind == "nucleus", rng)
    cluster = _cluster_places(n_clusters, rng)
    bright = -13.6 - np.log10(1 - rng.random(n_clusters)) / 1.3
    kind = np.concatenate([kind, np.full(n_clusters, "cluster")])
    place = Place._make(np.concatenate(pair) for pair in zip(inside, cluster, strict=True))
    label = {"agn": "AGN", "nucleus": "AGN", "xrb": "XRB", "soft": "Soft", "cluster": "Extended"}
    # Spectra: of an AGN; of an XRB in another galaxy; of hot plasma.
    like = {"agn": "agn", "nucleus": "obscured", "xrb": "nearby", "soft": "coronal"}
    subclass = [NAMES.index(like.get(each, "nearby")) for each in kind]
    lost = (rng.random(len(kind)) < _BLENDED) & (kind == "agn")
    is_extended = kind == "cluster"
    extent = np.where(is_extended, rng.lognormal(2.5, 0.5, len(kind)), 0.0)
    return HostSources(
        label=np.array([label[each] for each in kind]),
        subclass=np.array(subclass, int),
        place=place,
        log_flux=np.clip(np.concatenate([log_flux, bright]), -16, _HIGHEST),
        log_limit=np.concatenate([depth[host], np.full(n_clusters, -14.0)]),
        has_counterpart=np.isin(kind, ["agn", "nucleus"]) & ~lost,
        extent=extent,
    )


def host_columns(
    galaxies: Galaxies, place: Place, flux: Float[np.ndarray, "N"]
) -> dict[str, np.ndarray]:
    """The host of each source within `REACH` of a D25 ellipse, and what it says; else empty."""
    found, ratio = np.full(len(flux), -1), np.full(len(flux), np.inf)
    for h in range(len(galaxies.name)):
        relative = _relative_radius(galaxies, h, place)
        nearer = (relative < REACH) & (relative < ratio)
        found[nearer], ratio[nearer] = h, relative[nearer]
    has_host = found >= 0

    def of_host(values: np.ndarray) -> np.ndarray:
        return np.where(has_host, values[found], np.nan)

    distance = of_host(galaxies.distance)
    return {
        "host": np.where(has_host, galaxies.name[found], ""),
        "host_sep": np.where(has_host, ratio, np.nan),
        "host_distance": distance,
        "host_area": of_host(galaxies.area),
        "host_log_mass": of_host(galaxies.log_mass),
        "host_sfr": of_host(galaxies.star_formation),
        "host_log_lx": np.log10(flux * _SPHERE * distance**2),
    }


def _in_galaxy(
    galaxies: Galaxies, h: int, log_limit: float, rng: np.random.Generator
) -> tuple[np.ndarray, Float[np.ndarray, "M"]]:
    """Population and log10 flux of the sources inside one galaxy."""
    grid = np.linspace(log_limit, _HIGHEST, 300)
    values = (galaxies.distance, galaxies.area, galaxies.log_mass, galaxies.star_formation)
    at = [np.full(len(grid), each[h]) for each in values]
    density = number_densities(10**grid, *at)  # [grid, population]
    step = np.log(10) * (grid[1] - grid[0])
    kinds, fluxes = [], []
    for k, name in enumerate(POPULATIONS):
        below = np.concatenate([[0], np.cumsum((density[1:, k] + density[:-1, k]) / 2) * step])
        number = rng.poisson(below[-1])
        fluxes.append(np.interp(rng.uniform(0, below[-1], number), below, grid))
        kinds.append(np.full(number, name))
    if rng.random() < _NUCLEUS:
        log_flux = rng.normal(40.3, 0.8) - np.log10(_SPHERE * galaxies.distance[h] ** 2)
        kinds.append(np.array(["nucleus"]))
        fluxes.append(np.array([max(log_flux, log_limit)]))
    return np.concatenate(kinds), np.concatenate(fluxes)


def _host_places(
    galaxies: Galaxies, host: Int[np.ndarray, "N"], central: np.ndarray, rng: np.random.Generator
) -> Place:
    """Uniform over the ellipse for every population but the nuclei, which are at the centre."""
    radius = REACH * np.sqrt(rng.random(len(host))) * np.where(central, 0.02, 1)
    phase = rng.uniform(0, 2 * np.pi, len(host))
    along = radius * np.cos(phase) * galaxies.semi_major[host]
    across = radius * np.sin(phase) * (galaxies.semi_major * galaxies.axis_ratio)[host]
    angle = galaxies.angle[host]
    north = along * np.cos(angle) - across * np.sin(angle)
    east = along * np.sin(angle) + across * np.cos(angle)
    latitude = np.clip(galaxies.latitude[host] + north, -90, 90)
    flat = np.maximum(np.cos(np.radians(galaxies.latitude[host])), 0.02)
    return Place(
        longitude=(galaxies.longitude[host] + east / flat) % 360,
        latitude=latitude,
        distance=1000 * galaxies.distance[host],
    )


def _cluster_places(number: int, rng: np.random.Generator) -> Place:
    latitude = np.degrees(np.arcsin(rng.uniform(-1, 1, number)))
    longitude = rng.uniform(0, 360, number)
    return Place(longitude=longitude, latitude=latitude, distance=np.full(number, 1e5))


def _relative_radius(galaxies: Galaxies, h: int, place: Place) -> Float[np.ndarray, "N"]:
    """Distance from the centre in units of the D25 ellipse in that direction."""
    north = place.latitude - galaxies.latitude[h]
    turn = (place.longitude - galaxies.longitude[h] + 180) % 360 - 180
    east = turn * max(np.cos(np.radians(galaxies.latitude[h])), 0.02)
    angle = galaxies.angle[h]
    along = north * np.cos(angle) + east * np.sin(angle)
    across = east * np.cos(angle) - north * np.sin(angle)
    major = galaxies.semi_major[h]
    return np.hypot(along / major, across / (major * galaxies.axis_ratio[h]))
