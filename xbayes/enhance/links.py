"""Links between the sources of two catalogues; a link that could be another one is dropped."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.enhance.pairs import Positions, unit_vectors


class Links(NamedTuple):
    """Which pairs of entries are of one source, and which sources had a doubtful link."""

    kept: Bool[np.ndarray, "P"]
    ambiguous: Bool[np.ndarray, "S"]  # sources of the first catalogue that lost a link


def unambiguous(
    source: Int[np.ndarray, "P"],
    other: Int[np.ndarray, "P"],
    deviation: Float[np.ndarray, "P"],
    n_sources: int,
    *,
    sigma: float,
    ambiguous_sigma: float,
) -> Links:
    """The links within `sigma` whose ends have no other partner within `ambiguous_sigma`.

    Parameters
    ----------
    source, other
        Numbers of the sources of both catalogues in each pair. A pair of sources with several
        detections may be given several times; the nearest counts.
    deviation
        Separation of each pair over its error.
    n_sources
        Number of sources of the first catalogue.
    sigma, ambiguous_sigma
        Largest deviation of a link, and of another partner that makes it ambiguous.
    """
    near = deviation <= ambiguous_sigma
    both = np.unique(np.stack([source[near], other[near]], 1), axis=0)
    n_others = int(other.max()) + 1 if len(other) else 0
    partners = np.bincount(both[:, 0], minlength=n_sources)
    partners_of_other = np.bincount(both[:, 1], minlength=n_others)
    within = np.zeros(len(source), bool)
    if len(source):
        # A detection of a linked source belongs to it, if its own position is farther off, too.
        _, pair = np.unique(np.stack([source, other], 1), axis=0, return_inverse=True)
        pair = pair.ravel()
        nearest = np.full(pair.max() + 1, np.inf)
        np.minimum.at(nearest, pair, deviation)
        within = nearest[pair] <= sigma
    single = (partners[source] == 1) & (partners_of_other[other] == 1)
    ambiguous = np.zeros(n_sources, bool)
    ambiguous[source[within & ~single]] = True
    return Links(kept=within & single, ambiguous=ambiguous)


def mean_positions(
    position: Positions,
    sigma: Float[np.ndarray, "N"],
    source: Int[np.ndarray, "N"],
    n_sources: int,
) -> tuple[Positions, Float[np.ndarray, "S"]]:
    """The position of each source and its standard deviation per axis, from its detections.

    Weights are the inverse variances. A source without a position has NaN.
    """
    known = np.isfinite(position.ra)
    weight = np.where(known, sigma**-2.0, 0.0)
    vectors = np.where(known[:, None], unit_vectors(position), 0.0) * weight[:, None]
    total = np.zeros((n_sources, 3))
    np.add.at(total, source, vectors)
    weights = np.bincount(source, weight, n_sources)
    x, y, z = total.T
    none = weights == 0
    with np.errstate(divide="ignore"):
        error = 1 / np.sqrt(weights)
    ra = np.where(none, np.nan, np.rad2deg(np.arctan2(y, x)) % 360)
    dec = np.where(none, np.nan, np.rad2deg(np.arctan2(z, np.hypot(x, y))))
    return Positions(ra=ra, dec=dec), np.where(none, np.nan, error)
