"""Parts of the sky as MOCs: from a file, from the MOC server of CDS, or the whole sky."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from jaxtyping import Bool

from xbayes.config.enhance_reader import local_file
from xbayes.enhance.pairs import Positions
from xbayes.enhance.services import Services
from xbayes.errors import InputError

if TYPE_CHECKING:
    from mocpy import MOC

ALL_SKY = "allsky"


def moc_files(file: str | None, key: str) -> list[Path]:
    """The file of a MOC, if it is a local one."""
    return [] if file is None else [local_file(file, key)]


def covered(
    position: Positions,
    *,
    moc: str | None,
    file: str | None,
    key: str,
    services: Services | None,
) -> Bool[np.ndarray, "N"]:
    """Whether a MOC covers each position; false where the position is unknown.

    Parameters
    ----------
    position
        In degrees (ICRS).
    moc, file
        Name at the MOC server of CDS or `allsky`, or the path of a file; one of them.
    key
        Dotted key of the config, for messages.
    services
        Archives; needed for a name.

    Raises
    ------
    InputError
        For a file that is no MOC, and a MOC that is not to be had.
    """
    known = np.isfinite(position.ra)
    if moc == ALL_SKY:
        return known
    region = read_moc(local_file(str(file), f"{key}.file")) if file is not None else None
    if region is None:
        region = _served(str(moc), key, services)
    inside = np.zeros(len(known), bool)
    if known.any():
        ra, dec = position.ra[known] * u.deg, position.dec[known] * u.deg
        inside[known] = region.contains_lonlat(ra, dec)
    return inside


def read_moc(path: Path) -> "MOC":
    """The MOC in a file: FITS, JSON or text. Raises InputError if it is none."""
    from mocpy import MOC

    problems = []
    kinds = {".json": ("json",), ".txt": ("ascii",)}.get(
        path.suffix.lower(), ("fits", "json", "ascii")
    )
    for kind in kinds:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                region = MOC.load(path, format=kind)
        except Exception as error:  # of whatever type, for a file that is something else
            problems.append(f"{kind}: {str(error).splitlines()[0] if str(error) else error!r}")
            continue
        if len(region.uniq_hpx):
            return region
        problems.append(f"{kind}: it is empty")
    raise InputError(f"{path} is no MOC ({'; '.join(problems)}); give a FITS, JSON or text MOC")


def _served(name: str, key: str, services: Services | None) -> "MOC":
    from mocpy import MOC

    if services is None:
        raise InputError(f"{key}.moc: {name!r} needs the network; give a file instead")
    cells = np.asarray(services.moc(name)["uniq"], dtype=np.uint64)
    if not len(cells):
        raise InputError(
            f"{key}.moc: the MOC server has no MOC {name!r}; correct the name, or give a file"
        )
    order = (np.log2(cells.astype(float) / 4).astype(int)) // 2
    pixels = cells - 4 * (np.uint64(4) ** order.astype(np.uint64))
    return MOC.from_healpix_cells(pixels, order.astype(np.uint8), int(order.max()))
