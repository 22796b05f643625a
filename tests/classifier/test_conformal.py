"""Prediction sets: their coverage in each class, and a control that lacks it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, kstest

from xbayes.classifier.conformal import (
    ConformalReference,
    fit_conformal,
    p_values,
    prediction_sets,
    row_uniform,
    with_prediction,
)
from xbayes.output.table import set_names
from xbayes.types import Features

SHARE = np.array([0.8, 0.188, 0.012])
SPLITS = 200


def simulate(n, seed, rare=None):
    """Posteriors of three classes, not calibrated: the coverage must not depend on it."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, n, p=SHARE)
    if rare is not None:
        truth = np.r_[truth[truth != 2], np.full(rare, 2)]
    score = np.log(SHARE) + 2.5 * np.eye(3)[truth] + 1.5 * rng.normal(size=(len(truth), 3))
    posterior = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    return posterior, truth


def coverage(reference, posterior, truth, rng):
    sets = prediction_sets(reference, posterior, rng.random(len(truth)))
    return sets[np.arange(len(truth)), truth]


@pytest.fixture(scope="module")
def splits():
    """Coverage of each class in 200 splits of about 1010 sources, 24 of them of the rare class."""
    posterior, truth = simulate(1000, 1, rare=24)
    rng = np.random.default_rng(2)
    mondrian, pooled = np.zeros((2, SPLITS, 3))
    for s in range(SPLITS):
        half = np.zeros(len(truth), bool)
        for c in range(3):
            members = rng.permutation(np.flatnonzero(truth == c))
            half[members[: len(members) // 2]] = True
        reference = fit_conformal(posterior[half], truth[half])
        # Not Mondrian: one reference sample for all classes.
        score = np.sort(np.asarray(reference.score)[np.isfinite(reference.score)])
        common = ConformalReference(score=np.tile(score, (3, 1)), size=np.full(3, len(score)))
        for covered, chosen in ((mondrian, reference), (pooled, common)):
            hit = coverage(chosen, posterior[~half], truth[~half], rng)
            covered[s] = [hit[truth[~half] == c].mean() for c in range(3)]
    return mondrian, pooled


def test_every_class_has_the_nominal_coverage_even_one_of_twelve(splits):
    mondrian, _ = splits
    # The splits of one sample are not independent: this error is a lower bound.
    error = mondrian.std(0) / np.sqrt(SPLITS)
    assert np.abs(mondrian.mean(0) - 0.9).max() < 0.02
    assert (np.abs(mondrian.mean(0) - 0.9) < 4 * error + 0.002).all()


def test_a_common_threshold_does_not_cover_the_rare_class(splits):
    """Negative control."""
    _, pooled = splits
    assert pooled.mean(0)[2] < 0.6
    assert pooled.mean(0)[0] > 0.9


def many_splits(method, n_splits=200, n=1500):
    """Coverage by class of sets with their prediction: splits of independent samples, [S 2 C].

    Also, of each class, P(not excluded or predicted), counted by definition.
    """
    rng, found = np.random.default_rng(11), np.zeros((n_splits, 2, 3))
    weight = np.array([1.0, 1.0, 6.0])  # of a decision rule that favours the rare class
    for s in range(n_splits):
        posterior, truth = simulate(n, 100 + s, rare=24)
        half = np.zeros(len(truth), bool)
        for c in range(3):
            members = rng.permutation(np.flatnonzero(truth == c))
            half[members[: len(members) // 2]] = True
        reference = method(posterior[half], truth[half])
        p, y = posterior[~half], truth[~half]
        plain = prediction_sets(reference, p, rng.random(len(y)))
        sets, _ = with_prediction(plain, (p * weight).argmax(1))
        every = np.arange(len(y))
        for c in range(3):
            found[s, :, c] = plain[every, y][y == c].mean(), sets[every, y][y == c].mean()
    return found


def common_threshold(posterior, truth):
    reference = fit_conformal(posterior, truth)
    score = np.sort(np.asarray(reference.score)[np.isfinite(reference.score)])
    return ConformalReference(score=np.tile(score, (3, 1)), size=np.full(3, len(score)))


def share_predicted(n=200_000):
    """Recall of each class under the same rule, and P(predicted and excluded) of ideal sets."""
    posterior, truth = simulate(n, 12)
    predicted = (posterior * [1.0, 1.0, 6.0]).argmax(1)
    recall, added = np.zeros((2, 3))
    for c in range(3):
        own = posterior[truth == c, c]
        hit = predicted[truth == c] == c
        recall[c], added[c] = hit.mean(), (hit & (own < np.quantile(own, 0.1))).mean()
    return recall, added


@pytest.mark.slow
def test_coverage_by_class_over_200_splits_and_what_the_prediction_adds():
    """0.9 within binomial error before; afterwards 0.9 + P(predicted but excluded | class)."""
    size = np.array([0.8 * 1500, 0.188 * 1500, 24]) / 2  # of calibration and test part
    error = np.sqrt(0.09 * (1 / (size + 2) + 1 / size) / 200)
    plain, whole = np.moveaxis(many_splits(fit_conformal), 1, 0)
    assert (np.abs(plain.mean(0) - 0.9) < 3.5 * error).all()
    recall, added = share_predicted()
    assert recall[0] > 0.93 and added[0] > 0.03  # a class that is recognised well
    assert (whole.mean(0) > np.maximum(0.9, recall) - 3.5 * error).all()
    assert (np.abs(whole.mean(0) - 0.9 - added) < 3.5 * error + 0.003).all()
    wrong = many_splits(common_threshold)[:, 0].mean(0)  # negative control
    assert not (np.abs(wrong - 0.9) < 3.5 * error).all()
    assert wrong[2] < 0.7


@given(
    posterior=arrays(float, (7, 3), elements=st.floats(0, 1)),
    prediction=arrays(int, 7, elements=st.integers(0, 2)),
    size=st.integers(0, 30),
)
def test_every_set_holds_the_prediction_and_a_flag_marks_sets_of_nothing_else(
    posterior, prediction, size
):
    reference = fit_conformal(posterior[:1].repeat(size, 0), np.zeros(size, int))
    plain = prediction_sets(reference, posterior, np.linspace(0, 0.99, 7))
    sets, flag = with_prediction(plain, prediction)
    assert sets[np.arange(7), prediction].all()
    np.testing.assert_array_equal(flag, plain.sum(1) == 0)
    np.testing.assert_array_equal(sets.sum(1)[flag], 1)
    others = np.ones((7, 3), bool)
    others[np.arange(7), prediction] = False
    np.testing.assert_array_equal(sets[others], plain[others])


@pytest.mark.parametrize("members", [1, 3, 12])
def test_the_coverage_is_exact_for_tiny_classes(members):
    """Independent samples, so the count is binomial: outside these limits once in 1000 times."""
    rng, hits = np.random.default_rng(5), 0
    n = 2000
    for _ in range(n):
        scores = rng.exponential(size=members + 1)
        posterior = np.column_stack([np.exp(-scores), 1 - np.exp(-scores)])
        reference = fit_conformal(posterior[1:], np.zeros(members, int))
        hits += coverage(reference, posterior[:1], np.zeros(1, int), rng).sum()
    low, high = binom.ppf([0.0005, 0.9995], n, 0.9)
    assert low <= hits <= high


def test_p_values_of_the_true_class_are_uniform_with_ties():
    """Coarse scores have many ties; randomisation keeps the p-values uniform."""
    rng, values = np.random.default_rng(7), []
    for _ in range(1500):
        level = rng.integers(1, 4, 21) / 4
        posterior = np.column_stack([level, 1 - level])
        reference = fit_conformal(posterior[1:], np.zeros(20, int))
        values.append(p_values(reference, posterior[:1], rng.random(1))[0, 0])
    assert kstest(values, "uniform").pvalue > 0.001


def test_p_values_against_counting():
    posterior, truth = simulate(60, 3)
    posterior = posterior.round(1)
    reference = fit_conformal(posterior[:40], truth[:40])
    u = np.random.default_rng(0).random(20)
    got = p_values(reference, posterior[40:], u)
    for n in range(20):
        for c in range(3):
            members = posterior[:40][truth[:40] == c, c]
            p = posterior[40 + n, c]
            larger, equal = (members < p).sum(), (members == p).sum()  # in nonconformity
            expected = (larger + u[n] * (equal + 1)) / (len(members) + 1)
            assert got[n, c] == pytest.approx(expected)


def test_a_class_without_held_out_sources_is_in_nine_sets_of_ten():
    posterior, _ = simulate(5000, 3)
    reference = fit_conformal(posterior[:100], np.zeros(100, int))
    sets = prediction_sets(reference, posterior, np.random.default_rng(0).random(5000))
    assert abs(sets[:, 2].mean() - 0.9) < 0.02


def features(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    measured = rng.random((n, 4)) < 0.7
    return Features(
        value=np.where(measured, rng.normal(size=(n, 4)), 0.0),
        measured=measured,
        available=measured | (rng.random((n, 4)) < 0.5),
        weight=np.ones((n, 4)),
        error=np.zeros((n, 4)),
    )


def test_the_random_number_depends_on_the_row_alone():
    rows = features()
    u = row_uniform(rows)
    order = np.random.default_rng(1).permutation(2000)[:77]
    some = row_uniform(rows.rows(order))
    np.testing.assert_array_equal(some, u[order])
    filler = rows._replace(value=np.where(rows.measured, rows.value, np.nan))
    np.testing.assert_array_equal(row_uniform(filler), u)
    zeros = rows._replace(value=np.where(rows.measured, rows.value, -0.0))
    np.testing.assert_array_equal(row_uniform(zeros), u)


def test_the_random_number_is_uniform_and_depends_on_every_feature():
    rows = features()
    u = row_uniform(rows)
    measured = rows.measured.any(1)
    assert len(np.unique(u[measured])) == measured.sum()
    assert kstest(u[measured], "uniform").pvalue > 0.001
    near = rows._replace(value=np.where(rows.measured, np.nextafter(rows.value, 9), 0.0))
    moved = row_uniform(near)
    assert abs(np.corrcoef(moved[measured], u[measured])[0, 1]) < 0.1
    swapped = rows._make(a[:, ::-1] for a in rows)
    assert (row_uniform(swapped)[measured] != u[measured]).mean() > 0.99


def test_names_of_prediction_sets():
    sets = np.array([[True, False, True], [False] * 3, [True] * 3, [False, True, False]])
    names = set_names(sets, ("AGN", "Star", "XRB"))
    assert names.tolist() == ["AGN or XRB", "", "AGN or Star or XRB", "Star"]
    assert set_names(sets[:0], ("AGN", "Star", "XRB")).tolist() == []
