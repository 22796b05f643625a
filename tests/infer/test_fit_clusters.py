"""Clusters with and without labels: held-out scores, folds, invariances, other densities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xbayes.infer.fit_clusters import ClusterOptions, cluster_density
from xbayes.infer.information_criteria import choose
from xbayes.infer.out_of_fold import out_of_fold
from xbayes.infer.unlabelled_clusters import REGULARISER, choose_components, fit_clusters
from xbayes.models.measured import Measured
from xbayes.models.product_density import side_by_side
from xbayes.models.smooth_density import smooth_density
from xbayes.published.fit_clusters import published_cluster_density
from xbayes.types import Features

F, C = 3, 3
EVIDENCE = np.zeros(F, bool)


def sky(n, seed, missing=0.0):
    """Two clusters with a class each; a third, rare class lies off-centre in the second one."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, size=n, p=[0.5, 0.42, 0.08])
    centre = np.array([[0.0, 0.0, 0.0], [4.0, 4.0, 0.0], [4.0, 4.0, 2.5]])
    value = 10 + 3 * (centre[truth] + rng.normal(size=(n, F)) @ (np.eye(F) + 0.4))
    observed = rng.random((n, F)) >= missing
    ones = np.ones((n, F))
    return Features(np.where(observed, value, 0.0), observed, ones > 0, ones, 0 * ones), truth


def learned(density, features, truth, rows):
    prepared = jax.tree.map(jnp.asarray, density.prepare(features, rows))
    arrays = jax.tree.map(jnp.asarray, features)
    class_index, fold = np.where(rows, truth, -1), np.where(rows, 0, -1)
    statistics = density.statistics(
        prepared, arrays, jnp.asarray(class_index), jnp.asarray(fold), 1
    )
    return density.fit(prepared, jax.tree.map(lambda leaf: leaf[0], statistics))


def log_loss(density, params, features, truth, rows):
    score = np.asarray(density.log_lik(params, features)).sum(1)
    score = score + np.log(np.bincount(truth) / len(truth))
    log_posterior = np.asarray(jax.nn.log_softmax(score))
    return -log_posterior[np.arange(len(truth)), truth][rows].mean()


@pytest.mark.parametrize(
    ("learn", "missing"),
    [("none", 0.0), ("assignment", 0.0), pytest.param("mixture", 0.3, marks=pytest.mark.slow)],
)
def test_classes_are_separated_on_held_out_rows(learn, missing):
    features, truth = sky(900, 1, missing)
    density = cluster_density(EVIDENCE, C, ClusterOptions(components=2, learn=learn))
    rows = np.arange(900) < 600
    params = learned(density, features, truth, rows)
    found = log_loss(density, params, features, truth, ~rows)
    blind = -np.log(np.bincount(truth) / len(truth))[truth].mean()
    assert found < 0.6 * blind


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mixture", "learn", "missing"),
    [("dirichlet", "none", 0.3), ("stick_breaking", "mixture", 0.0)],
)
def test_bayesian_clusters_separate_classes_as_well_as_em(mixture, learn, missing):
    """With four more components than clusters."""
    features, truth = sky(900, 1, missing)
    rows, found = np.arange(900) < 600, {}
    for k, kind in ((2, "em"), (6, mixture)):
        options = ClusterOptions(components=k, learn=learn, mixture=kind)
        density = cluster_density(EVIDENCE, C, options)
        params = learned(density, features, truth, rows)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
        found[kind] = log_loss(density, params, features, truth, ~rows)
    assert found[mixture] < found["em"] + 0.03


