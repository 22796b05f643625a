"""Estimated class proportions of a catalogue against simulated truth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from scipy.stats import binom, norm

from xbayes.evaluate.proportions import estimate_proportions

TRAINING = np.array([0.6, 0.3, 0.1])
SKY = np.array([0.2, 0.5, 0.3])
CENTRE = np.array([0.0, 1.5, 3.0])


def posteriors(rng, n, sharper=1.0):
    """Posteriors with the training proportions as prior, of sources with the proportions SKY."""
    truth = rng.choice(3, n, p=SKY)
    x = CENTRE[truth] + rng.normal(size=n)
    return softmax(sharper * norm.logpdf(x[:, None], CENTRE) + np.log(TRAINING), axis=1), truth


def test_proportions_maximise_the_likelihood():
    posterior, _ = posteriors(np.random.default_rng(0), 400)

    def loss(free):
        return -np.log((posterior / TRAINING) @ np.exp(log_softmax(free))).sum()

    expected = softmax(minimize(loss, np.zeros(3), tol=1e-12).x)
    found = estimate_proportions(posterior, np.log(TRAINING), jax.random.key(0))
    np.testing.assert_allclose(found.proportions, expected, atol=1e-5)


def test_the_prior_of_the_posteriors_does_not_matter():
    posterior, _ = posteriors(np.random.default_rng(1), 400)
    other = np.array([0.1, 0.1, 0.8])
    moved = posterior * other / TRAINING
    moved /= moved.sum(1, keepdims=True)
    one = estimate_proportions(posterior, np.log(TRAINING), jax.random.key(0))
    two = estimate_proportions(moved, np.log(other), jax.random.key(0))
    np.testing.assert_allclose(one.proportions, two.proportions, atol=1e-6)


def test_certain_classes_are_counted_and_the_draws_are_dirichlet():
    truth = np.repeat([0, 1, 2], [50, 30, 20])
    posterior = np.where(np.eye(3)[truth] > 0, 1 - 2e-12, 1e-12)
    found = estimate_proportions(posterior, np.log(TRAINING), jax.random.key(1))
    np.testing.assert_allclose(found.proportions, [0.5, 0.3, 0.2], atol=1e-6)
    exact = np.random.default_rng(0).dirichlet([50.5, 30.5, 20.5], 100_000)
    np.testing.assert_allclose(found.draws.mean(0), exact.mean(0), atol=0.006)
    np.testing.assert_allclose(found.draws.std(0), exact.std(0), rtol=0.1)


def test_an_absent_class_keeps_a_small_proportion():
    posterior = np.tile([0.7, 0.3, 1e-9], (50, 1))
    found = estimate_proportions(posterior, np.log(TRAINING), jax.random.key(2))
    assert 0 < found.proportions[2] <= 0.011
    np.testing.assert_allclose(found.proportions.sum(), 1.0)


@pytest.mark.slow
@pytest.mark.usefixtures("full_optimisation")
@pytest.mark.parametrize(("sharper", "calibrated"), [(1.0, True), (2.5, False)])
def test_intervals_cover(sharper, calibrated):
    """90 % intervals cover the truth in 200 catalogues, but not with overconfident posteriors."""
    n_catalogues, covered = 200, np.zeros(3)
    for seed in range(n_catalogues):
        posterior, _ = posteriors(np.random.default_rng(100 + seed), 300, sharper)
        found = estimate_proportions(posterior, np.log(TRAINING), jax.random.key(seed))
        low, high = found.interval()
        covered += (low <= SKY) & (high >= SKY)
    p = min(binom.cdf(covered.min(), n_catalogues, 0.9) * 3, 1.0)
    assert (p > 0.01) == calibrated, covered / n_catalogues


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_precisions(dtype, precision):
    posterior, _ = posteriors(np.random.default_rng(3), 300)
    found = estimate_proportions(posterior.astype(dtype), np.log(TRAINING), jax.random.key(3))
    assert found.draws.shape == (1000, 3)
    assert bool(jnp.isfinite(found.draws).all())
    np.testing.assert_allclose(found.proportions.sum(), 1.0)
