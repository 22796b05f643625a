"""Deconvolution of training values with errors: additive counts, limits, sharper densities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.test_share_below import features_of
from xbayes.models import error_ladder, smooth_density
from xbayes.models.deconvolve import LAST, count_noisy, expected_counts
from xbayes.models.grid import lay_grid

N_NODES = 128
NO_BOUNDS, NOISY = np.full((1, 2), np.nan), np.array([True])
SIZES = {"noisy": (0,), "n_classes": 2, "n_nodes": N_NODES}


def noisy_values(n=600, error=0.6, seed=0):
    """Two narrow peaks with errors wider than the peaks."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 2
    exact = rng.choice([-1.0, 1.0], n) + 0.1 * rng.normal(size=n)
    features = features_of(exact + error * rng.normal(size=n))
    return features._replace(error=np.full((n, 1), error)), truth


def grid_of(features):
    grid = lay_grid(features, np.ones(len(features.value), bool), NO_BOUNDS, NOISY, N_NODES, 0.15)
    return jax.tree.map(jnp.asarray, grid)


def counts_of(features, truth, fold, n_folds):
    return count_noisy(
        grid_of(features), features, jnp.asarray(truth), fold, None, n_folds=n_folds, **SIZES
    )


def test_counts_add_over_folds():
    features, truth = noisy_values()
    fold = jnp.arange(len(truth)) % 5
    by_fold = counts_of(features, truth, fold, 5)
    assert by_fold.shape == (5, 1, 2, LAST, N_NODES)
    together = counts_of(features, truth, jnp.zeros_like(fold), 1)[0]
    np.testing.assert_allclose(by_fold.sum(0), together, atol=1e-10)
    np.testing.assert_allclose(together.sum((0, 2, 3)), np.bincount(truth))


def test_without_errors_the_expected_counts_are_the_counts():
    features, truth = noisy_values()
    exact = features._replace(error=np.zeros_like(features.error))
    counts = counts_of(exact, truth, jnp.zeros(len(truth), int), 1)[0]
    density = jnp.full((1, 2, N_NODES), 1.0 / N_NODES)
    expected = expected_counts(density, counts, ((False, False),))
    np.testing.assert_allclose(expected, counts.sum(2), atol=1e-9)


@pytest.mark.parametrize("ends", [(False, False), (True, True)])
def test_expected_counts_are_those_of_bayes_theorem(ends):
    """One value at a node, one width: the posterior of its true value, and the number is kept."""
    rng = np.random.default_rng(3)
    density = rng.random(N_NODES)
    counts = np.zeros((1, 1, LAST, N_NODES))
    rung, node = 7, 20
    counts[0, 0, rung, node] = 4.0
    got = expected_counts(jnp.asarray(density)[None, None], jnp.asarray(counts), (ends,))[0, 0]
    width, j = error_ladder.widths(N_NODES)[rung], np.arange(N_NODES)
    likelihood = np.exp(-0.5 * ((node - j) / width) ** 2)
    if ends[0]:
        likelihood += np.exp(-0.5 * ((node + j) / width) ** 2)
        likelihood += np.exp(-0.5 * ((node - 2 * (N_NODES - 1) + j) / width) ** 2)
    posterior = density * likelihood
    np.testing.assert_allclose(got, 4.0 * posterior / posterior.sum(), rtol=1e-6, atol=1e-12)


def test_steps_fit_new_noisy_values_better(monkeypatch):
    features, truth = noisy_values()
    new, _ = noisy_values(seed=1)
    mean = {}
    for steps in (0, 3):
        monkeypatch.setattr(smooth_density, "STEPS", steps)
        tails = 1e-4 + 1e-6 * steps  # another object, so that it is traced with these steps
        density = smooth_density.smooth_density(NO_BOUNDS, NOISY, 2, tails=tails, errors=NOISY)
        grid = jax.tree.map(jnp.asarray, density.prepare(features, truth >= 0))
        fold = jnp.zeros(len(truth), int)
        counts = density.statistics(grid, features, jnp.asarray(truth), fold, 1)
        params = density.fit(grid, jax.tree.map(lambda leaf: leaf[0], counts))
        mean[steps] = float(np.asarray(density.log_lik(params, new)).mean())
    assert mean[3] > mean[0] + 0.01
