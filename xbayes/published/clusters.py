"""Cluster, then label, as published (Perez-Diaz et al. 2024, arXiv 2401.12203): the baseline.

In the cluster a detection belongs to (hard assignment), the squared Mahalanobis distance to the
labelled members of each class; the class probabilities are the softmin of the distances. No half,
no determinant and no prior: it is not a posterior.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from xbayes.models.cluster_label import whitening

MIDDLE = 0.5
FAR = 1e6  # ranges of the training rows; the squares of distances further out may overflow
SINGULAR = 1e-10  # of its variance: what rounding leaves of a property that others determine
NOUGHT = -36.0  # log of the smallest probability: the published zero, to double precision


class PublishedClusterParams(NamedTuple):
    """Clusters, and the labelled members of each class in them, in scaled coordinates."""

    log_offset: Float[Array, "F"]  # added before a logarithm; negative: no logarithm
    shift: Float[Array, "F"]
    scale: Float[Array, "F"]
    log_weight: Float[Array, "K"]
    cluster_mean: Float[Array, "K F"]
    cluster_whiten: Float[Array, "K F F"]
    mean: Float[Array, "K C F"]
    whiten: Float[Array, "K C F F"]  # lower triangular; W^T W is the (pseudo-)inverse covariance
    known: Bool[Array, "K C"]  # at least as many members as properties


def scaled(log_offset, shift, scale, value: Float[Array, "N F"]) -> Float[Array, "N F"]:
    """(log(x + offset) or x, less the shift) over the scale; FAR at most, either way."""
    logged = jnp.log(jnp.maximum(value + log_offset, 1e-300))
    return jnp.clip((jnp.where(log_offset > 0, logged, value) - shift) / scale, -FAR, FAR)


def scaled_rows(params: PublishedClusterParams, value, observed) -> Float[Array, "N F"]:
    """Scaled rows; a missing value counts as the middle of its range."""
    return jnp.where(observed, scaled(*params[:3], value), MIDDLE)


def hard_cluster(params: PublishedClusterParams, x: Float[Array, "N F"]):
    """The most probable cluster of scaled rows, [N]."""
    log_joint = []
    for k in range(len(params.log_weight)):
        white = (x - params.cluster_mean[k]) @ params.cluster_whiten[k].T
        size = jnp.log(jnp.abs(jnp.diagonal(params.cluster_whiten[k]))).sum()
        log_joint.append(params.log_weight[k] + size - 0.5 * (white**2).sum(1))
    return jnp.stack(log_joint, axis=1).argmax(1)


def log_terms(
    params: PublishedClusterParams, value: Float[Array, "N F"], observed: Bool[Array, "N F"]
) -> Float[Array, "N F C"]:
    """Minus squared distances, a property at a time given those before it; they sum to the score.

    A missing value counts as the middle; the published sample has none. A class with fewer
    members in the cluster than properties gets NOUGHT less than the nearest, with the last
    property; where no class has enough, the row says nothing.
    """
    n_features = value.shape[1]
    x = scaled_rows(params, value, observed)
    own = hard_cluster(params, x)
    place = jnp.einsum("kcgf,kcf->kcg", params.whiten, params.mean)
    distance = jnp.zeros((len(x), *params.known.shape[1:], n_features), x.dtype)
    for k in range(len(params.log_weight)):  # one cluster after the other: a row has only one
        white = jnp.einsum("nf,cgf->ncg", x, params.whiten[k]) - place[k]
        distance = jnp.where((own == k)[:, None, None], white**2, distance)
    known = params.known[own]  # [N, C]
    nearest = jnp.where(known, distance.sum(-1), jnp.inf).min(1)
    nearest = jnp.where(jnp.isfinite(nearest), nearest, 0.0)
    last = jnp.arange(n_features) == n_features - 1
    unknown = last * (NOUGHT - nearest)[:, None, None]
    terms = jnp.where(known[..., None], -distance, unknown)
    return jnp.where(known.any(1)[:, None, None], terms, 0.0).swapaxes(1, 2)


def share_below(
    params: PublishedClusterParams, value: Float[Array, "N F"], observed: Bool[Array, "N F"]
) -> Float[Array, "N F C"]:
    """The recipe has no densities, so nothing is below or above: NaN."""
    return jnp.full((*value.shape, params.known.shape[1]), jnp.nan) * observed[..., None]


def class_moments(
    x: Float[Array, "N F"], cluster: Float[Array, "N K"], membership: Float[Array, "N C"]
):
    """Means, whitenings and which are known, from hard clusters and labelled rows."""
    weight = jnp.einsum("nk,nc->nkc", cluster, membership)
    count = weight.sum(0)
    safe = jnp.maximum(count, 1.0)
    mean = jnp.einsum("nkc,nf->kcf", weight, x) / safe[..., None]
    second = jnp.einsum("nkc,nf,ng->kcfg", weight, x, x) / safe[..., None, None]
    spread = second - mean[..., :, None] * mean[..., None, :]
    spread = spread * (safe / jnp.maximum(safe - 1, 1.0))[..., None, None]  # as numpy.cov has it
    known = count >= x.shape[1]
    safe_spread = jnp.where(known[..., None, None], spread, jnp.eye(x.shape[1]))
    return mean, jnp.where(known[..., None, None], _root(safe_spread), 0.0), known


def _root(covariance: Float[Array, "*A F F"]) -> Float[Array, "*A F F"]:
    """Lower triangular W with W^T W a generalised inverse of the covariance.

    A property that the ones before it determine has no spread of its own; it adds no distance, as
    with the pseudo-inverse for rows that keep to the same relation.
    """
    variance = jnp.diagonal(covariance, axis1=-2, axis2=-1)
    eye = jnp.eye(covariance.shape[-1], dtype=covariance.dtype)
    ridge = SINGULAR * jnp.where(variance > 0, variance, 1.0)
    whiten = whitening(covariance + ridge[..., None] * eye)
    own = jnp.diagonal(whiten, axis1=-2, axis2=-1) ** -2  # variance given those before
    kept = own > 10 * ridge
    return jnp.where(kept[..., None], whiten, 0.0)


def curves(params: PublishedClusterParams, n_nodes: int = 256):
    """Densities to look at: the Gaussian of each class's members, over all clusters."""
    width = jnp.linspace(0.0, 1.0, n_nodes)
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
    return jnp.where(logged, original, node), height * slope[..., None]
