"""Fast tier: the summaries that replace numbers of single rows."""

import numpy as np
import pytest

from xbayes.catalog.ranges import NOTHING_KNOWN, range_of
from xbayes.classifier.conformal import fit_conformal, prediction_sets
from xbayes.classifier.held_out import HeldOutSample
from xbayes.classifier.patterns import smallest_known
from xbayes.classifier.summary import (
    CELL,
    MEMBERS,
    _in_cells,
    _members,
    _rounded,
    without_extremes,
)
from xbayes.models.term_tables import TermTables


def beta_posteriors(n, rng):
    truth = rng.integers(0, 2, n)
    logit = rng.normal(2 * (2 * truth - 1), 2.0)
    p = 1 / (1 + np.exp(-logit))
    return np.stack([1 - p, p], 1), truth


def test_the_quantile_function_goes_through_the_quantiles():
    rng = np.random.default_rng(0)
    score = np.full((3, 2000), np.inf)
    score[0] = np.sort(rng.gamma(2.0, size=2000))
    score[1, :30] = np.sort(rng.gamma(2.0, size=30))
    members, size = _members(score, np.array([2000, 30, 0]))
    assert size.tolist() == [MEMBERS, MEMBERS, 0]
    assert np.isinf(members[2]).all() and (np.diff(members[:2], axis=1) >= 0).all()
    at = np.arange(1, MEMBERS + 1) / (MEMBERS + 1)
    for c, n in ((0, 2000), (1, 30)):
        exact = np.quantile(score[c, :n], 0.9, method="weibull")
        assert members[c, at == 0.9] == pytest.approx(exact, rel=1e-12)
    level = np.searchsorted(score[0], members[0]) / 2001
    assert np.abs(level - at).max() < 0.01
    # No value of the class with few members is a value of a row, but for those at known levels.
    assert np.isin(members[1], score[1]).sum() <= 2


def test_prediction_sets_keep_their_coverage():
    rng = np.random.default_rng(1)
    posterior, truth = beta_posteriors(600, rng)
    exact = fit_conformal(posterior, truth)
    score, size = _members(exact.score, exact.size)
    smooth = exact._replace(score=score, size=size)
    new, new_truth = beta_posteriors(20_000, rng)
    covered = []
    for reference in (exact, smooth):
        sets = prediction_sets(reference, new, rng.random(len(new)))
        covered.append(sets[np.arange(len(new)), new_truth].mean())
    assert abs(covered[0] - covered[1]) < 0.005


def test_cells_keep_the_counts_and_the_mean_and_hide_the_rows():
    rng = np.random.default_rng(2)
    posterior, truth = beta_posteriors(500, rng)
    sample = HeldOutSample(
        posterior=posterior,
        class_index=truth,
        group=np.arange(500) // 2,
        outlier_p=rng.random(500),
    )
    made = _in_cells(sample)
    assert np.bincount(made.class_index).tolist() == np.bincount(truth).tolist()
    np.testing.assert_allclose(made.posterior.mean(0), posterior.mean(0))
    assert len(np.unique(made.group)) == 250
    _, counts = np.unique(made.posterior, axis=0, return_counts=True)
    assert counts.min() >= CELL
    assert not np.isin(made.posterior[:, 0], posterior[:, 0]).any()
    # The expected F1 at any threshold changes little.
    for threshold in (0.2, 0.5, 0.8):
        rates = [
            [p[:, 1][p[:, 1] > threshold].sum(), (p[:, 1] > threshold).sum()]
            for p in (posterior, made.posterior)
        ]
        np.testing.assert_allclose(*rates, rtol=0.05)


def test_the_ranges_of_terms_end_at_decimal_steps_outside():
    rng = np.random.default_rng(3)
    value = rng.normal(size=(2, 40)) * [[1.0], [300.0]]
    terms = TermTables(
        share=np.array(0.5),
        base=np.zeros(2),
        edge=np.sort(value, axis=1),
        main=rng.normal(size=(2, 42, 2)),
        pair=np.zeros((0, 2), int),
        pair_table=np.zeros((0, 42, 42, 2)),
        reach=np.stack([value.min(1), value.max(1)], 1),
    )
    made = _rounded(terms)
    outwards = (made.reach - terms.reach) * [-1, 1]
    assert (outwards > 0).all() and (outwards < np.ptp(value, axis=1)[:, None] / 1000).all()
    steps = made.reach * [[1000.0], [1.0]]
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
    np.testing.assert_allclose(made.main, terms.main, atol=0.003)


def test_ranges_end_at_round_numbers_outside():
    known = range_of(np.array([-0.01234, 3.0, 4.0, 21.2412]))
    made = without_extremes(NOTHING_KNOWN._replace(columns={"g": known})).columns["g"]
    assert (made.low, made.high) == (-0.013, 22.0)
    zero = range_of(np.array([0.0, 0.0, 1.0]))
    made = without_extremes(NOTHING_KNOWN._replace(features={"p": zero})).features["p"]
    assert (made.low, made.high) == (0.0, 1.0)


def test_the_smallest_known_pattern_that_contains_another():
    known = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0]], bool)
    for pattern, expected in (
        ([0, 0, 0], [0, 0, 0]),
        ([1, 0, 0], [1, 0, 0]),
        ([0, 1, 0], [1, 1, 0]),
        ([0, 0, 1], [0, 0, 0]),  # contained in none: the largest that it contains
        ([1, 1, 1], [1, 1, 0]),
    ):
        found = smallest_known(known, np.array(pattern, bool))
        assert found.tolist() == np.array(expected, bool).tolist()
