"""The model of votes: a confusion matrix for each volunteer, a difficulty for each source.

It is the model of Dawid & Skene (1979, Applied Statistics 28, 20) with four additions: the matrices
are pooled towards those of volunteers of the same level, a volunteer may guess (a matrix with equal
rows), a source may be hard, and the prior of the true class may be the posterior of a classifier.

    z_n ~ pi_n                                            true class of source n
    h_n ~ Bernoulli(hard_share)                           whether the source is hard
    k_u ~ kind_share                                      level of the volunteer, or guessing
    theta_uc ~ Dirichlet(alpha_kc)         for level k    answers of volunteer u to class c
    theta_uc = phi_u ~ Dirichlet(alpha_0)  if u guesses
    p(a | n, u) = theta_u[z_n, a]                                       if h_n = 0
                = (1 - guess_rate) theta_u[z_n, a] + guess_rate g[a]    if h_n = 1

"don't know" is an answer like any other, so its frequency in each class is learned too. The true
class and the difficulty are summed out (`log_lik_of_votes`, `source_log_joint`).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, Int

from xbayes.crowd.votes import Votes

HARD = 2  # states of a source: clear, hard


class CrowdOptions(NamedTuple):
    """Parts of the model that can be left out; PLAIN is the model of Dawid & Skene."""

    levels: int = 2  # of skill; with 0 the matrices are not pooled: alpha is nearly zero
    guessers: bool = True
    difficulty: bool = True

    @property
    def pooled(self) -> bool:
        """Whether the concentrations are learned."""
        return self.levels > 0

    @property
    def n_levels(self) -> int:
        """The number of levels, at least one."""
        return max(self.levels, 1)


class VoteData(NamedTuple):
    """The votes as arrays of JAX."""

    source: Int[Array, "V"]
    user: Int[Array, "V"]
    answer: Int[Array, "V"]
    log_prior: Float[Array, "N C"]  # zeros where the class proportions are learned


class Population(NamedTuple):
    """What all volunteers and sources have in common."""

    log_alpha: Float[Array, "K C A"]  # log concentrations of the rows of the matrices, by level
    log_alpha_guess: Float[Array, "A"]  # of the answers of guessers
    log_proportions: Float[Array, "C"]  # zeros where each source has its own prior
    kind_share: Float[Array, "K1"]  # of the K levels, then of guessers
    hard_share: Float[Array, ""]
    guess_rate: Float[Array, ""]  # share of guesses among the votes on a hard source
    guess: Float[Array, "A"]  # distribution of these guesses


class Priors(NamedTuple):
    """The priors of the numbers of `Population`."""

    diagonal: tuple[float, ...] = (4.0, 15.0)  # median of alpha for the right answer, by level
    off_diagonal: float = 0.4  # ... for each other answer
    log_sd: float = 0.8  # standard deviation of every log alpha
    level: float = 4.0  # Dirichlet, of each level
    guesser: float = 1.0
    hard: tuple[float, float] = (1.0, 4.0)  # Beta
    rate: tuple[float, float] = (4.0, 2.0)


PRIORS = Priors()
FULL = CrowdOptions()
PLAIN = CrowdOptions(levels=0, guessers=False, difficulty=False)
ALMOST_ZERO = 1e-9  # concentration without pooling


def vote_data(votes: Votes, log_prior: Float[np.ndarray, "N C"] | None) -> VoteData:
    """The votes and the prior of each source; None: the class proportions are learned."""
    none = np.zeros((votes.n_sources, votes.n_classes))
    return VoteData(
        source=jnp.asarray(votes.source),
        user=jnp.asarray(votes.user),
        answer=jnp.asarray(votes.answer),
        log_prior=jnp.asarray(none if log_prior is None else log_prior),
    )


def alpha_location(n_classes: int, n_levels: int) -> Float[np.ndarray, "K C A"]:
    """The prior mean of the log concentrations; a single level has the mean of both."""
    diagonal = np.log(PRIORS.diagonal)
    diagonal = diagonal[:n_levels] if n_levels > 1 else diagonal.mean(keepdims=True)
    location = np.full((len(diagonal), n_classes, n_classes + 2), np.log(PRIORS.off_diagonal))
    at = np.arange(n_classes)
    location[:, at, at] = diagonal[:, None]
    return location


def kind_prior(options: CrowdOptions) -> Float[np.ndarray, "K1"]:
    """The Dirichlet prior of the kinds of volunteers."""
    return np.append(np.full(options.n_levels, PRIORS.level), PRIORS.guesser)


def start_population(n_classes: int, options: CrowdOptions, own_prior: bool = False) -> Population:
    """The population at the centre of its priors; shares of parts that are left out are zero."""
    n_answers = n_classes + 2
    location = alpha_location(n_classes, options.n_levels)
    if not options.pooled:
        location = np.full_like(location, np.log(ALMOST_ZERO))
    proportion = 0.0 if own_prior else -np.log(n_classes)
    kinds = kind_prior(options)
    kinds[-1] = kinds[-1] if options.guessers else 0.0
    (c, d), (e, f) = PRIORS.hard, PRIORS.rate
    return Population(
        log_alpha=jnp.asarray(location),
        log_alpha_guess=jnp.zeros(n_answers),
        log_proportions=jnp.full(n_classes, proportion),
        kind_share=jnp.asarray(kinds / kinds.sum()),
        hard_share=jnp.asarray(c / (c + d) if options.difficulty else 0.0),
        guess_rate=jnp.asarray(e / (e + f)),
        guess=jnp.full(n_answers, 1.0 / n_answers),
    )


def log_lik_of_votes(
    data: VoteData, matrix: Float[Array, "U C A"], population: Population
) -> Float[Array, "V C H"]:
    """log p(answer | class, difficulty) of each vote."""
    theta = matrix[data.user, :, data.answer]  # [V, C]
    guess = population.guess_rate * population.guess[data.answer]
    hard = (1 - population.guess_rate) * theta + guess[:, None]
    return jnp.log(jnp.maximum(jnp.stack([theta, hard], axis=-1), 1e-300))


def source_log_joint(
    data: VoteData, log_lik: Float[Array, "V C H"], population: Population
) -> Float[Array, "N C H"]:
    """log p(class, difficulty, votes) of each source; the sum over both is its likelihood."""
    n_sources, n_classes = data.log_prior.shape
    flat = log_lik.reshape(len(data.source), -1)
    total = jax.ops.segment_sum(flat, data.source, n_sources, indices_are_sorted=True)
    total = total.reshape(n_sources, n_classes, HARD)
    prior = data.log_prior + population.log_proportions  # [N, C]
    share = population.hard_share
    log_share = jnp.log(jnp.maximum(jnp.stack([1 - share, share]), 1e-300))
    return prior[:, :, None] + log_share + total


def marginal_log_lik(
    data: VoteData, matrix: Float[Array, "U C A"], population: Population
) -> Float[Array, ""]:
    """log p(votes | matrices, population), with the true classes and difficulties summed out."""
    log_lik = log_lik_of_votes(data, matrix, population)
    return logsumexp(source_log_joint(data, log_lik, population), axis=(1, 2)).sum()


def log_counts_given(
    counts: Float[Array, "*U A"], alpha: Float[Array, "*C A"]
) -> Float[Array, "*U"]:
    """log p(answers | alpha) with the probabilities integrated out: Dirichlet-multinomial.

    It is the probability of the answers in their order, so it has no multinomial coefficient.
    """
    lgamma = jax.scipy.special.gammaln
    each = lgamma(alpha + counts) - lgamma(alpha)
    total = alpha.sum(-1)
    return each.sum(-1) + lgamma(total) - lgamma(total + counts.sum(-1))


def crowd_model(
    data: VoteData | None,
    n_users: int,
    n_classes: int,
    options: CrowdOptions = FULL,
    own_prior: bool = False,
) -> tuple[Float[Array, "U C A"], Population]:
    """The model in NumPyro, with true classes and difficulties summed out.

    Without `data` it is the prior of the matrices and of the population. The kind of a volunteer is
    a discrete site, which NUTS cannot sample: use it with one level and without guessers.
    """
    n_answers, n_levels = n_classes + 2, options.n_levels
    location = jnp.asarray(alpha_location(n_classes, n_levels))
    log_alpha = _drawn("log_alpha", dist.Independent(dist.Normal(location, PRIORS.log_sd), 3))
    log_alpha_guess = jnp.zeros(n_answers)
    hard_share = jnp.asarray(0.0)
    kind_share = jnp.asarray(start_population(n_classes, options).kind_share)
    guess_rate, guess = jnp.asarray(0.5), jnp.full(n_answers, 1.0 / n_answers)
    log_proportions = jnp.zeros(n_classes)
    if not own_prior:
        proportions = _drawn("proportions", dist.Dirichlet(jnp.ones(n_classes)))
        log_proportions = jnp.log(proportions)
    if options.guessers:
        normal = dist.Independent(dist.Normal(jnp.zeros(n_answers), PRIORS.log_sd), 1)
        log_alpha_guess = _drawn("log_alpha_guess", normal)
    prior_of_kinds = jnp.asarray(kind_prior(options)[: n_levels + options.guessers])
    if len(prior_of_kinds) > 1:
        shares = _drawn("kind_share", dist.Dirichlet(prior_of_kinds))
        kind_share = shares if options.guessers else jnp.append(shares, 0.0)
    if options.difficulty:
        hard_share = _drawn("hard_share", dist.Beta(*PRIORS.hard))
        guess_rate = _drawn("guess_rate", dist.Beta(*PRIORS.rate))
        guess = _drawn("guess", dist.Dirichlet(jnp.ones(n_answers)))
    with numpyro.plate("users", n_users):
        kind = jnp.zeros(n_users, int)
        if len(prior_of_kinds) > 1:
            kind = _drawn("kind", dist.CategoricalProbs(kind_share))
        alpha = jnp.exp(log_alpha)[jnp.minimum(kind, n_levels - 1)]
        matrix = _drawn("matrix", dist.Independent(dist.Dirichlet(alpha), 1))
        if options.guessers:
            answers = _drawn("answers", dist.Dirichlet(jnp.exp(log_alpha_guess)))
            matrix = jnp.where((kind == n_levels)[:, None, None], answers[:, None, :], matrix)
    population = Population(
        log_alpha=log_alpha,
        log_alpha_guess=log_alpha_guess,
        log_proportions=log_proportions,
        kind_share=kind_share,
        hard_share=hard_share,
        guess_rate=guess_rate,
        guess=guess,
    )
    if data is not None:
        numpyro.factor("votes", marginal_log_lik(data, matrix, population))
    return matrix, population


def _drawn(name: str, distribution: dist.Distribution) -> Array:
    """A site of the model."""
    return jnp.asarray(numpyro.sample(name, distribution))
