"""Votes drawn from the prior of the model, all of one shape, so that one compilation serves all."""

from typing import NamedTuple

import jax
import numpy as np
from numpyro import handlers

from xbayes.crowd.model import FULL, CrowdOptions, Population, crowd_model
from xbayes.crowd.skill import over_difficulty
from xbayes.crowd.votes import Votes

N_SOURCES, N_USERS, N_CLASSES, PER_SOURCE = 40, 12, 3, 6


class FromPrior(NamedTuple):
    """Votes and what they were drawn from."""

    votes: Votes
    truth: np.ndarray
    matrix: np.ndarray
    population: Population


def votes_from_prior(seed: int, options: CrowdOptions = FULL) -> FromPrior:
    """Six volunteers vote on each source; everything is drawn from the prior."""
    with handlers.seed(rng_seed=jax.random.key(seed)):
        matrix, population = crowd_model(None, N_USERS, N_CLASSES, options)
    matrix, population = jax.tree.map(lambda a: np.asarray(a, float), (matrix, population))
    rng = np.random.default_rng(seed)
    proportions = np.exp(population.log_proportions)
    truth = rng.choice(N_CLASSES, N_SOURCES, p=proportions / proportions.sum())
    hard = rng.random(N_SOURCES) < population.hard_share
    source = np.repeat(np.arange(N_SOURCES), PER_SOURCE)
    user = np.concatenate(
        [np.sort(rng.choice(N_USERS, PER_SOURCE, replace=False)) for _ in range(N_SOURCES)]
    )
    prob = matrix[user, truth[source]]
    guesses = hard[source] & (rng.random(len(source)) < population.guess_rate)
    prob = np.where(guesses[:, None], population.guess, prob)
    answer = (rng.random(len(source))[:, None] > prob.cumsum(1)).sum(1)
    votes = Votes(
        source=source,
        user=user,
        answer=np.minimum(answer, N_CLASSES + 1),
        n_sources=N_SOURCES,
        n_users=N_USERS,
        n_classes=N_CLASSES,
    )
    return FromPrior(votes=votes, truth=truth, matrix=matrix, population=population)


def ranks_of(made: FromPrior, draws) -> dict[str, float]:
    """The share of the samples below the truth, for several quantities."""
    population, sampled = made.population, draws.population
    pairs = {
        "hard_share": (population.hard_share, sampled.hard_share),
        "share of guessers": (population.kind_share[-1], sampled.kind_share[:, -1]),
        "log_alpha of novices": (population.log_alpha[0, 0, 0], sampled.log_alpha[:, 0, 0, 0]),
        "log_alpha of a mistake": (population.log_alpha[0, 1, 0], sampled.log_alpha[:, 0, 1, 0]),
        "guess_rate": (population.guess_rate, sampled.guess_rate),
        "proportion": (population.log_proportions[0], sampled.log_proportions[:, 0]),
    }
    average = over_difficulty(made.matrix, population)
    for user, c in ((0, 0), (5, 1)):
        pairs[f"skill of {user} in class {c}"] = (average[user, c, c], draws.right[:, user, c])
    return {name: float((values < truth).mean()) for name, (truth, values) in pairs.items()}
