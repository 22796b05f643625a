"""The sum over hypotheses, against enumeration of every one for two and three catalogues."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from xbayes.enhance import associations
from xbayes.enhance.associations import Entries, Rates, Score, associate
from xbayes.enhance.pairs import Covariances

SOURCE = np.array([[1.2, 0.3], [0.3, 0.8]])


def as_covariances(matrices):
    matrices = np.asarray(matrices).reshape(-1, 2, 2)
    return Covariances(xx=matrices[:, 0, 0], xy=matrices[:, 0, 1], yy=matrices[:, 1, 1])


def overlap(places, matrices):
    """The integral of a product of Gaussians: a density of the differences from the first."""
    if len(places) == 1:
        return 1.0
    number = len(places) - 1
    difference = np.concatenate([p - places[0] for p in places[1:]])
    covariance = np.kron(np.ones((number, number)), matrices[0])
    for k in range(number):
        covariance[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] += matrices[k + 1]
    return multivariate_normal(np.zeros(2 * number), covariance).pdf(difference)


def partitions(items):
    """All ways to divide a list into sets."""
    if not items:
        yield []
        return
    for rest in partitions(items[1:]):
        yield [[items[0]], *rest]
        for k in range(len(rest)):
            yield [*rest[:k], [items[0], *rest[k]], *rest[k + 1 :]]


def by_enumeration(entries, density, completeness, ratio, objects):
    """Weights of all hypotheses on one source; an entry is (catalogue, place, covariance)."""

    def field_object(block):
        names = [entries[i][0] for i in block]
        if len(set(names)) < len(names) or (objects is None and len(names) > 1):
            return 0.0
        if objects is None:
            return density[names[0]]
        listed = density / objects
        chance = np.prod(np.where(np.isin(range(len(density)), names), listed, 1 - listed))
        return objects * chance * overlap(*zip(*[entries[i][1:] for i in block], strict=True))

    numbers = range(len(density))
    by_catalogue = [[-1, *[i for i, e in enumerate(entries) if e[0] == k]] for k in numbers]
    weights = {}
    for chosen in product(*by_catalogue):
        members = [i for i in chosen if i >= 0]
        weight = np.prod([completeness[k] if i >= 0 else 1 - completeness[k]
                          for k, i in enumerate(chosen)])  # fmt: skip
        weight *= overlap(
            [np.zeros(2), *[entries[i][1] for i in members]],
            [SOURCE, *[entries[i][2] for i in members]],
        )
        weight *= np.prod([ratio[i] for i in members])
        others = [i for i in range(len(entries)) if i not in members]
        weight *= sum(np.prod([field_object(b) for b in way]) for way in partitions(others))
        weights[chosen] = weight
    return weights


def invented(rng, numbers):
    """Entries of several catalogues of which some are one object."""
    places = rng.normal(0, 2, (max(numbers), 2))
    entries = []
    for k, number in enumerate(numbers):
        for place in places[:number]:
            root = rng.normal(0, 0.2, (2, 2))
            matrix = root @ root.T + 0.05 * np.eye(2)
            entries.append((k, rng.multivariate_normal(place, matrix), matrix))
    return entries


def associated(entries, density, completeness, ratio, objects):
    given_entries, rates = [], []
    for k in range(len(density)):
        rows = [i for i, e in enumerate(entries) if e[0] == k]
        given_entries.append(
            Entries(
                source=np.zeros(len(rows), int),
                entry=np.array(rows, int),
                offset=np.array([entries[i][1] for i in rows]).reshape(-1, 2),
                covariance=as_covariances([entries[i][2] for i in rows]),
            )
        )
        rates.append(
            Rates(
                density=np.array([density[k]]),
                completeness=completeness[k],
                log_ratio=np.log([ratio[i] for i in rows]),
            )
        )
    found = associate(
        as_covariances(SOURCE),
        given_entries,
        rates,
        objects=None if objects is None else np.array([objects]),
    )
    return found, given_entries


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    numbers=st.sampled_from([(1,), (3,), (1, 1), (2, 2), (2, 0), (3, 1), (2, 2, 2), (1, 2, 1)]),
    joint=st.booleans(),
)
def test_probabilities_are_those_of_all_hypotheses(seed, numbers, joint):
    rng = np.random.default_rng(seed)
    entries = invented(rng, numbers)
    density = rng.uniform(0.005, 0.1, len(numbers))
    completeness = rng.uniform(0.1, 0.95, len(numbers))
    ratio = np.exp(rng.normal(0, 1, len(entries)))
    objects = density.max() * rng.uniform(1.1, 3) if joint else None
    weights = by_enumeration(entries, density, completeness, ratio, objects)
    found, given_entries = associated(entries, density, completeness, ratio, objects)
    none = (-1,) * len(numbers)
    total = sum(weights.values())
    # Links beyond 5 sigma are left out, which costs up to exp(-12.5) / density here.
    assert found.p_any[0] == pytest.approx(1 - weights[none] / total, abs=1e-3)
    seen = {
        tuple(int(given_entries[k].entry[m]) if m >= 0 else -1 for k, m in enumerate(row)): p
        for row, p in zip(found.members, found.p_i, strict=True)
    }
    for chosen, weight in weights.items():
        if chosen != none:
            assert seen.get(chosen, 0.0) == pytest.approx(
                weight / (total - weights[none]), abs=1e-3
            )
    for k, found_entries in enumerate(given_entries):
        for row, entry in enumerate(found_entries.entry):
            wanted = sum(w for chosen, w in weights.items() if chosen[k] == entry) / total
            assert found.p_entry[k][row] == pytest.approx(wanted, abs=1e-3)


def test_to_the_last_digit_where_all_entries_are_linked(monkeypatch):
    monkeypatch.setattr(associations, "LINK", 1e9)
    rng = np.random.default_rng(2)
    entries = invented(rng, (2, 2, 2))
    density, completeness = np.array([0.02, 0.05, 0.03]), np.array([0.5, 0.7, 0.9])
    weights = by_enumeration(entries, density, completeness, np.ones(6), 0.07)
    found, _ = associated(entries, density, completeness, np.ones(6), 0.07)
    none = weights[(-1, -1, -1)] / sum(weights.values())
    assert 1 - found.p_any[0] == pytest.approx(none, rel=1e-9)


def test_one_catalogue_is_the_likelihood_ratio_method():
    """Sutherland & Saunders 1992: L_j / (sum of L + 1 - Q), with L = Q q f / n."""
    rng = np.random.default_rng(4)
    entries = invented(rng, (4,))
    ratio = np.exp(rng.normal(0, 1, 4))
    found, _ = associated(entries, np.array([0.03]), np.array([0.8]), ratio, None)
    like = np.array(
        [0.8 * q * multivariate_normal(np.zeros(2), SOURCE + m).pdf(x) / 0.03
         for (_, x, m), q in zip(entries, ratio, strict=True)]
    )  # fmt: skip
    np.testing.assert_allclose(found.p_entry[0], like / (like.sum() + 0.2), rtol=1e-10)
    np.testing.assert_allclose(found.p_any[0], like.sum() / (like.sum() + 0.2), rtol=1e-10)
    assert found.p_i.sum() == pytest.approx(1)
    assert np.all(np.diff(found.p_i) <= 0)


def many(rng, n_sources, numbers):
    """Several sources with entries at random, in any order of the sources."""
    entries, rates = [], []
    for number in numbers:
        source = np.sort(rng.integers(0, n_sources, number * n_sources))
        entries.append(
            Entries(
                source=source,
                entry=np.arange(len(source)),
                offset=rng.normal(0, 3, (len(source), 2)),
                covariance=as_covariances(np.broadcast_to(0.3 * np.eye(2), (len(source), 2, 2))),
            )
        )
        rates.append(
            Rates(
                density=rng.uniform(0.01, 0.05, n_sources),
                completeness=0.7,
                log_ratio=rng.normal(0, 1, len(source)),
            )
        )
    return entries, rates


def test_sources_do_not_depend_on_each_other(monkeypatch):
    rng = np.random.default_rng(0)
    entries, rates = many(rng, 40, (2, 3, 1))
    own = as_covariances(np.broadcast_to(SOURCE, (40, 2, 2)))
    objects = np.full(40, 0.08)
    whole = associate(own, entries, rates, objects=objects)
    monkeypatch.setattr(associations, "_PAIRS_AT_A_TIME", 50)
    parts = associate(own, entries, rates, objects=objects)
    np.testing.assert_array_equal(whole.p_any, parts.p_any)
    np.testing.assert_array_equal(whole.members, parts.members)
    for one in range(3):
        here = [e.source == one for e in entries]
        single = associate(
            own.rows(np.array([one])),
            [e._replace(source=e.source[h] * 0, entry=e.entry[h], offset=e.offset[h],
                        covariance=e.covariance.rows(h))
             for e, h in zip(entries, here, strict=True)],
            [r._replace(density=r.density[[one]], log_ratio=r.log_ratio[h])
             for r, h in zip(rates, here, strict=True)],
            objects=objects[[one]],
        )  # fmt: skip
        assert single.p_any[0] == pytest.approx(whole.p_any[one], rel=1e-12)
        mine = whole.source == one
        np.testing.assert_allclose(single.p_i, whole.p_i[mine], rtol=1e-9)


def test_a_score_that_is_its_own_ratio_changes_nothing():
    """The learned ratio replaces the product of independent factors by a function of it."""
    rng = np.random.default_rng(3)
    entries, rates = many(rng, 30, (2, 3, 2))
    own = as_covariances(np.broadcast_to(SOURCE, (30, 2, 2)))
    objects = np.full(30, 0.08)
    plain = associate(own, entries, rates, objects=objects)
    same = Score(ratio=lambda score: score, none=0.3**3)
    found = associate(own, entries, rates, objects=objects, score=same)
    np.testing.assert_allclose(found.p_any, plain.p_any, rtol=1e-9)
    np.testing.assert_allclose(found.p_i, plain.p_i, rtol=1e-9)
    doubt = Score(ratio=lambda score: score - 2.0, none=0.3**3)
    less = associate(own, entries, rates, objects=objects, score=doubt)
    odds = plain.p_any / (1 - plain.p_any)
    np.testing.assert_allclose(less.p_any / (1 - less.p_any), odds * np.exp(-2), rtol=1e-9)


def test_every_entry_is_the_counterpart_or_of_the_field():
    """The probabilities of field objects that hold an entry sum to 1 if no source is there."""
    rng = np.random.default_rng(3)
    entries, rates = many(rng, 5, (2, 2))
    own = as_covariances(np.broadcast_to(SOURCE, (5, 2, 2)))
    found = associate(own, entries, rates, objects=np.full(5, 0.08))
    for k, listed in enumerate(entries):
        member = found.members[:, k]
        total = np.bincount(member[member >= 0], found.p_field[member >= 0], len(listed.source))
        np.testing.assert_allclose(total, 1, atol=0.02)


def test_sums_to_one_in_a_crowd():
    """Groups of many entries are linked less far, and the sums remain sums over hypotheses."""
    rng = np.random.default_rng(1)
    entries, rates = many(rng, 4, (25, 25))
    own = as_covariances(np.broadcast_to(SOURCE, (4, 2, 2)))
    found = associate(own, entries, rates, objects=np.full(4, 0.2))
    np.testing.assert_allclose(np.bincount(found.source, found.p_i), 1)
    for p in found.p_entry:
        assert np.all((p >= 0) & (p <= 1 + 1e-12))
    assert set(found.source[found.best()].tolist()) == {0, 1, 2, 3}


def test_without_entries_there_is_no_counterpart():
    rng = np.random.default_rng(1)
    entries, rates = many(rng, 3, (0, 0))
    found = associate(as_covariances(np.broadcast_to(SOURCE, (3, 2, 2))), entries, rates)
    assert found.p_any.tolist() == [0, 0, 0] and len(found.best()) == 0
    assert found.members.shape == (0, 2)


def test_a_better_place_magnitude_or_completeness_raises_the_probability():
    rng = np.random.default_rng(3)
    entries, rates = many(rng, 1, (3,))
    own = as_covariances(SOURCE)
    before = associate(own, entries, rates).p_any[0]
    brighter = [r._replace(log_ratio=r.log_ratio + 1) for r in rates]
    fuller = [r._replace(completeness=0.9) for r in rates]
    denser = [r._replace(density=2 * r.density) for r in rates]
    assert associate(own, entries, brighter).p_any[0] > before
    assert associate(own, entries, fuller).p_any[0] > before
    assert associate(own, entries, denser).p_any[0] < before
