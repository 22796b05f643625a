"""Pairs of positions that are close on the sphere, and their separation over its error.

Everything is computed with unit vectors, so the poles and right ascension 0 are no special places.
Angles are in degrees (ICRS), separations and errors in arcsec.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from xbayes.errors import InputError

ARCSEC = np.pi / 180 / 3600
_ROUNDING = 1e-15  # of the coordinates of a unit vector


class Positions(NamedTuple):
    """Right ascension and declination in degrees; NaN where unknown."""

    ra: Float[np.ndarray, "N"]
    dec: Float[np.ndarray, "N"]

    def rows(self, chosen: np.ndarray) -> "Positions":
        """Some of the positions: a mask or their indices."""
        return Positions(ra=self.ra[chosen], dec=self.dec[chosen])


class Ellipses(NamedTuple):
    """1 sigma error ellipses: semi-axes in arcsec, position angle in degrees east of north.

    The angle is that of the major axis. A circle has equal semi-axes and any angle.
    """

    major: Float[np.ndarray, "N"]
    minor: Float[np.ndarray, "N"]
    angle: Float[np.ndarray, "N"]

    def rows(self, chosen: np.ndarray) -> "Ellipses":
        """Some of the ellipses: a mask or their indices."""
        return Ellipses(
            major=self.major[chosen], minor=self.minor[chosen], angle=self.angle[chosen]
        )


class Pairs(NamedTuple):
    """Pairs of rows, in order of the first and then the second row."""

    first: Int[np.ndarray, "P"]
    second: Int[np.ndarray, "P"]
    separation: Float[np.ndarray, "P"]  # arcsec


class Covariances(NamedTuple):
    """Covariances in the tangent plane, in arcsec^2; x is east and y is north."""

    xx: Float[np.ndarray, "P"]
    xy: Float[np.ndarray, "P"]
    yy: Float[np.ndarray, "P"]

    def plus(self, other: "Covariances") -> "Covariances":
        """The covariance of a sum of independent errors."""
        return Covariances(xx=self.xx + other.xx, xy=self.xy + other.xy, yy=self.yy + other.yy)

    def rows(self, chosen: np.ndarray) -> "Covariances":
        """Some of the covariances: a mask or their indices."""
        return Covariances(xx=self.xx[chosen], xy=self.xy[chosen], yy=self.yy[chosen])


def circles(sigma: Float[np.ndarray, "N"]) -> Ellipses:
    """Circular errors of this standard deviation per axis in arcsec."""
    return Ellipses(major=sigma, minor=sigma, angle=np.zeros_like(sigma))


def positions(ra: np.ndarray, dec: np.ndarray, *, name: str = "the table") -> Positions:
    """Positions in degrees, checked; infinite values and masked ones become NaN.

    Raises
    ------
    InputError
        For declinations outside -90 to 90, and right ascensions outside -360 to 720.
    """
    angles = [
        np.ma.filled(np.ma.masked_invalid(np.ma.asarray(a, float)), np.nan) for a in (ra, dec)
    ]
    place = Positions(ra=angles[0], dec=angles[1])
    if place.ra.shape != place.dec.shape:
        raise InputError(
            f"{name} has {len(place.ra)} right ascensions and {len(place.dec)} declinations; give "
            "one of each per row"
        )
    wrong = np.abs(place.dec) > 90
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        swapped = " (are right ascension and declination swapped?)"
        hint = swapped if not np.any(np.abs(place.ra) > 90) else ""
        raise InputError(
            f"{int(wrong.sum())} declinations of {name} are outside -90 to 90 deg, such as "
            f"{place.dec[row]:g} in row {row + 1}{hint}; correct the columns, or their unit"
        )
    wrong = (place.ra < -360) | (place.ra > 720)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{int(wrong.sum())} right ascensions of {name} are not angles in degrees, such as "
            f"{place.ra[row]:g} in row {row + 1}; correct the column, or its unit"
        )
    return place


def unit_vectors(place: Positions) -> Float[np.ndarray, "N 3"]:
    """The directions of the positions."""
    ra, dec = np.deg2rad(place.ra), np.deg2rad(place.dec)
    flat = np.cos(dec)
    return np.stack([flat * np.cos(ra), flat * np.sin(ra), np.sin(dec)], 1)


def find_pairs(first: Positions, second: Positions, radius: float | int | np.ndarray) -> Pairs:
    """All pairs of a row of the first and a row of the second table within the radius.

    Parameters
    ----------
    first, second
        Positions in degrees; rows with NaN are in no pair.
    radius
        In arcsec, at most 180 degrees: a number, or one number per row of the first table, of which
        NaN means no pair.

    Raises
    ------
    InputError
        For a negative or too large radius, and for a number of radii other than that of rows.
    """
    radii = _checked_radii(radius, len(first.ra))
    at_first, at_second = unit_vectors(first), unit_vectors(second)
    known_first = np.isfinite(at_first).all(1) & np.isfinite(radii)
    known_second = np.flatnonzero(np.isfinite(at_second).all(1))
    found = []
    if len(known_second):
        tree = _tree(at_second[known_second])
        for rows in _alike(radii, known_first):
            chord = 2 * np.sin(radii[rows].max() * ARCSEC / 2) * (1 + 1e-12) + _ROUNDING
            near = _tree(at_first[rows]).sparse_distance_matrix(tree, chord, output_type="ndarray")
            separation = 2 * np.arcsin(np.minimum(near["v"] / 2, 1)) / ARCSEC
            row = rows[near["i"]]
            kept = separation <= radii[row]
            found.append((row[kept], known_second[near["j"][kept]], separation[kept]))
    if not found:
        none = np.zeros(0, np.int64)
        return Pairs(first=none, second=none, separation=np.zeros(0))
    rows, others, separation = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((others, rows))
    return Pairs(
        first=rows[order].astype(np.int64),
        second=others[order].astype(np.int64),
        separation=separation[order],
    )


def offsets(origin: Positions, place: Positions) -> Float[np.ndarray, "P 2"]:
    """How far east and north of its origin each position is, in arcsec.

    The plane is the azimuthal equidistant one: the length of the offset is the separation.
    """
    east, north = _tangents(origin)
    towards = unit_vectors(place) - unit_vectors(origin)
    plane = np.stack([(towards * east).sum(1), (towards * north).sum(1)], 1)
    chord = np.sqrt((towards**2).sum(1))
    separation = 2 * np.arcsin(np.minimum(chord / 2, 1))
    length = np.hypot(plane[:, 0], plane[:, 1])
    stretch = np.divide(separation, length, out=np.ones_like(length), where=length > 0)
    return plane * (stretch / ARCSEC)[:, None]


def moved(place: Positions, offset: Float[np.ndarray, "P 2"]) -> Positions:
    """The positions that are so far east and north (arcsec) of these, along great circles."""
    east, north = _tangents(place)
    way = (offset[:, :1] * east + offset[:, 1:] * north) * ARCSEC
    length = np.sqrt((way**2).sum(1))[:, None]
    x, y, z = (np.cos(length) * unit_vectors(place) + np.sinc(length / np.pi) * way).T
    return Positions(
        ra=np.degrees(np.arctan2(y, x)) % 360, dec=np.degrees(np.arctan2(z, np.hypot(x, y)))
    )


def covariances(ellipses: Ellipses, place: Positions, origin: Positions) -> Covariances:
    """The error ellipses of positions as covariances in the tangent plane of their origins.

    Near a pole, north at the position is another direction than north at the origin: the axes are
    carried as vectors.
    """
    east, north = _tangents(place)
    angle = np.deg2rad(np.where(ellipses.major == ellipses.minor, 0.0, ellipses.angle))
    axis = np.sin(angle)[:, None] * east + np.cos(angle)[:, None] * north
    origin_east, origin_north = _tangents(origin)
    x, y = (axis * origin_east).sum(1), (axis * origin_north).sum(1)
    length = np.hypot(x, y)
    x, y = x / length, y / length
    major, minor = ellipses.major**2, ellipses.minor**2
    return Covariances(
        xx=major * x**2 + minor * y**2,
        xy=(major - minor) * x * y,
        yy=major * y**2 + minor * x**2,
    )


def normalised_separations(
    offset: Float[np.ndarray, "P 2"], covariance: Covariances
) -> Float[np.ndarray, "P"]:
    """Separations over their error (Mahalanobis distances): sqrt(d' C^-1 d)."""
    x, y = offset.T
    determinant = covariance.xx * covariance.yy - covariance.xy**2
    square = covariance.yy * x**2 - 2 * covariance.xy * x * y + covariance.xx * y**2
    return np.sqrt(square / determinant)


def separations_over_error(
    pairs: Pairs,
    first: Positions,
    second: Positions,
    first_errors: Ellipses,
    second_errors: Ellipses,
) -> Float[np.ndarray, "P"]:
    """The normalised separation of each pair, from the error ellipses of both tables."""
    origin, place = first.rows(pairs.first), second.rows(pairs.second)
    both = covariances(first_errors.rows(pairs.first), origin, origin).plus(
        covariances(second_errors.rows(pairs.second), place, origin)
    )
    return normalised_separations(offsets(origin, place), both)


def _tangents(place: Positions) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N 3"]]:
    """Unit vectors towards east and north."""
    ra, dec = np.deg2rad(place.ra), np.deg2rad(place.dec)
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], 1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], 1)
    return east, north


