"""Weights of a mixture as a broken stick: component k takes a share v_k of what those before left.

pi_k = v_k prod_{j<k} (1 - v_j), v_k ~ Beta(taken_k, left_k), independent. One form serves both
priors. A Dirichlet is a stick with left_k = sum of taken_j over j > k, exactly; stick-breaking of a
Dirichlet process has taken 1, left gamma (Ishwaran & James 2001, J. Am. Stat. Assoc. 96, 161). The
last of K takes all that is left: left = 0. Counts add to both, and so the posterior given counts is
a stick again; which component comes first matters for the second prior only.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import betaln, digamma
from jaxtyping import Array, Float, PRNGKeyArray


class Sticks(NamedTuple):
    """Parameters of the Beta distributions; left = 0 where v is exactly 1."""

    taken: Float[Array, "K"]
    left: Float[Array, "K"]


def dirichlet(concentration: Float[Array, "K"]) -> Sticks:
    """The sticks that make the weights Dirichlet."""
    return Sticks(concentration, _behind(concentration))


def stick_breaking(n_components: int, gamma: float, open_end: bool = False) -> Sticks:
    """Of a Dirichlet process of concentration gamma, cut after K components.

    `open_end`: the last leaves something for components that hold no row (Kurihara, Welling &
    Vlassis 2007, and scikit-learn), so that the weights sum to less than 1.
    """
    left = jnp.full(n_components, float(gamma))
    return Sticks(jnp.ones(n_components), left if open_end else left.at[-1].set(0.0))


def given_counts(prior: Sticks, count: Float[Array, "K"]) -> Sticks:
    """The posterior, by conjugacy (Blei & Jordan 2006, Bayesian Anal. 1, 121, Eqs. 18-19)."""
    return Sticks(prior.taken + count, prior.left + _behind(count))


def expected_log_weight(sticks: Sticks) -> Float[Array, "K"]:
    """E[log pi_k]; of a Dirichlet, digamma(alpha_k) - digamma(sum alpha) (Bishop 2006, 10.66)."""
    ended, left = _ended(sticks)
    both = digamma(sticks.taken + left)
    log_taken = jnp.where(ended, 0.0, digamma(sticks.taken) - both)
    log_left = jnp.where(ended, 0.0, digamma(left) - both)
    return log_taken + _before(log_left)


def log_mean_weight(sticks: Sticks) -> Float[Array, "K"]:
    """log E[pi_k], normalised over the K."""
    ended, left = _ended(sticks)
    both = jnp.log(sticks.taken + left)
    log_taken = jnp.where(ended, 0.0, jnp.log(sticks.taken) - both)
    log_left = jnp.where(ended, 0.0, jnp.log(left) - both)
    return jax.nn.log_softmax(log_taken + _before(log_left))


def divergence(sticks: Sticks, prior: Sticks) -> Float[Array, ""]:
    """Kullback-Leibler divergence from prior to posterior; of Dirichlets it is the same number."""
    ended, left = _ended(sticks)
    _, prior_left = _ended(prior)
    taken = sticks.taken
    more, rest = taken - prior.taken, left - prior_left
    norm = betaln(prior.taken, prior_left) - betaln(taken, left)
    mean = more * digamma(taken) + rest * digamma(left) - (more + rest) * digamma(taken + left)
    return jnp.where(ended, 0.0, norm + mean).sum()


def draw_log_weight(key: PRNGKeyArray, sticks: Sticks, n_draws: int) -> Float[Array, "S K"]:
    """Log weights; drawn as logarithms, because small weights would underflow."""
    ended, left = _ended(sticks)
    one, other = jax.random.split(key)
    shape = (n_draws, *sticks.taken.shape)
    log_taken = jax.random.loggamma(one, sticks.taken, shape)
    log_left = jax.random.loggamma(other, left, shape)
    both = jnp.logaddexp(log_taken, log_left)
    log_v, log_rest = log_taken - both, jnp.where(ended, 0.0, log_left - both)
    return jnp.where(ended, 0.0, log_v) + _before(log_rest)


def log_weight_of(share: Float[Array, "J"]) -> Float[Array, "J+1"]:
    """Log weights of K = J + 1 components, of which all but the last take the shares v given."""
    log_taken = jnp.append(jnp.log(share), 0.0)
    return log_taken + _before(jnp.append(jnp.log1p(-share), 0.0))


def _ended(sticks: Sticks):
    """Where the stick ends, and what is left with something harmless in those places."""
    ended = sticks.left == 0
    return ended, jnp.where(ended, 1.0, sticks.left)


def _behind(count: Float[Array, "K"]) -> Float[Array, "K"]:
    """Sum over the components after k; exactly zero for the last."""
    return jnp.append(jnp.cumsum(count[::-1])[::-1][1:], 0.0)


def _before(log_left: Float[Array, "*S K"]) -> Float[Array, "*S K"]:
    """Sum over the components before k."""
    summed = jnp.cumsum(log_left, axis=-1)[..., :-1]
    return jnp.concatenate([jnp.zeros_like(log_left[..., :1]), summed], -1)
