"""What draws of a mixture say, whatever the order of its components.

Components can be renamed without any change of the likelihood, and so draws rename them at will
(label switching). Density, co-clustering and the number of occupied components do not depend on
names; what does is read after `relabel`. Draws are `MixtureParams` with a first axis S, from
variational Bayes (`models/bayesian_mixture.draw`) or from NUTS (`infer/mixture_mcmc`).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from xbayes.models.gaussian_mixture import MixtureParams, log_joint
from xbayes.types import InputError

ROUNDS = 100
LEAST = 1e-300  # of a mean responsibility, whose logarithm is taken


class Relabelled(NamedTuple):
    """Draws whose component k is the same thing in all of them, as far as there is such a thing."""

    draws: MixtureParams
    order: Int[np.ndarray, "S K"]  # component k of draw s was component order[s, k]
    membership: Float[np.ndarray, "N K"]  # mean responsibilities after renaming


@jax.jit
def log_density(draws: MixtureParams, x) -> Float[Array, "S N"]:
    """Log density of rows under each draw; the mean of its exponential is the predictive one."""
    return jax.lax.map(lambda params: jax.nn.logsumexp(log_joint(params, x), axis=1), draws)


@jax.jit
def responsibilities(draws: MixtureParams, x) -> Float[Array, "S N K"]:
    """P(component | row) under each draw."""
    return jax.lax.map(lambda params: jax.nn.softmax(log_joint(params, x)), draws)


@jax.jit
def co_clustering(draws: MixtureParams, x) -> Float[Array, "N N"]:
    """Probability that two rows come from the same component; 1 of a row with itself."""

    def add(total, params):
        resp = jax.nn.softmax(log_joint(params, x))
        return total + resp @ resp.T, None

    n_rows = jax.tree.leaves(x)[0].shape[0]
    zero = jnp.zeros((n_rows, n_rows), draws.mean.dtype)
    total, _ = jax.lax.scan(add, zero, draws)
    return jnp.where(jnp.eye(n_rows, dtype=bool), 1.0, total / draws.mean.shape[0])


@jax.jit
def occupied(key: PRNGKeyArray, draws: MixtureParams, x) -> Int[Array, "S"]:
    """Number of components that hold at least one row, each row put into one by its odds."""

    def count(given):
        key, params = given
        joint = log_joint(params, x)
        holder = jax.random.categorical(key, joint)
        return jnp.zeros(joint.shape[1], bool).at[holder].set(True).sum()

    keys = jax.random.split(key, draws.mean.shape[0])
    return jax.lax.map(count, (keys, draws))


def relabel(
    draws: MixtureParams, x, reference: Float[np.ndarray | Array, "N K"] | None = None
) -> Relabelled:
    """Rename components so that the responsibilities of the rows agree between draws.

    Stephens 2000, J. R. Stat. Soc. B 62, 795, algorithm 2: in turn the mean responsibilities q, and
    for each draw the renaming of least Kullback-Leibler divergence from q, an assignment problem
    (Kuhn 1955), until none changes. Begins at `reference`, or at the responsibilities of the draw
    that gives the rows the greatest likelihood. What is found is a local optimum.

    Raises
    ------
    InputError
        Draws that are not finite, a reference of another shape.
    """
    from scipy.optimize import linear_sum_assignment

    resp = np.asarray(responsibilities(draws, x), np.float64)  # [S, N, K]
    if not np.isfinite(resp).all():
        raise InputError("draws or rows are not finite; leave those out before relabelling")
    if reference is None:
        reference = resp[int(np.argmax(log_density(draws, x).sum(1)))]
    mean = np.asarray(reference, np.float64)
    if mean.shape != resp.shape[1:]:
        raise InputError(f"reference must have shape {resp.shape[1:]}; found {mean.shape}")
    order = np.full((resp.shape[0], resp.shape[2]), -1)
    for _ in range(ROUNDS):
        # cost[s, j, k] of calling component j of draw s by the name k
        cost = -np.einsum("snj,nk->sjk", resp, np.log(np.maximum(mean, LEAST)))
        new = np.stack([linear_sum_assignment(each.T)[1] for each in cost])
        if (new == order).all():
            break
        order = new
        mean = np.take_along_axis(resp, order[:, None], axis=2).mean(0)
    place = np.arange(len(order))[:, None]
    return Relabelled(jax.tree.map(lambda leaf: leaf[place, order], draws), order, mean)
