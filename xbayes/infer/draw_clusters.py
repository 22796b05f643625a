"""Clusters that can be drawn: what the classes do inside clusters, under other weights of sources.

The clusters and what the gradient moved stay. A draw weighs labelled sources at random, splits the
clusters again, and moves the fitted classes by what that changes, so no gradient runs. Where a
class has few sources the prior is what is uncertain: the pseudo-sources of shares and means are
drawn too, as sources of the cluster would be.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from xbayes.models.cluster_label import (
    SHARE,
    ClusterParams,
    inverse_lower,
    split_by_class,
    whitening,
)


class ClusterSmoothing(NamedTuple):
    """The classes as fitted, and the split they began at."""

    fitted: ClusterParams
    log_share: Float[Array, "C K"]
    mean: Float[Array, "C K F"]
    whiten: Float[Array, "C K F F"]


def split(grid, membership: Float[Array, "N C"], mean_sources: float, covariance_sources: float):
    """log shares, means and whitening matrices of the classes inside clusters."""
    prior = (mean_sources, covariance_sources)
    log_share, mean, covariance = split_by_class(
        grid.clusters, grid.rows, grid.responsibility, membership, *prior
    )
    return log_share, mean, whitening(covariance)


def draw(
    key,
    grid,
    smoothing: ClusterSmoothing,
    membership: Float[Array, "N C"],
    presence: tuple[Array, ...],
    mean_sources: float,
    covariance_sources: float,
) -> ClusterParams:
    """Class densities under the random weights in `membership`."""
    share_key, mean_key = jax.random.split(key)
    fitted = smoothing.fitted
    _, mean, whiten = split(grid, membership, mean_sources, covariance_sources)
    count = membership.T @ grid.responsibility  # [C, K]
    prior = SHARE * count.shape[1] * jnp.exp(grid.clusters.log_weight)
    share = count + jax.random.gamma(share_key, jnp.broadcast_to(prior, count.shape))
    log_share = jnp.log(share / share.sum(1, keepdims=True))
    # The mean of kappa pseudo-sources, as far as it counts beside n sources.
    towards = jnp.sqrt(mean_sources) / (mean_sources + count)
    z = jax.random.normal(mean_key, mean.shape, mean.dtype)
    noise = jnp.einsum("ckfg,ckg->ckf", inverse_lower(fitted.whiten), z) * towards[..., None]
    return fitted._replace(
        log_share=jax.nn.log_softmax(fitted.log_share + log_share - smoothing.log_share),
        mean=fitted.mean + (mean - smoothing.mean) + noise,
        whiten=fitted.whiten @ inverse_lower(smoothing.whiten) @ whiten,
        log_present=presence[0],
        log_missing=presence[1],
    )
