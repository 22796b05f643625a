"""Values of a HEALPix map in a FITS file, at positions."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from astropy import units as u
from astropy.io import fits
from jaxtyping import Float

from xbayes.config.checks import did_you_mean
from xbayes.enhance.pairs import Positions
from xbayes.enhance.sky import galactic_of
from xbayes.errors import InputError

UNSEEN = -1.6375e30  # of pixels without a value, by the convention of HEALPix
_FRAMES = {
    "G": "galactic",
    "GALACTIC": "galactic",
    "C": "icrs",
    "ICRS": "icrs",
    "EQUATORIAL": "icrs",
}


class HealpixMap(NamedTuple):
    """A map of the whole sky."""

    values: Float[np.ndarray, "M"]  # NaN where it has none
    order: str  # ring or nested
    frame: str  # galactic or icrs

    def at(self, position: Positions, *, interpolate: bool) -> Float[np.ndarray, "N"]:
        """The values at positions; NaN where the map or the position has none.

        With `interpolate`, the mean of the four nearest pixels weighted by their distance; a pixel
        without a value counts nothing.
        """
        from astropy_healpix import HEALPix, npix_to_nside

        pixels: Any = HEALPix(nside=npix_to_nside(len(self.values)), order=self.order)
        known = np.isfinite(position.ra)
        longitude, latitude = position.ra, position.dec
        if self.frame == "galactic":
            longitude, latitude = galactic_of(position)
        place = (longitude[known] * u.deg, latitude[known] * u.deg)
        found = np.full(len(known), np.nan)
        if not known.any():
            return found
        if not interpolate:
            found[known] = self.values[pixels.lonlat_to_healpix(*place)]
            return found
        index, weight = pixels.bilinear_interpolation_weights(*place)
        value = self.values[index]
        weight = np.where(np.isfinite(value), weight, 0.0)
        total = weight.sum(0)
        mean = np.where(weight > 0, value * weight, 0.0).sum(0)
        found[known] = np.divide(mean, total, out=np.full_like(total, np.nan), where=total > 0)
        return found


def read_healpix(
    path: Path, column: str | None, *, order: str | None = None, frame: str | None = None
) -> HealpixMap:
    """The map in a FITS file, with one value or several pixels a row.

    Parameters
    ----------
    path
        The file.
    column
        The column of the map; None: the only one, or the first.
    order, frame
        Order of the pixels and frame, where the file does not say or says it wrong.

    Raises
    ------
    InputError
        For a file that is no HEALPix map of the whole sky.
    """
    try:
        with fits.open(path) as hdus:
            tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
            if not tables:
                raise InputError(f"{path} holds no table; give a HEALPix map in a FITS table")
            header, data = tables[0].header, tables[0].data
            of_table: Any = tables[0].columns
            names: list[str] = list(of_table.names)
            name = names[0] if column is None else column
            if name not in names:
                raise InputError(
                    f"{path} has no column {name!r}{did_you_mean(name, names)}; name another "
                    "under column"
                )
            values = np.asarray(data[name], dtype=np.float64).ravel()
    except (OSError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot read {path} as FITS: {error}; fetch it again") from error
    n_side = np.sqrt(len(values) / 12)
    if n_side != int(n_side) or not len(values):
        raise InputError(
            f"{path}, column {name!r}, has {len(values)} values; a HEALPix map of the whole sky "
            "has 12 nside^2; give such a map"
        )
    order = order or str(header.get("ORDERING", "")).strip().lower()
    order = "nested" if order in ("nested", "nest") else order
    if order not in ("ring", "nested"):
        raise InputError(f"{path} does not say the order of its pixels; set order: ring or nested")
    coordsys = str(header.get("COORDSYS", "")).strip().upper()
    frame = frame or _FRAMES.get(coordsys, "galactic")
    values = np.where(np.isfinite(values) & (values > 0.99 * UNSEEN), values, np.nan)
    return HealpixMap(values=values, order=order, frame=frame)
