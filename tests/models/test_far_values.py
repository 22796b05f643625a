"""The broad density common to all classes bounds the evidence of one value."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from tests.models.test_share_below import features_of
from xbayes.models.far_values import far_below, log_far
from xbayes.models.smooth_density import smooth_density

N_NODES = 32
LIMITS = ([False, False], [True, False], [False, True], [True, True])


def far(position, limited):
    position, limited = jnp.asarray(position)[:, None], np.array([limited])
    height = np.exp(log_far(position, limited, N_NODES))
    return height[:, 0], np.asarray(far_below(position, limited, N_NODES))[:, 0]


@pytest.mark.parametrize("limited", LIMITS)
def test_it_is_a_density_between_its_limits(limited):
    low, high = np.where(limited, [0.0, N_NODES - 1.0], [-np.inf, np.inf])
    for x in (3.0, 20.0):
        below = integrate.quad(lambda p: far([p], limited)[0][0], low, x)[0]
        above = integrate.quad(lambda p: far([p], limited)[0][0], x, high)[0]
        np.testing.assert_allclose(below + above, 1.0, rtol=1e-6)
        np.testing.assert_allclose(far([x], limited)[1][0], below, rtol=1e-6)


def two_classes(tails):
    """The log-odds of a wide class of few sources against a narrow class of many."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], [300, 40])
    value = rng.normal(size=340) * np.where(truth, 2.0, 0.5) + truth
    features = features_of(value)
    density = smooth_density(np.array([[np.nan, np.nan]]), np.array([False]), 2, tails=tails)
    grid, rows = jax.tree.map(jnp.asarray, (density.prepare(features, truth >= 0), features))
    counts = density.statistics(grid, rows, jnp.asarray(truth), jnp.zeros(340, int), 1)
    params = density.fit(grid, jax.tree.map(lambda c: c[0], counts))

    def ratio(x):
        log_lik = np.asarray(density.log_lik(params, features_of(x)))[:, 0]
        return log_lik[:, 1] - log_lik[:, 0]

    return ratio


@pytest.mark.parametrize(
    "precision", ["float64", pytest.param("float32", marks=pytest.mark.slow)], indirect=True
)
def test_evidence_decreases_with_distance(precision):
    ratio = two_classes(1e-3)
    evidence = np.abs(ratio([20, 50, 100, 1e3, 1e6, -1e3, -1e6]))
    assert (evidence[2:] < 1e-2).all() and evidence[0] >= evidence[1] >= evidence[2]


def test_without_the_broad_density_evidence_ends_at_the_training_values_too():
    """Beyond them the class densities keep a common shape (`smooth_density._common_beyond`)."""
    ratio = two_classes(0.0)
    evidence = np.abs(ratio([20, 50, 100, 1e3]))
    np.testing.assert_allclose(evidence, evidence[0], rtol=1e-6)
    assert evidence[0] < 0.2 < np.abs(ratio([4.0])[0])


def test_the_broad_density_hardly_changes_evidence_near_the_sources():
    x = np.linspace(-1, 1, 21)
    np.testing.assert_allclose(two_classes(1e-3)(x), two_classes(0.0)(x), atol=0.02)


def test_a_weight_of_one_is_refused():
    with pytest.raises(ValueError, match="0 <= tails < 1"):
        smooth_density(np.array([[np.nan, np.nan]]), np.array([False]), 2, tails=1.0)
