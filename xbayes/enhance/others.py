"""Objects of another table near the positions of a catalogue: of a local file, or of VizieR."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from astropy.table import Table, vstack
from jaxtyping import Float, Int

from xbayes.catalog.columns import subset
from xbayes.catalog.read import read_catalog
from xbayes.config.enhance_reader import local_file
from xbayes.config.enhance_tables import Names
from xbayes.enhance.pairs import Positions, find_pairs
from xbayes.enhance.services import Services
from xbayes.enhance.sky import degrees_of
from xbayes.errors import InputError


class Others(NamedTuple):
    """The objects within the radius of each row; one entry a pair, in order of the rows."""

    row: Int[np.ndarray, "P"]
    separation: Float[np.ndarray, "P"]  # arcsec
    table: Table  # the columns of the other table, P rows

    def chosen(self, which: np.ndarray) -> "Others":
        """Some of the pairs: a mask or their indices."""
        return Others(
            row=self.row[which],
            separation=self.separation[which],
            table=subset(self.table, None, which),
        )


def nearest(row: Int[np.ndarray, "P"], separation: Float[np.ndarray, "P"]) -> Int[np.ndarray, "M"]:
    """The index of the nearest entry of each row that has one, in order of the rows."""
    order = np.lexsort((separation, row))
    _, first = np.unique(row[order], return_index=True)
    return order[first]


def local_objects(
    position: Positions,
    radius: Float[np.ndarray, "N"],
    table: Table,
    ra: Names,
    dec: Names,
    key: str,
) -> Others:
    """The objects of a table in memory within the radius (arcsec) of each row."""
    pairs = find_pairs(position, degrees_of(table, ra, dec, key=key), radius)
    return Others(
        row=pairs.first,
        separation=pairs.separation,
        table=subset(table, None, pairs.second),
    )


def read_file(file: str, key: str) -> Table:
    """The table in a local file that the config names."""
    return read_catalog(local_file(file, f"{key}.file"))


def objects_near(
    position: Positions,
    radius: Float[np.ndarray, "N"],
    *,
    catalogue: str | None,
    file: str | None,
    ra: Names,
    dec: Names,
    key: str,
    services: Services | None,
) -> Others:
    """The objects within the radius (arcsec) of each row, of a local file or of VizieR.

    Parameters
    ----------
    position
        In degrees (ICRS).
    radius
        In arcsec; NaN where nothing is searched.
    catalogue, file
        Table of VizieR, or path of a file; one of them.
    ra, dec
        Columns of the positions in the file.
    key
        Dotted key of the config, for messages.
    services
        Archives; needed for a table of VizieR.

    Raises
    ------
    InputError
        For a file that cannot be used, and an answer that is not to be had.
    """
    if file is not None:
        return local_objects(position, radius, read_file(file, key), ra, dec, key)
    if services is None:
        raise InputError(f"{key}.catalogue needs the network; give a file instead")
    return from_service(
        position,
        radius,
        lambda sent, limit: services.crossmatch(sent, str(catalogue), limit),
        "angDist",
    )


def from_service(
    position: Positions,
    radius: Float[np.ndarray, "N"],
    ask: Callable[[Table, float], Table],
    separation: str,
) -> Others:
    """The objects that a service finds within the radius (arcsec) of each row.

    Parameters
    ----------
    ask
        Gives the objects around positions (`row`, `ra`, `dec`) within one radius.
    separation
        Name of its column of separations in arcsec.
    """
    answers = []
    for rows in _alike(position, radius):
        sent = Table({"row": rows, "ra": position.ra[rows], "dec": position.dec[rows]})
        answers.append(ask(sent, float(radius[rows].max())))
    if not answers:
        return Others(row=np.zeros(0, int), separation=np.zeros(0), table=Table())
    found = vstack(answers, metadata_conflicts="silent") if len(answers) > 1 else answers[0]
    row = np.asarray(found["row"], dtype=int)
    distance = np.asarray(found[separation], dtype=float)
    kept = distance <= radius[row]
    order = np.flatnonzero(kept)[np.lexsort((distance[kept], row[kept]))]
    found.remove_columns(["row", separation])
    return Others(row=row[order], separation=distance[order], table=subset(found, None, order))


def _alike(position: Positions, radius: Float[np.ndarray, "N"]) -> Iterator[np.ndarray]:
    """Groups of rows whose radii differ by less than a factor of 2, as a service takes one."""
    rows = np.flatnonzero(np.isfinite(position.ra) & (radius > 0))
    octave = np.floor(np.log2(radius[rows])).astype(int)
    for value in np.unique(octave):
        yield rows[octave == value]
