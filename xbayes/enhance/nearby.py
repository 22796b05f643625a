"""The entries of catalogues around the sources."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.enhance.associations import Entries
from xbayes.enhance.pairs import (
    Covariances,
    Ellipses,
    Positions,
    covariances,
    find_pairs,
    offsets,
    unit_vectors,
)

ARCSEC2_PER_DEG2 = 3600.0**2


class Sky(NamedTuple):
    """A table of positions with errors, and the magnitudes and colours that may serve as priors."""

    name: str
    place: Positions
    errors: Ellipses
    area: float | None = None  # square degrees that the table covers
    features: Mapping[str, Float[np.ndarray, "N"]] = {}


class Near(NamedTuple):
    """The entries of one catalogue around the sources, and what is known of its field."""

    name: str
    entries: Entries
    features: Mapping[str, Float[np.ndarray, "P"]] = {}
    area: float | None = None  # arcsec^2 of the whole table; None: densities from the surroundings
    total: int = 0  # entries of the whole table, if its area is known
    field: Mapping[str, Float[np.ndarray, "_"]] = {}  # features of its entries near no source


def near(sources: Sky, catalogue: Sky, radius: float | int | np.ndarray) -> Near:
    """The entries of a local table within the radius (arcsec, a number or one per source)."""
    pairs = find_pairs(sources.place, catalogue.place, radius)
    entries = entries_of(
        sources.place,
        pairs.first,
        pairs.second,
        catalogue.place.rows(pairs.second),
        catalogue.errors.rows(pairs.second),
    )
    alone = np.ones(len(catalogue.place.ra), bool)
    alone[pairs.second] = False
    return Near(
        name=catalogue.name,
        entries=entries,
        features={name: v[pairs.second] for name, v in catalogue.features.items()},
        area=None if catalogue.area is None else catalogue.area * ARCSEC2_PER_DEG2,
        total=len(catalogue.place.ra),
        field={name: v[alone] for name, v in catalogue.features.items()},
    )


def entries_of(
    sources: Positions,
    source: Int[np.ndarray, "P"],
    entry: Int[np.ndarray, "P"],
    place: Positions,
    errors: Ellipses,
) -> Entries:
    """Entries from their places; `source` must rise."""
    origin = sources.rows(source)
    return Entries(
        source=source,
        entry=entry,
        offset=offsets(origin, place),
        covariance=covariances(errors, place, origin),
    )


def source_covariances(place: Positions, errors: Ellipses) -> Covariances:
    """The errors of the sources in their own tangent planes; unit circles without a position."""
    known = np.isfinite(unit_vectors(place)).all(1)
    origin = Positions(ra=np.where(known, place.ra, 0.0), dec=np.where(known, place.dec, 0.0))
    return covariances(errors, origin, origin)


def around_some(catalogue: Near, rows: Bool[np.ndarray, "N"]) -> Near:
    """The entries around some of the sources, which are counted anew."""
    kept = rows[catalogue.entries.source]
    number = np.cumsum(rows) - 1
    entries = catalogue.entries
    return catalogue._replace(
        entries=Entries(
            source=number[entries.source[kept]],
            entry=entries.entry[kept],
            offset=entries.offset[kept],
            covariance=entries.covariance.rows(kept),
        ),
        features={name: value[kept] for name, value in catalogue.features.items()},
    )
