"""Which entries of several catalogues are the counterpart of each source: p_any and p_i.

The sum over hypotheses. Around a source, a catalogue k lists field entries with density nu_k and,
with probability c_k (the completeness), the counterpart. A hypothesis names the set S of entries
that are the counterpart, at most one per catalogue; the empty set is "none". Its weight is

    w(S) = prod_{k in S} c_k q_k / (1 - c_k)  I(source and S)  F(the other entries)

- I: the integral of the position densities over the true place (`bayes_factors.log_overlap`);
- q: the prior ratio of an entry, density of its magnitudes among counterparts over the field;
- F: the sum over all ways in which the other entries are field objects. The density of objects is
  Lambda, and catalogue k lists one with probability f_k = nu_k / Lambda. With `objects=None`,
  entries of different catalogues are never one field object: F is the product of their densities.

The factors of c, q and f are those of independent listings and magnitudes. As the catalogues list
the same bright objects, their product is too sure of itself: with `score`, the ratio of S among
counterparts over field objects is learned anew, as a function of that product.

p_any = 1 - w(none) / sum of w, and p_i = w(S) / sum of w over all S but none. For one catalogue
this is the likelihood ratio method (Sutherland & Saunders 1992). NWAY (Salvato et al. 2018) has c
in place of c / (1 - c), and an approximation of F.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from xbayes.enhance.bayes_factors import LOG_SKY, Moments, log_overlap, moments
from xbayes.enhance.pairs import Covariances, normalised_separations

LINK = 5.0  # entries that are closer, in units of their error, may be one object
_LARGEST = 8  # entries that are summed over together; more are linked less far
_PAIRS_AT_A_TIME = 2_000_000
_NEGLIGIBLE = 1e-12  # of p_i
_NEGLIGIBLE_FIELD = 1e-3


class Entries(NamedTuple):
    """The entries of one catalogue that are near the sources, in order of the sources."""

    source: Int[np.ndarray, "P"]  # row of the source
    entry: Int[np.ndarray, "P"]  # row of the catalogue
    offset: Float[np.ndarray, "P 2"]  # from the source, arcsec east and north
    covariance: Covariances  # of the entry, [P] arcsec^2


class Rates(NamedTuple):
    """What is known of one catalogue before a position is looked at."""

    density: Float[np.ndarray, "N"]  # field entries per arcsec^2 at each source
    completeness: float  # share of the sources whose counterpart it lists
    log_ratio: Float[np.ndarray, "P"]  # ln of q of each entry


class Score(NamedTuple):
    """ln of the ratio of counterparts over field objects, learned as a function of their score."""

    ratio: Callable[[Float[np.ndarray, "P"]], Float[np.ndarray, "P"]]
    none: float  # share of the counterparts that no catalogue lists


class Associations(NamedTuple):
    """The probabilities of the hypotheses, in order of the sources and then of falling p_i."""

    p_any: Float[np.ndarray, "N"]  # that the source has a counterpart in any catalogue
    source: Int[np.ndarray, "H"]
    members: Int[np.ndarray, "H K"]  # row of `Entries` by catalogue; -1: not listed there
    p_i: Float[np.ndarray, "H"]  # of this hypothesis, if there is a counterpart
    log_bayes_factor: Float[np.ndarray, "H"]  # ln, of the positions alone
    # ln of how much more often a counterpart than a field object is listed like this, if catalogues
    # and magnitudes were independent; probability that the members are a field object, if none of
    # them is the counterpart.
    score: Float[np.ndarray, "H"]
    p_field: Float[np.ndarray, "H"]
    p_entry: tuple[Float[np.ndarray, "_"], ...]  # by catalogue: that the entry is the counterpart

    def best(self) -> Int[np.ndarray, "B"]:
        """The most probable hypothesis of each source that has any."""
        return np.flatnonzero(np.diff(self.source, prepend=-1))


class _Nodes(NamedTuple):
    """The entries of all catalogues, in order of source and catalogue."""

    source: Int[np.ndarray, "E"]
    catalogue: Int[np.ndarray, "E"]
    row: Int[np.ndarray, "E"]  # in `Entries` of its catalogue
    offset: Float[np.ndarray, "E 2"]
    covariance: Covariances
    log_counterpart: Float[np.ndarray, "E"]  # ln of c q / (1 - c)
    log_field: Float[np.ndarray, "E"]  # ln of its factor in the density of a field object

    def rows(self, chosen: slice) -> "_Nodes":
        return _Nodes(
            source=self.source[chosen],
            catalogue=self.catalogue[chosen],
            row=self.row[chosen],
            offset=self.offset[chosen],
            covariance=Covariances._make(a[chosen] for a in self.covariance),
            log_counterpart=self.log_counterpart[chosen],
            log_field=self.log_field[chosen],
        )


class _Field(NamedTuple):
    log_base: Float[np.ndarray, "N"]  # ln of the factor that all field objects have
    joint: bool  # whether entries of different catalogues may be one object
    log_unlisted: Float[np.ndarray, "N"]  # ln of P(no catalogue lists it) of a field object
    log_missed: float  # ln of the same of a counterpart, if the listings were independent
    score: "Score | None"


class _Found(NamedTuple):
    source: Int[np.ndarray, "H"]
    members: Int[np.ndarray, "H K"]
    log_weight: Float[np.ndarray, "H"]
    log_bayes_factor: Float[np.ndarray, "H"]
    score: Float[np.ndarray, "H"]
    p_field: Float[np.ndarray, "H"]


def associate(
    source_covariance: Covariances,
    entries: Sequence[Entries],
    rates: Sequence[Rates],
    *,
    objects: Float[np.ndarray, "N"] | None = None,
    score: Score | None = None,
) -> Associations:
    """The probabilities of all hypotheses on the counterparts of N sources in K catalogues.

    Parameters
    ----------
    source_covariance
        Of the N positions of the sources, in arcsec^2.
    entries, rates
        By catalogue.
    objects
        Density Lambda of field objects per arcsec^2 at each source, above the density of every
        catalogue. None: entries of different catalogues are different field objects.
    score
        Learned ratios; needs `objects`.
    """
    nodes, field = _prepare(entries, rates, objects)
    if score is not None and objects is not None:
        field = field._replace(score=score)
    own = moments(np.zeros((len(source_covariance.xx), 2)), source_covariance)
    parts = [
        found
        for chunk in _chunks(nodes)
        for found in _associate_nodes(nodes.rows(chunk), own, field, len(entries))
    ]
    found = _nothing(len(entries))
    if parts:
        found = _Found._make(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return _normalise(found, len(source_covariance.xx), [len(e.source) for e in entries])


def _nothing(n_catalogues: int) -> _Found:
    return _Found(
        source=np.zeros(0, np.int64),
        members=np.zeros((0, n_catalogues), np.int64),
        log_weight=np.zeros(0),
        log_bayes_factor=np.zeros(0),
        score=np.zeros(0),
        p_field=np.zeros(0),
    )


def _prepare(
    entries: Sequence[Entries], rates: Sequence[Rates], objects: Float[np.ndarray, "N"] | None
) -> tuple[_Nodes, _Field]:
    log_counterpart, log_field = [], []
    base = unlisted = np.zeros(len(rates[0].density))
    if objects is not None:
        unlisted = np.sum([np.log1p(-rate.density / objects) for rate in rates], axis=0)
        base = np.log(objects) + unlisted
    for found, rate in zip(entries, rates, strict=True):
        odds = np.log(rate.completeness) - np.log1p(-rate.completeness)
        log_counterpart.append(odds + rate.log_ratio)
        listed = rate.density
        if objects is not None:
            listed = rate.density / (objects - rate.density)
        log_field.append(np.log(listed)[found.source])
    source = np.concatenate([found.source for found in entries])
    catalogue = np.repeat(np.arange(len(entries)), [len(found.source) for found in entries])
    order = np.lexsort((catalogue, source))
    covariance = Covariances._make(
        np.concatenate(parts)[order]
        for parts in zip(*(found.covariance for found in entries), strict=True)
    )
    nodes = _Nodes(
        source=source[order],
        catalogue=catalogue[order],
        row=np.concatenate([np.arange(len(found.source)) for found in entries])[order],
        offset=np.concatenate([found.offset for found in entries])[order],
        covariance=covariance,
        log_counterpart=np.concatenate(log_counterpart)[order],
        log_field=np.concatenate(log_field)[order],
    )
    field = _Field(
        log_base=base,
        joint=objects is not None,
        log_unlisted=unlisted,
        log_missed=float(sum(np.log1p(-rate.completeness) for rate in rates)),
        score=None,
    )
    return nodes, field


def _partners(source: Int[np.ndarray, "E"]) -> Int[np.ndarray, "E"]:
    """How many later nodes belong to the same source, per node."""
    return np.searchsorted(source, source, side="right") - np.arange(len(source)) - 1


def _chunks(nodes: _Nodes) -> Iterator[slice]:
    """Runs of whole sources with a limited number of pairs of nodes."""
    size = len(nodes.source)
    pairs = np.cumsum(_partners(nodes.source) + 1)
    begin = 0
    while begin < size:
        done = pairs[begin - 1] if begin else 0
        last = min(int(np.searchsorted(pairs, done + _PAIRS_AT_A_TIME)), size - 1)
        end = int(np.searchsorted(nodes.source, nodes.source[last], side="right"))
        yield slice(begin, end)
        begin = end


def _links(nodes: _Nodes) -> tuple[Int[np.ndarray, "L 2"], Float[np.ndarray, "L"]]:
    """Pairs of nodes of one source and two catalogues that may be one object; their distances."""
    count = _partners(nodes.source)
    first = np.repeat(np.arange(len(count)), count)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
    differ = nodes.catalogue[first] != nodes.catalogue[second]
    first, second = first[differ], second[differ]
    distance = normalised_separations(
        nodes.offset[second] - nodes.offset[first],
        nodes.covariance.rows(first).plus(nodes.covariance.rows(second)),
    )
    near = distance <= LINK
    return np.stack([first[near], second[near]], 1), distance[near]


def _components(nodes: _Nodes) -> Int[np.ndarray, "E"]:
    """Groups of nodes that may be one object. Groups that are too large are linked less far."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs, distance = _links(nodes)
    size = len(nodes.source)
    limit = np.full(size, LINK)
    while True:
        kept = distance <= limit[pairs].min(1)
        graph = coo_array((np.ones(kept.sum(), bool), pairs[kept].T), shape=(size, size))
        group = connected_components(graph, directed=False)[1]
        large = np.bincount(group)[group] > _LARGEST
        if not large.any():
            return group
        limit[large] = np.where(limit[large] > 0.1, limit[large] * 0.8, -1.0)


