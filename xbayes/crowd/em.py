"""Point estimates of the model of votes, by EM on sufficient statistics.

The expected counts n_u[c, a] of the answers of each volunteer in each class are sufficient for all
else. A row of a matrix is the mean of its Dirichlet posterior, (alpha + n) / sum(alpha + n): the
mode in the basis of log-odds (MacKay 1998, Machine Learning 33, 77). With alpha = 0 it is the step
of Dawid & Skene. The kinds of volunteers follow from the counts with the matrices integrated out.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, polygamma
from jaxtyping import Array, Float, Int

from xbayes.crowd.model import (
    FULL,
    PRIORS,
    CrowdOptions,
    Population,
    VoteData,
    alpha_location,
    kind_prior,
    log_counts_given,
    log_lik_of_votes,
    source_log_joint,
    start_population,
    vote_data,
)
from xbayes.crowd.votes import Votes

MOST_STEPS, TOLERANCE = 200, 1e-4
LONGEST = 0.7  # step of a log concentration


class PointFit(NamedTuple):
    """The point estimates, and how the iterations ended."""

    posterior: Float[Array, "N C"]
    matrix: Float[Array, "U C A"]  # mean over the kinds of volunteers
    kinds: Float[Array, "U K1"]  # probabilities of the levels, then of guessing
    hard: Float[Array, "N"]  # probability that the source is hard
    population: Population
    steps: Int[Array, ""]
    change: Float[Array, ""]  # mean over sources of the largest change in the last step


def fit_point(
    votes: Votes,
    log_prior: Float[np.ndarray, "N C"] | None = None,
    options: CrowdOptions = FULL,
) -> PointFit:
    """Point estimates; the start is the share of the votes of each source.

    Parameters
    ----------
    votes
        Sorted by source.
    log_prior
        Log prior of the class of each source; None: the class proportions are learned.
    """
    data = vote_data(votes, log_prior)
    shape = (votes.n_users, votes.n_classes, votes.n_answers)
    fit = _fit(options, shape, log_prior is not None, data)
    return jax.tree.map(np.asarray, fit)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _fit(
    options: CrowdOptions, shape: tuple[int, int, int], own_prior: bool, data: VoteData
) -> PointFit:
    n_users, n_classes, n_answers = shape
    n_sources = len(data.log_prior)
    one_hot = jax.nn.one_hot(data.answer, n_answers)[:, :n_classes]
    share = jax.ops.segment_sum(one_hot, data.source, n_sources, indices_are_sorted=True)
    # A source without a vote for a class starts from equal shares.
    share = (share + 1e-3) * jnp.exp(data.log_prior) if own_prior else share + 1e-3
    posterior = share / share.sum(1, keepdims=True)
    fit = PointFit(
        posterior=posterior,
        matrix=jnp.zeros(shape),
        kinds=jnp.zeros((n_users, options.n_levels + 1)),
        hard=jnp.zeros(n_sources),
        population=start_population(n_classes, options, own_prior),
        steps=jnp.asarray(0),
        change=jnp.asarray(1.0),
    )
    weight = posterior[data.source]  # [V, C]
    fit = _maximise(options, fit, expected_counts(data, weight, n_users, n_answers))

    def unfinished(fit: PointFit):
        return (fit.steps < MOST_STEPS) & (fit.change > TOLERANCE)

    return jax.lax.while_loop(unfinished, partial(_step, options, own_prior, data), fit)


def expected_counts(
    data: VoteData, weight: Float[Array, "V C"], n_users: int, n_answers: int
) -> Float[Array, "U C A"]:
    """Summed weights of the votes of each volunteer, by class and answer."""
    cell = data.user * n_answers + data.answer
    counts = jax.ops.segment_sum(weight, cell, n_users * n_answers)
    return jnp.swapaxes(counts.reshape(n_users, n_answers, -1), 1, 2)


def _step(options: CrowdOptions, own_prior: bool, data: VoteData, fit: PointFit) -> PointFit:
    population = fit.population
    log_lik = log_lik_of_votes(data, fit.matrix, population)  # [V, C, H]
    log_joint = source_log_joint(data, log_lik, population)
    resp = jax.nn.softmax(log_joint.reshape(len(log_joint), -1)).reshape(log_joint.shape)
    posterior, hard = resp.sum(2), resp[:, :, 1].sum(1)
    weight = posterior[data.source]
    if options.difficulty:
        # The share of a vote on a hard source that the matrix made, not a guess.
        by_matrix = (1 - population.guess_rate) * jnp.exp(log_lik[:, :, 0] - log_lik[:, :, 1])
        of_hard = resp[data.source, :, 1]
        guessed = (of_hard * (1 - by_matrix)).sum(1)  # [V]
        weight = weight - of_hard * (1 - by_matrix)
        population = _with_difficulty(data, population, hard, of_hard.sum(), guessed)
    if not own_prior:
        size = posterior.sum(0) + (1.0 if options.pooled else 0.0)
        population = population._replace(log_proportions=jnp.log(size / size.sum()))
    n_users, _, n_answers = fit.matrix.shape
    counts = expected_counts(data, weight, n_users, n_answers)
    change = jnp.abs(posterior - fit.posterior).max(1).mean()
    fit = fit._replace(
        posterior=posterior, hard=hard, population=population, steps=fit.steps + 1, change=change
    )
    return _maximise(options, fit, counts)


def _with_difficulty(data: VoteData, population: Population, hard, votes_on_hard, guessed):
    n_answers = len(population.guess)
    (a, b), (c, d) = PRIORS.hard, PRIORS.rate
    answers = jax.ops.segment_sum(guessed, data.answer, n_answers) + 1.0
    return population._replace(
        hard_share=(hard.sum() + a) / (len(hard) + a + b),
        guess_rate=(guessed.sum() + c) / (votes_on_hard + c + d),
        guess=answers / answers.sum(),
    )


def _maximise(options: CrowdOptions, fit: PointFit, counts: Float[Array, "U C A"]) -> PointFit:
    """Matrices, kinds of volunteers and concentrations, given the expected counts."""
    population, pooled = fit.population, counts.sum(1)  # [U, A]
    kinds = kind_probability(counts, population)
    if options.pooled:
        size = kinds.sum(0) + jnp.asarray(kind_prior(options))
        size = size if options.guessers else size.at[-1].set(0.0)
        location = jnp.asarray(alpha_location(counts.shape[1], options.n_levels))
        of_class = jax.vmap(_newton, (0, 0, 1, None))
        of_level = jax.vmap(of_class, (0, 0, None, 1))
        log_alpha = of_level(population.log_alpha, location, counts, kinds[:, :-1])
        population = population._replace(log_alpha=log_alpha, kind_share=size / size.sum())
    if options.pooled and options.guessers:
        guess = _newton(population.log_alpha_guess, 0.0, pooled, kinds[:, -1])
        population = population._replace(log_alpha_guess=guess)
    by_level = [_mean(counts, jnp.exp(log_alpha)) for log_alpha in population.log_alpha]
    matrix = sum(kinds[:, k, None, None] * level for k, level in enumerate(by_level))
    answers = _mean(pooled, jnp.exp(population.log_alpha_guess))
    matrix = matrix + (kinds[:, -1:] * answers)[:, None, :]
    return fit._replace(matrix=matrix, kinds=kinds, population=population)


def kind_probability(counts: Float[Array, "U C A"], population: Population) -> Float[Array, "U K1"]:
    """The probabilities of the kinds of each volunteer, with the matrices integrated out."""
    levels = [
        log_counts_given(counts, jnp.exp(log_alpha)).sum(-1) for log_alpha in population.log_alpha
    ]
    guessing = log_counts_given(counts.sum(1), jnp.exp(population.log_alpha_guess))
    log_joint = jnp.stack([*levels, guessing], axis=1)
    return jax.nn.softmax(log_joint + jnp.log(population.kind_share))


def _mean(counts, alpha):
    total = counts + alpha
    return total / total.sum(-1, keepdims=True)


def _newton(log_alpha, location, counts, weight):
    """One damped step to the mode of the log concentrations of one row; `weight` of each user."""
    alpha, total = jnp.exp(log_alpha), jnp.exp(log_alpha).sum()
    size = counts.sum(1)  # [U]
    each = weight @ (digamma(alpha + counts) - digamma(alpha))  # [A]
    common = weight @ (digamma(total) - digamma(total + size))
    slope = alpha * (each + common)
    bend = alpha**2 * (weight @ (polygamma(1, alpha) - polygamma(1, alpha + counts)))
    slope_of_prior = (location - log_alpha) / PRIORS.log_sd**2
    curvature = bend + jnp.abs(slope) + 1 / PRIORS.log_sd**2
    return log_alpha + jnp.clip((slope + slope_of_prior) / curvature, -LONGEST, LONGEST)
