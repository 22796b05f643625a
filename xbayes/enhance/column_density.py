"""The step `column_density`: hydrogen in the Galaxy and reddening on the line of sight, from maps.

Where no map is installed or served, the columns are empty (not available), and a note says so.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from jaxtyping import Float

from xbayes.config.enhance import EnhanceCatalogConfig
from xbayes.config.enhance_flux import ColumnDensityConfig, MapConfig
from xbayes.config.enhance_reader import is_set, local_file
from xbayes.enhance.healpix_map import read_healpix
from xbayes.enhance.others import nearest, objects_near
from xbayes.enhance.pairs import Positions
from xbayes.enhance.services import Services
from xbayes.enhance.sky import flat, icrs_positions, numbers_in
from xbayes.enhance.steps import AddedColumn, Made, column_of
from xbayes.errors import InputError

_COLUMNS = {
    "nh": AddedColumn(
        "nh_galactic", "Column density of hydrogen in the Galaxy", "cm-2", "phys.columnDensity"
    ),
    "ebv": AddedColumn(
        "ebv_galactic", "Reddening E(B-V) through the Galaxy", "mag", "phot.color.excess"
    ),
}
_DUSTMAPS = {"sfd": "SFDQuery", "planck": "PlanckQuery", "csfd": "CSFDQuery"}


class ReadColumnDensity:
    """Galactic column density and reddening."""

    name = "column_density"

    def __init__(self, settings: ColumnDensityConfig, catalog: EnhanceCatalogConfig) -> None:
        self.settings = settings
        self.catalog = catalog

    @property
    def maps(self) -> Mapping[str, MapConfig]:
        """The maps that the config names."""
        maps = {"nh": self.settings.nh, "ebv": self.settings.ebv}
        return {name: given for name, given in maps.items() if given is not None}

    def reads(self) -> Sequence[str]:
        """See `Step`."""
        return flat(self.catalog.ra, self.catalog.dec)

    def files(self) -> Sequence[Path]:
        """See `Step`."""
        given = {name: m.file for name, m in self.maps.items() if m.file is not None}
        return [
            local_file(file, f"column_density.{name}.file")
            for name, file in given.items()
            if is_set(file)
        ]

    def columns(self) -> Sequence[AddedColumn]:
        """See `Step`."""
        return [_COLUMNS[name] for name in self.maps]

    def run(self, table: Table, services: Services | None) -> Made:
        """See `Step`."""
        position = icrs_positions(table, self.catalog)
        columns, notes = {}, []
        for name, given in self.maps.items():
            values, note = _values(position, given, f"column_density.{name}", services)
            added = _COLUMNS[name]
            columns[added.name] = column_of(added, values * given.factor)
            notes += [note] if note else []
        return Made(columns=columns, notes=tuple(notes))


def _values(
    position: Positions, given: MapConfig, key: str, services: Services | None
) -> tuple[Float[np.ndarray, "N"], str]:
    """The values of a map at positions, and a note if it is not installed."""
    if given.file is not None and not is_set(given.file):
        note = f"{key}.file is {given.file}, which is not set: not available"
        return np.full(len(position.ra), np.nan), note
    if given.file is not None:
        path = local_file(given.file, f"{key}.file")
        column = None if given.column is None else given.column[0]
        found = read_healpix(path, column, order=given.order, frame=given.frame)
        return found.at(position, interpolate=given.interpolate), ""
    if given.dustmaps is not None:
        return _from_dustmaps(position, given.dustmaps, key)
    n_rows = len(position.ra)
    found = objects_near(
        position, np.where(np.isfinite(position.ra), given.radius_arcsec, np.nan),
        catalogue=given.catalogue, file=None, ra=(), dec=(), key=key, services=services,
    )  # fmt: skip
    best = found.chosen(nearest(found.row, found.separation))
    values = np.full(n_rows, np.nan)
    if len(best.row):
        unit = str(_COLUMNS[key.rpartition(".")[2]].unit)
        values[best.row] = numbers_in(best.table, given.column or (), unit, f"{key}.column")
    return values, ""


def _from_dustmaps(position: Positions, name: str, key: str) -> tuple[Float[np.ndarray, "N"], str]:
    """The values of a map of the package dustmaps; not available if it is not installed."""
    values = np.full(len(position.ra), np.nan)
    if name not in _DUSTMAPS:
        raise InputError(f"{key}.dustmaps: no map {name!r}; maps are {', '.join(_DUSTMAPS)}")
    known = np.isfinite(position.ra)
    try:
        query = getattr(import_module(f"dustmaps.{name}"), _DUSTMAPS[name])()
    except (ImportError, OSError) as error:
        return values, (
            f"the map {name} of dustmaps is not installed ({error}): {key} is not available; "
            f"install it (pip install dustmaps, then its fetch of {name}) and give --again "
            "column_density, or give a file"
        )
    there = SkyCoord(position.ra[known] * u.deg, position.dec[known] * u.deg)
    values[known] = query(there)
    return values, ""
