"""Cells of the sky with equal areas (HEALPix), for folds that hold out whole cells."""

import numpy as np
from astropy.table import Table
from jaxtyping import Int

from xbayes.catalog.columns import masked_column
from xbayes.config.schema import CatalogConfig

SIDE_OF_BASE_PIXEL = 58.6323  # degrees: the root of the area of the sphere / 12


def sky_cells(table: Table, roles: CatalogConfig, size: float) -> Int[np.ndarray, "N"] | None:
    """The HEALPix cell of each row; None if the catalogue has no positions.

    Parameters
    ----------
    table
        A table with coordinates in degrees.
    roles
        Names the columns of the coordinates.
    size
        Side of a cell [deg], at most 58.6. The cells have equal areas of about its square.
    """
    if roles.ra is None or roles.dec is None:
        return None
    from astropy import units as u
    from astropy_healpix import lonlat_to_healpix

    ra, dec = (masked_column(table, name) for name in (roles.ra, roles.dec))
    known = ~(np.ma.getmaskarray(ra) | np.ma.getmaskarray(dec))
    if not known.any():
        return None
    n_side = max(1, round(SIDE_OF_BASE_PIXEL / size))
    # A row without a position is a cell of its own.
    cell = -1 - np.arange(len(table), dtype=np.int64)
    lon, lat = (np.asarray(np.ma.getdata(column))[known] * u.deg for column in (ra, dec))
    cell[known] = lonlat_to_healpix(lon, lat, n_side, order="ring")
    return cell
