"""Bayesian matching of sources with several catalogues, with everything else learned from the data.

`near` finds the entries around the sources. `learn` estimates, by expectation and maximisation, the
share of sources that each catalogue lists, the local density of the field, how often field objects
are in two catalogues, and the prior ratios of magnitudes and colours. `apply` gives p_any and p_i.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from xbayes.enhance.associations import Associations, Rates, Score, associate
from xbayes.enhance.nearby import Near, Sky, around_some, near, source_covariances
from xbayes.enhance.pairs import (
    Covariances,
    Positions,
    normalised_separations,
    unit_vectors,
)
from xbayes.enhance.prior_ratios import PriorRatio
from xbayes.enhance.rates import (
    Around,
    covered_sources,
    field_density,
    listed_share,
    nearest_sources,
    objects_per_entry,
    prior_ratios,
    score_of,
)
from xbayes.errors import InputError

_CONVERGED = 1e-4  # change of p_any


class MatchOptions(NamedTuple):
    """What is not learned from the data."""

    completeness: float | None = None  # share of sources that each catalogue lists
    # Counterparts above this probability by position alone teach the prior ratios (as in NWAY);
    # None: all entries do, weighted with their probability.
    secure: float | None = None
    joint_field: bool = True  # whether an object of the field may be in several catalogues
    learn_score: bool = True  # False: listings and magnitudes count as independent
    iterations: int = 10
    learn_from: int = 20_000  # sources


class Learned(NamedTuple):
    """What the matching needs beside the positions."""

    completeness: Float[np.ndarray, "K"]
    density: Float[np.ndarray, "K N"]  # of the field at each source, per arcsec^2
    objects_per_entry: float | None  # field objects per entry of the densest catalogue
    ratios: tuple[Mapping[str, PriorRatio], ...]  # by catalogue and feature
    score: Score | None = None  # None: catalogues and magnitudes count as independent

    def at(self, rows: np.ndarray) -> "Learned":
        """For some of the sources."""
        return self._replace(density=self.density[:, rows])


def apply(own: Covariances, nearby: Sequence[Near], learned: Learned) -> Associations:
    """p_any and p_i of all sources.

    Parameters
    ----------
    own
        Covariances of the positions of the N sources.
    nearby
        The entries of each catalogue around them.
    learned
        From `learn`, for the same sources, or for sources at nearby places.
    """
    objects = None
    if learned.objects_per_entry is not None:
        objects = learned.objects_per_entry * learned.density.max(0)
    rates = [
        Rates(
            density=learned.density[k],
            completeness=float(learned.completeness[k]),
            log_ratio=_log_ratio(catalogue, learned.ratios[k]),
        )
        for k, catalogue in enumerate(nearby)
    ]
    return associate(
        own,
        [catalogue.entries for catalogue in nearby],
        rates,
        objects=objects,
        score=learned.score,
    )


def learn(
    place: Positions,
    own: Covariances,
    nearby: Sequence[Near],
    radius: float | int | np.ndarray,
    options: MatchOptions | None = None,
) -> Learned:
    """The completeness, densities and prior ratios that the entries around N sources show.

    Parameters
    ----------
    place, own
        Positions of the sources, and their covariances.
    nearby
        The entries of each catalogue within the radius.
    radius
        In arcsec, one number or one per source.
    """
    options = options or MatchOptions()
    if not nearby:
        raise InputError("there is no catalogue to match with; name at least one")
    rows = _some(np.asarray(np.isfinite(unit_vectors(place)).all(1)), options.learn_from)
    part = [around_some(catalogue, rows) for catalogue in nearby]
    around = Around(
        nearest=nearest_sources(place, rows),
        area=np.pi * np.broadcast_to(np.asarray(radius, float), rows.shape)[rows] ** 2,
        share=max(int(rows.sum()), 1) / max(len(rows), 1),
    )
    covered = np.stack([covered_sources(catalogue, around)[rows] for catalogue in part])
    learned = Learned(
        completeness=np.full(len(nearby), options.completeness or 0.5),
        density=np.stack([field_density(n, around, _first_guess(n, own.rows(rows))) for n in part]),
        objects_per_entry=None,
        ratios=tuple({} for _ in nearby),
    )
    before = np.full(int(rows.sum()), -1.0)
    for step in range(options.iterations if rows.any() else 0):
        found = apply(own.rows(rows), part, learned.at(rows))
        # The secure counterparts are those by position alone, with the densities already learned.
        again = options.secure is None or step == options.iterations // 2
        learned = Learned(
            completeness=learned.completeness
            if options.completeness is not None
            else listed_share(found, covered),
            density=np.stack(
                [field_density(n, around, p) for n, p in zip(part, found.p_entry, strict=True)]
            ),
            objects_per_entry=objects_per_entry(part, found, learned.density[:, rows], around)
            if options.joint_field
            else None,
            ratios=tuple(
                prior_ratios(n, p, options.secure) for n, p in zip(part, found.p_entry, strict=True)
            )
            if again
            else learned.ratios,
            score=score_of(found)
            if options.learn_score and options.joint_field and len(nearby) > 1
            else None,
        )
        if options.secure is None and np.abs(found.p_any - before).max() < _CONVERGED:
            break
        before = found.p_any
    return learned


class Matched(NamedTuple):
    """The result of `match`."""

    nearby: tuple[Near, ...]
    learned: Learned
    associations: Associations


def match(
    sources: Sky,
    catalogues: Sequence[Sky],
    radius: float | int | np.ndarray,
    options: MatchOptions | None = None,
) -> Matched:
    """The counterparts of the sources in local tables: `near`, `learn` and `apply` in one.

    Examples
    --------
    >>> import numpy as np
    >>> from xbayes.enhance.pairs import Positions, circles
    >>> def sky(name, ra, error):
    ...     ra = np.array(ra)
    ...     place = Positions(ra=ra, dec=np.zeros_like(ra))
    ...     return Sky(name=name, place=place, errors=circles(np.full(len(ra), error)), area=1.0)
    >>> found = match(sky("x", [10.0, 10.1], 1.0), [sky("star", [10.0001, 10.3], 0.1)], 10.0)
    >>> found.associations.p_any.round(3).tolist()
    [1.0, 0.0]
    """
    own = source_covariances(sources.place, sources.errors)
    nearby = tuple(near(sources, catalogue, radius) for catalogue in catalogues)
    learned = learn(sources.place, own, nearby, radius, options)
    return Matched(nearby=nearby, learned=learned, associations=apply(own, nearby, learned))


def _first_guess(catalogue: Near, own: Covariances) -> Float[np.ndarray, "P"]:
    """A start for the probabilities of the entries: few sources would not leave a bad one."""
    entries = catalogue.entries
    both = entries.covariance.plus(own.rows(entries.source))
    return np.exp(-(normalised_separations(entries.offset, both) ** 2) / 2)


def _log_ratio(catalogue: Near, ratios: Mapping[str, PriorRatio]) -> Float[np.ndarray, "P"]:
    total = np.zeros(len(catalogue.entries.source))
    for name, ratio in ratios.items():
        total = total + ratio(catalogue.features[name])
    return total


def _some(known: Bool[np.ndarray, "N"], most: int) -> Bool[np.ndarray, "N"]:
    """Sources to learn from: all with a position, or some that are spread evenly over the table."""
    rows = np.flatnonzero(known)
    if len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(int)]
    chosen = np.zeros(len(known), bool)
    chosen[rows] = True
    return chosen
