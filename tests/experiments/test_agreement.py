"""Agreement of weighted samples: against SciPy, with a true and with a false null hypothesis."""

import numpy as np
import pytest
from agreement import (
    Sample,
    agreement,
    effective_size,
    superiority,
    weighted_distance,
)
from scipy.special import softmax
from scipy.stats import binom, ks_2samp, mannwhitneyu, norm

CENTRE, SHARE = np.array([0.0, 1.5]), np.array([0.6, 0.4])


def test_the_distance_agrees_with_scipy_and_handles_ties():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=80).round(1), rng.normal(0.3, 1, size=50).round(1)
    distance = weighted_distance(x, np.ones(80), y, np.full(50, 3.0))
    np.testing.assert_allclose(distance, ks_2samp(x, y).statistic)


def test_integer_weights_equal_repeated_values():
    rng = np.random.default_rng(1)
    x, y, times = rng.normal(size=30), rng.normal(size=20), rng.integers(1, 4, 20)
    weighted = weighted_distance(x, np.ones(30), y, times.astype(float))
    repeated = weighted_distance(x, np.ones(30), np.repeat(y, times), np.ones(times.sum()))
    np.testing.assert_allclose(weighted, repeated)


def test_effective_size():
    assert effective_size(np.ones(12), np.arange(12)) == pytest.approx(12)
    assert effective_size(np.ones(12), np.arange(12) // 3) == pytest.approx(4)
    assert effective_size(np.array([1.0, 1e-9]), np.arange(2)) == pytest.approx(1)
    assert effective_size(np.array([]), np.array([], int)) == 0


def known_and_new(seed, shift=0.0, group=1):
    """Labelled sources, and new ones weighted by their true posterior."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(2, 200 // group, p=SHARE).repeat(group)
    x = CENTRE[truth] + rng.normal(size=200 // group).repeat(group)
    hidden = rng.choice(2, 300, p=SHARE)
    y = CENTRE[hidden] + rng.normal(size=300)
    posterior = softmax(norm.logpdf(y[:, None], CENTRE) + np.log(SHARE), axis=1)
    measured = np.ones((300, 1), bool)
    known = Sample(
        value=x[:, None],
        measured=measured[:200],
        weight=np.eye(2)[truth],
        group=np.arange(200) // group,
    )
    new = Sample(
        value=y[:, None] + shift, measured=measured, weight=posterior, group=np.arange(300)
    )
    return known, new


@pytest.mark.parametrize("group", [1, 4])
def test_equal_samples_rarely_differ_and_shifted_ones_do(group):
    """At 5 %, no more than 5 % of equal samples differ, for any group size."""
    n = 150
    alarms = sum(agreement(*known_and_new(s, group=group)).p_value[0, 0] < 0.05 for s in range(n))
    assert binom.sf(alarms - 1, n, 0.05) > 0.01, alarms
    shifted = agreement(*known_and_new(0, shift=1.0, group=group))
    assert shifted.differs.all()
    assert np.all((shifted.shift > 0.6) & (shifted.shift < 1.4))


def test_without_groups_copies_raise_false_alarms():
    """Control: four copies of each row, treated as independent."""
    n, alarms = 100, 0
    for seed in range(n):
        known, new = known_and_new(seed, group=4)
        alarms += agreement(known._replace(group=np.arange(200)), new).p_value[0, 0] < 0.05
    assert binom.sf(alarms - 1, n, 0.05) < 1e-4, alarms


def test_a_feature_that_is_not_measured_gives_nan():
    known, new = known_and_new(0)
    result = agreement(known._replace(measured=np.zeros((200, 1), bool)), new)
    assert np.isnan(result.distance).all() and np.isnan(result.p_value).all()
    assert not result.differs.any()


def test_superiority_agrees_with_mann_and_whitney():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=60).round(1), rng.normal(0.8, 1, size=40).round(1)
    ones, groups = (np.ones(60), np.ones(40)), (np.arange(60), 60 + np.arange(40))
    result = superiority(x, y, ones, groups, 0)
    np.testing.assert_allclose(result.value, mannwhitneyu(y, x).statistic / 2400)
    low, high = result.interval
    assert 0.5 < low < result.value < high < 1
    assert result.p_value < 0.01
    exchanged = superiority(y, x, ones[::-1], groups[::-1], 0)
    np.testing.assert_allclose(exchanged.value, 1 - result.value)
    assert exchanged.p_value > 0.9


def test_groups_widen_the_interval_of_superiority():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=20).repeat(5), rng.normal(0.3, 1, size=20).repeat(5)
    ones = (np.ones(100), np.ones(100))
    single = superiority(x, y, ones, (np.arange(100), 100 + np.arange(100)), 0, 400)
    grouped = superiority(x, y, ones, (np.arange(100) // 5, 100 + np.arange(100) // 5), 0, 400)
    assert np.ptp(grouped.interval) > 1.7 * np.ptp(single.interval)
    assert grouped.value == single.value
