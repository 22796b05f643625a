"""Cluster-then-label: class densities as mixtures over clusters of all sources.

    p(x | c) = sum over clusters k of P(k | c) N(x; mu_ck, Sigma_ck)

Each class has its own Gaussian in each cluster, shrunk towards that of the cluster by a
normal-inverse-Wishart prior. So a class with few members in a cluster is as wide as the cluster.
Without labels mu_ck and Sigma_ck are those of the cluster, and P(c | x) is the sum over clusters of
responsibility times P(c | k), as in Perez-Diaz et al. 2024 (arXiv 2401.12203) but with soft
membership.

The chain rule decomposes the joint density into one contribution per feature:

    log p(x | c) = sum over f of log p(x_f | x_1 .. x_{f-1}, c)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jaxtyping import Array, Bool, Float, Int

from xbayes.models.base import Statistics
from xbayes.models.gaussian_mixture import MixtureParams, moments_about
from xbayes.models.measured import Measured
from xbayes.models.small_matrices import (
    cholesky,
    inverse_lower,
    log_det_lower,
    solve_lower,
)

HALF_LOG_2PI = 0.5 * float(np.log(2 * np.pi))
FAR = 1e6  # limit of standardised values; beyond it all densities underflow to 0
SHARE = 0.5  # pseudo-sources of every class in every cluster (Jeffreys)
ROUNDS = 5  # iterations of EM if values are missing or have errors
INCOMPLETE_ROWS = 128  # rows processed together if values are missing: each has its own matrices


class ClusterParams(NamedTuple):
    """Class densities inside clusters, in standardised coordinates (value - shift) / scale."""

    shift: Float[Array, "F"]
    scale: Float[Array, "F"]
    log_share: Float[Array, "C K"]  # log P(k | c)
    mean: Float[Array, "C K F"]
    whiten: Float[Array, "C K F F"]  # lower triangular W with W Sigma W^T = 1
    log_present: Float[Array, "F C"]  # log P(measured | c); zero if it is not evidence
    log_missing: Float[Array, "F C"]


class Patterns(NamedTuple):
    """The distinct sets of observed features, and the one of each row."""

    seen: Bool[Array, "P F"]
    of_row: Int[Array, "N"]


def split_by_class(
    clusters: MixtureParams,
    rows: Measured,
    responsibility: Float[Array, "N K"],
    membership: Float[Array, "N C"],
    mean_sources: float,
    covariance_sources: float,
) -> tuple[Float[Array, "C K"], Float[Array, "C K F"], Float[Array, "C K F F"]]:
    """log P(k | c), and means and covariances of the classes in each cluster.

    Means and covariances are posterior means under a normal-inverse-Wishart prior centred on those
    of the cluster, which count for `mean_sources` and `covariance_sources` (Murphy 2012, Machine
    Learning, Eqs. 4.210-4.214, up to the constant of the mode). The shares P(k | c) have a
    Dirichlet prior proportional to the cluster weights. If rows have missing values or errors, EM
    is iterated, because the expected true values depend on the class densities.
    """
    n_rounds = 1 if rows.observed is None and rows.noise is None else ROUNDS

    def of_class(member):
        weight = responsibility * member[:, None]

        def update(_, now):
            statistics = moments_about(now, rows, weight)
            return _shrunk(clusters, now, statistics, mean_sources, covariance_sources)

        last = jax.lax.fori_loop(0, n_rounds, update, clusters)
        return weight.sum(0), last.mean, last.covariance

    count, mean, covariance = jax.lax.map(of_class, membership.T)  # [C, K ...]
    prior = SHARE * count.shape[1] * jnp.exp(clusters.log_weight)
    share = (count + prior) / (count + prior).sum(1, keepdims=True)
    return jnp.log(share), mean, covariance


def _shrunk(
    clusters: MixtureParams, now: MixtureParams, statistics: Statistics, kappa: float, nu: float
) -> MixtureParams:
    """Means and covariances of one class from its moments about the means of `now`."""
    count, (first, second) = statistics.count, statistics.moments
    step = first / jnp.maximum(count, 1e-9)[:, None]
    scatter = second - count[:, None, None] * step[:, :, None] * step[:, None]
    offset = now.mean + step - clusters.mean  # from the cluster mean to the class mean
    shrinkage = kappa / (kappa + count)
    between = (shrinkage * count)[:, None, None] * offset[:, :, None] * offset[:, None]
    covariance = (nu * clusters.covariance + scatter + between) / (nu + count)[:, None, None]
    mean = clusters.mean + (1 - shrinkage)[:, None] * offset
    return now._replace(mean=mean, covariance=(covariance + covariance.swapaxes(-1, -2)) / 2)


def whitening(covariance: Float[Array, "*A F F"]) -> Float[Array, "*A F F"]:
    """Inverse lower Cholesky factors: row f depends on the first f features only."""
    return inverse_lower(cholesky(covariance))


def log_terms(params: ClusterParams, rows: Measured) -> Float[Array, "N F C"]:
    """log p(x_f | earlier observed features, c); zero where x_f is missing.

    Missing values are integrated out and errors widen the densities, so the terms of a row sum to
    the log density of its observed values.
    """
    steps, observed = _steps(params, rows)
    total = jax.nn.logsumexp(params.log_share[:, :, None] + jnp.cumsum(steps, -1), axis=2)
    before = jnp.pad(total[..., :-1], ((0, 0), (0, 0), (1, 0)))
    terms = (total - before - jnp.log(params.scale)).swapaxes(1, 2)
    return jnp.where(observed[..., None], terms, 0.0)


def class_log_density(
    params: ClusterParams, rows: Measured, patterns: Patterns | None = None
) -> Float[Array, "N C"]:
    """log p(x | c) of all observed features together, in standardised units.

    If `patterns` are given (exact rows only), matrices are factorised once per pattern instead of
    once per row.
    """
    if patterns is None:
        log_density = _steps(params, rows)[0].sum(-1)
    else:
        log_density = _by_pattern(params, rows, patterns)
    return jax.nn.logsumexp(params.log_share + log_density, axis=2)


def _by_pattern(params: ClusterParams, rows: Measured, patterns: Patterns) -> Float[Array, "N C K"]:
    x, observed, _ = _standardised(params, rows)
    covariance = _covariance(params)
    pairs = patterns.seen[:, :, None] & patterns.seen[:, None]  # [P, F, F]
    eye = jnp.eye(x.shape[1], dtype=x.dtype)
    root = cholesky(jnp.where(pairs[:, None, None], covariance, eye))  # [P, C, K, F, F]
    size = log_det_lower(root)
    whiten = inverse_lower(root)

    def one(row):
        value, seen, pattern = row
        offset = jnp.where(seen, value - params.mean, 0.0)
        white = jnp.einsum("ckfg,ckg->ckf", whiten[pattern], offset)
        return -size[pattern] - seen.sum() * HALF_LOG_2PI - 0.5 * (white**2).sum(-1)

    rows_of = (x, observed, patterns.of_row)
    return jax.lax.map(one, rows_of, batch_size=min(INCOMPLETE_ROWS, x.shape[0]))


def share_below(params: ClusterParams, rows: Measured) -> Float[Array, "N F C"]:
    """The share of each class below the value of each feature; NaN where missing."""
    x, observed, variance = _standardised(params, rows)
    lower = inverse_lower(params.whiten)
    spread = jnp.sqrt((lower**2).sum(-1) + variance[:, None, None])  # [N, C, K, F]
    below = jnp.exp(params.log_share)[..., None]
    below = below * ndtr((x[:, None, None] - params.mean) / spread)
    return jnp.where(observed[..., None], below.sum(2).swapaxes(1, 2), jnp.nan)


def by_component(params: ClusterParams, rows: Measured) -> Float[Array, "N K C"]:
    """log P(k | c) N(x; mu_ck, Sigma_ck) of the observed values."""
    steps, observed = _steps(params, rows)
    unit = jnp.where(observed, jnp.log(params.scale), 0.0).sum(1)[:, None, None]
    return (params.log_share + steps.sum(-1) - unit).swapaxes(1, 2)


def tilted(
    params: ClusterParams, tilt: Float[Array, "K C"]
) -> tuple[ClusterParams, Float[Array, "C"]]:
    """Parameters with P(k | c) multiplied by exp(tilt), and the log of their normalisation."""
    joint = params.log_share + tilt.T
    total = jax.nn.logsumexp(joint, axis=1)
    return params._replace(log_share=joint - total[:, None]), total


def responsibility(
    params: ClusterParams, rows: Measured, proportions: Float[Array, "C"]
) -> Float[Array, "N K"]:
    """P(k | x), marginalised over classes with these class proportions."""
    steps, _ = _steps(params, rows)
    joint = params.log_share + steps.sum(-1) + jnp.log(proportions)[:, None]  # [N, C, K]
    return jax.nn.softmax(jax.nn.logsumexp(joint, axis=1), axis=1)


def assignment(
    params: ClusterParams, proportions: Float[Array, "C"]
) -> tuple[Float[Array, "K C"], Float[Array, "K"]]:
    """The assignment matrix A[k, c] = P(c | k) under these class proportions, and P(k)."""
    joint = jnp.exp(params.log_share).T * proportions
    size = joint.sum(1)
    return joint / size[:, None], size


def marginal_density(params: ClusterParams, node: Float[Array, "F B"]) -> Float[Array, "F B C"]:
    """The marginal density of each feature in each class, at nodes."""
    lower = inverse_lower(params.whiten)
    deviation = jnp.sqrt((lower**2).sum(-1))
    x = ((node - params.shift[:, None]) / params.scale[:, None]).T[:, None, None]  # [B, 1, 1, F]
    from jax.scipy.stats import norm  # slow to import, and needed only to explain

    each = jnp.exp(params.log_share)[..., None] * norm.pdf(x, params.mean, deviation)
    return each.sum(2).transpose(2, 0, 1) / params.scale[:, None, None]


def _standardised(params: ClusterParams, rows: Measured):
    """Standardised values, the mask of observed ones, and standardised error variances."""
    value = jnp.asarray(rows.value)
    observed = jnp.ones(value.shape, bool) if rows.observed is None else jnp.asarray(rows.observed)
    x = jnp.where(observed, (value - params.shift) / params.scale, 0.0).clip(-FAR, FAR)
    variance = jnp.zeros_like(x) if rows.noise is None else rows.noise / params.scale**2
    return x, observed, jnp.where(observed, variance, 0.0)


def _steps(params: ClusterParams, rows: Measured):
    """Log density of each feature given the earlier ones [N C K F], and the mask of observed."""
    x, observed, variance = _standardised(params, rows)
    exact = observed.all() & ~variance.any()
    return jax.lax.cond(exact, _complete, _incomplete, params, x, observed, variance), observed


def _covariance(params: ClusterParams) -> Float[Array, "C K F F"]:
    root = inverse_lower(params.whiten)
    return root @ root.swapaxes(-1, -2)


def _complete(params: ClusterParams, x, observed, variance) -> Float[Array, "N C K F"]:
    """Complete, exact rows: one matrix product for all of them."""
    del observed, variance
    n_classes, n_clusters, n_features = params.mean.shape
    place = jnp.einsum("ckgf,ckf->ckg", params.whiten, params.mean)
    white = x @ params.whiten.reshape(-1, n_features).T
    white = white.reshape(-1, n_classes, n_clusters, n_features) - place
    size = jnp.log(jnp.abs(jnp.diagonal(params.whiten, axis1=-2, axis2=-1)))
    return size - HALF_LOG_2PI - 0.5 * white**2


def _incomplete(params: ClusterParams, x, observed, variance) -> Float[Array, "N C K F"]:
    """Incomplete rows: a missing feature gets a row and a column of the identity."""
    eye = jnp.eye(x.shape[1], dtype=x.dtype)
    covariance = _covariance(params)

    def one(row):
        value, seen, noise = row
        pairs = seen[:, None] & seen[None, :]
        root = cholesky(jnp.where(pairs, covariance + jnp.diag(noise), eye))
        offset = jnp.where(seen, value - params.mean, 0.0)
        white = solve_lower(root, offset[..., None])[..., 0]
        size = jnp.log(jnp.diagonal(root, axis1=-2, axis2=-1))
        return jnp.where(seen, -size - HALF_LOG_2PI - 0.5 * white**2, 0.0)

    return jax.lax.map(one, (x, observed, variance), batch_size=min(INCOMPLETE_ROWS, x.shape[0]))
