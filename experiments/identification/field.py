"""Catalogues around simulated X-ray sources: their true counterparts, and a field of other objects.

The field has stars of the Galaxy and, in WISE, galaxies that Gaia and 2MASS do not reach. Its
densities follow Gaia DR3, 2MASS and AllWISE at the pole and in the plane.
"""

from typing import NamedTuple

import numpy as np
from astropy.table import MaskedColumn, Table

from xbayes.enhance.associations import Entries
from xbayes.enhance.nearby import Near
from xbayes.enhance.pairs import Covariances, Positions, circles

CATALOGUES = {  # columns of the simulated sky in each catalogue; standard error in arcsec
    "gaia": (("g_mag", "bp_rp", "parallax_snr", "pm", "distance"), 0.03),
    "twomass": (("j_mag", "h_mag", "k_mag"), 0.12),
    "allwise": (("w1_mag", "w2_mag", "w3_mag"), 0.2),
}
PRIORS = {
    "gaia": {"g": ("g_mag",), "bp-rp": ("bp_rp",)},
    "twomass": {"k": ("k_mag",), "j-k": ("j_mag", "k_mag")},
    "allwise": {"w1": ("w1_mag",), "w1-w2": ("w1_mag", "w2_mag")},
}
LIMITS = {
    "g": 21.0,
    "bp": 22.7,
    "j": 16.5,
    "h": 15.8,
    "k": 15.2,
    "w1": 17.7,
    "w2": 16.7,
    "w3": 12.4,
}
EXTINCTION = {"g": 0.84, "j": 0.28, "h": 0.18, "k": 0.11, "w1": 0.06, "w2": 0.05, "w3": 0.05}
RADIUS = 10.0  # arcsec


class Place(NamedTuple):
    """A part of the sky: densities per arcsec^2, slope of log N with magnitude, dust in A_V."""

    stars: float  # brighter than G = 21
    galaxies: float  # in WISE alone
    slope: float
    dust: float


PLACES = {
    "plane": Place(stars=0.02, galaxies=1.0e-3, slope=0.30, dust=3.0),
    "pole": Place(stars=2.5e-4, galaxies=1.1e-3, slope=0.22, dust=0.05),
}


class Field(NamedTuple):
    """X-ray sources with everything that catalogues list around them."""

    sources: Table
    place: Positions
    sigma: np.ndarray
    near: tuple[Near, ...]
    columns: tuple[dict[str, np.ndarray], ...]  # by catalogue: values of its entries
    truth: tuple[np.ndarray, ...]  # by catalogue: row of the counterpart of each source, or -1


def field_around(
    sources: Table, kind: np.ndarray, least_error: float, seed: int, *, counterparts: bool = True
) -> Field:
    """The entries within the radius of each source.

    `kind` names its place. `least_error` is added to the position errors (1 sigma, arcsec), in
    quadrature. Without counterparts, this is what a shifted position sees.
    """
    rng = np.random.default_rng(seed)
    sigma = np.hypot(np.asarray(sources["e_pos"], float), least_error)
    # In the frame of the measured X-ray position, the true one is off by the error.
    true_offset = rng.normal(0, 1, (len(sources), 2)) * sigma[:, None]
    objects = [_stars(rng, kind), _galaxies(rng, kind)]
    if counterparts:
        values = {
            name: np.ma.filled(np.ma.asarray(sources[name], float), np.nan)
            for columns, _ in CATALOGUES.values()
            for name in columns
        }
        objects.insert(0, (np.arange(len(sources)), true_offset, values))
    near, columns, truth = [], [], []
    for name, (names, error) in CATALOGUES.items():
        source, offset, values, is_true = _listed(objects, names, counterparts)
        offset = offset + rng.normal(0, error, offset.shape)
        kept = np.hypot(*offset.T) <= RADIUS
        order = np.flatnonzero(kept)[np.argsort(source[kept], kind="stable")]
        size = len(order)
        columns.append({key: value[order] for key, value in values.items()})
        entries = Entries(
            source=source[order], entry=np.arange(size), offset=offset[order],
            covariance=Covariances(
                xx=np.full(size, error**2), xy=np.zeros(size), yy=np.full(size, error**2)
            ),
        )  # fmt: skip
        near.append(Near(name=name, entries=entries, features=_features(name, columns[-1])))
        row = np.full(len(sources), -1)
        true_rows = np.flatnonzero(is_true[order])
        row[source[order][true_rows]] = true_rows
        truth.append(row)
    place = Positions(ra=np.asarray(sources["ra"], float), dec=np.asarray(sources["dec"], float))
    return Field(
        sources=sources, place=place, sigma=sigma, near=tuple(near), columns=tuple(columns),
        truth=tuple(truth),
    )  # fmt: skip


