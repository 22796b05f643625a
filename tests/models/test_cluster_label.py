"""Cluster-then-label densities, and the published method, against brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from xbayes.models.cluster_label import (
    ClusterParams,
    Patterns,
    assignment,
    by_component,
    class_log_density,
    log_terms,
    marginal_density,
    responsibility,
    share_below,
    split_by_class,
    tilted,
    whitening,
)
from xbayes.models.gaussian_mixture import MixtureParams
from xbayes.models.measured import Measured
from xbayes.published.clusters import NOUGHT, PublishedClusterParams, class_moments
from xbayes.published.clusters import log_terms as published_terms

C, K, F, N = 3, 2, 4, 60


def covariances(rng, *shape):
    root = rng.normal(size=(*shape, F, F)) / 2 + np.eye(F)
    return root @ root.swapaxes(-1, -2)


@pytest.fixture
def params():
    rng = np.random.default_rng(2)
    share = rng.dirichlet(np.ones(K), size=C)
    covariance = covariances(rng, C, K)
    none = jnp.zeros((F, C))
    shift, scale = jnp.array([1.0, -2.0, 0.0, 3.0]), jnp.array([2.0, 1.0, 0.5, 1.0])
    mean = jnp.asarray(rng.normal(size=(C, K, F)))
    return ClusterParams(
        shift=shift,
        scale=scale,
        log_share=jnp.log(share),
        mean=mean,
        whiten=whitening(jnp.asarray(covariance)),
        log_present=none,
        log_missing=none,
    )


@pytest.fixture
def rows(params):
    x = np.random.default_rng(3).normal(size=(N, F))
    return np.asarray(params.shift) + np.asarray(params.scale) * x


def brute_force(params, value, observed, noise=None):
    """log p(x_o | c) by SciPy, in the units of the values."""
    noise = np.zeros((len(value), F)) if noise is None else noise
    shift, scale = np.asarray(params.shift), np.asarray(params.scale)
    root = np.linalg.inv(np.asarray(params.whiten))
    covariance = root @ root.swapaxes(-1, -2)
    out = np.zeros((len(value), C))
    for n, c in np.ndindex(*out.shape):
        o = np.flatnonzero(observed[n])
        if len(o):
            terms = [
                np.asarray(params.log_share)[c, k]
                + multivariate_normal.logpdf(
                    value[n, o],
                    (shift + scale * np.asarray(params.mean)[c, k])[o],
                    (covariance[c, k] * scale * scale[:, None] + np.diag(noise[n]))[np.ix_(o, o)],
                )
                for k in range(K)
            ]
            out[n, c] = logsumexp(terms)
    return out


@pytest.mark.parametrize("share_missing", [0.0, 0.4])
def test_terms_sum_to_the_density_of_what_is_observed(params, rows, share_missing):
    observed = np.random.default_rng(4).random((N, F)) >= share_missing
    observed[0] = share_missing == 0
    terms = log_terms(params, Measured(np.where(observed, rows, np.nan), observed))
    np.testing.assert_allclose(terms.sum(1), brute_force(params, rows, observed), atol=1e-9)
    assert np.all(np.asarray(terms)[~observed] == 0)


def test_errors_widen_the_densities(params, rows):
    rng = np.random.default_rng(8)
    observed, noise = rng.random((N, F)) > 0.3, rng.gamma(1.0, 2.0, (N, F))
    observed[0] = False
    measured = Measured(rows, observed, noise)
    expected = brute_force(params, rows, observed, noise)
    np.testing.assert_allclose(log_terms(params, measured).sum(1), expected, atol=1e-9)
    of_cluster = np.asarray(by_component(params, measured))
    np.testing.assert_allclose(logsumexp(of_cluster, axis=1), expected, atol=1e-9)
    below = np.asarray(share_below(params, Measured(rows, observed, noise + 1e12)))
    np.testing.assert_allclose(below[observed], 0.5, atol=1e-3)
    assert np.isnan(below[~observed]).all()


def test_density_by_pattern_is_that_by_row(params, rows):
    observed = np.random.default_rng(4).random((N, F)) >= 0.4
    observed[0], observed[1] = False, True
    seen, of_row = np.unique(observed, axis=0, return_inverse=True)
    measured = Measured(rows, observed)
    expected = class_log_density(params, measured)
    patterns = Patterns(jnp.asarray(seen), jnp.asarray(of_row.ravel()))
    np.testing.assert_allclose(class_log_density(params, measured, patterns), expected, atol=1e-9)


def test_a_tilt_changes_the_shares_only(params, rows):
    tilt = jnp.asarray(np.random.default_rng(9).normal(size=(K, C)))
    other, total = tilted(params, tilt)
    np.testing.assert_allclose(jnp.exp(other.log_share).sum(1), 1.0)
    np.testing.assert_allclose(
        log_terms(other, Measured(rows)).sum(1) + total,
        logsumexp(np.asarray(by_component(params, Measured(rows)) + tilt), axis=1),
        atol=1e-9,
    )


def test_the_first_terms_sum_to_the_density_of_the_first_features(params, rows):
    everything = np.ones((N, F), bool)
    terms = np.asarray(log_terms(params, Measured(rows)))
    for f in range(1, F + 1):
        first = np.arange(F) < f
        expected = brute_force(params, rows, everything & first)
        np.testing.assert_allclose(terms[:, :f].sum(1), expected, atol=1e-9)


def test_assignment_and_responsibility_follow_bayes_rule(params, rows):
    proportions = np.array([0.5, 0.3, 0.2])
    matrix, size = assignment(params, jnp.asarray(proportions))
    joint = proportions[:, None] * np.exp(np.asarray(params.log_share))
    np.testing.assert_allclose(size, joint.sum(0), rtol=1e-12)
    np.testing.assert_allclose(matrix, (joint / joint.sum(0)).T, rtol=1e-12)
    observed = np.ones((N, F), bool)
    got = responsibility(params, Measured(rows), jnp.asarray(proportions))
    alone = []
    for k in range(K):
        only = params._replace(log_share=jnp.where(jnp.arange(K) == k, params.log_share, -jnp.inf))
        alone.append(np.exp(brute_force(only, rows, observed)) @ proportions)
    expected = np.array(alone) / np.sum(alone, axis=0)
    np.testing.assert_allclose(got, expected.T, rtol=1e-9)


def test_marginals_are_integrals_of_the_joint_density(params):
    value = jnp.asarray(params.shift + params.scale * 0.3)[None]
    below = share_below(params, Measured(value))[0]
    node = params.shift[:, None] + params.scale[:, None] * jnp.linspace(-12, 12, 20_001)
    height = np.asarray(marginal_density(params, node))
    step = np.asarray(node[:, 1] - node[:, 0])[:, None]
    np.testing.assert_allclose(height.sum(1) * step, 1.0, atol=1e-6)
    under = np.asarray(node) < np.asarray(value).T
    expected = (height * under[..., None]).sum(1) * step
    np.testing.assert_allclose(below, expected, atol=2e-3)


def test_a_class_without_members_has_the_density_of_the_cluster():
    rng = np.random.default_rng(5)
    clusters = MixtureParams(
        jnp.log(jnp.array([0.7, 0.3])),
        jnp.asarray(rng.normal(size=(K, F))),
        jnp.asarray(covariances(rng, K)),
    )
    value = jnp.asarray(rng.normal(size=(N, F)))
    resp = jnp.asarray(rng.dirichlet(np.ones(K), size=N))
    member = jax.nn.one_hot(rng.integers(2, size=N), C)  # none of the third
    share, mean, covariance = split_by_class(clusters, Measured(value), resp, member, 5.0, 20.0)
    np.testing.assert_allclose(jnp.exp(share[2]), [0.7, 0.3], rtol=1e-9)
    np.testing.assert_allclose(mean[2], clusters.mean, rtol=1e-9)
    np.testing.assert_allclose(covariance[2], clusters.covariance, rtol=1e-9)
    np.testing.assert_allclose(jnp.exp(share).sum(1), 1.0)


def test_the_prior_is_worth_its_pseudo_sources():
    """Mean and covariance are those of the sources with `kappa`, `nu` sources of the cluster."""
    rng = np.random.default_rng(6)
    clusters = MixtureParams(jnp.zeros(1), jnp.zeros((1, F)), jnp.eye(F)[None])
    value, one = rng.normal(1.0, 2.0, size=(N, F)), jnp.ones((N, 1))
    kappa, nu = 5.0, 20.0
    _, mean, covariance = split_by_class(clusters, Measured(value), one, one, kappa, nu)
    average = value.mean(0)
    np.testing.assert_allclose(mean[0, 0], N * average / (kappa + N), rtol=1e-9)
    scatter = (value - average).T @ (value - average)
    scatter += kappa * N / (kappa + N) * np.outer(average, average) + nu * np.eye(F)
    np.testing.assert_allclose(covariance[0, 0], scatter / (nu + N), rtol=1e-9)


def test_missing_values_and_errors_do_not_bias_the_classes():
    """The moments of the true values are recovered with missing values and measurement errors."""
    rng = np.random.default_rng(10)
    n, blur = 40_000, 0.3
    covariance = 0.6 * np.eye(F) + 0.4
    truth = rng.integers(2, size=n)
    centre = np.array([np.zeros(F), 0.7 * np.ones(F)])
    value = centre[truth] + rng.multivariate_normal(np.zeros(F), covariance, n)
    blurred = value + blur * rng.normal(size=value.shape)
    observed = rng.random(value.shape) < 0.7
    rows = Measured(np.where(observed, blurred, 1e3), observed, np.full(value.shape, blur**2))
    clusters = MixtureParams(jnp.zeros(1), jnp.zeros((1, F)), jnp.asarray(covariance)[None])
    one, member = jnp.ones((n, 1)), jnp.eye(2)[truth]
    _, mean, spread = split_by_class(clusters, rows, one, member, 1e-3, 1e-3)
    np.testing.assert_allclose(mean[:, 0], centre, atol=0.05)
    for c in range(2):
        np.testing.assert_allclose(spread[c, 0], covariance, atol=0.1 * np.diag(covariance).max())


@pytest.fixture
def published():
    """Two distant clusters; the third class has too few members in the second."""
    rng = np.random.default_rng(7)
    x = np.concatenate([rng.normal(size=(80, F)), 20 + rng.normal(size=(80, F))])
    x = x @ (np.eye(F) + 0.3)
    cluster = np.repeat([0, 1], 80)
    truth = rng.integers(3, size=160)
    truth[(cluster == 1) & (truth == 2)] = 0
    truth[-2:] = 2
    of_cluster, of_class = jnp.eye(2)[cluster], jnp.eye(3)[truth]
    mean, whiten, known = jax.jit(class_moments)(jnp.asarray(x), of_cluster, of_class)
    params = PublishedClusterParams(
        log_offset=-jnp.ones(F),
        shift=jnp.zeros(F),
        scale=jnp.ones(F),
        log_weight=jnp.log(jnp.full(2, 0.5)),
        cluster_mean=jnp.stack([x[cluster == k].mean(0) for k in range(2)]),
        cluster_whiten=jnp.tile(jnp.eye(F), (2, 1, 1)),
        mean=mean,
        whiten=whiten,
        known=known,
    )
    return params, x, cluster, truth


def test_the_published_score_is_the_softmin_of_mahalanobis_distances(published):
    params, x, cluster, truth = published
    terms = jax.jit(published_terms)(params, jnp.asarray(x), jnp.ones(x.shape, bool))
    got = np.asarray(jax.nn.softmax(terms.sum(1)))
    for n in range(0, len(x), 7):
        distance = np.full(3, np.inf)
        for c in range(3):
            members = x[(cluster == cluster[n]) & (truth == c)]
            if len(members) >= F:
                offset = x[n] - members.mean(0)
                distance[c] = offset @ np.linalg.pinv(np.cov(members.T)) @ offset
        expected = np.exp(-distance - logsumexp(-distance))
        np.testing.assert_allclose(got[n], expected, rtol=1e-6, atol=2 * np.exp(NOUGHT))
    assert got[cluster == 1, 2].max() < 1e-15  # the published zero


def members_of(kind, rng):
    """Members of three classes in one cluster, from 0 to 1 as after the published scaling."""
    x = 0.5 + 0.1 * rng.normal(size=(3 * 60, F)) @ (np.eye(F) + 0.3)
    truth = np.repeat([0, 1, 2], 60)
    if kind in ("as many members as features", "one member more"):
        n = F if kind == "as many members as features" else F + 1
        keep = (truth != 2) | (np.cumsum(truth == 2) <= n)
        x, truth = x[keep], truth[keep]
    if kind == "a collinear feature":
        x[truth == 2, -1] = x[truth == 2, 0] - 2 * x[truth == 2, 1]
    if kind == "a constant feature":
        x[truth == 2, 1] = 0.25
    if kind == "identical members":
        x[truth == 2] = x[truth == 2][0]
    return x, truth


@pytest.mark.parametrize(
    "kind",
    [
        "many members",
        "one member more",
        "as many members as features",
        "a collinear feature",
        "a constant feature",
    ],
)
@pytest.mark.parametrize("pinv", [np.linalg.pinv, scipy.linalg.pinv])
def test_a_singular_class_follows_the_pseudo_inverse(kind, pinv):
    """Also for rows that do not obey the relation between the features of the members."""
    rng = np.random.default_rng(11)
    x, truth = members_of(kind, rng)
    one = jnp.ones((len(x), 1))
    mean, whiten, known = jax.jit(class_moments)(jnp.asarray(x), one, jnp.eye(3)[truth])
    assert np.asarray(known).all()
    got = np.asarray(whiten)[0].swapaxes(-1, -2) @ np.asarray(whiten)[0]
    assert (np.triu(np.asarray(whiten), 1) == 0).all()  # feature f depends on those before it
    new = 0.5 + 0.2 * rng.normal(size=(20, F))
    for c in range(3):
        members = x[truth == c]
        inverse = pinv(np.cov(members.T))
        np.testing.assert_allclose(got[c], inverse, rtol=1e-7, atol=1e-9 * np.abs(inverse).max())
        offset = new - members.mean(0)
        expected = np.einsum("nf,fg,ng->n", offset, inverse, offset)
        white = (new - np.asarray(mean)[0, c]) @ np.asarray(whiten)[0, c].T
        np.testing.assert_allclose((white**2).sum(1), expected, rtol=1e-7, atol=1e-12)


def test_identical_members_have_no_distance():
    """Their covariance is zero, and so is its pseudo-inverse; rounding must not be inverted."""
    x, truth = members_of("identical members", np.random.default_rng(11))
    one = jnp.ones((len(x), 1))
    _, whiten, known = class_moments(jnp.asarray(x), one, jnp.eye(3)[truth])
    assert np.asarray(known).all() and (np.asarray(whiten)[0, 2] == 0).all()


def test_as_many_members_as_features_make_one_direction_free():
    """Moving a row along the direction in which the members do not vary changes nothing."""
    x, truth = members_of("as many members as features", np.random.default_rng(3))
    one = jnp.ones((len(x), 1))
    _, whiten, _ = class_moments(jnp.asarray(x), one, jnp.eye(3)[truth])
    free = np.linalg.svd(x[truth == 2] - x[truth == 2].mean(0))[2][-1]
    assert np.abs(np.asarray(whiten)[0, 2] @ free).max() < 1e-6
    assert np.abs(np.asarray(whiten)[0, 1] @ free).max() > 1
