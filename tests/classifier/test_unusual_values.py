"""The values that make a source unlike its class are named, with what was expected of them."""

import itertools

import numpy as np
import pytest

from tests.classifier.test_novelty import NAMES, C, F, features_of, fitted, fold_of, simulate
from xbayes.classifier.novelty import fit_novelty
from xbayes.classifier.unusual_values import (
    ALMOST,
    _strangest,
    needs_reason,
    unusual_values,
)


def strangest(value, label=0, measured=None):
    """The strangest values of one source: features, those given, and numbers."""
    found = unusual_values(
        fitted().novelty, features_of(value, measured), np.array([label]), np.array([True])
    )
    named = [k for k in range(2) if found.feature[0, k, 0] >= 0]
    return [([NAMES[f] for f in found.feature[0, k] if f >= 0], found.number[0, k]) for k in named]


def test_the_values_that_do_not_fit_are_named():
    (names, number), *_ = strangest(np.array([[1.5, 0.2, 1.7, -1.5, 0.1]]))
    assert set(names) == {"a", "twin"}
    value, expected, deviation = number
    known = {"a": (1.5, -1.5), "twin": (-1.5, 1.5)}[names[0]]
    assert (value, expected) == pytest.approx(known, abs=0.25)
    assert deviation == pytest.approx(0.25, abs=0.08)  # 0.2 and the floor
    # One of three that must add up.
    (names, _), *_ = strangest(np.array([[1.0, 1.0, 0.0, 1.0, 0.0]]))
    assert set(names) <= {"a", "b", "sum", "twin"} and len(names) == 3
    # Far by itself.
    (names, _), *_ = strangest(np.array([[0.0, 0.0, 0.0, 0.0, 9.0]]))
    assert names == ["alone"]


def test_a_second_value_is_named_if_it_is_strange_without_the_first():
    (first, _), (second, _) = strangest(np.array([[0.0, 0.0, 0.0, 4.0, 9.0]]))
    assert {first[0], second[0]} == {"alone", "twin"}
    assert len(strangest(np.array([[0.0, 0.0, 0.0, 0.0, 9.0]]))) == 1


def test_without_values_nothing_is_named():
    assert strangest(np.zeros((1, F)), measured=np.zeros((1, F), bool)) == []


def test_only_the_asked_rows_are_explained_each_for_its_class():
    """A row gets the same alone and among others."""
    features, truth = simulate(3)
    rows = np.arange(len(truth)) % 7 == 0
    found = unusual_values(fitted().novelty, features, truth, rows)
    assert (found.feature[~rows] == -1).all() and np.isnan(found.number[~rows]).all()
    assert (found.feature[rows, 0, 0] >= 0).all()
    for n in np.flatnonzero(rows)[:10]:
        own = features.rows(slice(n, n + 1))
        alone = unusual_values(fitted().novelty, own, truth[n : n + 1], np.array([True]))
        np.testing.assert_array_equal(alone.feature[0], found.feature[n])
        np.testing.assert_allclose(alone.number[0], found.number[n], rtol=1e-9)


def test_numbers_follow_the_units():
    unit, zero = np.array([1.0, 1e3, 1e-4, 7.0, 1.0]), np.array([0.0, 5.0, -1.0, 100.0, 0.0])
    features, truth = simulate(1)
    other = features._replace(value=features.value * unit + zero)
    novelty = fit_novelty(other, truth, fold_of(), C, 0).novelty
    every = np.arange(len(truth)) < 20
    one = unusual_values(fitted().novelty, features, truth, every)
    two = unusual_values(novelty, other, truth, every)
    np.testing.assert_array_equal(one.feature, two.feature)
    f = one.feature[every, 0, 0]
    expected = one.number[every, 0, 1] * unit[f] + zero[f]
    np.testing.assert_allclose(two.number[every, 0, 1], expected, rtol=1e-5)


def test_the_largest_residual_is_found_by_explicit_conditioning():
    """Against the inverse of the covariance of each set of given features."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        root = rng.normal(size=(6, 6))
        covariance, offset = root @ root.T + 0.1 * np.eye(6), 3 * rng.normal(size=6)
        best = {}
        for n_given in (0, 1, 2):
            each = []
            for given in itertools.combinations(range(6), n_given):
                part = np.array(given, int)
                inverse = np.linalg.inv(covariance[np.ix_(part, part)])
                for f in set(range(6)) - set(given):
                    gain = covariance[f, part] @ inverse
                    residual = offset[f] - gain @ offset[part]
                    left = covariance[f, f] - gain @ covariance[part, f]
                    each.append((abs(residual) / np.sqrt(left), f, set(given)))
            best[n_given] = max(each, key=lambda found: found[0])
        enough = ALMOST * max(z for z, _, _ in best.values())
        z, f, given = next(found for found in best.values() if found[0] >= enough)
        found = _strangest(offset, covariance)
        assert (found.feature, set(found.given)) == (f, given)
        assert abs(found.z) == pytest.approx(z)


def test_a_reason_is_given_for_shrunk_log_odds_and_small_p_values():
    needs = needs_reason(np.array([1.0, 0.995, 0.9, 1.0]), np.array([0.5, 0.02, 0.5, 0.01]))
    assert needs.tolist() == [False, False, True, True]