def covariance(field: Field) -> Covariances:
    """Of the X-ray positions."""
    errors = circles(field.sigma)
    zero = np.zeros_like(errors.major)
    return Covariances(xx=errors.major**2, xy=zero, yy=errors.major**2)


def with_entries(field: Field, source: np.ndarray, members: np.ndarray) -> Table:
    """Rows of the sources with the values of these entries (-1: not listed) as counterpart."""
    rows = field.sources[source].copy()
    for k, columns in enumerate(field.columns):
        for name, values in columns.items():
            member = members[:, k]
            filled = np.append(values, np.nan)[member]  # -1 is the last
            rows[name] = MaskedColumn(filled, mask=np.isnan(filled), unit=field.sources[name].unit)
    return rows


def _features(name: str, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    made = {}
    for feature, names in PRIORS[name].items():
        first, *second = [columns[n] for n in names]
        made[feature] = first - second[0] if second else first
    return made


def _listed(objects: list, names: tuple[str, ...], counterparts: bool) -> tuple:
    """The objects that have any of these columns (the first three, which are magnitudes)."""
    parts = []
    for number, (source, offset, values) in enumerate(objects):
        has = np.isfinite(values[names[0]])
        if names[0] != "g_mag":
            has = np.any([np.isfinite(values[n]) for n in names], axis=0)
        parts.append(
            (
                source[has],
                offset[has],
                {n: values[n][has] for n in names},
                np.full(has.sum(), counterparts and number == 0),
            )
        )
    return (
        np.concatenate([p[0] for p in parts]),
        np.concatenate([p[1] for p in parts]),
        {n: np.concatenate([p[2][n] for p in parts]) for n in names},
        np.concatenate([p[3] for p in parts]),
    )


def _disc(rng: np.random.Generator, kind: np.ndarray, density: str) -> tuple:
    """Objects in a disc around each source, wider than the radius by a few position errors."""
    wide = RADIUS + 2
    number = rng.poisson([getattr(PLACES[k], density) * np.pi * wide**2 for k in kind])
    source = np.repeat(np.arange(len(kind)), number)
    distance = wide * np.sqrt(rng.random(len(source)))
    angle = rng.uniform(0, 2 * np.pi, len(source))
    return source, np.stack([distance * np.sin(angle), distance * np.cos(angle)], 1)


def _stars(rng: np.random.Generator, kind: np.ndarray) -> tuple:
    """Stars with the colours of the simulated coronal stars, behind dust."""
    source, offset = _disc(rng, kind, "stars")
    size = len(source)
    slope = np.array([PLACES[k].slope for k in kind])[source]
    dust = np.array([PLACES[k].dust for k in kind])[source] * rng.random(size)
    g = LIMITS["g"] + np.log10(1 - rng.random(size)) / slope
    own = np.expm1(0.6 * rng.standard_normal(size)) / 0.6

    def colour(mean: float, of_own: float, scatter: float) -> np.ndarray:
        return mean + of_own * own + scatter * rng.standard_normal(size)

    bp_rp = colour(0.98, 0.50, 0.10) + 0.45 * dust
    magnitude, last = {"g": g}, g - EXTINCTION["g"] * dust
    steps = {"j": (1.27, 0.50, 0.12), "h": (0.38, 0.13, 0.08), "k": (0.09, 0.05, 0.03),
             "w1": (0.06, 0.04, 0.05), "w2": (-0.01, 0.04, 0.05),
             "w3": (0.08, 0.1, 0.3)}  # fmt: skip
    for band, numbers in steps.items():
        last = last - colour(*numbers)
        magnitude[band] = last + EXTINCTION[band] * dust
    values = {f"{band}_mag": np.where(m < LIMITS[band], m, np.nan) for band, m in magnitude.items()}
    values["bp_rp"] = np.where(g + 0.6 * bp_rp < LIMITS["bp"], bp_rp, np.nan)
    error = 0.02 + 0.05 * 10 ** (0.35 * (g - 17))
    distance = 2.0 * np.exp(0.7 * rng.standard_normal(size))  # kpc
    values["parallax_snr"] = 1 / distance / error + rng.standard_normal(size)
    values["pm"] = np.hypot(*rng.normal(0, 1, (2, size))) * 30 / (4.74 * distance)
    values["distance"] = 1000 * distance
    return source, offset, values


def _galaxies(rng: np.random.Generator, kind: np.ndarray) -> tuple:
    source, offset = _disc(rng, kind, "galaxies")
    size = len(source)
    values = {name: np.full(size, np.nan) for names, _ in CATALOGUES.values() for name in names}
    values["w1_mag"] = LIMITS["w1"] + np.log10(1 - rng.random(size)) / 0.35
    w2 = values["w1_mag"] - rng.normal(0.25, 0.3, size)
    values["w2_mag"] = np.where(w2 < LIMITS["w2"], w2, np.nan)
    return source, offset, values
