"""Posterior samples of the classes inside clusters, from randomly weighted labelled sources.

The clusters and the changes made by the gradient are kept (clusters fitted by NUTS are replaced by
one of their posterior samples first, see `fit_clusters`). A sample weights the labelled sources at
random, splits the clusters by class again, and moves the fitted classes by the change of the split,
so no gradient runs. For a class with few sources the prior is the main uncertainty, so the
pseudo-sources of shares and means are random too, as sources of the cluster would be.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from xbayes.models.cluster_label import (
    SHARE,
    ClusterParams,
    Patterns,
    inverse_lower,
    split_by_class,
    whitening,
)
from xbayes.models.gaussian_mixture import MixtureParams
from xbayes.models.measured import Measured


class PreparedClusters(NamedTuple):
    """The rows and their clusters, fitted without the classes."""

    rows: Measured  # standardised
    patterns: Patterns | None  # of the measured features; None if rows have errors
    measured: Bool[Array, "N F"]
    available: Bool[Array, "N F"]
    shift: Float[Array, "F"]
    scale: Float[Array, "F"]
    clusters: MixtureParams
    responsibility: Float[Array, "N K"]
    draws: MixtureParams | None = None  # posterior samples [S ...] of the clusters, if sampled


class ClassSplit(NamedTuple):
    """The Gaussians of the classes inside clusters."""

    log_share: Float[Array, "C K"]  # log P(k | c)
    mean: Float[Array, "C K F"]
    whiten: Float[Array, "C K F F"]


class ClusterSmoothing(NamedTuple):
    """The fitted classes, and the split that their fit started from."""

    fitted: ClusterParams
    start: ClassSplit


def split(
    prepared: PreparedClusters,
    membership: Float[Array, "N C"],
    mean_sources: float,
    covariance_sources: float,
) -> ClassSplit:
    """The classes inside clusters by labelled sources, see `split_by_class`."""
    log_share, mean, covariance = split_by_class(
        prepared.clusters,
        prepared.rows,
        prepared.responsibility,
        membership,
        mean_sources,
        covariance_sources,
    )
    return ClassSplit(log_share=log_share, mean=mean, whiten=whitening(covariance))


def draw(
    key: PRNGKeyArray,
    prepared: PreparedClusters,
    smoothing: ClusterSmoothing,
    membership: Float[Array, "N C"],
    *,
    log_present: Float[Array, "F C"],
    log_missing: Float[Array, "F C"],
    mean_sources: float,
    covariance_sources: float,
) -> ClusterParams:
    """One sample of the class densities, given `membership` with random row weights.

    With n sources of a class in a cluster, kappa = `mean_sources` pseudo-sources enter the mean
    with weight kappa / (kappa + n), and their own mean has covariance Sigma / kappa: hence the
    noise of standard deviation sqrt(kappa) / (kappa + n) in units of Sigma. Shares are Dirichlet:
    the random weights sum to Gamma variates, and so do the pseudo-sources. `log_present` and
    `log_missing` are log P(measured | available, c) and log P(not detected | available, c).
    """
    share_key, mean_key = jax.random.split(key)
    fitted, start = smoothing.fitted, smoothing.start
    drawn = split(prepared, membership, mean_sources, covariance_sources)
    count = membership.T @ prepared.responsibility  # [C, K]
    prior = SHARE * count.shape[1] * jnp.exp(prepared.clusters.log_weight)
    share = count + jax.random.gamma(share_key, jnp.broadcast_to(prior, count.shape))
    log_share = jnp.log(share / share.sum(1, keepdims=True))
    width = jnp.sqrt(mean_sources) / (mean_sources + count)
    z = jax.random.normal(mean_key, drawn.mean.shape, drawn.mean.dtype)
    noise = jnp.einsum("ckfg,ckg->ckf", inverse_lower(fitted.whiten), z) * width[..., None]
    return fitted._replace(
        log_share=jax.nn.log_softmax(fitted.log_share + log_share - start.log_share),
        mean=fitted.mean + (drawn.mean - start.mean) + noise,
        whiten=fitted.whiten @ inverse_lower(start.whiten) @ drawn.whiten,
        log_present=log_present,
        log_missing=log_missing,
    )
