"""The broad density behind all classes: what one value may tell is bounded, and far off it is 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from xbayes.models.far_values import far_below, log_far
from xbayes.models.smooth_density import smooth_density
from xbayes.types import Features

N_NODES = 32
LIMITS = ([False, False], [True, False], [False, True], [True, True])


def far(position, limited):
    each = jnp.asarray(position)[:, None]
    arguments = (each, np.array([limited]), N_NODES)
    return np.exp(log_far(*arguments))[:, 0], np.asarray(far_below(*arguments))[:, 0]


@pytest.mark.parametrize("limited", LIMITS)
def test_it_is_a_density_within_its_limits(limited):
    low, high = np.where(limited, [0.0, N_NODES - 1.0], [-np.inf, np.inf])
    for x in (3.0, 20.0):
        below = integrate.quad(lambda p: far([p], limited)[0][0], low, x)[0]
        above = integrate.quad(lambda p: far([p], limited)[0][0], x, high)[0]
        np.testing.assert_allclose(below + above, 1.0, rtol=1e-6)
        np.testing.assert_allclose(far([x], limited)[1][0], below, rtol=1e-6)


def two_classes(tails):
    """A wide class of few and a narrow one of many sources, whose tails differ."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], [300, 40])
    value = (rng.normal(size=340) * np.where(truth, 2.0, 0.5) + truth)[:, None]
    there = np.ones_like(value, bool)
    features = Features(value, there, there, np.ones_like(value), 0 * value)
    density = smooth_density(np.array([[np.nan, np.nan]]), np.array([False]), 2, tails=tails)
    grid, rows = jax.tree.map(jnp.asarray, (density.lay_grid(features, truth >= 0), features))
    counts = density.count(grid, rows, jnp.asarray(truth), jnp.zeros(340, int), 1)
    params = density.fit(grid, jax.tree.map(lambda c: c[0], counts))

    def ratio(x):
        x = np.reshape(np.asarray(x, float), (-1, 1))
        each = (x, np.ones_like(x, bool), np.ones_like(x, bool), np.ones_like(x), 0 * x)
        log_lik = np.asarray(density.log_lik(params, Features(*each)))[:, 0]
        return log_lik[:, 1] - log_lik[:, 0]

    return ratio


def test_the_farther_the_less_it_tells(precision):
    ratio = two_classes(1e-3)
    told = np.abs(ratio([20, 50, 100, 1e3, 1e6, -1e3, -1e6]))
    assert (told[2:] < 1e-2).all() and told[0] >= told[1] >= told[2]


def test_without_it_a_far_value_tells_ever_more():
    told = np.abs(two_classes(0.0)([20, 50, 100, 1e3]))
    assert (np.diff(told) > 0).all() and told[-1] > 50


def test_among_the_sources_it_changes_next_to_nothing():
    x = np.linspace(-1, 1, 21)
    np.testing.assert_allclose(two_classes(1e-3)(x), two_classes(0.0)(x), atol=0.02)


def test_a_share_of_one_or_more_is_refused():
    with pytest.raises(ValueError, match="0 <= tails < 1"):
        smooth_density(np.array([[np.nan, np.nan]]), np.array([False]), 2, tails=1.0)
