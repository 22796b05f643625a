"""The estimated prior is used where only proportions differ, and declined where more differs."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import binom, chi2, norm

from xbayes.classifier.held_out import HeldOutSample
from xbayes.evaluate.label_shift import (
    ACCEPTED,
    DECLINED,
    SHRUNK,
    UNCHANGED,
    checked_proportions,
    label_shift_test,
)

TRAINING = np.array([0.5, 0.42, 0.08])
CENTRE = np.array([[0.0, 0.0], [2.2, 0.0], [0.8, 2.6]])


def sources(rng, share, n, move=0.0, spread=1.0):
    """Calibrated posteriors under TRAINING, classes and outlier p-values of n sources.

    `move` and `spread` change the sources of every class: more than proportions differ then.
    """
    truth = rng.choice(3, n, p=share)
    x = CENTRE[truth] + spread * rng.normal(size=(n, 2)) + [move, -move]
    log_lik = norm.logpdf(x[:, None], CENTRE).sum(-1)
    posterior = softmax(log_lik + np.log(TRAINING), axis=1)
    distance = ((x - CENTRE[posterior.argmax(1)]) ** 2).sum(1)
    return posterior, truth, chi2.sf(distance, 2)


def training_sample(seed, n=2000):
    posterior, truth, outlier_p = sources(np.random.default_rng(seed), TRAINING, n)
    return HeldOutSample(
        posterior=posterior, class_index=truth, group=np.arange(n), outlier_p=outlier_p
    )


def check(sample, posterior, outlier_p, seed=0):
    log_prior = np.log(TRAINING)
    return checked_proportions(
        sample, log_prior, posterior, outlier_p, applied_log_prior=log_prior, seed=seed
    )


def log_loss(posterior, truth, share=TRAINING):
    joint = posterior * share / TRAINING
    return -np.log(joint[np.arange(len(truth)), truth] / joint.sum(1)).mean()


@pytest.mark.parametrize("share", [(0.1, 0.8, 0.1), (0.34, 0.33, 0.33)])
def test_other_proportions_are_accepted_and_improve_the_log_loss(share):
    posterior, truth, outlier_p = sources(np.random.default_rng(1), share, 3000)
    found = check(training_sample(2), posterior, outlier_p)
    assert found.verdict == ACCEPTED
    np.testing.assert_allclose(found.estimate.proportions, share, atol=0.03)
    np.testing.assert_allclose(found.proportions, share, atol=0.05)
    gain = log_loss(posterior, truth) - log_loss(posterior, truth, found.proportions)
    assert gain > 0.02
    assert "estimated from the catalogue" in found.text("ABC")


@pytest.mark.parametrize(
    ("move", "spread"), [(0.8, 1.0), (-0.6, 1.0), (0.0, 1.6), (0.0, 0.4)],
    ids=["moved", "moved back", "fainter", "sharper"],
)  # fmt: skip
def test_sources_unlike_those_of_training_are_declined(move, spread):
    rng = np.random.default_rng(3)
    posterior, _, outlier_p = sources(rng, (0.7, 0.28, 0.02), 1000, move, spread)
    found = check(training_sample(4), posterior, outlier_p)
    assert found.verdict == DECLINED
    np.testing.assert_allclose(found.proportions, TRAINING, rtol=1e-12)
    assert found.weight == 0
    for words in ("declined", "the prior of the run is kept", "--target FILE"):
        assert words in found.text("ABC")


def test_a_catalogue_like_the_training_sample_keeps_the_prior_of_the_run():
    posterior, _, outlier_p = sources(np.random.default_rng(15), TRAINING, 3000)
    found = check(training_sample(2), posterior, outlier_p)
    assert found.verdict == UNCHANGED
    np.testing.assert_allclose(found.proportions, TRAINING, rtol=1e-12)
    np.testing.assert_allclose(found.estimate.proportions, TRAINING, atol=0.03)
    assert "explains the catalogue as well" in found.text("ABC")


def test_harm_is_avoided_where_the_plain_estimate_does_harm():
    """Negative control: the estimate alone raises the log loss of moved sources."""
    posterior, truth, outlier_p = sources(np.random.default_rng(5), TRAINING, 1500, move=1.2)
    found = check(training_sample(6), posterior, outlier_p)
    plain = found.estimate.proportions
    assert log_loss(posterior, truth, plain) > log_loss(posterior, truth) + 0.03
    assert log_loss(posterior, truth, found.proportions) <= log_loss(posterior, truth) + 1e-9


def test_a_slightly_imperfect_catalogue_of_other_proportions_is_shrunk_with_wider_intervals():
    posterior, _, outlier_p = sources(np.random.default_rng(7), (0.05, 0.55, 0.4), 20_000, 0.35)
    found = check(training_sample(8), posterior, outlier_p)
    assert found.verdict == SHRUNK
    assert 0.9 <= found.test.explained < 1
    assert 0.88 < found.weight < found.test.explained
    low, high = found.interval()
    assert high[2] - low[2] > 0.2, "it reaches from the proportions of training to the estimate"
    between = np.sort([TRAINING, found.estimate.proportions], axis=0)
    assert (found.proportions >= between[0] - 0.01).all()
    assert (found.proportions <= between[1] + 0.01).all()
    assert "the intervals reach to the prior of the run" in found.text("ABC")


def test_the_level_of_the_test_is_nominal_with_another_training_sample_each_time():
    p_values = []
    for seed in range(60):
        rng = np.random.default_rng(100 + seed)
        posterior, _, outlier_p = sources(rng, (0.2, 0.6, 0.2), 400)
        sample = training_sample(1000 + seed, 600)
        p_values.append(label_shift_test(sample, posterior, outlier_p, TRAINING, seed).p_value)
    rejected = (np.array(p_values) <= 0.1).sum()
    assert rejected <= binom.ppf(0.999, 60, 0.1)
    assert np.mean(p_values) > 0.3, "they are spread over 0 to 1"


@pytest.mark.slow
def test_intervals_of_accepted_estimates_cover_the_true_proportions():
    share, covered, accepted = np.array([0.25, 0.6, 0.15]), [], 0
    for seed in range(100):
        truth_rng = np.random.default_rng(3000 + seed)
        posterior, _, outlier_p = sources(truth_rng, share, 300)
        found = check(training_sample(2000 + seed), posterior, outlier_p, seed)
        if found.verdict == ACCEPTED:
            low, high = found.interval()
            covered.append((low <= share) & (share <= high))
            accepted += 1
    assert accepted >= binom.ppf(0.001, 100, 0.9)
    hits = np.sum(covered, axis=0)
    assert (hits >= binom.ppf(0.001, accepted, 0.9)).all()


def test_groups_widen_what_counts_as_ordinary():
    """Ten copies of each labelled source are not ten sources."""
    rng = np.random.default_rng(9)
    posterior, _, outlier_p = sources(rng, TRAINING, 3000)
    small = training_sample(10, 150)
    copies = HeldOutSample(*(np.repeat(column, 10, axis=0) for column in small))
    grouped = label_shift_test(copies, posterior, outlier_p, TRAINING, 0).p_value
    apart = copies._replace(group=np.arange(1500))
    assert grouped > 0.1
    assert label_shift_test(apart, posterior, outlier_p, TRAINING, 0).p_value < grouped / 2


def test_few_sources_change_little():
    posterior, _, outlier_p = sources(np.random.default_rng(11), (0.05, 0.15, 0.8), 20)
    found = check(training_sample(12), posterior, outlier_p)
    assert found.weight <= 20 / 220
    assert np.abs(found.proportions - TRAINING).max() < 0.06


def test_a_run_with_its_own_prior_is_compared_under_the_training_prior():
    posterior, _, outlier_p = sources(np.random.default_rng(13), (0.2, 0.6, 0.2), 2000)
    own = np.array([0.2, 0.2, 0.6])
    joint = posterior * own / TRAINING
    moved = joint / joint.sum(1, keepdims=True)
    sample, log_prior = training_sample(14), np.log(TRAINING)
    one = check(sample, posterior, outlier_p)
    other = checked_proportions(
        sample, log_prior, moved, outlier_p, applied_log_prior=np.log(own), seed=0
    )
    assert other.test.p_value == one.test.p_value
    np.testing.assert_allclose(other.estimate.proportions, one.estimate.proportions, atol=1e-5)
