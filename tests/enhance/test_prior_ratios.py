"""Ratios of magnitudes of counterparts and of the field, learned from weighted entries."""

import numpy as np
import pytest

from xbayes.enhance.prior_ratios import PriorRatio, learn_ratio, learn_score_ratio


def test_the_ratio_is_that_of_the_densities():
    """Counterparts are uniform in 14 to 18, field entries in 14 to 22: ratios 2 and 0."""
    rng = np.random.default_rng(0)
    value = np.concatenate([rng.uniform(14, 18, 4000), rng.uniform(14, 22, 40_000)])
    is_one = np.arange(len(value)) < 4000
    found = learn_ratio(value, is_one.astype(float), 1.0 - is_one)
    assert found(np.array([15.0, 17.0])) == pytest.approx(np.log(2), abs=0.15)
    assert found(np.array([21.0]))[0] < np.log(0.6)
    assert found(np.array([21.0, 15.0]))[0] < found(np.array([21.0, 15.0]))[1]
    # The mean of the ratio over the field is 1, so a prior ratio favours no entry on average.
    assert np.exp(found(value[~is_one])).mean() == pytest.approx(1, abs=0.02)


def test_few_counterparts_change_little():
    value = np.array([10.0, 20.0, 21.0, 22.0])
    found = learn_ratio(value, np.array([1.0, 0, 0, 0]), np.array([0.0, 1, 1, 1]))
    assert np.all(np.abs(found(value)) < 0.5)
    none = learn_ratio(value, np.zeros(4), np.ones(4))
    np.testing.assert_allclose(none(value), 0, atol=1e-12)
    empty = learn_ratio(np.zeros(0), np.zeros(0), np.zeros(0))
    np.testing.assert_allclose(empty(np.array([1.0, np.nan])), 0, atol=1e-12)


def test_missing_values_have_a_ratio_of_their_own():
    """A tenth of the field and half of the counterparts lack the value."""
    value = np.where(np.arange(2000) % 2 == 0, np.nan, 15.0)
    field = np.where(np.arange(2000) % 10 == 0, np.nan, 15.0)
    both = np.concatenate([value, field])
    found = learn_ratio(both, np.repeat([1.0, 0.0], 2000), np.repeat([0.0, 1.0], 2000))
    assert found(np.array([np.nan]))[0] == pytest.approx(np.log(5), abs=0.05)
    assert found(np.array([15.0]))[0] == pytest.approx(np.log(0.5 / 0.9), abs=0.05)


def test_all_values_alike():
    found = learn_ratio(np.full(500, 15.0), np.full(500, 0.5), np.full(500, 0.5))
    np.testing.assert_allclose(found(np.array([14.0, 15.0, 16.0])), 0, atol=0.1)


def test_values_beyond_the_edges_belong_to_the_outer_bins():
    ratio = PriorRatio(edges=np.array([1.0, 2.0]), log_ratio=np.array([5.0, 6.0, 7.0]),
                       log_ratio_missing=-1.0)  # fmt: skip
    assert ratio(np.array([-9.0, 1.0, 1.5, 2.0, 99.0, np.nan])).tolist() == [5, 6, 6, 7, 7, -1]


def scores(factor, n_counterparts=4000, n_field=20_000):
    """ln of the ratio of two normal distributions that differ by 2 in the mean, times a factor."""
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(2, 1, n_counterparts), rng.normal(0, 1, n_field)])
    is_one = np.arange(len(x)) < n_counterparts
    return factor * (2 * x - 2), is_one.astype(float), 1.0 - is_one


@pytest.mark.parametrize("factor", [1.0, 2.0, 0.5])
def test_a_score_is_brought_to_the_ratio_of_its_densities(factor):
    """A score that counts its evidence twice is halved."""
    found = learn_score_ratio(*scores(factor))
    wanted = np.array([-3.0, -1.0, 0.0, 1.0, 3.0])
    np.testing.assert_allclose(found(factor * wanted), wanted, atol=0.3)


def test_few_counterparts_hardly_change_a_score():
    score, counterpart, field = scores(1.0, n_counterparts=10, n_field=500)
    found = learn_score_ratio(score, counterpart, field)
    assert np.all(np.diff(found(np.linspace(-9, 9, 50))) >= 0)
    assert np.isfinite(found(np.array([-1e3, 1e3]))).all()
    none = learn_score_ratio(np.zeros(0), np.zeros(0), np.zeros(0))
    assert none(np.array([1.0]))[0] == 0
