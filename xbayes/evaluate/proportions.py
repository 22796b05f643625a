"""Class proportions of a catalogue, from the posteriors of its sources.

If the catalogue has the class proportions pi and the training sample has w, the posterior p of a
source becomes p_c pi_c / w_c over its sum. The maximum-likelihood proportions are the mean of this:

    pi_c <- mean over sources of  (p_nc pi_c / w_c) / sum over classes of (p_nd pi_d / w_d)

(Saerens, Latinne & Decaestecker 2002, Neural Computation 14, 21, Eq. 2.) This holds under prior
(label) shift: the sources of each class have the same distribution as in the training sample. The
draws express only the finite size of the catalogue, with the classes of its sources as unknowns.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

MOST_STEPS, TOL = 10_000, 1e-8
WARM_UP, DRAWS = 200, 1000
PSEUDO_SOURCES = 0.5  # per class (Jeffreys prior)


class Estimate(NamedTuple):
    """Maximum-likelihood proportions, and posterior samples of the proportions."""

    proportions: Float[np.ndarray, "C"]
    draws: Float[np.ndarray, "S C"]

    def interval(self) -> Float[np.ndarray, "2 C"]:
        """The 90 % interval of each class."""
        return np.quantile(self.draws, [0.05, 0.95], axis=0)


def estimate_proportions(
    posterior: Float[np.ndarray, "N C"],
    log_prior: Float[np.ndarray, "*R C"],
    key: PRNGKeyArray,
) -> Estimate:
    """Class proportions of a catalogue from its posteriors, whose prior is `log_prior`.

    No class gets exactly zero: the least proportion is that of half a source.
    """
    evidence = np.asarray(posterior, np.float64) / np.exp(np.asarray(log_prior, np.float64))
    evidence = jnp.asarray(evidence / evidence.max(1, keepdims=True))
    likeliest = most_likely(evidence)
    draws = np.asarray(_gibbs(key, evidence, likeliest), np.float64)
    least = PSEUDO_SOURCES / len(posterior)
    proportions = np.maximum(np.asarray(likeliest, np.float64), least)
    return Estimate(proportions=proportions / proportions.sum(), draws=draws)


def drawn_counts(
    key: PRNGKeyArray, evidence: Float[Array, "N C"], proportions: Float[Array, "C"]
) -> Float[Array, "C"]:
    """Number of sources of each class, after drawing a class for each source from its posterior."""
    point = jax.random.uniform(key, (len(evidence), 1), evidence.dtype)
    label = (point > jnp.cumsum(_shares(evidence, proportions), 1)[:, :-1]).sum(1)
    return jax.nn.one_hot(label, evidence.shape[1], dtype=evidence.dtype).sum(0)


def _shares(evidence, proportions):
    joint = evidence * proportions
    return joint / joint.sum(1, keepdims=True)


@jax.jit
def most_likely(evidence: Float[Array, "N C"]) -> Float[Array, "C"]:
    """Maximum-likelihood proportions; `evidence` is the posterior over the prior, on any scale."""
    n_classes = evidence.shape[1]

    def step(carry):
        number, now, _ = carry
        new = _shares(evidence, now).mean(0)
        return number + 1, new, jnp.abs(new - now).max()

    def unfinished(carry):
        return (carry[0] < MOST_STEPS) & (carry[2] > TOL)

    start = jnp.full(n_classes, 1 / n_classes, evidence.dtype)
    first = (0, start, jnp.asarray(jnp.inf, evidence.dtype))
    return jax.lax.while_loop(unfinished, step, first)[1]


@jax.jit
def _gibbs(
    key: PRNGKeyArray, evidence: Float[Array, "N C"], start: Float[Array, "C"]
) -> Float[Array, "S C"]:
    """Proportions by Gibbs sampling of classes and proportions (Diebolt & Robert 1994)."""
    n_classes = evidence.shape[1]

    def step(now, key):
        of_class, of_proportions = jax.random.split(key)
        count = drawn_counts(of_class, evidence, now)
        new = jax.random.dirichlet(of_proportions, count + PSEUDO_SOURCES)
        return new, new

    keys = jax.random.split(key, WARM_UP + DRAWS)
    start = (start + 1e-6) / (1 + n_classes * 1e-6)
    return jax.lax.scan(step, start, keys)[1][WARM_UP:]
