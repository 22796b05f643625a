"""The distribution functions of the class densities, against sums and integrals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xbayes.models.smooth_density import smooth_density
from xbayes.published.code_density import published_code_density
from xbayes.published.density import published_density
from xbayes.types import Features

NAN = np.nan
BOUNDS = [[NAN, NAN], [0.0, NAN], [NAN, 1.0], [0.0, 1.0]]
KINDS = {
    "smooth": lambda: smooth_density(np.array([[NAN, NAN]]), np.array([True]), 2),
    "published_code": lambda: published_code_density(np.zeros((1, 2), bool)),
    "published": lambda: published_density(np.array([True]), np.zeros((1, 2), bool)),
}


def features_of(value):
    value = np.asarray(value, float)[:, None]
    every = np.ones(value.shape, bool)
    return Features(
        value=value,
        measured=every,
        available=every,
        weight=np.ones_like(value),
        error=np.zeros_like(value),
    )


def fit(density, value, truth):
    features = features_of(value)
    grid = density.prepare(features, truth >= 0)
    grid, rows = jax.tree.map(jnp.asarray, (grid, features))
    counts = density.statistics(grid, rows, jnp.asarray(truth), jnp.zeros(len(truth), int), 1)
    return density.fit(grid, jax.tree.map(lambda c: c[0], counts))


def sample(n=400):
    rng = np.random.default_rng(n)
    return rng.beta(1, 2, n), np.arange(n) % 2


@pytest.mark.slow
@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("n", [6, 400])
def test_smooth_share_is_the_integral_of_the_density(bounds, n):
    density = smooth_density(np.array([bounds]), np.array([False]), 2)
    params = fit(density, *sample(n))
    low, high = np.where(np.isnan(bounds), [-40.0, 40.0], bounds)
    x = np.linspace(low, high, 800_001)
    height = np.exp(density.log_lik(params, features_of(x)))[:, 0] / params.step[0]
    area = np.cumsum((height[1:] + height[:-1]) / 2, axis=0) * (x[1] - x[0])
    below = np.asarray(density.share_below(params, features_of(x)))[:, 0]
    np.testing.assert_allclose(below[1:], area, atol=2e-4)
    assert (np.diff(below, axis=0) >= -1e-12).all()
    # The broad density common to all classes, with 3 %, reaches beyond this interval.
    np.testing.assert_allclose(below[[0, -1]], [[0, 0], [1, 1]], atol=3e-4)


def test_share_beyond_the_grid_is_that_of_the_exponential_tail():
    density = smooth_density(np.array([[NAN, NAN]]), np.array([True]), 2, tails=0.0)
    params = fit(density, *sample(6))
    origin, step, n = float(params.origin[0]), float(params.step[0]), params.log_density.shape[1]
    edge = np.array([origin, origin + step * (n - 1)])
    height = np.exp(np.asarray(params.log_density)[0][[0, -1]])  # [2, C]
    tail = height / np.asarray(params.fall)[0].T
    assert (tail > 0.005).all()
    outside = np.array([edge[0] - 3 * step, edge[1] + 3 * step])
    got = np.asarray(density.share_below(params, features_of(np.r_[edge, outside])))[:, 0]
    left = tail * np.exp(-3 * np.asarray(params.fall)[0].T)
    np.testing.assert_allclose(got[[0, 2]], [tail[0], left[0]], rtol=1e-9)
    np.testing.assert_allclose(1 - got[[1, 3]], [tail[1], left[1]], rtol=1e-9)


def test_no_share_lies_beyond_a_natural_limit():
    density = smooth_density(np.array([[0.0, 1.0]]), np.array([False]), 2)
    params = fit(density, *sample())
    got = np.asarray(density.share_below(params, features_of([-0.5, 0.0, 1.0, 1.5])))[:, 0]
    np.testing.assert_allclose(got, [[0, 0], [0, 0], [1, 1], [1, 1]], atol=1e-12)


def test_published_share_is_the_sum_of_the_bins_below():
    density = KINDS["published"]()
    params = fit(density, *sample())
    bins = np.exp(np.asarray(params.log_density))[0]  # [B, C]
    assert (np.abs(bins.sum(0) - 1) > 1e-4).all()  # the published bins are not normalised
    bins /= bins.sum(0)
    node = float(params.origin[0]) + float(params.step[0]) * np.arange(len(bins))
    middle = np.asarray(density.share_below(params, features_of(node)))[:, 0]
    np.testing.assert_allclose(middle, np.cumsum(bins, 0) - bins / 2, atol=1e-12)
    edges = node + 0.5 * float(params.step[0])
    upper = np.asarray(density.share_below(params, features_of(edges)))[:, 0]
    np.testing.assert_allclose(upper, np.cumsum(bins, 0), atol=1e-12)
    outside = np.asarray(density.share_below(params, features_of([-9.0, 9.0])))[:, 0]
    np.testing.assert_allclose(outside, [[0, 0], [1, 1]], atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("filler", [0.3, np.nan, 1e30])
def test_share_is_nan_where_nothing_is_measured(kind, filler, precision):
    density = KINDS[kind]()
    params = fit(density, *sample())
    x = features_of(np.r_[filler, np.linspace(-3, 4, 99)])
    x = x._replace(measured=np.arange(100)[:, None] > 0)
    got = np.asarray(density.share_below(params, x))[:, 0]
    assert np.isnan(got[0]).all()
    assert (got[1:] >= 0).all() and (got[1:] <= 1).all()
    # float32 sums are exact to their last digits only.
    assert (np.diff(got[1:], axis=0) >= -1e-6).all()


@pytest.mark.parametrize("kind", KINDS)
def test_half_of_a_class_lies_below_its_median(kind):
    rng = np.random.default_rng(0)
    value = np.r_[rng.normal(0, 1, 3000), rng.normal(2, 1, 3000)]
    density = KINDS[kind]()
    params = fit(density, value, np.repeat([0, 1], 3000))
    got = np.asarray(density.share_below(params, features_of([0.0, 2.0])))[:, 0]
    np.testing.assert_allclose([got[0, 0], got[1, 1]], 0.5, atol=0.02)
    np.testing.assert_allclose([got[0, 1], got[1, 0]], [0.0228, 0.9772], atol=0.02)