def _tree(at: Float[np.ndarray, "N 3"]):
    """A tree that is quick to build, also where many rows have the same position."""
    from scipy.spatial import KDTree

    return KDTree(at, leafsize=16, balanced_tree=False, compact_nodes=False)


def _alike(radii: Float[np.ndarray, "N"], known: np.ndarray) -> Iterator[Int[np.ndarray, "M"]]:
    """Groups of rows whose radii differ by less than a factor of 2, which limits wasted pairs."""
    rows = np.flatnonzero(known)
    octave = np.floor(np.log2(np.maximum(radii[rows], 1e-3))).astype(int)
    for value in np.unique(octave):
        yield rows[octave == value]


def _checked_radii(radius: float | int | np.ndarray, n_rows: int) -> Float[np.ndarray, "N"]:
    radii = np.ma.filled(np.ma.asarray(radius, float), np.nan)
    if radii.ndim and radii.shape != (n_rows,):
        raise InputError(
            f"there are {radii.size} radii for {n_rows} rows of the first table; give one radius, "
            "or one per row"
        )
    wrong = radii[(radii < 0) | (radii > 180 * 3600)]
    if wrong.size or (not radii.ndim and not np.isfinite(radii)):
        found = float(wrong.flat[0]) if wrong.size else float(radii)
        raise InputError(f"a search radius must be from 0 to 648000 arcsec; found {found:g}")
    return np.broadcast_to(radii, (n_rows,))
