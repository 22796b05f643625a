"""The class proportions of a catalogue, from the posteriors of its own sources.

Under other proportions pi than those w of the training part, the posteriors p of a source become
p_c pi_c / w_c over their sum, and the proportions of greatest likelihood are the mean of these:

    pi_c <- mean over sources of  (p_nc pi_c / w_c) / sum over classes of (p_nd pi_d / w_d)

(Saerens, Latinne & Decaestecker 2002, Neural Computation 14, 21, Eq. 2.) That holds if the sources
of each class look as they do in the training part; what is uncertain here is only that the
catalogue is finite, sampled with the classes of its sources as what is not known.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

MOST_STEPS, TOL = 10_000, 1e-8
WARM_UP, DRAWS = 200, 1000
PSEUDO_SOURCES = 0.5  # of each class, for the draws (Jeffreys)


class Estimate(NamedTuple):
    """Proportions of greatest likelihood, and draws from their posterior."""

    proportions: Float[np.ndarray, "C"]
    draws: Float[np.ndarray, "S C"]

    def interval(self) -> Float[np.ndarray, "2 C"]:
        """The 90 % interval of each class."""
        return np.quantile(self.draws, [0.05, 0.95], axis=0)


def estimate_proportions(
    posterior: Float[np.ndarray, "N C"],
    log_prior: Float[np.ndarray, "C"],
    key: PRNGKeyArray,
) -> Estimate:
    """Proportions of a catalogue from posteriors under `log_prior`; no class gets exactly zero.

    A class that no source needs gets what half a source would be, so that it stays possible.
    """
    evidence = np.asarray(posterior, np.float64) / np.exp(np.asarray(log_prior, np.float64))
    evidence = jnp.asarray(evidence / evidence.max(1, keepdims=True))
    likeliest = most_likely(evidence)
    draws = np.asarray(_draws(key, evidence, likeliest), np.float64)
    least = PSEUDO_SOURCES / len(posterior)
    proportions = np.maximum(np.asarray(likeliest, np.float64), least)
    return Estimate(proportions / proportions.sum(), draws)


def drawn_counts(
    key: PRNGKeyArray, evidence: Float[Array, "N C"], proportions: Float[Array, "C"]
) -> Float[Array, "C"]:
    """How many sources each class gets, when every source draws one from its own posterior."""
    point = jax.random.uniform(key, (len(evidence), 1), evidence.dtype)
    label = (point > jnp.cumsum(_shares(evidence, proportions), 1)[:, :-1]).sum(1)
    return jax.nn.one_hot(label, evidence.shape[1], dtype=evidence.dtype).sum(0)


def _shares(evidence, proportions):
    joint = evidence * proportions
    return joint / joint.sum(1, keepdims=True)


@jax.jit
def most_likely(evidence: Float[Array, "N C"]) -> Float[Array, "C"]:
    """The proportions of greatest likelihood; `evidence` is posterior over prior, any scale."""
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
def _draws(
    key: PRNGKeyArray, evidence: Float[Array, "N C"], start: Float[Array, "C"]
) -> Float[Array, "S C"]:
    """Gibbs: classes given proportions, proportions given classes (Diebolt & Robert 1994)."""
    n_classes = evidence.shape[1]

    def step(now, key):
        of_class, of_proportions = jax.random.split(key)
        count = drawn_counts(of_class, evidence, now)
        new = jax.random.dirichlet(of_proportions, count + PSEUDO_SOURCES)
        return new, new

    keys = jax.random.split(key, WARM_UP + DRAWS)
    start = (start + 1e-6) / (1 + n_classes * 1e-6)
    return jax.lax.scan(step, start, keys)[1][WARM_UP:]