def _associate_nodes(
    nodes: _Nodes, own: Moments, field: _Field, n_catalogues: int
) -> Iterator[_Found]:
    """The hypotheses of some sources, for all groups with the same catalogues at once."""
    group = _components(nodes)
    order = np.argsort(group, kind="stable")
    size = np.bincount(group)
    start = np.cumsum(size) - size
    for number in np.unique(size):
        rows = order[start[size == number][:, None] + np.arange(number)]  # [G, number]
        kind, which = np.unique(nodes.catalogue[rows], axis=0, return_inverse=True)
        for index, catalogues in enumerate(kind):
            chosen = rows[which.reshape(-1) == index]
            yield _associate_groups(nodes, chosen, catalogues, own, field=field, n=n_catalogues)


def _associate_groups(
    nodes: _Nodes,
    rows: Int[np.ndarray, "G M"],
    catalogues: Int[np.ndarray, "M"],
    own: Moments,
    *,
    field: _Field,
    n: int,
) -> _Found:
    """The hypotheses of groups of M nodes: every set of nodes with at most one per catalogue."""
    source = nodes.source[rows[:, 0]]
    here = Moments._make([own.number, *(array[source] for array in own[1:])])
    single = [moments(nodes.offset[r], nodes.covariance.rows(r)) for r in rows.T]
    sums: dict[int, Moments] = {}
    log_object: dict[int, np.ndarray] = {}
    for subset in range(1, 1 << len(catalogues)):
        bits = _bits(subset)
        if len(set(catalogues[bits].tolist())) < len(bits):
            continue
        rest = subset & (subset - 1)
        sums[subset] = sums[rest].plus(single[bits[0]]) if rest else single[bits[0]]
        if field.joint or len(bits) == 1:
            density = field.log_base[source] + nodes.log_field[rows[:, bits]].sum(1)
            log_object[subset] = density + log_overlap(sums[subset])
    log_rest = _log_partitions(log_object, len(catalogues))
    whole = (1 << len(catalogues)) - 1
    parts = []
    for subset, sums_here in sums.items():
        bits = _bits(subset)
        members = np.full((len(rows), n), -1, np.int64)
        members[:, catalogues[bits]] = nodes.row[rows[:, bits]]
        log_factor = log_overlap(sums_here.plus(here))
        log_listed, score = _log_listed(nodes, rows[:, bits], source, field)
        others = log_rest[whole ^ subset] - log_rest[whole]
        log_object_here = log_object.get(subset, np.full(len(rows), -np.inf))
        parts.append(
            _Found(
                source=source,
                members=members,
                log_weight=log_factor + log_listed + others,
                log_bayes_factor=log_factor + len(bits) * LOG_SKY,
                score=score,
                p_field=np.exp(log_object_here + others),
            )
        )
    return _Found._make(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def _log_listed(
    nodes: _Nodes, rows: Int[np.ndarray, "G B"], source: Int[np.ndarray, "G"], field: _Field
) -> tuple[Float[np.ndarray, "G"], Float[np.ndarray, "G"]]:
    """ln of P(listed like this | counterpart) / P(not listed | counterpart), and the score."""
    counterpart = nodes.log_counterpart[rows].sum(1)
    log_field = nodes.log_field[rows].sum(1) + field.log_unlisted[source]
    score = counterpart + field.log_missed - log_field
    if field.score is None:
        return counterpart, score
    return field.score.ratio(score) + log_field - np.log(field.score.none), score


def _bits(subset: int) -> list[int]:
    return [bit for bit in range(subset.bit_length()) if subset >> bit & 1]


def _log_partitions(
    log_object: dict[int, np.ndarray], size: int
) -> dict[int, Float[np.ndarray, "G"]]:
    """For each set of nodes, ln of the sum over its partitions into field objects.

    The object of the first node is any allowed set that holds it; the others are partitioned.
    """
    some = next(iter(log_object.values()))
    result: dict[int, np.ndarray] = {0: np.zeros_like(some)}
    for subset in range(1, 1 << size):
        first = subset & -subset
        rest, other, terms = subset ^ first, subset ^ first, []
        while True:
            if first | other in log_object:
                terms.append(log_object[first | other] + result[rest ^ other])
            if not other:
                break
            other = (other - 1) & rest
        result[subset] = np.logaddexp.reduce(terms, axis=0)
    return result


def _normalise(found: _Found, n_sources: int, sizes: Sequence[int]) -> Associations:
    top = np.full(n_sources, -np.inf)
    np.maximum.at(top, found.source, found.log_weight)
    weight = np.exp(found.log_weight - top[found.source])
    total = np.bincount(found.source, weight, n_sources)
    with np.errstate(divide="ignore"):
        log_odds = top + np.log(total)  # -inf without entries: 0 times the weight of none
    p_any = 1 / (1 + np.exp(-np.clip(log_odds, -700, 700)))
    p_any = np.where(np.isneginf(log_odds), 0.0, p_any)
    p_i = weight / total[found.source]
    joint = p_any[found.source] * p_i
    p_entry = []
    for k, size in enumerate(sizes):
        member = found.members[:, k]
        here = member >= 0
        p_entry.append(np.bincount(member[here], joint[here], size).astype(float))
    kept = np.flatnonzero((p_i > _NEGLIGIBLE) | (found.p_field > _NEGLIGIBLE_FIELD))
    order = kept[np.lexsort((-p_i[kept], found.source[kept]))]
    return Associations(
        p_any=p_any,
        source=found.source[order],
        members=found.members[order],
        p_i=p_i[order],
        log_bayes_factor=found.log_bayes_factor[order],
        score=found.score[order],
        p_field=found.p_field[order],
        p_entry=tuple(p_entry),
    )
