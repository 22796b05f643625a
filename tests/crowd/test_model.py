"""The likelihood of votes against sums by brute force; EM against a plain Dawid & Skene."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer import MCMC, NUTS

from tests.crowd.prior_votes import N_CLASSES, N_USERS, votes_from_prior
from xbayes.crowd.em import fit_point, kind_probability
from xbayes.crowd.gibbs import SweepPlan, sample_posterior
from xbayes.crowd.model import (
    PLAIN,
    CrowdOptions,
    crowd_model,
    log_counts_given,
    marginal_log_lik,
    start_population,
    vote_data,
)
from xbayes.crowd.simulate import Crowd, simulate_votes
from xbayes.crowd.votes import Votes


def tiny_votes():
    """Three sources, two volunteers, two classes."""
    return Votes(
        source=np.array([0, 0, 1, 2, 2]),
        user=np.array([0, 1, 0, 0, 1]),
        answer=np.array([0, 0, 1, 3, 2]),
        n_sources=3,
        n_users=2,
        n_classes=2,
    )


def some_population():
    population = start_population(2, CrowdOptions())
    return population._replace(
        log_proportions=jnp.log(jnp.array([0.7, 0.3])),
        hard_share=jnp.asarray(0.3),
        guess_rate=jnp.asarray(0.6),
        guess=jnp.array([0.1, 0.2, 0.3, 0.4]),
    )


def brute_force(votes, matrix, population) -> float:
    """The sum over classes, difficulties and guesses of every source and vote."""
    total = 0.0
    share, rate = float(population.hard_share), float(population.guess_rate)
    for n in range(votes.n_sources):
        rows = np.flatnonzero(votes.source == n)
        of_source = 0.0
        for c, hard in product(range(2), (False, True)):
            for guessed in product((False, True), repeat=len(rows)):
                term = np.exp(float(population.log_proportions[c]))
                term *= share if hard else 1 - share
                for row, guess in zip(rows, guessed, strict=True):
                    answer = votes.answer[row]
                    if not hard and guess:
                        term = 0.0
                    elif guess:
                        term *= rate * float(population.guess[answer])
                    else:
                        by_matrix = matrix[votes.user[row], c, answer]
                        term *= by_matrix * ((1 - rate) if hard else 1.0)
                of_source += term
        total += np.log(of_source)
    return total


def test_the_likelihood_is_the_sum_over_everything_unobserved():
    votes, population = tiny_votes(), some_population()
    matrix = np.random.default_rng(0).dirichlet(np.ones(4), (2, 2))
    given = float(marginal_log_lik(vote_data(votes, None), jnp.asarray(matrix), population))
    np.testing.assert_allclose(given, brute_force(votes, matrix, population), rtol=1e-12)
    # The control: a formula that forgets the difficulty gives another number.
    clear = population._replace(hard_share=jnp.asarray(0.0))
    wrong = float(marginal_log_lik(vote_data(votes, None), jnp.asarray(matrix), clear))
    assert abs(wrong - given) > 0.01


def test_all_possible_votes_have_probability_one_in_total():
    population = some_population()
    matrix = jnp.asarray(np.random.default_rng(1).dirichlet(np.ones(4), (2, 2)))
    answers = np.array(list(product(range(4), repeat=2)))
    source, user = np.repeat(np.arange(16), 2), np.tile([0, 1], 16)
    votes = Votes(source, user, answers.ravel(), n_sources=16, n_users=2, n_classes=2)
    parts = [
        marginal_log_lik(
            vote_data(votes.rows(source == n)._replace(source=np.zeros(2, int), n_sources=1), None),
            matrix,
            population,
        )
        for n in range(16)
    ]
    np.testing.assert_allclose(np.exp(parts).sum(), 1.0, rtol=1e-12)


def test_counts_given_concentrations_follow_from_the_chain_of_answers():
    alpha, answers = np.array([0.5, 2.0, 1.0]), [0, 1, 1, 2, 1]
    seen, log_prob = np.zeros(3), 0.0
    for answer in answers:
        log_prob += np.log((alpha + seen)[answer] / (alpha + seen).sum())
        seen[answer] += 1
    given = float(log_counts_given(jnp.asarray(seen), jnp.asarray(alpha)))
    np.testing.assert_allclose(given, log_prob, rtol=1e-12)


def test_the_kind_of_a_volunteer_is_bayes_theorem():
    population = start_population(2, CrowdOptions())
    counts = jnp.asarray([[[9.0, 1, 0, 0], [0, 8, 0, 0]], [[4.0, 5, 0, 0], [5, 4, 0, 0]]])
    kinds = np.asarray(kind_probability(counts, population))
    np.testing.assert_allclose(kinds.sum(1), 1.0)
    assert kinds[0, -1] < 0.01 < 0.3 < kinds[1, -1]


def plain_dawid_skene(votes, steps=200):
    """EM of Dawid & Skene (1979), as in the paper, with loops over volunteers."""
    n_sources, n_classes = votes.n_sources, votes.n_classes
    share = np.full((n_sources, n_classes), 1e-3)
    for n, a in zip(votes.source, votes.answer, strict=True):
        share[n, a] += 1.0
    posterior = share / share.sum(1, keepdims=True)
    for _ in range(steps):
        proportions = posterior.mean(0)
        matrix = np.zeros((votes.n_users, n_classes, votes.n_answers))
        for n, u, a in zip(votes.source, votes.user, votes.answer, strict=True):
            matrix[u, :, a] += posterior[n]
        matrix /= np.maximum(matrix.sum(2, keepdims=True), 1e-300)
        log_joint = np.tile(np.log(proportions), (n_sources, 1))
        for n, u, a in zip(votes.source, votes.user, votes.answer, strict=True):
            log_joint[n] += np.log(np.maximum(matrix[u, :, a], 1e-9))
        joint = np.exp(log_joint - log_joint.max(1, keepdims=True))
        before, posterior = posterior, joint / joint.sum(1, keepdims=True)
        if np.abs(posterior - before).max() < 1e-3:
            break
    return posterior, matrix


@pytest.fixture
def classes_only():
    """Votes for classes alone, as the paper has them."""
    truth = np.random.default_rng(3).choice(3, 150, p=[0.5, 0.3, 0.2])
    made = simulate_votes(
        truth, 3, Crowd(6, 4, 0, 0), votes_per_source=5.0, hard_share=0.0, seed=2
    ).votes
    return made.rows(made.answer < 3)


def test_without_its_additions_the_model_is_that_of_dawid_and_skene(classes_only):
    posterior, matrix = plain_dawid_skene(classes_only)
    fit = fit_point(classes_only, options=PLAIN)
    assert np.mean(np.abs(fit.posterior - posterior).max(1) < 0.01) > 0.99
    np.testing.assert_allclose(fit.matrix, matrix, atol=0.02)


def test_a_certain_prior_is_the_posterior_and_a_flat_one_changes_little(classes_only):
    n_sources = classes_only.n_sources
    sure = np.full((n_sources, 3), np.log(1e-12))
    sure[:, 1] = 0.0
    fit = fit_point(classes_only, sure)
    assert np.all(fit.posterior[:, 1] > 0.99)
    np.testing.assert_array_equal(fit.population.log_proportions, 0.0)


@pytest.mark.slow
@pytest.mark.usefixtures("full_optimisation")
def test_gibbs_sampling_agrees_with_nuts_on_the_same_model():
    options = CrowdOptions(levels=1, guessers=False, difficulty=True)
    made = votes_from_prior(4, options)
    data = vote_data(made.votes, None)
    nuts = MCMC(NUTS(crowd_model), num_warmup=250, num_samples=400, progress_bar=False)
    nuts.run(jax.random.key(0), data, N_USERS, N_CLASSES, options)
    samples = nuts.get_samples()
    draws = sample_posterior(
        made.votes, fit_point(made.votes, None, options), 1, options=options,
        plan=SweepPlan(warmup=300, draws=3000, thin=3),
    )  # fmt: skip
    for name, given in (
        ("hard_share", draws.population.hard_share),
        ("log_alpha", draws.population.log_alpha),
    ):
        other = np.asarray(samples[name])
        np.testing.assert_allclose(given.mean(0), other.mean(0), atol=0.35 * other.std(0).max())
        np.testing.assert_allclose(given.std(0), other.std(0), rtol=0.3)
