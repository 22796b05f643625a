"""Posterior samples of the model of votes, by Gibbs sampling with most numbers integrated out.

One sweep draws, in this order, each from its conditional distribution:

1. class and difficulty of each source, jointly, given matrices and population
2. which votes on hard sources were guesses
3. the kind of each volunteer, with the matrices integrated out
4. the concentrations, with the matrices integrated out: random-walk Metropolis steps
5. the matrices: Dirichlet
6. shares of classes, kinds, hard sources and guesses: Beta and Dirichlet

Steps 3 and 4 before 5 leave the posterior invariant because (kinds, matrices) and
(concentrations, matrices) are each drawn as a block (van Dyk & Park 2008, JASA 103, 790).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from xbayes.crowd.em import PointFit, kind_probability
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
    vote_data,
)
from xbayes.crowd.skill import over_difficulty
from xbayes.crowd.votes import Votes

STEP_SIZES = (0.05, 0.25, 1.0)  # of the log concentrations; one is drawn for each proposal
PROPOSALS = 2  # for each concentration in a sweep


class SweepPlan(NamedTuple):
    """How many sweeps are made, and how many are kept."""

    warmup: int = 150
    draws: int = 400
    thin: int = 2

    @property
    def kept(self) -> int:
        """The number of samples that are kept."""
        return self.draws // self.thin


USUAL_PLAN = SweepPlan()


class Draws(NamedTuple):
    """The samples that are kept. The posterior of a source is that given the other draws."""

    posterior: Float[np.ndarray, "S N C"]
    right: Float[np.ndarray, "S U C"]  # the diagonals of the matrices over clear and hard sources
    answers: Float[np.ndarray, "S U A"]  # frequencies of the answers over the class proportions
    proportions: Float[np.ndarray, "S C"]  # of the classes among the sources
    guesses: Float[np.ndarray, "U"]  # share of the samples in which the volunteer guesses
    hard: Float[np.ndarray, "N"]
    population: Population  # with an axis S


class _Drawn(NamedTuple):
    """What one sweep draws on the device."""

    posterior: Float[Array, "N C"]
    hard: Bool[Array, "N"]
    class_index: Int[Array, "N"]
    counts: Float[Array, "U C A"]
    kind: Int[Array, "U"]
    population: Population
    guessed: Float[Array, "A"]  # number of votes that were guesses, by answer
    on_hard: Float[Array, ""]  # number of votes on hard sources


def sample_posterior(
    votes: Votes,
    start: PointFit,
    seed: int,
    *,
    log_prior: Float[np.ndarray, "N C"] | None = None,
    options: CrowdOptions = FULL,
    plan: SweepPlan = USUAL_PLAN,
) -> Draws:
    """Samples of the posterior, from a chain that starts at the point estimates."""
    data = vote_data(votes, log_prior)
    key, rng = jax.random.key(seed), np.random.default_rng(seed)
    population = jax.tree.map(np.asarray, start.population)
    matrix = np.asarray(start.matrix)
    kept: list[tuple] = []
    guess_sum, hard_sum, n_after = np.zeros(votes.n_users), np.zeros(votes.n_sources), 0
    for sweep in range(plan.warmup + plan.draws):
        drawn = _sweep(options, jax.random.fold_in(key, sweep), data, matrix, population)
        matrix = _matrices(rng, drawn)
        population = _shares(rng, drawn, options, own_prior=log_prior is not None)
        if sweep < plan.warmup:
            continue
        n_after += 1
        guess_sum += np.asarray(drawn.kind) == options.n_levels
        hard_sum += np.asarray(drawn.hard)
        if (sweep - plan.warmup) % plan.thin == plan.thin - 1:
            posterior = np.asarray(drawn.posterior)
            share = posterior.mean(0)
            average = over_difficulty(matrix, population)
            right = np.diagonal(average[:, :, : votes.n_classes], axis1=1, axis2=2)
            answers = np.einsum("uca,c->ua", average, share)
            kept.append((posterior, right, answers, share, population))
    posterior, right, answers, share, populations = zip(*kept, strict=True)
    return Draws(
        posterior=np.stack(posterior).astype(np.float32),
        right=np.stack(right),
        answers=np.stack(answers),
        proportions=np.stack(share),
        guesses=guess_sum / n_after,
        hard=hard_sum / n_after,
        population=jax.tree.map(lambda *leaves: np.stack(leaves), *populations),
    )


def _matrices(rng: np.random.Generator, drawn: _Drawn) -> Float[np.ndarray, "U C A"]:
    # NumPy draws gamma numbers ten times as fast as JAX on a CPU.
    counts, kind = np.asarray(drawn.counts), np.asarray(drawn.kind)
    population = jax.tree.map(np.asarray, drawn.population)
    n_levels = len(population.log_alpha)
    alpha = np.exp(population.log_alpha)[np.minimum(kind, n_levels - 1)]
    matrix, guesses = _dirichlet(rng, alpha + counts), kind == n_levels
    if guesses.any():
        alpha = np.exp(population.log_alpha_guess)
        matrix[guesses] = _dirichlet(rng, alpha + counts[guesses].sum(1))[:, None, :]
    return matrix


def _dirichlet(
    rng: np.random.Generator, alpha: Float[np.ndarray, "*R A"]
) -> Float[np.ndarray, "*R A"]:
    # gamma(a) = gamma(a + 1) u^(1/a) in logs: small a would underflow.
    log_gamma = np.log(rng.standard_gamma(alpha + 1.0)) - rng.standard_exponential(
        alpha.shape
    ) / np.maximum(alpha, 1e-12)
    top = np.exp(log_gamma - log_gamma.max(-1, keepdims=True))
    return top / top.sum(-1, keepdims=True)


def _shares(
    rng: np.random.Generator, drawn: _Drawn, options: CrowdOptions, own_prior: bool
) -> Population:
    """The population with its shares drawn given all else."""
    population = jax.tree.map(np.asarray, drawn.population)
    hard = np.asarray(drawn.hard)
    guessed, on_hard = np.asarray(drawn.guessed), float(drawn.on_hard)
    update: dict[str, np.ndarray] = {}
    if options.pooled:
        n_kinds = options.n_levels + options.guessers
        size = kind_prior(options) + np.bincount(
            np.asarray(drawn.kind), minlength=options.n_levels + 1
        )
        update["kind_share"] = np.zeros(options.n_levels + 1)
        update["kind_share"][:n_kinds] = _dirichlet(rng, size[:n_kinds])
    if options.difficulty:
        (a, b), (c, d) = PRIORS.hard, PRIORS.rate
        update["hard_share"] = np.asarray(rng.beta(a + hard.sum(), b + (~hard).sum()))
        rate = rng.beta(c + guessed.sum(), d + on_hard - guessed.sum())
        update["guess_rate"] = np.asarray(rate)
        update["guess"] = _dirichlet(rng, 1.0 + guessed)
    if not own_prior:
        size = np.bincount(np.asarray(drawn.class_index), minlength=population.log_alpha.shape[1])
        update["log_proportions"] = np.log(np.maximum(_dirichlet(rng, 1.0 + size), 1e-300))
    return population._replace(**update)


@partial(jax.jit, static_argnums=0)
def _sweep(
    options: CrowdOptions,
    key: PRNGKeyArray,
    data: VoteData,
    matrix: Float[Array, "U C A"],
    population: Population,
) -> _Drawn:
    keys = jax.random.split(key, 5)
    n_users, n_classes, n_answers = matrix.shape
    log_lik = log_lik_of_votes(data, matrix, population)
    log_joint = source_log_joint(data, log_lik, population).reshape(len(data.log_prior), -1)
    posterior = jax.nn.softmax(log_joint).reshape(len(log_joint), n_classes, -1).sum(2)
    state = jax.random.categorical(keys[0], log_joint)
    class_index, hard = state // 2, state % 2 == 1
    # Of each vote: the class and difficulty of its source, and whether the matrix made it.
    at = class_index[data.source]
    on_hard = hard[data.source]
    chosen = jnp.take_along_axis(log_lik, at[:, None, None], 1)[:, 0]  # [V, H]
    by_matrix = (1 - population.guess_rate) * jnp.exp(chosen[:, 0] - chosen[:, 1])
    guessed = on_hard & (jax.random.uniform(keys[1], at.shape) > by_matrix)
    cell = (data.user * n_classes + at) * n_answers + data.answer
    size = n_users * n_classes * n_answers
    counts = jax.ops.segment_sum((~guessed).astype(matrix.dtype), cell, size)
    counts = counts.reshape(n_users, n_classes, n_answers)
    by_answer = jax.ops.segment_sum(guessed.astype(matrix.dtype), data.answer, n_answers)
    kind = jax.random.categorical(keys[2], jnp.log(kind_probability(counts, population)))
    if options.pooled:
        population = _concentrations(keys[3], counts, kind, population)
    if options.pooled and options.guessers:
        population = _concentrations_of_guessers(keys[4], counts, kind, population)
    return _Drawn(
        posterior=posterior,
        hard=hard,
        class_index=class_index,
        counts=counts,
        kind=kind,
        population=population,
        guessed=by_answer,
        on_hard=on_hard.sum().astype(matrix.dtype),
    )


def _concentrations(key, counts, kind, population: Population) -> Population:
    n_levels, n_classes, _ = population.log_alpha.shape
    location = jnp.asarray(alpha_location(n_classes, n_levels))
    by_class = jnp.swapaxes(counts, 0, 1)  # [C, U, A]
    weight = (kind == jnp.arange(n_levels)[:, None]).astype(counts.dtype)  # [K, U]
    keys = jax.random.split(key, (n_levels, n_classes))
    of_level = jax.vmap(_metropolis, (0, 0, 0, 0, None))
    drawn = jax.vmap(of_level, (0, 0, 0, None, 0))(
        keys, population.log_alpha, location, by_class, weight
    )
    return population._replace(log_alpha=drawn)


def _concentrations_of_guessers(key, counts, kind, population: Population) -> Population:
    start = population.log_alpha_guess
    weight = (kind == len(population.log_alpha)).astype(counts.dtype)
    drawn = _metropolis(key, start, jnp.zeros_like(start), counts.sum(1), weight)
    return population._replace(log_alpha_guess=drawn)


def _metropolis(key, log_alpha, location, counts, weight):
    """Steps of each log concentration of one row in turn, and of all of them together."""
    n_answers = len(log_alpha)
    moves = jnp.concatenate([jnp.eye(n_answers), jnp.ones((1, n_answers))])

    def log_density(log_alpha):
        given = log_counts_given(counts, jnp.exp(log_alpha))
        return weight @ given - 0.5 * (((log_alpha - location) / PRIORS.log_sd) ** 2).sum()

    def step(state, inputs):
        here, density = state
        key, move = inputs
        of_size, of_step, of_choice = jax.random.split(key, 3)
        scale = jax.random.choice(of_size, jnp.asarray(STEP_SIZES))
        there = here + scale * jax.random.normal(of_step) * move
        new = log_density(there)
        accepted = jnp.log(jax.random.uniform(of_choice)) < new - density
        return (jnp.where(accepted, there, here), jnp.where(accepted, new, density)), None

    n_steps = PROPOSALS * len(moves)
    inputs = jax.random.split(key, n_steps), jnp.tile(moves, (PROPOSALS, 1))
    (drawn, _), _ = jax.lax.scan(step, (log_alpha, log_density(log_alpha)), inputs)
    return drawn