@pytest.mark.slow
def test_sampled_clusters_are_near_the_variational_fit_and_ignore_other_rows():
    features, truth = sky(150, 1)
    rows, n = np.arange(150) < 100, 40
    options = ClusterOptions(components=2, learn="none", starts=2, mixture="nuts", draws=n)
    sampled = cluster_density(EVIDENCE, C, options)
    near = cluster_density(EVIDENCE, C, options._replace(mixture="dirichlet"))
    prepared, variational = sampled.prepare(features, rows), near.prepare(features, rows)
    assert variational.draws is None
    assert prepared.draws.mean.shape == (2 * n, 2, F)
    np.testing.assert_allclose(prepared.clusters.mean, variational.clusters.mean, atol=0.1)
    assert np.abs(prepared.responsibility - variational.responsibility).mean() < 0.06
    # At least the standard errors of means with known responsibilities, and little more: samples
    # whose components are in different orders are much wider.
    size = 100 * np.exp(prepared.clusters.log_weight)[:, None]
    error = np.sqrt(np.diagonal(prepared.clusters.covariance, axis1=1, axis2=2) / size)
    ratio = prepared.draws.mean.std(0) / error
    assert (ratio > 0.7).all()
    assert (ratio < 2).all()
    other = features._replace(value=np.where(rows[:, None], features.value, 0.0))
    again = sampled.prepare(other, rows)
    assert jax.tree.all(jax.tree.map(np.array_equal, again.draws, prepared.draws))

    # Each sample of the class densities belongs to one sample of the clusters.
    membership = jax.nn.one_hot(truth, C) * rows[:, None]
    smoothing = sampled.prepare_sampling(prepared, membership)

    def mean_of_classes(draws, key):
        one = sampled.sample(key, prepared._replace(draws=draws), smoothing, membership)
        return np.asarray(one.mean)

    pair = [jax.tree.map(lambda leaf, s=s: leaf[s], prepared.draws) for s in (0, -1)]
    either = jax.tree.map(lambda *leaves: jnp.stack(leaves), *pair)
    for key in jax.random.split(jax.random.key(0), 2):
        chosen = mean_of_classes(either, key)
        alone = [mean_of_classes(jax.tree.map(lambda leaf: leaf[None], d), key) for d in pair]
        assert sorted(np.allclose(chosen, each) for each in alone) == [False, True]


@pytest.mark.parametrize(
    "mixture",
    ["dirichlet", *(pytest.param(m, marks=pytest.mark.slow) for m in ("em", "stick_breaking"))],
)
def test_bayesian_mixtures_empty_superfluous_clusters(mixture):
    rng = np.random.default_rng(11)
    centre = np.array([[-2.0, -2.0], [2.0, 2.0]])
    x = Measured(jnp.asarray(centre[np.arange(400) % 2] + 0.5 * rng.normal(size=(400, 2))))
    clusters = fit_clusters(x, jnp.ones(400), 5, n_starts=4, mixture=mixture)
    heavy = np.exp(clusters.log_weight) > 0.02
    assert heavy.sum() == (5 if mixture == "em" else 2)
    if mixture != "em":
        variance = np.diagonal(clusters.covariance[heavy], axis1=1, axis2=2)
        order = np.argsort(clusters.mean[heavy, 0])
        own = np.stack([x.value[k::2].var(0) for k in range(2)])
        np.testing.assert_allclose(clusters.mean[heavy][order], centre, atol=0.15)
        np.testing.assert_allclose(variance[order], own + REGULARISER, atol=0.04)


@pytest.mark.slow
def test_the_gradient_lowers_the_loss_of_its_own_rows():
    """For classes that are not Gaussian, at the best temperature of each."""
    features, truth = sky(600, 2)
    features = features._replace(value=np.sinh((features.value - 16) / 6))
    rows, losses = np.ones(600, bool), {}
    for learn in ("none", "mixture"):
        density = cluster_density(EVIDENCE, C, ClusterOptions(components=2, learn=learn))
        params = learned(density, features, truth, rows)
        score = np.asarray(density.log_lik(params, features)).sum(1)
        prior = np.log(np.bincount(truth) / len(truth))
        losses[learn] = min(
            -np.asarray(jax.nn.log_softmax(prior + t * score))[np.arange(600), truth].mean()
            for t in np.linspace(0.2, 1.5, 40)
        )
    assert losses["mixture"] < 0.97 * losses["none"]


@pytest.mark.slow
def test_rows_outside_the_training_part_change_nothing():
    features, truth = sky(400, 3)
    rows = np.arange(400) < 300
    density = cluster_density(EVIDENCE, C, ClusterOptions(components=2))
    before = learned(density, features, truth, rows)
    value = np.where(rows[:, None], features.value, 1e3)
    after = learned(density, features._replace(value=value), np.where(rows, truth, 0), rows)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_units_change_no_posterior():
    features, truth = sky(300, 4)
    rows = np.ones(300, bool)
    density = cluster_density(EVIDENCE, C, ClusterOptions(components=2))
    scaled = features._replace(value=features.value * [1e-3, 1.0, 50.0] + [5.0, 0.0, -1.0])
    found = []
    for each in (features, scaled):
        terms = density.log_lik(learned(density, each, truth, rows), each)
        found.append(jax.nn.softmax(terms.sum(1)))
    np.testing.assert_allclose(*found, atol=1e-6)


