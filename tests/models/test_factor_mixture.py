"""Mixtures of factor analysers: densities against SciPy, EM, and distances."""

import jax
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from xbayes.models import factor_mixture
from xbayes.models.factor_mixture import (
    Factors,
    Points,
    expect,
    fit_factors,
    one_component,
)

K, F, Q, N = 2, 6, 3, 40
distances = jax.jit(factor_mixture.distances)


def params(seed=0):
    rng = np.random.default_rng(seed)
    return Factors(
        log_weight=np.log([0.3, 0.7]),
        mean=rng.normal(size=(K, F)),
        loading=rng.normal(size=(K, F, Q)),
        variance=rng.uniform(0.1, 1, (K, F)),
    )


def points(seed=1, n=N, noise=1.0):
    rng = np.random.default_rng(seed)
    measured = (rng.random((F, n)) < 0.7).astype(float)
    measured[:, 0] = 0.0
    return Points(
        value=2 * rng.normal(size=(F, n)) * measured,
        measured=measured,
        noise=noise * rng.random((F, n)) * measured,
    )


def covariance(mixture, k):
    return mixture.loading[k] @ mixture.loading[k].T + np.diag(mixture.variance[k])


def sampled(mixture, n, seed):
    """Rows of the first component."""
    rng = np.random.default_rng(seed)
    value = rng.multivariate_normal(mixture.mean[0], covariance(mixture, 0), n).T
    return Points(value=value, measured=np.ones((F, n)), noise=np.zeros((F, n)))


def test_density_is_that_of_the_observed_values():
    mixture, rows = params(), points()
    joint = expect(mixture, rows).log_joint
    for k in range(K):
        for n in range(N):
            o = rows.measured[:, n] > 0
            whole = covariance(mixture, k) + np.diag(rows.noise[:, n])
            expected = mixture.log_weight[k]
            if o.any():
                expected += multivariate_normal.logpdf(
                    rows.value[o, n], mixture.mean[k, o], whole[np.ix_(o, o)]
                )
            assert joint[k, n] == pytest.approx(expected, rel=1e-9)


def test_distances_agree_with_the_e_step(precision):
    mixture, rows = params(), points()
    single = precision == "float32"
    got = distances(*([mixture] if not single else [_single(mixture)]), *map(_plain(single), rows))
    tolerance = 1e-4 if single else 1e-9
    np.testing.assert_allclose(got.log_joint, expect(mixture, rows).log_joint, rtol=tolerance)


def _plain(single):
    return lambda array: np.asarray(array, np.float32 if single else np.float64)


def _single(mixture):
    return Factors._make(map(_plain(True), mixture))


def test_distance_is_of_the_expected_true_values():
    mixture, rows = params(), points()
    got = distances(mixture, *rows)
    for n in (1, 5, 9):
        o = rows.measured[:, n] > 0
        true = covariance(mixture, 1)[np.ix_(o, o)]
        u = np.linalg.solve(true + np.diag(rows.noise[o, n]), rows.value[o, n] - mixture.mean[1, o])
        assert got.square[1, n] == pytest.approx(u @ true @ u, rel=1e-9)
    exact = distances(mixture, rows.value, rows.measured, 0 * rows.noise)
    np.testing.assert_allclose(exact.freedom, np.tile(rows.measured.sum(0), (K, 1)))
    assert exact.square[0, 0] == 0  # nothing is measured


def test_em_raises_the_likelihood_and_finds_the_covariance():
    truth = params(3)
    rows = sampled(truth, 3000, 0)
    hidden = rows.measured * (np.random.default_rng(1).random((F, 3000)) < 0.8)
    rows = Points(value=rows.value * hidden, measured=hidden, noise=rows.noise)
    first = one_component(rows, Q, 1)
    likelihood = []
    fitted = first
    for _ in range(60):
        likelihood.append(logsumexp(expect(fitted, rows).log_joint, axis=0).sum())
        fitted = fit_factors(rows, fitted, first, 1e-9, 1)
    assert np.diff(likelihood).min() > -0.1  # a pseudo-row of the mean
    np.testing.assert_allclose(covariance(fitted, 0), covariance(truth, 0), atol=0.35)
    np.testing.assert_allclose(fitted.mean[0], truth.mean[0], atol=0.15)


def test_noise_is_taken_out_of_the_variances():
    truth = params(3)
    rows = sampled(truth, 3000, 0)
    rng = np.random.default_rng(2)
    noise = rng.uniform(0, 2, (F, 3000))
    noisy = rows._replace(value=rows.value + np.sqrt(noise) * rng.normal(size=noise.shape))
    told = one_component(noisy._replace(noise=noise), Q, 60)
    untold = one_component(noisy, Q, 60)
    error = [np.diag(covariance(f, 0) - covariance(truth, 0)).mean() for f in (told, untold)]
    assert abs(error[0]) < 0.15
    assert error[1] > 0.8


def test_features_that_are_sums_of_each_other_keep_a_positive_covariance():
    rows = sampled(params(), 50, 0)
    rows.value[5] = rows.value[0] - rows.value[1]
    rows.value[4] = 3.0  # constant
    fitted = one_component(rows, Q, 15)
    assert np.linalg.eigvalsh(covariance(fitted, 0)).min() > 0
    assert np.isfinite(expect(fitted, rows).log_joint).all()


def test_prior_rules_where_rows_are_few():
    prior = one_component(sampled(params(3), 500, 0), Q, 15)
    few = sampled(params(4), 3, 1)
    near, far = (fit_factors(few, prior, prior, strength, 15) for strength in (1000.0, 1.0))
    away = [np.abs(covariance(f, 0) - covariance(prior, 0)).max() for f in (near, far)]
    assert away[0] < 0.1 * away[1]
    none = fit_factors(Points._make(a[:, :0] for a in few), prior, prior, 5.0, 5)
    np.testing.assert_allclose(none.loading, prior.loading, atol=1e-9)
