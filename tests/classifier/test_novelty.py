"""A source whose values are usual one by one and not together is found, at the nominal level."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from xbayes.classifier import novelty as module
from xbayes.classifier.novelty import (
    combine,
    fit_combined,
    fit_novelty,
    novelty_p,
    novelty_score,
    shrinkage,
)
from xbayes.classifier.outlier import fit_reference, outlier_score, tail_probability
from xbayes.types import Features

N, F, C = 600, 5, 2
NAMES = ("a", "b", "sum", "twin", "alone")


def features_of(value, measured=None, error=None):
    """Features as the classifier gets them."""
    measured = np.ones(value.shape, bool) if measured is None else measured
    return Features(
        value=np.where(measured, value, 0.0),
        measured=measured,
        available=measured,
        weight=np.ones(value.shape),
        error=np.zeros(value.shape) if error is None else error,
    )


def simulate(seed, n=N, missing=0.3, noise=0.0):
    """Two classes; of each, `sum` = a + b, and `twin` follows a. Some groups are not measured."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, C, n)
    a, b, alone = rng.normal(size=(3, n))
    twin = np.where(truth == 0, a, -a) + 0.2 * rng.normal(size=n)
    value = np.stack([a, b, a + b, twin, alone], 1) + 2.0 * truth[:, None]
    measured = np.ones((n, F), bool)
    measured[:, 1:3] = rng.random((n, 1)) > missing
    measured[:, 3] = rng.random(n) > missing
    error = np.zeros((n, F))
    error[:, 4] = noise * rng.random(n)
    value = value + error * rng.normal(size=value.shape)
    return features_of(value, measured, error), truth


def fold_of(n=N):
    return np.arange(n) % 5


@cache
def fitted(missing=0.3, noise=0.0):
    features, truth = simulate(1, missing=missing, noise=noise)
    return fit_novelty(features, truth, fold_of(), C, 0)


def p_of(fit, features, truth):
    return novelty_p(fit.novelty, np.asarray(novelty_score(fit.novelty, features)), truth)


def tolerance(level, n):
    """Three standard errors of a rate in n rows, ranked in a reference of N / C rows."""
    return 3 * np.sqrt(level * (1 - level) * (1 / n + C / N))


def independent(features, truth):
    """Log-likelihoods of independent features, and the reference of the outlier score."""
    value, measured = features.value, features.measured
    log_lik = np.stack([stats.norm.logpdf(value - 2 * c, scale=1.2) for c in range(C)], -1)
    log_lik = np.where(measured[..., None], log_lik, 0.0)
    return log_lik, measured, truth


def weighted_p(reference, features, truth):
    log_lik, measured, _ = independent(features, truth)
    score = outlier_score(reference, jnp.asarray(log_lik), jnp.asarray(measured))
    return tail_probability(reference, np.asarray(score), truth)


def test_combination_is_found_where_each_value_is_in_range():
    training, truth = simulate(1)
    reference = fit_reference(*independent(training, truth), np.ones((F, C)))
    odd = np.tile([1.4, 0.0, 1.4, -1.4, 0.0], (N, 1))  # twin has the wrong sign for class 0
    odd, label = features_of(odd), np.zeros(N, int)
    assert p_of(fitted(), odd, label)[0] <= 0.01
    assert weighted_p(reference, odd, label)[0] > 0.2
    # In the other class this is how twin behaves.
    shifted = odd._replace(value=odd.value + 2.0)
    assert p_of(fitted(), shifted, label + 1)[0] > 0.05


@pytest.mark.parametrize("level", [0.05, 0.2])
def test_held_out_p_values_are_uniform_whatever_is_measured(level):
    features, truth = zip(*(simulate(seed) for seed in range(20, 30)), strict=True)
    p = np.concatenate([p_of(fitted(), *pair) for pair in zip(features, truth, strict=True)])
    count = np.concatenate([f.measured.sum(1) for f in features])
    assert abs((p <= level).mean() - level) < tolerance(level, len(p))
    for n in (2, 3, 4, 5):
        own = count == n
        assert abs((p[own] <= level).mean() - level) < tolerance(level, own.sum())


def test_missing_values_are_not_values_at_the_mean():
    """Negative control: with zeros in their place the level of rows with few values is wrong."""
    fit = fitted()
    features, truth = simulate(20)
    filled = features._replace(measured=np.ones((N, F), bool), value=features.value)
    few = features.measured.sum(1) <= 3
    alarm = p_of(fit, filled, truth)[few] <= 0.05
    assert alarm.mean() > 0.05 + tolerance(0.05, few.sum())


