"""Densities convolved with the error of each source, against quadrature and exact limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from tests.models.test_share_below import features_of
from xbayes.models import error_ladder
from xbayes.models.smooth_density import smooth_density

NAN = np.nan
BOUNDS = [
    (NAN, NAN),
    (0.0, 1.0),
    *(pytest.param(one, marks=pytest.mark.slow) for one in ((0.0, NAN), (NAN, 1.0))),
]
NOISY, EXACT = np.array([True]), np.array([False])


def fitted(bounds, tails=0.0, errors=NOISY):
    """Two classes of 200 values between 0 and 1."""
    value, truth = np.random.default_rng(400).beta(1, 2, 400), np.arange(400) % 2
    value = np.where(truth, value, value**2)
    density = smooth_density(np.array([bounds]), np.array([False]), 2, tails=tails, errors=errors)
    grid = jax.tree.map(jnp.asarray, density.prepare(features_of(value), truth >= 0))
    counts = density.statistics(
        grid, features_of(value), jnp.asarray(truth), jnp.zeros(400, int), 1
    )
    return density, density.fit(grid, jax.tree.map(lambda leaf: leaf[0], counts))


def with_error(x, error):
    features = features_of(x)
    return features._replace(error=np.full_like(features.value, error))


def by_quadrature(density, params, bounds, x, error):
    """The convolution summed over a fine grid, with the images of the error at natural limits."""
    low, high = np.where(np.isnan(bounds), [-8.0, 8.0], bounds)
    y = np.linspace(low, high, 8_001)
    weight = np.full(len(y), y[1] - y[0])
    weight[[0, -1]] /= 2
    exact = np.exp(density.log_lik(params, features_of(y)))[:, 0] * weight[:, None]
    images = [y, *([-y] if bounds[0] == 0 else []), *([2 - y] if bounds[1] == 1 else [])]
    if bounds == (0.0, 1.0):
        images = [sign * y + 2 * k for k in range(-4, 5) for sign in (1, -1)]
    return sum(stats.norm.pdf(x[:, None], image, error) for image in images) @ exact


@pytest.mark.parametrize("bounds", BOUNDS)
def test_an_error_of_zero_changes_nothing(bounds):
    density, params = fitted(bounds, tails=1e-3)
    exact, same = fitted(bounds, tails=1e-3, errors=EXACT)
    x = np.linspace(-0.5, 1.5, 101)
    for name in ("log_lik", "share_below"):
        got = getattr(density, name)(params, with_error(x, 0.0))
        expected = getattr(exact, name)(same, features_of(x))
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bounds", BOUNDS)
def test_on_a_rung_it_is_the_convolution(bounds):
    density, params = fitted(bounds)
    x = np.linspace(*np.where(np.isnan(bounds), [-0.1, 1.1], bounds), 25)
    for rung in (1, 8, 16):
        error = error_ladder.widths(128)[rung] * float(params.step[0])
        expected = by_quadrature(density, params, bounds, x, error)
        got = np.exp(density.log_lik(params, with_error(x, error)))[:, 0]
        np.testing.assert_allclose(got, expected, rtol=0.03, atol=0.01 * expected.max())


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("error", [0.004, 0.023, 0.21, 0.9])
def test_between_rungs_it_is_close_to_the_convolution(bounds, error):
    density, params = fitted(bounds)
    x = np.linspace(0.0, 0.9, 19)
    expected = by_quadrature(density, params, bounds, x, error)
    got = np.exp(density.log_lik(params, with_error(x, error)))[:, 0]
    np.testing.assert_allclose(got, expected, rtol=0.1)
    np.testing.assert_allclose(got[:, 1] / got[:, 0], expected[:, 1] / expected[:, 0], rtol=0.05)


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("error", [0.03, 0.5, 20.0])
def test_it_is_normalised_and_the_share_is_its_integral(bounds, error):
    density, params = fitted(bounds, tails=1e-3)
    reach = 8 * error + 30
    x = np.linspace(*np.where(np.isnan(bounds), [-reach, reach], bounds), 40_001)
    height = np.exp(density.log_lik(params, with_error(x, error)))[:, 0] / params.step[0]
    area = np.cumsum((height[1:] + height[:-1]) / 2, axis=0) * (x[1] - x[0])
    np.testing.assert_allclose(area[-1], 1.0, atol=2e-3)
    below = np.asarray(density.share_below(params, with_error(x, error)))[:, 0]
    np.testing.assert_allclose(below[1:], area, atol=2e-3)
    assert (np.diff(below, axis=0) >= -1e-12).all()


@pytest.mark.parametrize("bounds", BOUNDS)
def test_a_large_error_leaves_no_evidence(bounds):
    density, params = fitted(bounds)
    x = np.linspace(-0.2, 1.2, 29)

    def evidence(error):
        log_lik = np.asarray(density.log_lik(params, with_error(x, error)))[:, 0]
        return np.abs(log_lik[:, 1] - log_lik[:, 0]).max()

    largest = [evidence(error) for error in (0.0, 0.1, 0.5, 2.0, 10.0, 1e3, 1e12)]
    assert (np.diff(largest) <= 1e-12).all() and largest[0] > 0.5
    assert largest[-1] < 1e-9


def test_the_variance_grows_by_the_square_of_the_error():
    """Between the rungs too: the mixture of two rungs has exactly this variance."""
    density, params = fitted((NAN, NAN))
    x = np.linspace(-12, 13, 20_001)

    def variance(error):
        height = np.exp(density.log_lik(params, with_error(x, error)))[:, 0]
        height /= height.sum(0)
        mean = (height * x[:, None]).sum(0)
        return (height * (x[:, None] - mean) ** 2).sum(0)

    exact = variance(0.0)
    for error in (0.05, 0.27, 0.8):
        np.testing.assert_allclose(variance(error), exact + error**2, rtol=0.01)


def test_an_unknown_error_counts_as_the_usual_one():
    rng = np.random.default_rng(1)
    truth, error = np.arange(300) % 2, rng.uniform(0.1, 0.5, (300, 1))
    error[:50] = np.inf
    features = features_of(rng.normal(size=300) + truth)._replace(error=error)
    density = smooth_density(np.array([[NAN, NAN]]), EXACT, 2, errors=NOISY)
    grid = jax.tree.map(jnp.asarray, density.prepare(features, truth >= 0))
    counts = density.statistics(grid, features, jnp.asarray(truth), jnp.zeros(300, int), 1)
    params = density.fit(grid, jax.tree.map(lambda leaf: leaf[0], counts))
    usual = np.median(error[50:])
    np.testing.assert_allclose(params.usual_error, usual)
    x = np.linspace(-2, 3, 9)
    unknown, known = (
        np.asarray(density.log_lik(params, with_error(x, e))) for e in (np.inf, usual)
    )
    np.testing.assert_allclose(unknown, known, rtol=1e-12)
    assert np.abs(unknown - np.asarray(density.log_lik(params, with_error(x, 0.0)))).max() > 0.05


@pytest.mark.parametrize(
    "precision", ["float64", pytest.param("float32", marks=pytest.mark.slow)], indirect=True
)
def test_other_features_do_not_change_and_gradients_are_finite(precision):
    rng = np.random.default_rng(2)
    truth = np.arange(200) % 2
    value = rng.normal(size=(200, 3)) + truth[:, None]
    every = np.ones(value.shape, bool)
    features = features_of(value[:, 0])._replace(
        value=value,
        measured=every,
        available=every,
        weight=np.ones_like(value),
        error=rng.uniform(0, 1, (200, 3)) * [1, 0, 1],
    )
    no_bounds, none = np.full((3, 2), NAN), np.zeros(3, bool)

    def log_lik(errors):
        density = smooth_density(no_bounds, none, 2, errors=errors)
        grid = jax.tree.map(jnp.asarray, density.prepare(features, truth >= 0))
        counts = density.statistics(grid, features, jnp.asarray(truth), jnp.zeros(200, int), 1)
        params = density.fit(grid, jax.tree.map(lambda leaf: leaf[0], counts))

        def total(value):
            return density.log_lik(params, features._replace(value=value)).sum()

        assert np.isfinite(jax.grad(total)(jnp.asarray(features.value))).all()
        return np.asarray(density.log_lik(params, features))

    some, exact = log_lik(np.array([True, False, True])), log_lik(none)
    np.testing.assert_allclose(some[:, 1], exact[:, 1], rtol=1e-6)
    assert np.abs(some[:, [0, 2]] - exact[:, [0, 2]]).max() > 0.1
