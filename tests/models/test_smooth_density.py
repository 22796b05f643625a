"""The class densities of single features: normalised, smooth, and independent of placeholders."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.signal import find_peaks
from sklearn.neighbors import KernelDensity

from tests.models.test_share_below import features_of
from xbayes.models import detection_rates
from xbayes.models.smooth_density import smooth_density
from xbayes.published.code_density import published_code_density
from xbayes.published.density import published_density

NO_BOUNDS = np.array([[np.nan, np.nan]])


def fit(density, features, truth):
    truth = np.asarray(truth)
    prepared, rows = jax.tree.map(jnp.asarray, (density.prepare(features, truth >= 0), features))
    fold = jnp.zeros(len(truth), int)
    statistics = density.statistics(prepared, rows, jnp.asarray(truth), fold, 1)
    return density.fit(prepared, jax.tree.map(lambda leaf: leaf[0], statistics))


def smooth(n_classes=1, bounds=NO_BOUNDS, evidence=None):
    evidence = np.zeros(len(bounds), bool) if evidence is None else evidence
    return smooth_density(bounds, evidence, n_classes)


def published(n_features=1, n_classes=1, evidence=False):
    return published_density(np.full(n_features, evidence), np.zeros((n_features, n_classes), bool))


DENSITIES = {
    "smooth": lambda f, c: smooth(c, np.full((f, 2), np.nan), np.arange(f) == f - 1),
    "published": lambda f, c: published(f, c, evidence=True),
}


# Its range is rounded to two digits, so that a change of units changes it.
CODE = {"published_code": lambda f, c: published_code_density(np.zeros((f, c), bool))}


@pytest.fixture(params=[*DENSITIES, *CODE])
def fitted(request, four_classes):
    features, truth = four_classes
    density = (DENSITIES | CODE)[request.param](3, 4)
    return density, fit(density, features, truth), features


@pytest.mark.parametrize(
    "precision", ["float64", pytest.param("float32", marks=pytest.mark.slow)], indirect=True
)
def test_shape_jit_and_permutation(precision, fitted):
    density, params, features = fitted
    got = density.log_lik(params, features)
    assert got.shape == (600, 3, 4)
    assert np.isfinite(got).all()
    with jax.disable_jit():
        np.testing.assert_allclose(density.log_lik(params, features), got, rtol=1e-5, atol=1e-5)
    order = np.random.default_rng(0).permutation(600)
    shuffled = density.log_lik(params, jax.tree.map(lambda leaf: leaf[order], features))
    np.testing.assert_array_equal(shuffled, np.asarray(got)[order])


@pytest.mark.parametrize("filler", [np.nan, np.inf, -99.0, 1e30])
def test_placeholder_of_a_missing_value_changes_neither_density_nor_gradient(fitted, filler):
    density, params, features = fitted
    filled = features._replace(value=np.where(features.measured, features.value, filler))
    np.testing.assert_array_equal(
        density.log_lik(params, filled), density.log_lik(params, features)
    )

    def total(value):
        return density.log_lik(params, features._replace(value=value)).sum()

    gradient = jax.grad(total)(jnp.asarray(filled.value))
    assert np.isfinite(gradient).all()
    assert (np.asarray(gradient)[~features.measured] == 0).all()


@pytest.mark.parametrize("filler", [np.nan, 1e30])
def test_placeholder_does_not_change_the_fit(filler, four_classes):
    features, truth = four_classes
    filled = features._replace(value=np.where(features.measured, features.value, filler))
    for make in (DENSITIES | CODE).values():
        density = make(3, 4)
        for a, b in zip(fit(density, features, truth), fit(density, filled, truth), strict=True):
            np.testing.assert_array_equal(a, b)


def test_not_available_is_exactly_zero_and_not_detected_is_evidence(fitted):
    density, params, features = fitted
    nothing = np.zeros_like(features.measured)
    blank = features._replace(measured=nothing, available=nothing)
    assert (np.asarray(density.log_lik(params, blank)) == 0).all()
    not_detected = np.asarray(density.log_lik(params, features._replace(measured=nothing)))[0, 2]
    assert not_detected.argmax() == 2  # the class with the fewest detections of the third feature
    assert not_detected.argmin() == 0


def test_detection_terms_are_the_shrunk_rates(four_classes):
    features, truth = four_classes
    params = fit(
        smooth(4, np.full((3, 2), np.nan), np.array([False, False, True])), features, truth
    )
    rate = np.array([features.measured[truth == c, 2].mean() for c in range(4)])
    size = np.bincount(truth).astype(float)
    counts = jnp.asarray([rate * size]), jnp.asarray([size])
    sources = np.asarray(detection_rates.pseudo_sources(*counts))[0]
    expected = (rate * size + sources * rate.mean()) / (size + sources)
    lost = detection_rates.LOST
    expected = (1 - lost) * expected + lost * rate.mean()
    np.testing.assert_allclose(np.exp(params.log_present[2]), expected, rtol=1e-9)
    np.testing.assert_allclose(np.exp(params.log_missing[2]), 1 - expected, rtol=1e-9)
    assert (np.asarray(params.log_present[:2]) == 0).all()


@pytest.mark.parametrize("bounds", [NO_BOUNDS, np.array([[0.0, np.nan]]), np.array([[0.0, 1.0]])])
@pytest.mark.parametrize("n", [40, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 2000))])
def test_integrates_to_one(bounds, n):
    value = np.random.default_rng(n).beta(1, 2, n)
    params = fit(smooth(2, bounds), features_of(value), np.arange(n) % 2)
    low = 0.0 if np.isfinite(bounds[0, 0]) else -40.0
    high = 1.0 if np.isfinite(bounds[0, 1]) else 40.0
    x = np.linspace(low, high, 2_000_001)
    density = np.exp(smooth(2, bounds).log_lik(params, features_of(x)))[:, 0] / params.step[0]
    np.testing.assert_allclose(np.trapezoid(density, x, axis=0), 1.0, rtol=2e-4)


def test_finds_a_gaussian():
    value = np.random.default_rng(1).normal(size=20_000)
    narrow = smooth_density(NO_BOUNDS, np.array([False]), 1, tails=0.001)
    params = fit(narrow, features_of(value), np.zeros(20_000, int))
    x = np.linspace(-2.5, 2.5, 101)
    got = np.asarray(narrow.log_lik(params, features_of(x)))[:, 0, 0] - np.log(params.step[0])
    np.testing.assert_allclose(got, stats.norm.logpdf(x), atol=0.12)


def test_natural_limits_keep_density_that_is_lost_without_them():
    value = np.random.default_rng(2).random(4000)
    edge = features_of(np.array([0.0, 0.005, 0.995, 1.0]))

    def height(bounds):
        params = fit(smooth(1, bounds), features_of(value), np.zeros(4000, int))
        return np.asarray(np.exp(smooth(1, bounds).log_lik(params, edge))[:, 0, 0] / params.step[0])

    assert (np.abs(height(np.array([[0.0, 1.0]])) - 1) < 0.15).all()
    assert (height(NO_BOUNDS)[[0, 3]] < 0.75).all()


def test_tails_keep_falling_and_stay_finite(precision):
    rng = np.random.default_rng(3)
    value, truth = np.r_[rng.normal(size=300), rng.normal(3, 1, 30)], np.repeat([0, 1], [300, 30])
    params = fit(smooth(2), features_of(value), truth)
    x = np.r_[np.linspace(8, 100, 50), 1e6, 1e30]
    for sign in (1, -1):
        tail = np.asarray(smooth(2).log_lik(params, features_of(sign * x)))[:, 0]
        assert np.isfinite(tail).all()
        assert (np.diff(tail[:50], axis=0) < 0).all()


def test_published_density_gives_no_evidence_outside_its_bins():
    value = np.random.default_rng(3).normal(size=300)
    params = fit(published(), features_of(value), np.zeros(300, int))
    outside = published().log_lik(params, features_of(np.array([50.0, -50.0])))
    assert (np.asarray(outside) == 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_density_of_a_class_of_thirty_has_no_spikes(seed):
    rng = np.random.default_rng(seed)
    value = np.r_[rng.normal(0, 1, 2000), rng.normal(1, 1, 30)]
    params = fit(smooth(2), features_of(value), np.repeat([0, 1], [2000, 30]))
    x = np.linspace(-1, 3, 81)
    ratio = np.asarray(smooth(2).log_lik(params, features_of(x)))[:, 0]
    error = (ratio[:, 1] - ratio[:, 0]) - (stats.norm.logpdf(x, 1) - stats.norm.logpdf(x))
    assert np.abs(error).max() < 1.2
    assert np.abs(np.diff(error)).max() < 0.35


def test_bandwidth_follows_the_data():
    """Two narrow peaks need a narrow kernel; Silverman's rule for one peak scores worse."""
    rng = np.random.default_rng(4)

    def draw(n):
        return np.where(rng.random(n) < 0.5, rng.normal(-3, 0.1, n), rng.normal(3, 0.1, n))

    value, new = draw(1000), draw(1000)
    params = fit(smooth(), features_of(value), np.zeros(1000, int))
    got = np.mean(smooth().log_lik(params, features_of(new))) - np.log(params.step[0])
    silverman = stats.gaussian_kde(value, "silverman").logpdf(new).mean()
    truth = np.logaddexp(stats.norm.logpdf(new, -3, 0.1), stats.norm.logpdf(new, 3, 0.1)) - np.log(
        2
    )
    assert got > silverman + 0.5
    assert got > truth.mean() - 0.15


