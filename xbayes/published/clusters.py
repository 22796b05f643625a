"""Cluster-then-label as published (Perez-Diaz et al. 2024, arXiv 2401.12203), a baseline.

    P(c | x) = softmin over c of (x - mu_kc)^T pinv(Sigma_kc) (x - mu_kc)

where k is the most probable cluster of the detection, and mu_kc and Sigma_kc are the mean and
covariance of the labelled members of class c in that cluster. As published there is no factor 1/2,
no determinant and no prior, so the result is not a posterior.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from xbayes.models.cluster_label import whitening
from xbayes.types import Features

MIDDLE = 0.5  # scaled value that replaces a missing one
FAR = 1e6  # limit of scaled values; squared distances of larger ones may overflow
SINGULAR = 1e-10  # relative residual variance that rounding leaves of a collinear feature
NOUGHT = -36.0  # log of the smallest probability: the published zero, to double precision
NODES = 256  # of the curves


class PublishedClusterParams(NamedTuple):
    """Clusters, and the moments of each class in them, in scaled coordinates."""

    log_offset: Float[Array, "F"]  # added before the logarithm; negative: no logarithm
    shift: Float[Array, "F"]
    scale: Float[Array, "F"]
    log_weight: Float[Array, "K"]
    cluster_mean: Float[Array, "K F"]
    cluster_whiten: Float[Array, "K F F"]
    mean: Float[Array, "K C F"]
    whiten: Float[Array, "K C F F"]  # lower triangular; W^T W is the (pseudo-)inverse covariance
    known: Bool[Array, "K C"]  # whether there are at least as many members as features


def scaled(
    log_offset: Float[Array, "F"],
    shift: Float[Array, "F"],
    scale: Float[Array, "F"],
    value: Float[Array, "N F"],
) -> Float[Array, "N F"]:
    """(y - shift) / scale with y = log(x + offset) or x, clipped to [-FAR, FAR]."""
    logged = jnp.log(jnp.maximum(value + log_offset, 1e-300))
    return jnp.clip((jnp.where(log_offset > 0, logged, value) - shift) / scale, -FAR, FAR)


def scaled_rows(
    params: PublishedClusterParams, value: Float[Array, "N F"], measured: Bool[Array, "N F"]
) -> Float[Array, "N F"]:
    """Scaled rows; the middle of the range replaces a value that is not measured."""
    return jnp.where(measured, scaled(params.log_offset, params.shift, params.scale, value), MIDDLE)


def hard_cluster(params: PublishedClusterParams, x: Float[Array, "N F"]) -> Int[Array, "N"]:
    """The most probable cluster of scaled rows."""
    log_joint = []
    for k in range(len(params.log_weight)):
        white = (x - params.cluster_mean[k]) @ params.cluster_whiten[k].T
        size = jnp.log(jnp.abs(jnp.diagonal(params.cluster_whiten[k]))).sum()
        log_joint.append(params.log_weight[k] + size - 0.5 * (white**2).sum(1))
    return jnp.stack(log_joint, axis=1).argmax(1)


def log_terms(
    params: PublishedClusterParams, value: Float[Array, "N F"], measured: Bool[Array, "N F"]
) -> Float[Array, "N F C"]:
    """Contributions of the features to minus the squared distance, each given those before it.

    MIDDLE replaces a missing value; the published sample has none. A class with fewer members in
    the cluster than features scores NOUGHT below the nearest class, assigned to the last feature.
    If no class has enough members, all terms of the row are zero.
    """
    n_features = value.shape[1]
    x = scaled_rows(params, value, measured)
    cluster = hard_cluster(params, x)
    place = jnp.einsum("kcgf,kcf->kcg", params.whiten, params.mean)
    distance = jnp.zeros((len(x), *params.known.shape[1:], n_features), x.dtype)
    for k in range(len(params.log_weight)):  # one cluster at a time: each row belongs to one
        white = jnp.einsum("nf,cgf->ncg", x, params.whiten[k]) - place[k]
        distance = jnp.where((cluster == k)[:, None, None], white**2, distance)
    known = params.known[cluster]  # [N, C]
    nearest = jnp.where(known, distance.sum(-1), jnp.inf).min(1)
    nearest = jnp.where(jnp.isfinite(nearest), nearest, 0.0)
    last = jnp.arange(n_features) == n_features - 1
    unknown = last * (NOUGHT - nearest)[:, None, None]
    terms = jnp.where(known[..., None], -distance, unknown)
    return jnp.where(known.any(1)[:, None, None], terms, 0.0).swapaxes(1, 2)


def share_below(params: PublishedClusterParams, features: Features) -> Float[Array, "N F C"]:
    """NaN: the published method has no densities, hence no distribution functions."""
    return jnp.full((*features.value.shape, params.known.shape[1]), jnp.nan)


def class_moments(
    x: Float[Array, "N F"], cluster: Float[Array, "N K"], membership: Float[Array, "N C"]
) -> tuple[Float[Array, "K C F"], Float[Array, "K C F F"], Bool[Array, "K C"]]:
    """Means and whitening matrices of the classes in each cluster, and which are known."""
    weight = jnp.einsum("nk,nc->nkc", cluster, membership)
    count = weight.sum(0)
    safe = jnp.maximum(count, 1.0)
    mean = jnp.einsum("nkc,nf->kcf", weight, x) / safe[..., None]
    second = jnp.einsum("nkc,nf,ng->kcfg", weight, x, x) / safe[..., None, None]
    spread = second - mean[..., :, None] * mean[..., None, :]
    spread = spread * (safe / jnp.maximum(safe - 1, 1.0))[..., None, None]  # unbiased, as numpy.cov
    known = count >= x.shape[1]
    safe_spread = jnp.where(known[..., None, None], spread, jnp.eye(x.shape[1]))
    return mean, jnp.where(known[..., None, None], _root(safe_spread), 0.0), known


def _root(covariance: Float[Array, "*A F F"]) -> Float[Array, "*A F F"]:
    """Lower triangular W with W^T W a generalised inverse of the covariance.

    A feature that is a linear function of those before it adds no distance. For rows that obey the
    same relation, the pseudo-inverse gives the same distance.
    """
    variance = jnp.diagonal(covariance, axis1=-2, axis2=-1)
    eye = jnp.eye(covariance.shape[-1], dtype=covariance.dtype)
    ridge = SINGULAR * jnp.where(variance > 0, variance, 1.0)
    whiten = whitening(covariance + ridge[..., None] * eye)
    residual = jnp.diagonal(whiten, axis1=-2, axis2=-1) ** -2  # variance given those before
    return jnp.where((residual > 10 * ridge)[..., None], whiten, 0.0)


def curves(
    params: PublishedClusterParams,
) -> tuple[Float[np.ndarray, "F B"], Float[np.ndarray, "F B C"]]:
    """Nodes and densities for plots: the Gaussian mixture of each class over the clusters."""
    width = jnp.linspace(0.0, 1.0, NODES)
    margin = np.linalg.pinv(np.asarray(params.whiten.swapaxes(-1, -2) @ params.whiten))
    deviation = jnp.sqrt(jnp.maximum(np.diagonal(margin, axis1=-2, axis2=-1), 1e-6))
    node = params.shift[:, None] + params.scale[:, None] * width  # [F, B]
    each = jax.scipy.stats.norm.pdf(width[:, None, None, None], params.mean, deviation)
    share = params.known * jnp.exp(params.log_weight)[:, None]
    share = share / jnp.maximum(share.sum(0), 1e-9)
    height = (each * share[..., None]).sum(1).transpose(2, 0, 1)  # [F, B, C]
    height = height / params.scale[:, None, None]
    logged = (params.log_offset > 0)[:, None]
    original = jnp.exp(jnp.where(logged, node, 0.0)) - params.log_offset[:, None]
    slope = jnp.where(logged, jnp.exp(-jnp.where(logged, node, 0.0)), 1.0)
    return np.asarray(jnp.where(logged, original, node)), np.asarray(height * slope[..., None])
