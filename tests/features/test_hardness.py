"""The hardness ratio of noisy fluxes, against Monte Carlo and limits."""

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from xbayes.errors import InputError
from xbayes.features.expression import parse
from xbayes.features.hardness import hardness_posterior

CASES = [
    (10.0, 5.0, 1.0, 1.0),
    (0.5, 0.3, 1.0, 1.0),
    (-1.0, 2.0, 1.0, 1.0),
    (0.0, 0.0, 1.0, 2.0),
    (100.0, 1.0, 1.0, 1.0),
    (3.0, 0.0, 1.0, 0.5),
    (0.0, 100.0, 1e-3, 1.0),
    (5.0, 5.0, 0.0, 1.0),
    (1e-15, 3e-15, 6e-16, 1e-15),
]


def posterior(a, b, a_error, b_error):
    mean, deviation = hardness_posterior(*(np.array([x]) for x in (a, b, a_error, b_error)))
    return float(mean[0]), float(deviation[0])


@pytest.mark.parametrize("case", CASES)
def test_mean_and_deviation_are_those_of_positive_fluxes(case):
    """A flat prior on positive fluxes: draws of both fluxes; the positive ones are kept."""
    a, b, a_error, b_error = case
    rng, n = np.random.default_rng(0), 1_000_000
    drawn_a, drawn_b = rng.normal(a, a_error, n), rng.normal(b, b_error, n)
    kept = (drawn_a > 0) & (drawn_b > 0)
    ratio = ((drawn_b - drawn_a) / (drawn_b + drawn_a))[kept]
    mean, deviation = posterior(*case)
    noise = ratio.std() / np.sqrt(len(ratio))
    assert abs(mean - ratio.mean()) < 5 * noise + 1e-5
    assert abs(deviation / ratio.std() - 1) < 0.02


def test_precise_fluxes_give_the_ratio_and_its_first_order_error():
    mean, deviation = posterior(200.0, 100.0, 1.0, 0.8)
    assert mean == pytest.approx(-1 / 3, abs=1e-4)
    first_order = 2 * np.hypot(100 * 1.0, 200 * 0.8) / 300**2
    assert deviation == pytest.approx(first_order, rel=1e-3)


def test_fluxes_of_zero_give_the_flat_distribution():
    """Equal errors, no photon: symmetric, and as wide as the prior of the ratio allows."""
    mean, deviation = posterior(0.0, 0.0, 1.0, 1.0)
    assert mean == pytest.approx(0.0, abs=1e-12)
    assert 0.4 < deviation < 1 / np.sqrt(3)


number = st.floats(-1e3, 1e3)
error = st.floats(0.0, 1e3)


@given(number, number, error, error, st.floats(1e-18, 1e6))
def test_bounded_finite_symmetric_and_free_of_units(a, b, a_error, b_error, unit):
    if max(abs(a), abs(b)) < 1e-3 and a_error + b_error < 1e-3:
        return
    mean, deviation = posterior(a, b, a_error, b_error)
    assert -1 <= mean <= 1 and 0 <= deviation <= 1
    mirrored = posterior(b, a, b_error, a_error)
    np.testing.assert_allclose(mirrored, (-mean, deviation), atol=1e-6)
    scaled = posterior(*(unit * x for x in (a, b, a_error, b_error)))
    np.testing.assert_allclose(scaled, (mean, deviation), atol=1e-6)


def test_as_functions_of_an_expression():
    table = Table({"s": [2.0, 2.0, 2.0], "h": [1.0, 1.0, 1.0], "e": [0.1, np.nan, -1.0]})
    mean = parse("hardness_mean(s, h, e, e)").evaluate(table)
    deviation = parse("hardness_error(s, h, e, e)").evaluate(table)
    np.testing.assert_allclose([mean.value[0], deviation.value[0]], posterior(2.0, 1.0, 0.1, 0.1))
    # An unknown error gives no value; a negative one is outside the domain.
    assert not np.isfinite(mean.value[1:]).any()
    np.testing.assert_array_equal(mean.undefined, [False, False, True])
    with pytest.raises(InputError, match="hardness_mean"):
        parse("hardness_mean(s, h)")