def test_few_distinct_values_stay_a_histogram():
    value = np.repeat([0.0, 1.0, 5.0], [50, 30, 20])
    params = fit(published(), features_of(value), np.zeros(100, int))
    got = np.exp(published().log_lik(params, features_of(np.array([0.0, 1.0, 5.0, 2.5]))))[:, 0, 0]
    floor = np.array([0.5, 0.3, 0.2, 0.0]) + 0.01 / 100
    np.testing.assert_allclose(got, floor / (1 + 0.02 / 100), rtol=1e-6)


def test_published_density_against_scikit_learn():
    rng = np.random.default_rng(6)
    value, truth = rng.gamma(3.0, size=400), np.repeat([0, 1], [300, 100])
    params = fit(published(1, 2), features_of(value), truth)
    bins = np.linspace(value.min(), value.max(), 101)
    bandwidth = np.ptp(value) / (5 * 400**0.2)
    for c, n in ((0, 300), (1, 100)):
        kde = KernelDensity(kernel="exponential", bandwidth=bandwidth, rtol=0, atol=0)
        kde = kde.fit(value[truth == c, None])
        height = np.exp(kde.score_samples(bins[:, None]))
        expected = (height / height.sum() + 0.01 / n) / (1 + 0.02 / n)
        np.testing.assert_allclose(np.exp(params.log_density[0, :, c]), expected, rtol=1e-12)


