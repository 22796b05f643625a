"""Positions of simulated sources: isotropic, in the Galactic disc and bulge, in nearby galaxies.

Lengths are in kpc and angles in degrees. Galactic coordinates are those of the Hipparcos catalogue.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.simulate.subclasses import NAMES, stream

# Rows are the galactic axes in ICRS: Hipparcos and Tycho catalogues, vol. 1, eq. 1.5.11.
_GALACTIC = np.array(
    [
        [-0.0548755604, -0.8734370902, -0.4838350155],
        [0.4941094279, -0.4448296300, 0.7469822445],
        [-0.8676661490, -0.1980763734, 0.4559837762],
    ]
)
_SUN = 8.2  # kpc, distance from the Galactic centre
_SCALE_LENGTH = 2.6  # kpc, of the disc
_FAR = 1e5  # kpc, for AGN; only dust in the Galactic disc matters
# Longitude, latitude, radius in degrees, distance in kpc, relative number of observed XRB.
_GALAXIES = {
    "M31": (121.17, -21.57, 0.4, 780, 12),
    "Centaurus A": (309.52, 19.42, 0.12, 3700, 4),
    "M81": (142.09, 40.90, 0.12, 3600, 3),
    "Terzan 5": (3.84, 1.69, 0.02, 5.9, 3),
    "47 Tucanae": (305.89, -44.89, 0.03, 4.5, 2),
    "M33": (133.61, -31.33, 0.25, 850, 2),
    "M83": (314.58, 31.97, 0.08, 4600, 1),
    "M101": (102.04, 59.77, 0.15, 6700, 1),
    "M87": (283.78, 74.49, 0.07, 16500, 1),
    "Omega Centauri": (309.10, 14.97, 0.08, 5.4, 1),
}
# log10 X-ray luminosity (erg/s) in a flux-limited sample, its scatter, and scale height (kpc).
_DISC = {
    "coronal": (29.1, 0.75, 0.40),
    "young": (29.2, 0.5, 0.17),
    "massive": (30.3, 0.6, 0.04),
    "lmxb": (32.1, 0.7, 0.55),
    "hmxb": (33.4, 0.5, 0.12),
    "cv": (31.7, 0.75, 0.18),
}
_BULGE = {"lmxb": 0.35}  # share of the subclass
_LOG_KPC2 = 2 * np.log10(3.0857e21) + np.log10(
    4 * np.pi
)  # log10 of the area (cm2) of a sphere with radius 1 kpc


class Place(NamedTuple):
    """Galactic longitude and latitude in degrees, distance in kpc."""

    longitude: Float[np.ndarray, "N"]
    latitude: Float[np.ndarray, "N"]
    distance: Float[np.ndarray, "N"]


def draw_places(
    subclass: Int[np.ndarray, "N"], log_flux: Float[np.ndarray, "N"], seed: int
) -> Place:
    """The position of each source; a Galactic distance follows from flux and luminosity."""
    place = _isotropic(len(subclass), stream(seed, "isotropic"))
    for name, (luminosity, scatter, height) in _DISC.items():
        rows = subclass == NAMES.index(name)
        rng = stream(seed, f"place {name}")
        _set(place, rows, _in_the_disc(log_flux[rows], luminosity, scatter, height, rng))
    for name, share in _BULGE.items():
        rng = stream(seed, f"bulge {name}")
        rows = (subclass == NAMES.index(name)) & (rng.random(len(subclass)) < share)
        _set(place, rows, _in_the_bulge(int(rows.sum()), rng))
    rows = subclass == NAMES.index("nearby")
    _set(place, rows, _in_galaxies(int(rows.sum()), stream(seed, "place nearby")))
    return place


def equatorial(place: Place) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]]:
    """Right ascension in [0, 360) and declination, ICRS degrees."""
    longitude, latitude = np.radians(place.longitude), np.radians(place.latitude)
    flat = np.cos(latitude)
    galactic = np.stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)])
    x, y, z = _GALACTIC.T @ galactic
    ra = np.degrees(np.arctan2(y, x)) % 360
    # A tiny negative angle rounds to 360 itself.
    return np.where(ra >= 360, 0.0, ra), np.degrees(np.arctan2(z, np.hypot(x, y)))


def extinction(place: Place) -> Float[np.ndarray, "N"]:
    """Visual extinction in magnitudes by a slab of dust, denser towards the Galactic centre."""
    height = np.maximum(np.abs(np.sin(np.radians(place.latitude))), 1e-3)
    depth = 0.12 * -np.expm1(-np.minimum(place.distance, 25) * height / 0.12) / height
    inward = depth * np.cos(np.radians(place.longitude)) * np.cos(np.radians(place.latitude))
    return np.minimum(0.6 * depth * np.exp(np.clip(inward / 2, -2.5, 4) / 3.5), 40)


def _set(place: Place, rows: Bool[np.ndarray, "N"], part: Place) -> None:
    for whole, values in zip(place, part, strict=True):
        whole[rows] = values


def _isotropic(number: int, rng: np.random.Generator) -> Place:
    latitude = np.degrees(np.arcsin(rng.uniform(-1, 1, number)))
    longitude = rng.uniform(0, 360, number)
    return Place(longitude=longitude, latitude=latitude, distance=np.full(number, _FAR))


def _in_the_disc(
    log_flux: Float[np.ndarray, "M"],
    luminosity: float,
    scatter: float,
    height: float,
    rng: np.random.Generator,
) -> Place:
    """An exponential disc seen from the Sun, near enough for its local gradient to suffice."""
    number = len(log_flux)
    log_distance = (rng.normal(luminosity, scatter, number) - log_flux - _LOG_KPC2) / 2
    distance = np.clip(10**log_distance, 0.01, 8)
    # At a given distance, sin |b| is exponential with scale height / distance, cut at the pole.
    scale = height / distance
    sine = -scale * np.log1p(rng.random(number) * np.expm1(-1 / scale))
    latitude = np.degrees(np.arcsin(np.minimum(sine, 1))) * rng.choice([-1, 1], number)
    # At a given distance and latitude, exp(-R / scale length) is a von Mises law in longitude.
    towards = distance * np.cos(np.radians(latitude)) / _SCALE_LENGTH
    longitude = np.degrees(rng.vonmises(0, towards)) % 360
    return Place(longitude=longitude, latitude=latitude, distance=distance)


def _in_the_bulge(number: int, rng: np.random.Generator) -> Place:
    x, y, z = rng.normal(0, 1, (3, number)) * np.array([[1.2], [0.9], [0.6]])
    x = _SUN - x
    flat = np.hypot(x, y)
    return Place(
        longitude=np.degrees(np.arctan2(y, x)) % 360,
        latitude=np.degrees(np.arctan2(z, flat)),
        distance=np.hypot(flat, z),
    )


def _in_galaxies(number: int, rng: np.random.Generator) -> Place:
    table = np.array(list(_GALAXIES.values()))
    chosen = table[rng.choice(len(table), number, p=table[:, 4] / table[:, 4].sum())]
    longitude, latitude, radius, distance, _ = chosen.T
    offset = rng.normal(0, 0.5, (2, number)) * radius
    latitude = np.clip(latitude + offset[0], -90, 90)
    longitude = longitude + offset[1] / np.maximum(np.cos(np.radians(latitude)), 0.02)
    return Place(longitude=longitude % 360, latitude=latitude, distance=distance.copy())
