"""Corrected class counts against brute force, the matrix inverse and simulated truth."""

from itertools import product

import jax
import numpy as np
import pytest
from scipy.special import gammaln, softmax
from scipy.stats import binom, norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from xbayes.evaluate.counts import (
    DOUBT,
    Counts,
    _gibbs,
    confusion_counts,
    confusion_draws,
    disagreement,
    invert_confusion,
)
from xbayes.evaluate.posterior_counts import posterior_counts
from xbayes.evaluate.proportions import estimate_proportions

RATE = np.array([[0.9, 0.08, 0.02], [0.1, 0.85, 0.05], [0.2, 0.2, 0.6]])
TRAINING, SKY = np.array([0.5, 0.3, 0.2]), np.array([0.75, 0.2, 0.05])
CENTRE = np.array([[0.0, 0.0], [1.4, 0.5], [0.5, 2.2]])


def test_inversion_is_the_matrix_inverse_inside_the_simplex():
    pi = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    rate = np.broadcast_to(RATE, (2, 3, 3))
    share = np.einsum("st,stp->sp", pi, rate)
    np.testing.assert_allclose(np.linalg.solve(RATE.T, share.T).T, pi)
    np.testing.assert_allclose(invert_confusion(rate, share), pi, atol=1e-6)


def test_inversion_stays_on_the_simplex():
    share = np.array([[0.99, 0.01, 0.0]])  # fewer of the third class than misclassified sources
    assert np.linalg.solve(RATE.T, share[0]).min() < 0
    found = invert_confusion(RATE[None], share)
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(), 1.0)


def test_draws_of_the_confusion_are_dirichlet_for_independent_rows():
    truth, prediction = np.repeat([0, 0, 1], [30, 10, 5]), np.repeat([0, 1, 1], [30, 10, 5])
    rng = np.random.default_rng(0)
    rate = confusion_draws(truth, prediction, np.arange(45), 2, rng, 40_000)
    exact = rng.dirichlet([30.5, 10.5], 40_000)
    np.testing.assert_allclose(rate[:, 0].mean(0), exact.mean(0), atol=2e-3)
    np.testing.assert_allclose(rate[:, 0].std(0), exact.std(0), rtol=0.03)


