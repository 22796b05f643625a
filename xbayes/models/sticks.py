"""Mixture weights by stick breaking: component k takes the share v_k of the remaining stick.

    pi_k = v_k prod_{j<k} (1 - v_j),   v_k ~ Beta(taken_k, left_k), independent

This form covers both priors. A Dirichlet has left_k = sum of taken_j over j > k, exactly.
Stick-breaking of a Dirichlet process has taken = 1, left = gamma (Ishwaran & James 2001, J. Am.
Stat. Assoc. 96, 161). The last of K components takes the rest of the stick: left = 0. The prior is
conjugate to counts. The order of the components matters for the second prior only.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import betaln, digamma
from jaxtyping import Array, Float, PRNGKeyArray


class Sticks(NamedTuple):
    """Parameters of the Beta distributions; left = 0 means that v is exactly 1."""

    taken: Float[Array, "K"]
    left: Float[Array, "K"]


def dirichlet(concentration: Float[Array, "K"]) -> Sticks:
    """Sticks whose weights are Dirichlet distributed."""
    return Sticks(taken=concentration, left=_sum_after(concentration))


def stick_breaking(n_components: int, gamma: float, open_end: bool = False) -> Sticks:
    """Sticks of a Dirichlet process of concentration gamma, truncated after K components.

    With `open_end` the last component leaves a rest, so the weights sum to less than 1 (Kurihara,
    Welling & Vlassis 2007, and scikit-learn).
    """
    left = jnp.full(n_components, float(gamma))
    left = left if open_end else left.at[-1].set(0.0)
    return Sticks(taken=jnp.ones(n_components), left=left)


def given_counts(prior: Sticks, count: Float[Array, "K"]) -> Sticks:
    """The posterior given counts (Blei & Jordan 2006, Bayesian Anal. 1, 121, Eqs. 18-19)."""
    return Sticks(taken=prior.taken + count, left=prior.left + _sum_after(count))


def expected_log_weight(sticks: Sticks) -> Float[Array, "K"]:
    """E[log pi_k]; for a Dirichlet digamma(alpha_k) - digamma(sum alpha) (Bishop 2006, 10.66)."""
    ended, left = _ended(sticks)
    both = digamma(sticks.taken + left)
    log_taken = jnp.where(ended, 0.0, digamma(sticks.taken) - both)
    log_left = jnp.where(ended, 0.0, digamma(left) - both)
    return log_taken + _sum_before(log_left)


def log_mean_weight(sticks: Sticks) -> Float[Array, "K"]:
    """log E[pi_k], normalised over the K components."""
    ended, left = _ended(sticks)
    both = jnp.log(sticks.taken + left)
    log_taken = jnp.where(ended, 0.0, jnp.log(sticks.taken) - both)
    log_left = jnp.where(ended, 0.0, jnp.log(left) - both)
    return jax.nn.log_softmax(log_taken + _sum_before(log_left))


def divergence(sticks: Sticks, prior: Sticks) -> Float[Array, ""]:
    """KL(posterior || prior); for Dirichlet sticks it equals that of the Dirichlets."""
    ended, left = _ended(sticks)
    _, prior_left = _ended(prior)
    taken = sticks.taken
    more, rest = taken - prior.taken, left - prior_left
    norm = betaln(prior.taken, prior_left) - betaln(taken, left)
    mean = more * digamma(taken) + rest * digamma(left) - (more + rest) * digamma(taken + left)
    return jnp.where(ended, 0.0, norm + mean).sum()


def draw_log_weight(key: PRNGKeyArray, sticks: Sticks, n_draws: int) -> Float[Array, "S K"]:
    """Log weights, sampled as logarithms because small weights would underflow."""
    ended, left = _ended(sticks)
    one, other = jax.random.split(key)
    shape = (n_draws, *sticks.taken.shape)
    log_taken = jax.random.loggamma(one, sticks.taken, shape)
    log_left = jax.random.loggamma(other, left, shape)
    both = jnp.logaddexp(log_taken, log_left)
    log_v, log_rest = log_taken - both, jnp.where(ended, 0.0, log_left - both)
    return jnp.where(ended, 0.0, log_v) + _sum_before(log_rest)


def log_weight_of(share: Float[Array, "J"]) -> Float[Array, "J+1"]:
    """Log weights of K = J + 1 components, given the shares v of all but the last."""
    log_taken = jnp.append(jnp.log(share), 0.0)
    return log_taken + _sum_before(jnp.append(jnp.log1p(-share), 0.0))


def _ended(sticks: Sticks):
    """The mask of components that end the stick, and `left` with 1 in their place."""
    ended = sticks.left == 0
    return ended, jnp.where(ended, 1.0, sticks.left)


def _sum_after(count: Float[Array, "K"]) -> Float[Array, "K"]:
    """Sum over the components after k; exactly zero for the last."""
    return jnp.append(jnp.cumsum(count[::-1])[::-1][1:], 0.0)


def _sum_before(log_left: Float[Array, "*S K"]) -> Float[Array, "*S K"]:
    """Sum over the components before k."""
    summed = jnp.cumsum(log_left, axis=-1)[..., :-1]
    return jnp.concatenate([jnp.zeros_like(log_left[..., :1]), summed], -1)
