"""The outlier measure is the published one; outlier p-values have the nominal level."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from xbayes.classifier.outlier import (
    fit_reference,
    outlier_measure,
    outlier_score,
    tail_probability,
)

F = 6


def simulate(n, seed, share_missing=0.4, shift=0.0):
    """Log-likelihoods of correlated Gaussian features of two classes, some not available."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n)
    value = 0.8 * rng.normal(size=(n, 1)) + 0.6 * rng.normal(size=(n, F)) + truth[:, None] + shift
    available = rng.random((n, F)) > share_missing * rng.integers(0, 2, (n, 1))
    log_lik = np.stack([stats.norm.logpdf(value - c) for c in (0, 1)], -1)
    return np.where(available[..., None], log_lik, 0.0), available, truth


ALPHA = np.array([[1.0, 0.5, 0.2, 2.0, 0.0, 1.0]]).T * np.ones((1, 2))


def p_values(reference, log_lik, available, truth):
    score = np.asarray(outlier_score(reference, jnp.asarray(log_lik), jnp.asarray(available)))
    return tail_probability(reference, score, truth)


def test_measure_is_the_published_formula():
    log_lik, _, _ = simulate(20, 0)
    alpha, prior = np.array([3.0, 3.0, 6.0, 6.0, 9.0, 9.0]), np.array([0.9, 0.1])
    weights = np.repeat(alpha[:, None], 2, axis=1)
    got = outlier_measure(jnp.asarray(log_lik), jnp.asarray(weights), jnp.log(jnp.asarray(prior)))
    likelihood = np.exp(log_lik)
    expected = -np.log(prior * np.prod(likelihood ** (alpha / alpha.sum())[:, None], axis=1))
    np.testing.assert_allclose(got, expected, rtol=1e-9)


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_false_alarms_are_within_their_binomial_interval(level):
    reference = fit_reference(*simulate(4000, 1), ALPHA)
    log_lik, available, truth = simulate(8000, 2)
    alarms = (p_values(reference, log_lik, available, truth) <= level).sum()
    # The reference is a sample too: its quantile has a binomial error of its own.
    error = np.sqrt(level * (1 - level) * (8000 + 8000**2 / 4000))
    assert abs(alarms - 8000 * level) < 3 * error


def test_false_alarms_do_not_depend_on_available_features():
    """Without the standardisation, sources with fewer features would be flagged less often."""
    reference = fit_reference(*simulate(6000, 3), ALPHA)
    log_lik, available, truth = simulate(12000, 4)
    alarm = p_values(reference, log_lik, available, truth) <= 0.05
    few = available.sum(1) <= 4
    assert few.sum() > 2000
    assert abs(alarm[few].mean() - alarm[~few].mean()) < 0.025


def test_outliers_are_flagged():
    reference = fit_reference(*simulate(2000, 5), ALPHA)
    log_lik, available, truth = simulate(500, 6, shift=4.0)
    truth[:] = 1
    assert (p_values(reference, log_lik, available, truth) <= 0.05).mean() > 0.9


def test_p_value_is_a_rank_with_its_resolution():
    reference = fit_reference(*simulate(300, 7), ALPHA)
    size = np.asarray(reference.size)
    extreme = tail_probability(reference, np.full((1, 2), 1e9), np.array([0]))
    plain = tail_probability(reference, np.full((1, 2), -1e9), np.array([0]))
    assert extreme == pytest.approx(1 / (size[0] + 1))
    assert plain == 1.0


def test_a_source_without_available_features_is_no_outlier():
    reference = fit_reference(*simulate(300, 8), ALPHA)
    got = p_values(reference, np.zeros((2, F, 2)), np.zeros((2, F), bool), np.array([0, 1]))
    assert np.isfinite(got).all()
    assert (got > 0.05).all()


@pytest.mark.parametrize("members", [0, 1, 3])
def test_a_tiny_class_gives_a_coarse_finite_answer(members):
    log_lik, available, truth = simulate(200, 9)
    rows = (truth == 0) | (np.cumsum(truth == 1) <= members)
    reference = fit_reference(log_lik[rows], available[rows], truth[rows], ALPHA)
    got = p_values(reference, log_lik, available, np.ones(200, int))
    assert np.isfinite(got).all()
    assert got.min() >= 1 / (members + 1)
