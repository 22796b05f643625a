"""Summaries of posterior samples of a mixture.

Swapping two components changes no likelihood, so posterior samples may swap them freely (label
switching). Density, co-clustering and the number of occupied components do not depend on the order
of the components; every other summary should be read after `relabel`. Samples are `MixtureParams`
with a first axis S, from variational Bayes (`models/bayesian_mixture.draw`) or from NUTS
(`infer/mixture_mcmc`).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from xbayes.models.gaussian_mixture import MixtureParams, log_joint
from xbayes.models.measured import Rows
from xbayes.types import InputError

MAX_ROUNDS = 100
MIN_RESPONSIBILITY = 1e-300  # below this the logarithm is that of this value


class Relabelled(NamedTuple):
    """Posterior samples in which component k is as nearly as possible the same in all samples."""

    draws: MixtureParams
    order: Int[np.ndarray, "S K"]  # component k of sample s was component order[s, k]
    membership: Float[np.ndarray, "N K"]  # mean responsibilities after relabelling


@jax.jit
def log_density(draws: MixtureParams, x: Rows) -> Float[Array, "S N"]:
    """Log density of rows under each sample.

    The mean of its exponential over the samples is the posterior predictive density.
    """
    return jax.lax.map(lambda params: jax.nn.logsumexp(log_joint(params, x), axis=1), draws)


@jax.jit
def responsibilities(draws: MixtureParams, x: Rows) -> Float[Array, "S N K"]:
    """P(component | row) under each sample."""
    return jax.lax.map(lambda params: jax.nn.softmax(log_joint(params, x)), draws)


@jax.jit
def co_clustering(draws: MixtureParams, x: Rows) -> Float[Array, "N N"]:
    """Posterior probability that two rows come from the same component; 1 on the diagonal."""

    def add(total, params):
        resp = jax.nn.softmax(log_joint(params, x))
        return total + resp @ resp.T, None

    n_rows = jax.tree.leaves(x)[0].shape[0]
    zero = jnp.zeros((n_rows, n_rows), draws.mean.dtype)
    total, _ = jax.lax.scan(add, zero, draws)
    return jnp.where(jnp.eye(n_rows, dtype=bool), 1.0, total / draws.mean.shape[0])


@jax.jit
def occupied(key: PRNGKeyArray, draws: MixtureParams, x: Rows) -> Int[Array, "S"]:
    """Number of components that hold a row, each row's component drawn by its responsibilities."""

    def count(sample):
        key, params = sample
        joint = log_joint(params, x)
        component = jax.random.categorical(key, joint)
        return jnp.zeros(joint.shape[1], bool).at[component].set(True).sum()

    keys = jax.random.split(key, draws.mean.shape[0])
    return jax.lax.map(count, (keys, draws))


def relabel(
    draws: MixtureParams, x: Rows, reference: Float[np.ndarray | Array, "_ _"] | None = None
) -> Relabelled:
    """Samples whose components are permuted so that the responsibilities of the rows agree.

    Stephens 2000, J. R. Stat. Soc. B 62, 795, algorithm 2. It alternates between the mean
    responsibilities q and, for each sample, the permutation with the least Kullback-Leibler
    divergence from q (an assignment problem, Kuhn 1955), until no permutation changes. The result
    is a local optimum.

    Parameters
    ----------
    reference
        The first q; by default the responsibilities of the sample with the greatest likelihood.

    Raises
    ------
    InputError
        Samples are not finite, or the reference has another shape.
    """
    from scipy.optimize import linear_sum_assignment

    resp = np.asarray(responsibilities(draws, x), np.float64)  # [S, N, K]
    if not np.isfinite(resp).all():
        raise InputError(
            "the responsibilities are not finite in some samples or rows; drop those before "
            "relabelling"
        )
    if reference is None:
        reference = resp[int(np.argmax(log_density(draws, x).sum(1)))]
    mean = np.asarray(reference, np.float64)
    if mean.shape != resp.shape[1:]:
        raise InputError(f"reference must have shape {resp.shape[1:]}; found {mean.shape}")
    order = np.full((resp.shape[0], resp.shape[2]), -1)
    for _ in range(MAX_ROUNDS):
        # cost[s, j, k]: divergence when component j of sample s is labelled k
        cost = -np.einsum("snj,nk->sjk", resp, np.log(np.maximum(mean, MIN_RESPONSIBILITY)))
        updated = np.stack([linear_sum_assignment(sample.T)[1] for sample in cost])
        if (updated == order).all():
            break
        order = updated
        mean = np.take_along_axis(resp, order[:, None], axis=2).mean(0)
    sample = np.arange(len(order))[:, None]
    return Relabelled(
        draws=jax.tree.map(lambda leaf: leaf[sample, order], draws), order=order, membership=mean
    )