@pytest.mark.slow
def test_out_of_fold_is_the_fit_without_the_fold():
    features, truth = sky(300, 5)
    density = cluster_density(EVIDENCE, C, ClusterOptions(components=2))
    arrays = jax.tree.map(jnp.asarray, features)
    fold = jnp.arange(300) % 3
    prepared = jax.tree.map(jnp.asarray, density.prepare(features, np.ones(300, bool)))
    statistics = density.statistics(prepared, arrays, jnp.asarray(truth), fold, 3)
    held_out = out_of_fold(density, prepared, statistics, arrays, fold)
    direct = density.log_lik(density.fit(prepared, statistics[1] + statistics[2]), arrays)
    own = np.asarray(fold) == 0
    np.testing.assert_allclose(held_out.single[own], direct[own], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_not_detected_is_evidence_only_where_it_is_declared():
    features, truth = sky(600, 6)
    observed = features.measured & ~((truth == 1)[:, None] & np.array([False, False, True]))
    features = features._replace(measured=observed, value=np.where(observed, features.value, 0.0))
    rows, terms = np.ones(600, bool), {}
    for evidence in (False, True):
        kept = np.array([False, False, evidence])
        density = cluster_density(kept, C, ClusterOptions(components=2, learn="none"))
        terms[evidence] = density.log_lik(learned(density, features, truth, rows), features)
    gap = np.asarray(terms[True] - terms[False])[truth == 1]
    assert (gap[:, 2, 1] > gap[:, 2, 0] + 3).all()
    assert np.all(np.asarray(terms[False])[~observed] == 0)


@pytest.mark.slow
def test_held_out_likelihood_selects_the_number_of_clusters():
    rng = np.random.default_rng(7)
    centre = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])
    x = Measured(jnp.asarray(centre[rng.integers(3, size=400)] + rng.normal(size=(400, 2))))
    assert choose_components(x, np.ones(400, bool), n_starts=2) == 3


def test_the_elbow_of_bic_limits_the_number_of_components():
    n = np.arange(2, 8)
    falling = np.array([[-10.0], [-100.0], [-180.0], [-185.0], [-187.0], [-186.0]]) * 10
    found = choose(n, falling)
    assert (found.lowest, found.elbow, found.taken) == (6, 4, 4)
    rising = choose(n, np.arange(6.0)[:, None])
    assert rising.taken == 2


def smooth(n_features):
    return smooth_density(np.full((n_features, 2), np.nan), np.zeros(n_features, bool), C)


def two_clusters(n_features):
    return cluster_density(EVIDENCE[:n_features], C, ClusterOptions(components=2))


@pytest.mark.parametrize("of_two", [smooth, pytest.param(two_clusters, marks=pytest.mark.slow)])
def test_densities_side_by_side_keep_the_order_of_the_features(of_two):
    features, truth = sky(300, 8)
    rows = np.ones(300, bool)
    first, second = of_two(2), smooth(1)
    both = side_by_side([((0, 2), first), ((1,), second)])
    params = learned(both, features, truth, rows)
    arrays = jax.tree.map(jnp.asarray, features)
    got = both.log_lik(params, arrays)
    middle = Features(*(a[:, [1]] for a in arrays))
    outer = Features(*(a[:, [0, 2]] for a in arrays))
    np.testing.assert_allclose(got[:, [1]], second.log_lik(params[1], middle), rtol=1e-12)
    np.testing.assert_allclose(got[:, [0, 2]], first.log_lik(params[0], outer), rtol=1e-12)
    node, height = both.curves(params)
    area = (height * np.diff(node, axis=1).mean(1)[:, None, None]).sum(1)
    np.testing.assert_allclose(area, 1.0, atol=0.05)


@pytest.mark.slow
def test_the_published_scaler_uses_test_rows_only_on_request():
    features, truth = sky(400, 9)
    rows = np.arange(400) < 300
    far = features._replace(value=np.where(rows[:, None], features.value, 1e3))
    rescale = ("minmax", "log_minmax", "none")
    for everything in (False, True):
        density = published_cluster_density(rescale, C, 2, 1, everything)
        same = [np.asarray(learned(density, f, truth, rows).scale) for f in (features, far)]
        assert np.array_equal(*same) != everything