@pytest.mark.parametrize("filler", [np.nan, np.inf, 1e9])
def test_what_stands_in_a_missing_value_does_not_matter(filler):
    features, _ = simulate(3)
    other = features._replace(value=np.where(features.measured, features.value, filler))
    expected = novelty_score(fitted().novelty, features)
    np.testing.assert_array_equal(novelty_score(fitted().novelty, other), expected)


def test_noise_is_part_of_the_distance():
    """With the errors the level is right; negative control: without them it is not."""
    fit = fitted(noise=3.0)
    alarms, ignored, n = 0.0, 0.0, 0
    for seed in range(40, 46):
        features, truth = simulate(seed, noise=3.0)
        noisy = features.error[:, 4] > 2.0
        alarms += (p_of(fit, features, truth)[noisy] <= 0.05).sum()
        exact = features._replace(error=np.zeros((N, F)))
        ignored += (p_of(fit, exact, truth)[noisy] <= 0.05).sum()
        n += noisy.sum()
    assert alarms / n < 0.05 + tolerance(0.05, n)
    assert ignored / n > 0.05 + 2 * tolerance(0.05, n)


@pytest.mark.parametrize("error", [1e5, 1e8])
def test_infinite_noise_is_a_missing_value(error):
    features, _ = simulate(4)
    noisy = features.error.copy()
    noisy[:, 3] = error
    missing = features.measured.copy()
    missing[:, 3] = False
    got = novelty_score(fitted().novelty, features._replace(error=noisy))
    np.testing.assert_allclose(
        got, novelty_score(fitted().novelty, features._replace(measured=missing)), atol=1e-4
    )


def test_unknown_error_counts_as_the_usual_one():
    fit = fitted(noise=3.0)
    features, _ = simulate(5)
    unknown, usual = features.error.copy(), features.error.copy()
    unknown[:, 4] = np.inf
    usual[:, 4] = fit.novelty.usual_error[4] * fit.novelty.scale[4]
    assert fit.novelty.usual_error[4] > 0
    np.testing.assert_allclose(
        novelty_score(fit.novelty, features._replace(error=unknown)),
        novelty_score(fit.novelty, features._replace(error=usual)),
        rtol=1e-9,
    )


def test_score_does_not_depend_on_units():
    unit, zero = np.array([1.0, 1e3, 1e-4, 7.0, 1.0]), np.array([0.0, 5.0, -1.0, 100.0, 0.0])
    features, truth = simulate(1, noise=3.0)
    other = features._replace(value=features.value * unit + zero, error=features.error * unit)
    fit = fit_novelty(other, truth, fold_of(), C, 0)
    np.testing.assert_allclose(fit.score, fitted(noise=3.0).score, atol=1e-6)


def test_rows_outside_the_training_part_change_nothing():
    features, truth = simulate(1)
    fold, label = fold_of(), truth.copy()
    fold[:50], label[50:100] = -1, -1
    first = fit_novelty(features, label, fold, C, 0)
    value = features.value.copy()
    value[:100] += 50.0
    second = fit_novelty(features._replace(value=value), label, fold, C, 0)
    for one, other in zip(first.novelty, second.novelty, strict=True):
        np.testing.assert_array_equal(one, other)


def test_scores_of_training_rows_are_held_out():
    """A row that is alone in its corner is far from what was fitted without it."""
    features, truth = simulate(1)
    value = features.value.copy()
    value[0] = 30.0
    fit = fit_novelty(features._replace(value=value), truth, fold_of(), C, 0)
    seen = np.asarray(novelty_score(fit.novelty, features._replace(value=value)))
    assert fit.score[0, truth[0]] > 1.5 * seen[0, truth[0]]


def test_combined_p_values_are_uniform():
    """Negative control: the smaller of two p-values alarms too often."""
    training, truth = simulate(1)
    reference = fit_reference(*independent(training, truth), np.ones((F, C)))
    fit = fitted()
    own = (weighted_p(reference, training, truth), novelty_p(fit.novelty, fit.score, truth))
    novelty = fit_combined(fit.novelty, *own, truth)
    combined, smaller = [], []
    for seed in range(60, 70):
        features, label = simulate(seed)
        pair = (weighted_p(reference, features, label), p_of(fit, features, label))
        combined.append(combine(novelty, *pair, label))
        smaller.append(np.minimum(*pair))
    combined, smaller = np.concatenate(combined), np.concatenate(smaller)
    for level in (0.05, 0.2):
        margin = tolerance(level, len(combined))
        assert abs((combined <= level).mean() - level) < margin
    assert (smaller <= 0.2).mean() > (combined <= 0.2).mean() + 0.05
    assert combined.min() >= 1 / (np.asarray(novelty.size).max() + 1)


