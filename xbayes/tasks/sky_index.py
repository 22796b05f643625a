"""Where the sources of a catalogue lie on maps of the sky, for quick maps and selections."""

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from xbayes.features.functions import galactic
from xbayes.figures.projection import mollweide

ORDER = 10  # of HEALPix: cells of 3.4 arcmin; the cell of a smaller order is a shift of the bits


def sky_index(ra: Float[np.ndarray, "N"], dec: Float[np.ndarray, "N"]) -> pa.Table:
    """One row for each source with a position.

    Parameters
    ----------
    ra, dec
        Positions in degrees (ICRS); NaN where unknown.

    Returns
    -------
    Columns `row` (of the catalogue, from 0), `ra`, `dec`, `l`, `b` in degrees, `xg`, `yg` and `xe`,
    `ye` on Mollweide maps in Galactic and equatorial coordinates, with x in [-2, 2] falling with
    longitude, and `cell`, the nested HEALPix index of order 10.
    """
    from astropy import units as u
    from astropy_healpix import lonlat_to_healpix

    row = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90))
    ra, dec = ra[row] % 360, dec[row]
    l_deg, b_deg = galactic(ra, dec)
    xg, yg = mollweide(l_deg, b_deg)
    xe, ye = mollweide((ra + 180) % 360 - 180, dec)
    cell = lonlat_to_healpix(ra * u.deg, dec * u.deg, 2**ORDER, order="nested")
    places = {"row": row, "ra": ra, "dec": dec, "l": l_deg % 360, "b": b_deg, "cell": cell}
    return pa.table({**places, "xg": xg, "yg": yg, "xe": xe, "ye": ye})