def test_half_cosine_of_latitude():
    latitude = np.random.default_rng(7).uniform(0, 90, 500)
    cosine = np.array([[False, True]])
    density = published_density(np.array([False]), cosine)
    params = fit(density, features_of(latitude), np.arange(500) % 2)
    plain = fit(published(1, 2), features_of(latitude), np.arange(500) % 2)
    b = np.asarray(params.origin[0] + params.step[0] * np.arange(101))
    cos_b = np.cos(np.deg2rad(b)) / np.cos(np.deg2rad(b)).sum()
    np.testing.assert_array_equal(params.log_density[..., 0], plain.log_density[..., 0])
    height = np.exp(plain.log_density[0, :, 1]) * (1 + 0.02 / 250) - 0.01 / 250  # floor removed
    expected = (0.5 * height + 0.5 * cos_b + 0.01 / 250) / (1 + 0.02 / 250)
    np.testing.assert_allclose(np.exp(params.log_density[0, :, 1]), expected, rtol=1e-6)


def test_a_class_without_values_has_the_published_floor(precision):
    """Not NaN: 0.01 in every bin, as if it had one value, or 1/99 with the floor of the code."""
    value = np.random.default_rng(3).normal(size=100)
    new = features_of(np.array([0.0, 0.5]))
    got = published(1, 2).log_lik(fit(published(1, 2), features_of(value), np.zeros(100, int)), new)
    np.testing.assert_allclose(np.exp(got)[:, 0, 1], 0.01 / 1.02, rtol=1e-5)
    density = CODE["published_code"](1, 2)
    params = fit(density, features_of(value), np.zeros(100, int))
    np.testing.assert_allclose(np.exp(params.log_density)[0, :, 1], 1 / 99, rtol=1e-5)


def test_units_do_not_change_likelihood_ratios(four_classes):
    features, truth = four_classes
    scaled = features._replace(value=np.where(features.measured, features.value * 1000 - 7, 0))
    for make in DENSITIES.values():
        density = make(3, 4)
        ratios = []
        for rows in (features, scaled):
            log_lik = np.asarray(density.log_lik(fit(density, rows, truth), rows))
            ratios.append(log_lik - log_lik.mean(-1, keepdims=True))
        np.testing.assert_allclose(*ratios, atol=1e-8)


def test_inverse_errors_weigh_the_training_values():
    value, truth = np.r_[np.zeros(50), np.ones(50)] + 1e-3 * np.arange(100), np.zeros(100, int)
    precise = np.r_[np.full(50, 3.0), np.full(50, 1.0)][:, None]
    features = features_of(value)._replace(weight=precise)
    params = fit(smooth(), features, truth)
    low, high = np.asarray(smooth().log_lik(params, features_of(np.array([0.025, 1.075]))))[:, 0, 0]
    assert 2.0 < np.exp(low - high) < 4.0


def test_log_lik_is_traced_once(four_classes):
    features, truth = four_classes
    density, traces = smooth(4, np.full((3, 2), np.nan)), []
    params = fit(density, features, truth)
    counted = jax.jit(lambda p, x: (traces.append(1), density.log_lik(p, x))[1])
    for _ in range(3):
        counted(params, features)
    assert len(traces) == 1


def test_thirty_sources_of_one_peak_show_one_peak():
    """Without the lower limit, the leave-one-out bandwidth splits some such samples."""
    rng, x, peaks = np.random.default_rng(8), np.linspace(-4, 4, 200), []
    for _ in range(20):
        value = np.r_[rng.normal(0, 2, 1000), rng.normal(0, 1, 30)]
        params = fit(smooth(2), features_of(value), np.repeat([0, 1], [1000, 30]))
        density = np.exp(smooth(2).log_lik(params, features_of(x)))[:, 0, 1]
        found, _ = find_peaks(density, prominence=0.15 * float(density.max()))
        peaks.append(len(found))
    assert sum(n == 1 for n in peaks) >= 18, peaks
