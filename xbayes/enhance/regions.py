"""Regions of the sky that are fetched: all of it, a cone, or a MOC, in cells of HEALPix."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from astropy import units as u
from astropy.coordinates import Angle, Latitude, Longitude, SkyCoord, angular_separation
from jaxtyping import Bool, Float

from xbayes.errors import InputError

if TYPE_CHECKING:
    from mocpy import MOC

DEEPEST = 14  # order of HEALPix with cells of 13 arcsec
CELLS = 48  # about so many cover a region before any is split
_FORMS = '"M31 0.5deg", "10.68 41.27 0.5" (degrees) or "00:42:44.3 +41:16:09 30arcmin"'


class Cone(NamedTuple):
    """A circle on the sky, in degrees (ICRS)."""

    ra: float
    dec: float
    radius: float

    def adql(self, ra: str, dec: str) -> str:
        """The condition that the position in two columns is inside."""
        numbers = ", ".join(map(_plain, self))
        return f"1 = CONTAINS(POINT('ICRS', {ra}, {dec}), CIRCLE('ICRS', {numbers}))"


class Region(NamedTuple):
    """A part of the sky; without cone and MOC it is the whole."""

    cone: Cone | None = None
    moc: "MOC | None" = None

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole sky."""
        return self.cone is None and self.moc is None

    def cells(self) -> list["Cell"]:
        """Cells of HEALPix that cover the region, about `CELLS`."""
        share = 1.0  # of the sky
        if self.cone is not None:
            share = (1 - np.cos(np.radians(self.cone.radius))) / 2
        elif self.moc is not None:
            share = self.moc.sky_fraction
        order = int(np.clip(np.log(CELLS / 12 / max(share, 1e-18)) / np.log(4), 0, DEEPEST))
        cover = self._cover(order)
        if cover is None:
            return [Cell(order, pixel) for pixel in range(12 * 4**order)]
        if cover.max_order > order:
            cover = cover.degrade_to_order(order)
        elif cover.max_order < order:
            cover = cover.refine_to_order(order)
        return [Cell(order, int(pixel)) for pixel in cover.flatten()]

    def overlaps(self, cell: "Cell") -> bool:
        """Whether the cell and the region share a part of the sky."""
        cover = self._cover(cell.order)
        return cover is None or not cover.intersection(cell.moc()).empty()

    def contains(self, ra: Float[np.ndarray, "N"], dec: Float[np.ndarray, "N"]) -> Bool[
        np.ndarray, "N"
    ]:  # fmt: skip
        """Whether positions are inside the MOC; the service selects by a cone itself."""
        if self.moc is None:
            return np.ones(len(ra), bool)
        return np.asarray(self.moc.contains_lonlat(ra * u.deg, dec * u.deg), bool)

    def _cover(self, order: int) -> "MOC | None":
        """A MOC of this order that covers the region; None for the whole sky."""
        from mocpy import MOC

        if self.cone is None:
            return self.moc
        return MOC.from_cone(
            Longitude(self.cone.ra, "deg"), Latitude(self.cone.dec, "deg"),
            radius=Angle(self.cone.radius, "deg"), max_depth=order,
        )  # fmt: skip


class Cell(NamedTuple):
    """A cell of HEALPix, in the nested scheme."""

    order: int
    pixel: int

    def split(self) -> list["Cell"]:
        """The four cells of the next order in it."""
        return [Cell(self.order + 1, 4 * self.pixel + child) for child in range(4)]

    def moc(self) -> "MOC":
        """The cell as a MOC."""
        from mocpy import MOC

        pixel, order = np.array([self.pixel], np.uint64), np.array([self.order], np.uint8)
        return MOC.from_healpix_cells(pixel, order, self.order)

    def circle(self) -> Cone:
        """A circle around the cell, slightly larger than needed."""
        grid = self._grid()
        centre = _radians(grid.healpix_to_lonlat([self.pixel]))
        edge = _radians(grid.boundaries_lonlat([self.pixel], step=16))
        radius = np.degrees(np.max(angular_separation(*centre, *edge)))
        ra, dec = np.degrees(centre)[:, 0]
        return Cone(ra=float(ra), dec=float(dec), radius=float(1.01 * radius))

    def contains(self, ra: Float[np.ndarray, "N"], dec: Float[np.ndarray, "N"]) -> Bool[
        np.ndarray, "N"
    ]:  # fmt: skip
        """Whether positions are in the cell. Each position is in one cell of an order."""
        pixels = np.asarray(self._grid().lonlat_to_healpix(ra * u.deg, dec * u.deg))
        return np.equal(pixels, self.pixel)

    def _grid(self):
        from astropy_healpix import HEALPix

        return HEALPix(2**self.order, order="nested")


def parse_cone(text: str, resolve: Callable[[str], tuple[float, float]]) -> Cone:
    """The cone in a text: a name or a position, and a radius.

    Parameters
    ----------
    text
        Such as "M31 0.5deg", "10.68 41.27 0.5" (degrees) or "00:42:44.3 +41:16:09 30arcmin".
    resolve
        Gives right ascension and declination of a name, in degrees (ICRS).

    Raises
    ------
    InputError
        If the text is no cone.
    """
    words = re.sub(r"(?<=\d)\s+(?=(?:deg|arcmin|arcsec)\w*$)", "", text.strip()).split()
    if len(words) < 2:
        raise InputError(
            f"--cone needs a name or a position, and a radius: {_FORMS}; found {text!r}"
        )
    radius = _radius(words[-1], text)
    place = " ".join(words[:-1])
    position = _position(place, text)
    ra, dec = resolve(place) if position is None else position
    return Cone(ra % 360, dec, radius)


def _radius(word: str, text: str) -> float:
    number = re.fullmatch(r"[0-9.]+(e[+-]?\d+)?", word, re.IGNORECASE)
    try:
        radius = float(word) if number else float(np.asarray(Angle(word).to_value("deg")))
    except ValueError:
        raise InputError(
            f"--cone {text!r}: {word!r} is no radius, such as 0.5deg or 30arcmin; write {_FORMS}"
        ) from None
    if not 0 < radius <= 90:
        raise InputError(f"--cone {text!r}: the radius must be above 0 and up to 90 deg")
    return radius


def _position(place: str, text: str) -> tuple[float, float] | None:
    """The position, if it is one and no name."""
    if not re.match(r"[+-]?\d", place) or not re.search(r"\d[dsm\"']?$", place):
        return None
    words = place.split()
    if len(words) == 2 and all(re.fullmatch(r"[+-]?[0-9.]+", word) for word in words):
        ra, dec = map(float, words)
        if not (0 <= ra <= 360 and -90 <= dec <= 90):
            raise InputError(
                f"--cone {text!r}: right ascension goes from 0 to 360 and declination from -90 to "
                "90 deg; are they swapped?"
            )
        return ra, dec
    if len(words) not in (2, 6):
        return None
    try:
        there = SkyCoord(place, unit=(u.hourangle, u.deg))
    except ValueError:
        return None  # a name that begins with a number, such as 47 Tuc
    ra, dec = np.degrees(_radians((there.ra, there.dec)))[:, 0]
    return float(ra), float(dec)


def _radians(angles: Sequence[Any]) -> np.ndarray:
    """Two angles of astropy as an array [2, ...]."""
    return np.array([np.ravel(angle.to_value("rad")) for angle in angles])


def _plain(number: float) -> str:
    """A number as ADQL reads it everywhere, without an exponent."""
    return f"{number:.9f}".rstrip("0").rstrip(".")
