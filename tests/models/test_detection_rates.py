"""Rates of detection: shrunk by the data, and never evidence out of the smoothing alone."""

import jax.numpy as jnp
import numpy as np
from scipy.integrate import quad
from scipy.stats import beta, binom

from xbayes.models.detection_rates import LOST, SOURCES, log_rates, mean_rate, pseudo_sources

TRUE = np.array([True])


def rates(detected, available, sources=None, evidence=TRUE):
    k, n = jnp.asarray([detected], float), jnp.asarray([available], float)
    sources = pseudo_sources(k, n) if sources is None else jnp.full((1, 1), sources)
    return [np.asarray(each)[0] for each in log_rates(k, n, sources, evidence, 1.0)]


def test_the_number_of_pseudo_sources_has_the_largest_marginal_likelihood():
    """By numerical integration over the rate of each class."""
    detected, available = [3, 19, 45], [12, 20, 50]
    m = float(mean_rate(jnp.array([detected], float), jnp.array([available], float))[0, 0])

    def marginal(s):
        each = [
            quad(lambda r, k=k, n=n: binom.pmf(k, n, r) * beta.pdf(r, s * m, s * (1 - m)), 0, 1)[0]
            for k, n in zip(detected, available, strict=True)
        ]
        return np.prod(each)

    best = max(SOURCES, key=marginal)
    found = pseudo_sources(jnp.array([detected], float), jnp.array([available], float))
    assert found[0, 0] == best


def test_the_rates_are_those_of_the_formula():
    log_detected, log_missing = rates([3, 19], [12, 20], sources=5.0)
    m = (3 / 12 + 19 / 20) / 2
    rate = (np.array([3, 19]) + 5 * m) / (np.array([12, 20]) + 5)
    np.testing.assert_allclose(np.exp(log_detected), (1 - LOST) * rate + LOST * m, rtol=1e-6)
    np.testing.assert_allclose(np.exp(log_detected) + np.exp(log_missing), 1, rtol=1e-6)


def test_equal_rates_are_shrunk_together_and_different_ones_are_kept():
    _, equal = rates([8, 800, 81], [10, 1000, 100])
    assert np.ptp(equal) < 0.05
    _, different = rates([1, 990, 50], [10, 1000, 100])
    assert np.ptp(different) > 2


def test_one_empty_cell_hardly_tells_two_classes_apart_that_were_always_detected():
    """The larger class was detected more often, which is no reason to exclude it."""
    _, log_missing = rates([1000, 30, 100], [1000, 30, 200])
    assert abs(log_missing[0] - log_missing[1]) < 1.5  # 3.5 without the share of lost cells
    assert log_missing[2] - log_missing[0] > 2


def test_a_feature_detected_in_every_source_gives_no_evidence():
    for each in rates([1000, 30], [1000, 30]):
        assert (each == 0).all()
    for each in rates([900, 30], [1000, 30], evidence=~TRUE):
        assert (each == 0).all()
