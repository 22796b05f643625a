"""Importance weights against a known ratio of densities."""

import numpy as np
from scipy import stats

from xbayes.tasks.target import effective_sources, importance_weights
from xbayes.types import Features


def features_of(value, available=None):
    available = np.ones(value.shape, bool) if available is None else available
    return Features(value * available, available, available, np.ones_like(value), 0 * value)


def sample(mean, n, seed):
    rng = np.random.default_rng(seed)
    return np.stack([rng.normal(mean, 1, n), rng.normal(size=n)], axis=1)


def test_weights_follow_the_ratio_of_the_densities():
    training, target = sample(0, 1500, 0), sample(1, 1500, 1)
    weight = importance_weights(features_of(training), features_of(target), 1.0, 0)
    ratio = stats.norm.logpdf(training[:, 0], 1) - stats.norm.logpdf(training[:, 0])
    within = np.abs(ratio) < 1.5
    assert np.corrcoef(np.log(weight[within]), ratio[within])[0, 1] > 0.9
    np.testing.assert_allclose(np.average(training[:, 0], weights=weight), 1.0, atol=0.2)
    np.testing.assert_allclose(weight.mean(), 1.0)


def test_a_smaller_power_leaves_more_effective_sources():
    rows = features_of(sample(0, 600, 0)), features_of(sample(1, 600, 1))
    none, half, full = (importance_weights(*rows, power, 0) for power in (0.0, 0.5, 1.0))
    np.testing.assert_array_equal(none, 1.0)
    assert 600 > effective_sources(half) > effective_sources(full) + 30
    ratio = half / np.sqrt(full)
    np.testing.assert_allclose(ratio, ratio[0])


def test_equal_distributions_give_even_weights():
    rows = features_of(sample(0, 1500, 0)), features_of(sample(0, 1500, 1))
    assert effective_sources(importance_weights(*rows, 1.0, 0)) > 1200


def test_features_that_one_sample_lacks_are_ignored():
    training, target = sample(0, 400, 0), sample(0, 400, 1)
    target[:, 0] += 50
    lacking = np.stack([np.zeros(400, bool), np.ones(400, bool)], axis=1)
    weight = importance_weights(features_of(training), features_of(target, lacking), 1.0, 0)
    assert effective_sources(weight) > 250
    nothing = features_of(target, np.zeros((400, 2), bool))
    np.testing.assert_array_equal(importance_weights(features_of(training), nothing, 1.0, 0), 1.0)
