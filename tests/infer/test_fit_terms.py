"""Boosted trees as tables: equal scores, pure terms, and the selection of their share."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xbayes.infer.boosted_trees import Binned, one_round, outputs
from xbayes.infer.fit_terms import (
    N_BINS,
    boost,
    lay_edges,
    staged_scores,
    tables_of,
)
from xbayes.infer.select_terms import HeldOut, TermPlan, learn_terms
from xbayes.models.additive_terms import mixed, mixed_log_joint
from xbayes.models.term_tables import (
    MARGIN,
    PAIRS,
    bins,
    contributions,
    padded,
    pair_counts,
    pair_terms,
)
from xbayes.types import Features

N = 500
EVERY = np.ones(N, bool)


def sources(truth, shift=2.0, seed=0):
    """Three features, the last often not detected; the first two are informative only together."""
    rng = np.random.default_rng(seed)
    sign = rng.choice([-1.0, 1.0], len(truth))
    value = rng.normal(size=(len(truth), 3))
    value[:, 0] += shift * sign
    value[:, 1] += shift * sign * np.where(truth == 1, -1, 1)
    observed = np.ones(value.shape, bool)
    observed[:, 2] = rng.random(len(truth)) < 0.7
    value = np.where(observed, value, 0.0)
    return Features(value, observed, np.ones_like(observed), np.ones_like(value), 0 * value)


@pytest.fixture(scope="module", params=[pytest.param(2, marks=pytest.mark.slow), 3])
def boosted(request):
    truth = np.random.default_rng(1).integers(0, request.param, N)
    features = sources(truth)
    return boost(features, truth, EVERY, request.param, depth=2, rounds=60, seed=0), features


def centred(score):
    return score - score.mean(-1, keepdims=True)


def test_tables_equal_the_trees(boosted):
    model, features = boosted
    for rounds in (1, 25, 60):
        tables = tables_of(model, features, EVERY, rounds, 1.0)
        added = np.asarray(contributions(tables, features)).sum(1) + tables.base
        (trees,) = staged_scores(model, features, (rounds,))
        np.testing.assert_allclose(added, centred(trees), atol=1e-9)


def test_tables_equal_the_trees_on_new_values_too(boosted):
    model, features = boosted
    tables = tables_of(model, features, EVERY, 60, 1.0)
    new = sources(np.zeros(200, int), seed=9)
    new.value[:] = np.clip(new.value, *tables.reach.T)
    added = np.asarray(contributions(tables, new)).sum(1) + tables.base
    np.testing.assert_allclose(added, centred(staged_scores(model, new, (60,))[0]), atol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("depth", [1, 2])
def test_tables_equal_the_trees_on_random_rows(n_classes, depth):
    """Eight features that interact and are often not detected, and unequal weights of the rows."""
    rng = np.random.default_rng(depth)
    truth = rng.integers(0, n_classes, N)
    value = rng.normal(size=(N, 8)).round(1)
    value[:, ::2] += (truth[:, None] - 1.5) * np.sign(value[:, 1::2])
    value[:, 7] = value[:, 7] > 0
    measured = rng.random(value.shape) > 0.2 * (np.arange(8) % 3) + 0.1 * truth[:, None] / n_classes
    every = np.ones_like(measured)
    features = Features(value, measured, every, np.ones_like(value), 0 * value)
    options = dict(depth=depth, rounds=80, seed=3, row_weight=rng.uniform(0.2, 3, N))
    model = boost(features, truth, EVERY, n_classes, **options)
    tables = tables_of(model, features, EVERY, 80, 1.0)
    assert len(tables.pair) > 15 if depth == 2 else not len(tables.pair)
    at = rng.integers(0, N_BINS + 1, (2000, 8))
    binned = Binned(bin=at, available=np.ones(at.shape, bool), n_bins=N_BINS + 1)
    direct = model.base + sum(outputs(binned, one_round(model.trees, r)) for r in range(80))
    added = tables.base + tables.main[np.arange(8), at].sum(1)
    for (a, b), table in zip(tables.pair, tables.pair_table, strict=True):
        added += table[at[:, a], at[:, b]]
    np.testing.assert_allclose(added, centred(direct), atol=1e-9)


def test_absence_is_no_evidence_unless_it_is_a_state():
    """The second feature is absent in class 1 only, and its values are noise."""
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 2, N)
    value = rng.normal(size=(N, 2))
    value[:, 0] += truth
    measured = np.ones((N, 2), bool)
    measured[:, 1] = truth == 0
    value = np.where(measured, value, 0.0)
    rows = Features(value, measured, measured, np.ones_like(value), 0 * value)
    found = {}
    for name, features in (
        ("not available", rows),
        ("not detected", rows._replace(available=np.ones_like(measured))),
    ):
        model = boost(features, truth, EVERY, 2, depth=2, rounds=60, seed=0)
        tables = tables_of(model, features, EVERY, 60, 1.0)
        found[name] = np.asarray(contributions(tables, features))[:, 1, 1]
    assert not found["not available"][truth == 1].any()
    assert abs(found["not available"][truth == 0].mean()) < 0.1
    assert found["not detected"][truth == 1].mean() > 1
    assert found["not detected"][truth == 0].mean() < -1


def test_beyond_the_training_values_terms_fade(boosted):
    model, features = boosted
    tables = tables_of(model, features, EVERY, 60, 1.0)
    low, high = tables.reach.T
    np.testing.assert_array_equal(high, features.value.max(0))
    rows = features.rows(np.zeros(4, int))
    edge, margin = rows.value.copy(), MARGIN * (high - low)[0]
    edge[:, 0] = high[0] + margin * np.array([0, 0.5, 1, 1e6])
    each = np.asarray(contributions(tables, rows._replace(value=edge)))
    np.testing.assert_allclose(each[1, 0], each[0, 0] / 2, atol=1e-12)
    assert np.abs(each[0, 0]).max() > 0.01 and not each[2:, 0].any()
    without = np.asarray(rows.available).copy()
    without[:, 0] = False
    alone = np.asarray(contributions(tables, rows._replace(available=without)))
    np.testing.assert_allclose(each[3], alone[3], atol=1e-12)  # like a value that is not available


def test_a_feature_without_any_value_adds_nothing():
    truth = np.random.default_rng(1).integers(0, 3, N)
    features = sources(truth)
    features.measured[:, 2] = False
    model = boost(features, truth, EVERY, 3, depth=2, rounds=20, seed=0)
    tables = tables_of(model, features, EVERY, 20, 1.0)
    assert not np.asarray(contributions(tables, features))[:, 2].any()
    np.testing.assert_array_equal(tables.reach[2], 0.0)


@pytest.mark.parametrize("absent", [0.0, 0.3])
def test_terms_are_pure(boosted, absent):
    """Over the training rows in which their features are available."""
    model, features = boosted
    available = np.random.default_rng(3).random((N, 3)) >= absent
    features = features._replace(available=available, measured=features.measured & available)
    tables = tables_of(model, features, EVERY, 60, 1.0)
    at = np.asarray(bins(tables.edge, features))
    main = np.where(available[..., None], tables.main[np.arange(3), at], 0.0)
    np.testing.assert_allclose(main.sum(0) / N, 0, atol=1e-7)
    weight = pair_counts(at, available, tables.pair, N_BINS + 1)[..., None]
    assert weight.sum() == sum((available[:, a] & available[:, b]).sum() for a, b in tables.pair)
    assert np.abs(weight * tables.pair_table).max() > 0.1
    for axis in (1, 2):
        np.testing.assert_allclose((weight * tables.pair_table).sum(axis) / N, 0, atol=1e-7)


def test_contributions_are_the_shapley_values_of_the_terms(boosted):
    """By brute force over the orders of the features; a feature left out adds no term."""
    model, features = boosted
    tables = tables_of(model, features, EVERY, 60, 1.0)
    few = Features(*(a[:20] for a in features))

    looked_up = jax.jit(contributions)
    totals = {}

    def total(known):
        available = np.isin(np.arange(3), known)[None] & few.available
        key = tuple(sorted(known))
        if key not in totals:
            totals[key] = np.asarray(looked_up(tables, few._replace(available=available))).sum(1)
        return totals[key]

    shapley = np.zeros((20, 3, len(tables.base)))
    orders = list(itertools.permutations(range(3)))
    for order in orders:
        for place, f in enumerate(order):
            shapley[:, f] += total(order[: place + 1]) - total(order[:place])
    np.testing.assert_allclose(contributions(tables, few), shapley / len(orders), atol=1e-9)


def test_padded_tables_are_the_same_model(boosted):
    model, features = boosted
    tables = tables_of(model, features, EVERY, 60, 1.0)
    whole = padded(tables)
    assert len(whole.pair) == PAIRS > len(tables.pair) > 0
    np.testing.assert_array_equal(contributions(whole, features), contributions(tables, features))
    assert padded(whole) is whole
    none = tables._replace(pair=tables.pair[:0], pair_table=tables.pair_table[:0])
    assert padded(none) is none


def test_fewer_rounds_are_the_first_ones():
    """The terms of all rows are grown only as far as the inner folds chose."""
    truth = np.arange(120) % 3
    features, every = sources(truth), np.ones(120, bool)
    few, many = (
        boost(features, truth, every, 3, depth=2, rounds=rounds, seed=4).trees for rounds in (3, 7)
    )
    for short, long in zip(jax.tree.leaves(few), jax.tree.leaves(many), strict=True):
        np.testing.assert_array_equal(short, long[:3])


def test_a_value_not_available_adds_nothing_and_its_filler_changes_nothing(boosted):
    model, features = boosted
    tables = tables_of(model, features, EVERY, 60, 1.0)
    available = features.available.copy()
    available[:, 1] = False
    dark = features._replace(available=available, measured=features.measured & available)
    found = np.asarray(contributions(tables, dark))
    assert not found[:, 1].any()
    assert not np.asarray(pair_terms(tables, dark))[:, (tables.pair == 1).any(1)].any()
    filled = dark._replace(value=np.where(dark.measured, dark.value, 7.0))
    np.testing.assert_array_equal(contributions(tables, filled), found)


def test_mixed_contributions_sum_to_mixed_scores(boosted):
    model, features = boosted
    tables = tables_of(model, features, EVERY, 60, 0.3)
    own = jnp.asarray(np.random.default_rng(2).normal(size=(N, 3, len(tables.base))))
    measured = jnp.arange(N) > 3
    added = contributions(tables, features)
    each = mixed(tables, own, added)
    joint = mixed_log_joint(tables, own.sum(1), added.sum(1), measured)
    rest = np.asarray(joint) - np.asarray(each).sum(1)
    np.testing.assert_allclose(
        rest[4:], np.broadcast_to(0.3 * tables.base, (N - 4, len(tables.base)))
    )
    np.testing.assert_allclose(joint[:4], own[:4].sum(1))


def test_bins_hold_equal_numbers_even_with_repeated_values():
    value = np.stack([np.arange(N, dtype=float), np.repeat([0.0, 1.0], N // 2), np.zeros(N)], 1)
    observed = np.ones(value.shape, bool)
    observed[:, 2] = False
    features = Features(value, observed, observed, np.ones_like(value), 0 * value)
    edge = lay_edges(features, EVERY)
    at = np.asarray(bins(edge, features))
    assert np.ptp(np.bincount(at[:, 0], minlength=N_BINS)[:N_BINS]) <= 1
    assert len(np.unique(at[:, 1])) == 2
    assert set(at[:, 2]) == {N_BINS}  # not measured
    assert np.isinf(edge[2]).all()


def held_out(truth, own, seed=0):
    fold = np.random.default_rng(seed).integers(0, 3, len(truth))
    return HeldOut(
        truth=truth,
        fold=fold,
        group=np.arange(len(truth)),
        log_joint=own,
        measured=np.ones(len(truth), bool),
    )


def test_a_feature_interaction_is_found_and_ranked_first():
    truth = np.random.default_rng(4).integers(0, 2, N)
    features, own = (
        sources(truth),
        np.full((N, 2), np.log(0.5)),
    )  # the best scores without the interaction
    tables, log_joint, report = learn_terms(features, held_out(truth, own), TermPlan(2), 0)
    loss = np.logaddexp.reduce(log_joint, axis=1) - log_joint[np.arange(N), truth]
    assert loss.mean() < 0.45 < np.log(2)
    assert tables is not None and report.pair[0] == (0, 1)
    assert report.importance[0] > 5 * max(report.importance[1:], default=0)
    assert report.gain > 10 * report.gain_error


def test_without_an_interaction_there_are_no_terms():
    """Negative control: the same with shuffled classes."""
    truth = np.random.default_rng(4).integers(0, 2, N)
    features, own = sources(truth), np.full((N, 2), np.log(0.5))
    shuffled = np.random.default_rng(5).permutation(truth)
    tables, log_joint, report = learn_terms(features, held_out(shuffled, own), TermPlan(2), 0)
    assert tables is None and report.share == 0
    assert report.gain < 0.01
    np.testing.assert_array_equal(log_joint, own)


def test_terms_of_one_feature_cannot_find_the_interaction():
    truth = np.random.default_rng(4).integers(0, 2, N)
    features, own = sources(truth), np.full((N, 2), np.log(0.5))
    tables, _, report = learn_terms(features, held_out(truth, own), TermPlan(1, 0.5), 0)
    assert tables is not None and len(tables.pair) == 0
    assert report.share == 0.5 and report.gain < 0.02


def test_a_class_without_rows_is_harmless():
    truth = np.zeros(N, int)
    model = boost(sources(truth), truth, EVERY, 2, depth=2, rounds=20, seed=0)
    tables = tables_of(model, sources(truth), EVERY, 20, 1.0)
    assert np.isfinite(tables.base).all() and tables.base[0] > tables.base[1]
    assert not tables.main.any() and not len(tables.pair)
