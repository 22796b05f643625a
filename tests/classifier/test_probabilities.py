"""Posteriors from scores, and quantities derived from posteriors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xbayes.classifier import probabilities as post

SCORES = arrays(np.float64, (6, 3), elements=st.floats(-1e6, 1e6))


@given(SCORES)
@settings(deadline=None)
def test_every_row_sums_to_one(scores):
    posterior = post.class_posterior(scores)
    np.testing.assert_allclose(posterior.sum(-1), 1.0, rtol=1e-12)
    assert (posterior >= 0).all()


def test_float32_scores_are_normalised_in_float64():
    got = post.class_posterior(np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32))
    np.testing.assert_allclose(got.sum(-1), 1.0, rtol=1e-14)


def test_another_prior_is_bayes_theorem():
    likelihood = np.random.default_rng(1).random((5, 3))
    old, new = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.1, 0.8])
    before = likelihood * old / (likelihood * old).sum(1, keepdims=True)
    after = likelihood * new / (likelihood * new).sum(1, keepdims=True)
    np.testing.assert_allclose(post.with_prior(before, old, new), after)


def test_margin_and_entropy_at_their_limits():
    certain, uniform = np.array([[1.0, 0, 0, 0]]), np.full((1, 4), 0.25)
    assert post.margin(certain) == 1.0
    assert post.margin(uniform) == -0.5
    assert post.entropy(certain) == 0.0
    assert post.entropy(uniform) == pytest.approx(np.log(4))


def test_alternative_against_loops():
    rng = np.random.default_rng(2)
    contribution, prior = rng.normal(0, 2, (200, 5, 3)), np.array([0.6, 0.3, 0.1])
    category = (0, 1, 1, 2, 0)
    log_joint = np.log(prior) + contribution.sum(1)
    prediction = log_joint.argmax(-1)
    scores = np.einsum("nfc,fg->ngc", contribution, np.eye(3)[list(category)])
    found = post.alternative(log_joint[:, None] - scores, prediction)
    for n in range(200):
        best, height = -1, -1.0
        for g in range(3):
            member = [f for f in range(5) if category[f] == g]
            without = np.exp(log_joint[n] - contribution[n, member].sum(0))
            without /= without.sum()
            if without.argmax() != prediction[n] and without.max() > height:
                best, height = without.argmax(), without.max()
        assert found[n] == best
    assert (found == -1).any()
    assert (found >= 0).any()
