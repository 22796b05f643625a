"""Posterior samples of a mixture with the components in one order, and their mean.

Swapping two components changes no likelihood, so posterior samples may swap them freely (label
switching): read means over samples after `relabel`. Samples are `MixtureParams` with a first axis
S, from variational Bayes (`models/bayesian_mixture.draw`) or from NUTS (`infer/mixture_mcmc`).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from xbayes.errors import InputError
from xbayes.models.gaussian_mixture import MixtureParams, log_joint
from xbayes.models.measured import Rows

MAX_ROUNDS = 100
MIN_RESPONSIBILITY = 1e-300  # below this the logarithm is that of this value


class Relabelled(NamedTuple):
    """Posterior samples in which component k is as nearly as possible the same in all samples."""

    draws: MixtureParams
    order: Int[np.ndarray, "S K"]  # component k of sample s was component order[s, k]
    membership: Float[np.ndarray, "N K"]  # mean responsibilities after relabelling


@jax.jit
def responsibilities(draws: MixtureParams, x: Rows) -> Float[Array, "S N K"]:
    """P(component | row) under each sample."""
    return jax.lax.map(lambda params: jax.nn.softmax(log_joint(params, x)), draws)


def posterior_mean(draws: MixtureParams) -> MixtureParams:
    """E pi, E mu and inv E Lambda over relabelled samples, as `bayesian_mixture.point`."""
    n_draws = draws.mean.shape[0]
    precision = jnp.linalg.inv(draws.covariance).mean(0)
    return MixtureParams(
        log_weight=jax.nn.logsumexp(draws.log_weight, axis=0) - np.log(n_draws),
        mean=draws.mean.mean(0),
        covariance=jnp.linalg.inv(precision),
    )


def relabel(
    draws: MixtureParams,
    x: Rows,
    reference: Float[np.ndarray | Array, "_ _"],
    row_weight: Float[np.ndarray | Array, "_"] | None = None,
) -> Relabelled:
    """Samples whose components are permuted so that the responsibilities of the rows agree.

    Stephens 2000, J. R. Stat. Soc. B 62, 795, algorithm 2. It alternates between the mean
    responsibilities q and, for each sample, the permutation with the least Kullback-Leibler
    divergence from q (an assignment problem, Kuhn 1955), until no permutation changes. The result
    is a local optimum.

    Parameters
    ----------
    reference
        The first q, which sets the order of the components.
    row_weight
        Weights of the rows in the divergence, 1 by default; rows of weight 0 change no permutation.

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
    mean = np.asarray(reference, np.float64)
    if mean.shape != resp.shape[1:]:
        raise InputError(f"reference must have shape {resp.shape[1:]}; found {mean.shape}")
    weight = np.ones(len(mean)) if row_weight is None else np.asarray(row_weight)
    order = np.full((resp.shape[0], resp.shape[2]), -1)
    for _ in range(MAX_ROUNDS):
        # cost[s, j, k]: divergence when component j of sample s is labelled k
        log_mean = weight[:, None] * np.log(np.maximum(mean, MIN_RESPONSIBILITY))
        cost = -np.einsum("snj,nk->sjk", resp, log_mean)
        updated = np.stack([linear_sum_assignment(sample.T)[1] for sample in cost])
        if (updated == order).all():
            break
        order = updated
        mean = np.take_along_axis(resp, order[:, None], axis=2).mean(0)
    sample = np.arange(len(order))[:, None]
    return Relabelled(
        draws=jax.tree.map(lambda leaf: leaf[sample, order], draws), order=order, membership=mean
    )