def test_rows_of_a_group_count_as_one():
    truth = np.repeat([0, 1], 40)
    prediction = np.where(np.arange(80) % 40 < 30, truth, 1 - truth)
    rng = np.random.default_rng(1)
    alone = confusion_draws(truth, prediction, np.arange(80), 2, rng, 4000)
    grouped = confusion_draws(truth, prediction, np.arange(80) // 10, 2, rng, 4000)
    assert grouped.std(0).min() > 2 * alone.std(0).max()


def test_gibbs_samples_the_posterior_of_the_counts():
    """Sum over all true classes of 4 + 2 predicted sources, with pi integrated out."""
    rate, predicted = np.array([[0.8, 0.2], [0.3, 0.7]]), np.array([4, 2])
    weight = np.zeros(7)
    for first, second in product(range(5), range(3)):  # of class 0 among those predicted 0 and 1
        ways = binom.pmf(first, 4, 0.5) * binom.pmf(second, 2, 0.5)  # up to a constant
        ways *= rate[0, 0] ** first * rate[1, 0] ** (4 - first)
        ways *= rate[0, 1] ** second * rate[1, 1] ** (2 - second)
        k = first + second
        weight[k] += ways * np.exp(gammaln(k + 0.5) + gammaln(6 - k + 0.5))
    rng = np.random.default_rng(2)
    n = 10_000
    drawn = _gibbs(rng, np.broadcast_to(rate, (n, 2, 2)), predicted, np.full((n, 2), 0.5))
    share = np.bincount(drawn[:, 0], minlength=7) / n
    np.testing.assert_allclose(share, weight / weight.sum(), atol=0.015)
    assert (drawn.sum(1) == 6).all()


def test_a_perfect_classifier_has_no_uncertainty():
    truth = np.repeat([0, 1], 5000)
    found = confusion_counts(truth, truth, np.arange(10_000), np.array([300, 20]), 0, 200)
    np.testing.assert_allclose(found.median(), [300, 20], atol=1)
    assert np.ptp(found.interval(), axis=0).max() <= 2


def sources(rng, n, share, shift=0.0):
    """True classes and features of sources."""
    truth = rng.choice(3, n, p=share)
    return truth, CENTRE[truth] + rng.normal(size=(n, 2)) + shift * (truth[:, None] == 0)


def estimates(seed, shift=0.0, n=1000, n_draws=100):
    """True, raw and corrected counts of a catalogue, with a classifier trained on 2/5 n sources."""
    rng = np.random.default_rng(seed)
    known, labelled = sources(rng, 2 * n // 5, TRAINING)
    truth, x = sources(rng, n, SKY, shift)
    model, folds = LinearDiscriminantAnalysis(), StratifiedKFold(5)
    held_out = cross_val_predict(model, labelled, known, cv=folds, method="predict_proba")
    posterior, group = model.fit(labelled, known).predict_proba(x), np.arange(len(known))
    raw = np.bincount(posterior.argmax(1), minlength=3)
    by_confusion = confusion_counts(known, held_out.argmax(1), group, raw, seed, n_draws)
    by_posterior = posterior_counts(held_out, known, group, posterior, seed, n_draws)
    as_exact = estimate_proportions(posterior, np.log(TRAINING), jax.random.key(seed)).draws
    return np.bincount(truth, minlength=3), raw, by_confusion, by_posterior, Counts(as_exact * n)


@pytest.mark.slow
@pytest.mark.usefixtures("full_optimisation")
def test_intervals_cover_and_raw_counts_miss():
    """90 % intervals of both corrections cover the truth in 100 catalogues; raw counts do not."""
    n_catalogues, held = 100, np.zeros((4, 3))
    for seed in range(n_catalogues):
        truth, raw, *corrected = estimates(seed)
        binomial = binom.interval(0.9, 1000, raw / 1000)  # the naive error bar
        intervals = [binomial, *(found.interval() for found in corrected)]
        held += [(low <= truth) & (truth <= high) for low, high in intervals]
    p_values = np.minimum(binom.cdf(held.min(1), n_catalogues, 0.9) * 3, 1.0)
    of_raw, *of_corrected, of_exact = p_values
    assert min(of_corrected) > 0.01, held
    assert of_raw < 1e-6, held
    assert of_exact < 1e-6, held  # assumes exact posteriors


@pytest.mark.slow
@pytest.mark.usefixtures("full_optimisation")
def test_the_corrections_agree_under_label_shift_only():
    def largest(seed, shift):
        return np.abs(disagreement(*estimates(seed, shift, 5000, 40)[2:4])).max()

    assert np.median([largest(seed, 0.0) for seed in range(4)]) < 1.5
    assert np.median([largest(seed, 0.7) for seed in range(4)]) > DOUBT


def test_posterior_counts_are_wider_with_fewer_labels():
    """The same posteriors with a tenth of the labels."""
    rng = np.random.default_rng(4)
    known, x = sources(rng, 2000, TRAINING)
    exact = softmax(norm.logpdf(x[:, None], CENTRE).sum(-1) + np.log(TRAINING), axis=1)
    group = np.arange(2000)
    many = posterior_counts(exact, known, group, exact, 0, 50)
    few = posterior_counts(exact[:200], known[:200], group[:200], exact, 0, 50)
    grouped = posterior_counts(exact, known, group // 10, exact, 0, 50)
    np.testing.assert_allclose(many.median(), np.bincount(known), rtol=0.05)
    assert np.all(np.ptp(few.interval(), axis=0) > 1.6 * np.ptp(many.interval(), axis=0))
    np.testing.assert_allclose(many.draws.sum(1), 2000)
    assert grouped.draws.shape == (50, 3)


@pytest.mark.slow
def test_posterior_counts_absorb_another_prior_and_temperature():
    rng = np.random.default_rng(5)
    known, x = sources(rng, 1000, TRAINING)
    score = norm.logpdf(x[:, None], CENTRE).sum(-1)
    one = softmax(score + np.log(TRAINING), axis=1)
    two = softmax(1.3 * (score + np.log([0.25, 0.5, 0.25])), axis=1)
    group = np.arange(1000)
    first = posterior_counts(one, known, group, one[:400], 0, 50).median()
    second = posterior_counts(two, known, group, two[:400], 0, 50).median()
    np.testing.assert_allclose(first, second, atol=12)
