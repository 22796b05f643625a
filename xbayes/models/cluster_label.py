"""Cluster, then label: clusters of all sources, and how the classes share each of them.

    p(x | c) = sum over clusters k of P(k | c) N(x; mu_ck, Sigma_ck)

Each class has Gaussians of its own inside a cluster, drawn towards the cluster's by a
normal-inverse-Wishart prior, so that a class that is rare there is as wide as the cluster instead
of impossible. With no labels at all they are the cluster's own, and P(c | x) is then the sum of
responsibility times P(c | k) of Perez-Diaz et al. 2024 with soft membership.

The joint density is read one property after the other by the chain rule,

    log p(x | c) = sum over f of log p(x_f | x_1 .. x_{f-1}, c),

so that a joint likelihood has one readable term a property, as independent densities have.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, Bool, Float

from xbayes.models.gaussian_mixture import MixtureParams
from xbayes.models.small_matrices import cholesky, inverse_lower, solve_lower

HALF_LOG_2PI = 0.5 * float(np.log(2 * np.pi))
SHARE = 0.5  # pseudo-sources of every class in every cluster (Jeffreys)
HOLES_ROWS = 128  # rows with holes worked on at once: each has matrices of its own


class ClusterParams(NamedTuple):
    """Class densities inside clusters, in standardised coordinates (value - shift) / scale."""

    shift: Float[Array, "F"]
    scale: Float[Array, "F"]
    log_share: Float[Array, "C K"]  # log P(k | c)
    mean: Float[Array, "C K F"]
    whiten: Float[Array, "C K F F"]  # lower triangular W with W Sigma W^T = 1
    log_present: Float[Array, "F C"]  # that a survey found something; zero if it tells nothing
    log_missing: Float[Array, "F C"]


def split_by_class(
    clusters: MixtureParams,
    value: Float[Array, "N F"],
    responsibility: Float[Array, "N K"],
    membership: Float[Array, "N C"],
    mean_sources: float,
    covariance_sources: float,
) -> tuple[Float[Array, "C K"], Float[Array, "C K F"], Float[Array, "C K F F"]]:
    """log P(k | c), means and covariances of the classes inside clusters, by labelled sources.

    Posterior means under a normal-inverse-Wishart prior at the cluster's mean and covariance, worth
    so many sources (Murphy 2012, Machine Learning, Eqs. 4.210-4.214, up to the mode's constant);
    the shares under a Dirichlet prior that knows how large the clusters are.
    """
    weight = jnp.einsum("nk,nc->nck", responsibility, membership)
    count = weight.sum(0)  # [C, K]
    own = jnp.einsum("nck,nf->ckf", weight, value) / jnp.maximum(count, 1e-9)[..., None]
    towards = mean_sources / (mean_sources + count)
    mean = towards[..., None] * clusters.mean + (1 - towards)[..., None] * own
    second = jnp.einsum("nck,nf,ng->ckfg", weight, value, value)
    scatter = second - count[..., None, None] * own[..., :, None] * own[..., None, :]
    off = own - clusters.mean
    between = (towards * count)[..., None, None] * off[..., :, None] * off[..., None, :]
    pooled = covariance_sources * clusters.covariance + scatter + between
    covariance = pooled / (covariance_sources + count)[..., None, None]
    prior = SHARE * count.shape[1] * jnp.exp(clusters.log_weight)
    share = (count + prior) / (count + prior).sum(1, keepdims=True)
    return jnp.log(share), mean, (covariance + covariance.swapaxes(-1, -2)) / 2


def whitening(covariance: Float[Array, "*A F F"]) -> Float[Array, "*A F F"]:
    """Inverse lower Cholesky factors: row f depends on the first f properties only."""
    return inverse_lower(cholesky(covariance))


def standardised(params: ClusterParams, value: Float[Array, "N F"]) -> Float[Array, "N F"]:
    """Values in the coordinates of the means and covariances."""
    return (value - params.shift) / params.scale


def log_terms(
    params: ClusterParams, value: Float[Array, "N F"], observed: Bool[Array, "N F"]
) -> Float[Array, "N F C"]:
    """log p(x_f | earlier observed properties, c), zero where x_f is missing.

    Missing values are integrated out: the terms of a row sum to the log density of its observed
    properties.
    """
    x = jnp.where(observed, standardised(params, value), 0.0)
    steps = jax.lax.cond(observed.all(), _complete, _with_holes, params, x, observed)
    total = jax.nn.logsumexp(params.log_share[:, :, None] + jnp.cumsum(steps, -1), axis=2)
    before = jnp.pad(total[..., :-1], ((0, 0), (0, 0), (1, 0)))
    terms = (total - before - jnp.log(params.scale)).swapaxes(1, 2)
    return jnp.where(observed[..., None], terms, 0.0)


def class_log_density(
    params: ClusterParams, x: Float[Array, "N F"], observed: Bool[Array, "N F"]
) -> Float[Array, "N C"]:
    """log p(x | c) of standardised rows, all properties together."""
    steps = jax.lax.cond(observed.all(), _complete, _with_holes, params, x, observed)
    return jax.nn.logsumexp(params.log_share + steps.sum(-1), axis=2)


def share_below(
    params: ClusterParams, value: Float[Array, "N F"], observed: Bool[Array, "N F"]
) -> Float[Array, "N F C"]:
    """The share of each class below the value, property by property; NaN without one."""
    lower = inverse_lower(params.whiten)
    deviation = jnp.sqrt((lower**2).sum(-1))  # [C, K, F]
    x = standardised(params, value)[:, None, None]
    below = jnp.exp(params.log_share)[..., None] * norm.cdf((x - params.mean) / deviation)
    return jnp.where(observed[..., None], below.sum(2).swapaxes(1, 2), jnp.nan)


def responsibility(
    params: ClusterParams,
    value: Float[Array, "N F"],
    observed: Bool[Array, "N F"],
    proportions: Float[Array, "C"],
) -> Float[Array, "N K"]:
    """P(k | x), the classes summed out under these proportions."""
    x = jnp.where(observed, standardised(params, value), 0.0)
    steps = jax.lax.cond(observed.all(), _complete, _with_holes, params, x, observed)
    joint = params.log_share + steps.sum(-1) + jnp.log(proportions)[:, None]  # [N, C, K]
    return jax.nn.softmax(jax.nn.logsumexp(joint, axis=1), axis=1)


def assignment(
    params: ClusterParams, proportions: Float[Array, "C"]
) -> tuple[Float[Array, "K C"], Float[Array, "K"]]:
    """The matrix A[k, c] = P(c | k) under these class proportions, and the clusters' sizes."""
    joint = jnp.exp(params.log_share).T * proportions
    size = joint.sum(1)
    return joint / size[:, None], size


def marginal_density(params: ClusterParams, node: Float[Array, "F B"]) -> Float[Array, "F B C"]:
    """Density of each property in each class, the others integrated out, on a grid of values."""
    lower = inverse_lower(params.whiten)
    deviation = jnp.sqrt((lower**2).sum(-1))
    x = ((node - params.shift[:, None]) / params.scale[:, None]).T[:, None, None]  # [B, 1, 1, F]
    each = jnp.exp(params.log_share)[..., None] * norm.pdf(x, params.mean, deviation)
    return each.sum(2).transpose(2, 0, 1) / params.scale[:, None, None]


def _complete(params: ClusterParams, x, observed) -> Float[Array, "N C K F"]:
    """Log density of each property given the earlier ones, in every class and cluster."""
    del observed
    n_classes, n_clusters, n_features = params.mean.shape
    place = jnp.einsum("ckgf,ckf->ckg", params.whiten, params.mean)
    white = x @ params.whiten.reshape(-1, n_features).T
    white = white.reshape(-1, n_classes, n_clusters, n_features) - place
    size = jnp.log(jnp.abs(jnp.diagonal(params.whiten, axis1=-2, axis2=-1)))
    return size - HALF_LOG_2PI - 0.5 * white**2


def _with_holes(params: ClusterParams, x, observed) -> Float[Array, "N C K F"]:
    """The same where values are missing: their rows and columns become those of the identity."""
    eye = jnp.eye(x.shape[1], dtype=x.dtype)
    lower = inverse_lower(params.whiten)
    covariance = lower @ lower.swapaxes(-1, -2)

    def one(row):
        value, seen = row
        pairs = seen[:, None] & seen[None, :]
        root = cholesky(jnp.where(pairs, covariance, eye))
        offset = jnp.where(seen, value - params.mean, 0.0)
        white = solve_lower(root, offset[..., None])[..., 0]
        size = jnp.log(jnp.diagonal(root, axis1=-2, axis2=-1))
        return jnp.where(seen, -size - HALF_LOG_2PI - 0.5 * white**2, 0.0)

    return jax.lax.map(one, (x, observed), batch_size=min(HOLES_ROWS, x.shape[0]))
