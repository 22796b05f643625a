"""Agreement of weighted samples: against SciPy, under a null that holds and one that does not."""

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


def test_the_distance_is_that_of_scipy_and_knows_ties():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=80).round(1), rng.normal(0.3, 1, size=50).round(1)
    found = weighted_distance(x, np.ones(80), y, np.full(50, 3.0))
    np.testing.assert_allclose(found, ks_2samp(x, y).statistic)


def test_a_weight_of_two_is_a_value_twice():
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
    there = np.ones((300, 1), bool)
    known = Sample(x[:, None], there[:200], np.eye(2)[truth], np.arange(200) // group)
    return known, Sample(y[:, None] + shift, there, posterior, np.arange(300))


@pytest.mark.parametrize("group", [1, 4])
def test_alike_samples_are_rarely_told_apart_and_different_ones_are(group):
    """At 5 % no more than 5 % of the true classes differ, whatever the groups; shifted ones do."""
    n = 150
    alarms = sum((agreement(*known_and_new(s, group=group)).p_value[0, 0] < 0.05) for s in range(n))
    assert binom.sf(alarms - 1, n, 0.05) > 0.01, alarms
    found = agreement(*known_and_new(0, shift=1.0, group=group))
    assert found.differs.all()
    assert np.all((found.shift > 0.6) & (found.shift < 1.4))


def test_without_groups_copies_raise_false_alarms():
    """The control: four copies of each row, taken as independent."""
    n, alarms = 100, 0
    for seed in range(n):
        known, new = known_and_new(seed, group=4)
        alarms += agreement(known._replace(group=np.arange(200)), new).p_value[0, 0] < 0.05
    assert binom.sf(alarms - 1, n, 0.05) < 1e-4, alarms


def test_a_property_nobody_has_is_no_number():
    known, new = known_and_new(0)
    found = agreement(known._replace(observed=np.zeros((200, 1), bool)), new)
    assert np.isnan(found.distance).all() and np.isnan(found.p_value).all()
    assert not found.differs.any()


def test_superiority_is_that_of_mann_and_whitney():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=60).round(1), rng.normal(0.8, 1, size=40).round(1)
    ones, groups = (np.ones(60), np.ones(40)), (np.arange(60), 60 + np.arange(40))
    found = superiority(x, y, ones, groups, 0)
    np.testing.assert_allclose(found.value, mannwhitneyu(y, x).statistic / 2400)
    low, high = found.interval
    assert 0.5 < low < found.value < high < 1
    assert found.p_value < 0.01
    back = superiority(y, x, ones[::-1], groups[::-1], 0)
    np.testing.assert_allclose(back.value, 1 - found.value)
    assert back.p_value > 0.9


def test_groups_widen_the_interval_of_superiority():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=20).repeat(5), rng.normal(0.3, 1, size=20).repeat(5)
    ones = (np.ones(100), np.ones(100))
    alone = superiority(x, y, ones, (np.arange(100), 100 + np.arange(100)), 0, 400)
    grouped = superiority(x, y, ones, (np.arange(100) // 5, 100 + np.arange(100) // 5), 0, 400)
    assert np.ptp(grouped.interval) > 1.7 * np.ptp(alone.interval)
    assert grouped.value == alone.value
