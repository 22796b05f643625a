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

from xbayes.types import Features

MIDDLE = 0.5  # scaled value that replaces a missing one
FAR = 1e6  # limit of scaled values; squared distances of larger ones may overflow
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
    distance = jnp.zeros((len(x), *params.known.shape[1:], n_features), x.dtype)
    for k in range(len(params.log_weight)):  # one cluster at a time: each row belongs to one
        white = jnp.einsum("ncf,cgf->ncg", x[:, None] - params.mean[k], params.whiten[k])
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
    count = cluster.T @ membership  # [K, C]
    mean = jnp.einsum("nk,nc,nf->kcf", cluster, membership, x)
    mean = mean / jnp.maximum(count, 1.0)[..., None]

    def scatter_of(class_):
        """From centred rows: a difference of moments would round the null directions away."""
        member, centre = class_
        offset = x - cluster @ centre
        return jnp.einsum("nk,nf,ng->kfg", cluster * member[:, None], offset, offset)

    scatter = jax.lax.map(scatter_of, (membership.T, mean.swapaxes(0, 1))).swapaxes(0, 1)
    covariance = scatter / jnp.maximum(count - 1, 1.0)[..., None, None]  # unbiased, as numpy.cov
    known = count >= x.shape[1]
    rounding = (8 * jnp.finfo(x.dtype).eps * jnp.abs(mean).max(-1, keepdims=True)) ** 2
    whiten = pseudo_whitening(covariance, rounding)
    return mean, jnp.where(known[..., None, None], whiten, 0.0), known


def pseudo_whitening(
    covariance: Float[Array, "*A F F"], rounding: float | Float[Array, "*A 1"] = 0.0
) -> Float[Array, "*A F F"]:
    """Lower triangular W with W^T W the Moore-Penrose pseudo-inverse of the covariance.

    Eigenvalues up to F times the machine precision times the largest one count as zero, which is
    the default of `scipy.linalg.pinv`, the function that the authors use. A class with as many
    members as features has one such eigenvalue: no distance is measured along its direction.
    Eigenvalues up to `rounding` count as zero too: rounding leaves them if all members are equal.
    """
    n_features = covariance.shape[-1]
    value, vector = jnp.linalg.eigh(covariance)
    least = n_features * jnp.finfo(value.dtype).eps * value[..., -1:]
    kept = value > jnp.maximum(least, rounding)
    scale = jnp.where(kept, jnp.where(kept, value, 1.0) ** -0.5, 0.0)
    root = scale[..., None] * vector.swapaxes(-1, -2)  # root^T root is the pseudo-inverse
    # A rotation of the rows makes it triangular: QR of the reversed columns, reversed again.
    return jnp.linalg.qr(root[..., ::-1], mode="r")[..., ::-1, ::-1]


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