def test_shrinkage_goes_from_one_to_zero():
    fit = fitted()
    truth = simulate(1)[1]
    own = np.eye(C)[truth]
    factor = np.asarray(shrinkage(fit.novelty, jnp.asarray(fit.score), jnp.asarray(own)))
    assert (factor == 1).mean() >= 0.985
    distance = np.linspace(0, 4, N)
    line = features_of(np.array([1.0, 0.0, 1.0, -1.0, 0.0]) * distance[:, None])
    score = novelty_score(fit.novelty, line)
    factor = np.asarray(shrinkage(fit.novelty, score, jnp.tile(jnp.array([1.0, 0.0]), (N, 1))))
    assert factor[0] == 1
    assert factor[-1] < 0.05
    assert np.all(np.diff(factor) <= 1e-9)
    assert np.abs(np.diff(factor)).max() < 0.05
    far = novelty_score(fit.novelty, line._replace(value=10 * line.value))
    assert shrinkage(fit.novelty, far, jnp.tile(jnp.array([1.0, 0.0]), (N, 1)))[-1] < 0.005
    # Unlike one class only: the posterior decides.
    odd = features_of(np.tile([5.0, 2.0, 5.0, -1.0, 2.0], (N, 1)))
    score = novelty_score(fit.novelty, odd)
    ordinary = shrinkage(fit.novelty, score, jnp.tile(jnp.array([0.0, 1.0]), (N, 1)))
    strange = shrinkage(fit.novelty, score, jnp.tile(jnp.array([1.0, 0.0]), (N, 1)))
    assert ordinary[0] == 1
    assert strange[0] < 0.3
    # A class with half of the posterior is enough; one with little is not.
    half = shrinkage(fit.novelty, score, jnp.tile(jnp.array([0.5, 0.5]), (N, 1)))
    little = shrinkage(fit.novelty, score, jnp.tile(jnp.array([0.95, 0.05]), (N, 1)))
    assert half[0] == 1
    assert strange[0] < little[0] < 0.4


def test_small_and_empty_classes():
    features, truth = simulate(1)
    truth = np.where(np.arange(N) < 3, 2, truth)  # three members of class 2, none of class 3
    fit = fit_novelty(features, truth, fold_of(), 4, 0)
    assert np.isfinite(fit.score).all()
    p = novelty_p(fit.novelty, np.full((2, 4), 1e9), np.array([2, 3]))
    np.testing.assert_allclose(p, [1 / 4, 1.0])
    posterior = jnp.eye(4)[jnp.zeros(N, int) + 3]
    assert np.isfinite(shrinkage(fit.novelty, jnp.asarray(fit.score), posterior)).all()


def test_arrays_are_finite_in_both_precisions(precision):
    features, truth = simulate(1)
    fit = fit_novelty(features, truth, fold_of(), C, 0)
    for name, array in fit.novelty._asdict().items():
        # -inf where the list of components is filled up; inf where the scores are.
        assert not np.isnan(array).any()
        assert np.isfinite(array).all() or name in ("log_weight", "score")
    np.testing.assert_allclose(fit.score, fitted().score, atol=0.02)
    far = features._replace(value=features.value * 1e12)
    assert np.isfinite(novelty_score(fit.novelty, far)).all()
    nothing = features_of(np.zeros((N, F)), np.zeros((N, F), bool))
    assert np.abs(novelty_score(fit.novelty, nothing)).max() < 1
    none = jax.tree.map(lambda array: array[:0], features)
    assert novelty_score(fit.novelty, none).shape == (0, C)


def test_score_is_the_same_in_any_chunk_and_under_jit(monkeypatch):
    features, _ = simulate(7)
    expected = np.asarray(novelty_score(fitted().novelty, features))
    alone = features.rows(slice(3, 4))
    np.testing.assert_allclose(novelty_score(fitted().novelty, alone)[0], expected[3], rtol=1e-9)
    traced = jax.jit(novelty_score)(fitted().novelty, jax.tree.map(jnp.asarray, features))
    np.testing.assert_allclose(traced, expected, rtol=1e-9)
    assert module.CHUNK < N
