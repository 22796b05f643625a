"""What the entries around the sources say of a catalogue: its density, completeness and priors."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.enhance.associations import LINK, Associations, Score
from xbayes.enhance.nearby import Near
from xbayes.enhance.pairs import Positions, normalised_separations, unit_vectors
from xbayes.enhance.prior_ratios import PriorRatio, learn_ratio, learn_score_ratio

_NEIGHBOURS = 200  # sources whose surroundings may tell the local density
_ENOUGH = 100  # field entries for a local density
_NEAREST = 30  # sources without any entry around them: the catalogue does not cover the place
_COMPLETENESS = (0.01, 0.99)
_CERTAINLY_NOT = 0.01  # p of an entry that is of the field (as in NWAY)
_USUAL_ENTRIES = 20.0  # for which 2 field objects per entry count
_FEWEST_OBJECTS = 1.05  # field objects per entry of the densest catalogue


class Around(NamedTuple):
    """The surroundings of the sources: the nearest of the R sources to learn from."""

    nearest: Int[np.ndarray, "N Q"]
    area: Float[np.ndarray, "R"]  # arcsec^2 within the radius
    share: float  # of all sources


def nearest_sources(place: Positions, rows: Bool[np.ndarray, "N"]) -> Int[np.ndarray, "N Q"]:
    """For each source the nearest ones of `rows`; any for sources without a position."""
    from scipy.spatial import KDTree

    at = unit_vectors(place)
    known = np.isfinite(at).all(1)
    count = min(_NEIGHBOURS, int(rows.sum()))
    result = np.zeros((len(rows), count), np.int64)
    if count:
        tree = KDTree(at[rows], balanced_tree=False, compact_nodes=False)
        result[known] = tree.query(at[known], k=count)[1].reshape(-1, count)
    return result


def covered_sources(catalogue: Near, around: Around) -> Bool[np.ndarray, "N"]:
    """Whether the catalogue has any entry around the source or its nearest neighbours."""
    count = np.bincount(catalogue.entries.source, minlength=len(around.area))
    return count[around.nearest[:, :_NEAREST]].sum(1) > 0


def field_density(
    catalogue: Near, around: Around, p_entry: Float[np.ndarray, "P"]
) -> Float[np.ndarray, "N"]:
    """Field entries per arcsec^2 at each source: of the whole table, or of its surroundings.

    As many of the nearest sources are taken together as have 100 field entries around them.
    """
    source, size = catalogue.entries.source, len(around.area)
    if catalogue.area is not None:
        field = max(catalogue.total - p_entry.sum() / around.share, 0.5)
        return np.full(len(around.nearest), field / catalogue.area)
    count = np.cumsum(np.bincount(source, 1 - p_entry, size)[around.nearest], 1)
    surface = np.cumsum(around.area[around.nearest], 1)
    last = np.minimum((count < _ENOUGH).sum(1), around.nearest.shape[1] - 1)
    row = np.arange(len(last))
    return (count[row, last] + 0.5) / np.maximum(surface[row, last], 1e-9)


def listed_share(
    found: Associations,
    covered: Bool[np.ndarray, "K R"],
) -> Float[np.ndarray, "K"]:
    """The share of the covered sources whose counterpart each catalogue lists."""
    expected = np.array([p.sum() for p in found.p_entry])
    # A catalogue that covers none has completeness 0.5.
    return np.clip((expected + 0.5) / (covered.sum(1) + 1), *_COMPLETENESS)


def objects_per_entry(
    nearby: Sequence[Near],
    found: Associations,
    density: Float[np.ndarray, "K R"],
    around: Around,
) -> float:
    """Field objects per entry of the densest catalogue, from how often two list the same one.

    Objects of density Lambda, of which catalogue k lists a share f_k independently, make
    Lambda f_a f_b = nu_a nu_b / Lambda common entries of catalogues a and b.
    """
    if len(nearby) == 1:
        return _FEWEST_OBJECTS  # any number: no object can be in two catalogues
    product, common = 0.0, 0.0
    densest = density.max(0)
    for a, first in enumerate(nearby):
        for b, second in enumerate(nearby[:a]):
            expected = around.area * density[a] * density[b]
            reach = np.pi * LINK**2 * (_typical_variance(first) + _typical_variance(second))
            links = _close(first, second, found.p_entry[a], found.p_entry[b])
            product += float((expected / densest).sum())
            common += max(links - reach * float(expected.sum()), 0.0)
    # Few entries leave it at the usual value.
    return max((product + _USUAL_ENTRIES) / (common + _USUAL_ENTRIES / 2), _FEWEST_OBJECTS)


def _close(
    first: Near, second: Near, p_first: Float[np.ndarray, "P"], p_second: Float[np.ndarray, "Q"]
) -> float:
    """The number of pairs of field entries of two catalogues that may be one object."""
    a, b = first.entries, second.entries
    start, end = (np.searchsorted(b.source, a.source, side=side) for side in ("left", "right"))
    count = end - start
    i = np.repeat(np.arange(len(start)), count)
    j = np.arange(len(i)) - np.repeat(np.cumsum(count) - count, count) + start[i]
    both = a.covariance.rows(i).plus(b.covariance.rows(j))
    close = normalised_separations(b.offset[j] - a.offset[i], both) <= LINK
    # If they are one object, both are the counterpart or neither is.
    return float(np.minimum(1 - p_first[i], 1 - p_second[j])[close].sum())


def _typical_variance(catalogue: Near) -> float:
    covariance = catalogue.entries.covariance
    if not len(covariance.xx):
        return 0.0
    return float(np.median(np.sqrt(covariance.xx * covariance.yy - covariance.xy**2)))


def score_of(found: Associations) -> Score:
    """The learned ratio of counterparts over field objects, as a function of their score."""
    joint = found.p_any[found.source] * found.p_i
    taken = np.zeros(len(joint))
    for k, p in enumerate(found.p_entry):
        member = found.members[:, k]
        here = member >= 0
        taken[here] = np.maximum(taken[here], p[member[here]])
    ratio = learn_score_ratio(found.score, joint, found.p_field * (1 - taken))
    none = (1 - found.p_any).sum() + 0.5
    return Score(ratio=ratio, none=float(none / (len(found.p_any) + 1)))


def prior_ratios(
    catalogue: Near, p_entry: Float[np.ndarray, "P"], secure: float | None
) -> dict[str, PriorRatio]:
    """The prior ratio of each feature; entries near no source are of the field."""
    counterpart, field = p_entry, 1 - p_entry
    if secure is not None:
        counterpart = np.where(p_entry > secure, p_entry, 0.0)
        field = (p_entry < _CERTAINLY_NOT).astype(float)
    return {
        name: learn_ratio(
            np.concatenate([value, alone := catalogue.field.get(name, np.zeros(0))]),
            np.concatenate([counterpart, np.zeros(len(alone))]),
            np.concatenate([field, np.ones(len(alone))]),
        )
        for name, value in catalogue.features.items()
    }
