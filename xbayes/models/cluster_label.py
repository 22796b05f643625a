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
from jaxtyping import Array, Bool, Float, Int

from xbayes.models.base import Statistics
from xbayes.models.gaussian_mixture import MixtureParams, moments_about
from xbayes.models.measured import Measured
from xbayes.models.small_matrices import cholesky, inverse_lower, solve_lower

HALF_LOG_2PI = 0.5 * float(np.log(2 * np.pi))
FAR = 1e6  # standard deviations; further out all densities are 0, and 0 / 0 no posterior
SHARE = 0.5  # pseudo-sources of every class in every cluster (Jeffreys)
ROUNDS = 5  # of EM where values are missing or inexact
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


class Patterns(NamedTuple):
    """Which properties are missing together: each row has one of a few patterns."""

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
    """log P(k | c), means and covariances of the classes inside clusters, by labelled sources.

    Posterior means under a normal-inverse-Wishart prior at the cluster's mean and covariance, worth
    so many sources (Murphy 2012, Machine Learning, Eqs. 4.210-4.214, up to the mode's constant);
    the shares under a Dirichlet prior that knows how large the clusters are. Where rows have holes
    or errors, these are EM's: what the true values are expected to be depends on the answer.
    """
    n_rounds = 1 if rows.observed is None and rows.noise is None else ROUNDS

    def of_class(member):
        weight = responsibility * member[:, None]

        def update(_, now):
            found = moments_about(now, rows, weight)
            return _towards(clusters, now, found, mean_sources, covariance_sources)

        last = jax.lax.fori_loop(0, n_rounds, update, clusters)
        return weight.sum(0), last.mean, last.covariance

    count, mean, covariance = jax.lax.map(of_class, membership.T)  # [C, K ...]
    prior = SHARE * count.shape[1] * jnp.exp(clusters.log_weight)
    share = (count + prior) / (count + prior).sum(1, keepdims=True)
    return jnp.log(share), mean, covariance


def _towards(clusters: MixtureParams, now: MixtureParams, found: Statistics, kappa, nu):
    """Means and covariances of one class from its moments about those of `now`."""
    count = found.count
    step = found.moments.first / jnp.maximum(count, 1e-9)[:, None]
    scatter = found.moments.second - count[:, None, None] * step[:, :, None] * step[:, None]
    off = now.mean + step - clusters.mean  # of the class's own mean from the cluster's
    towards = kappa / (kappa + count)
    between = (towards * count)[:, None, None] * off[:, :, None] * off[:, None]
    covariance = (nu * clusters.covariance + scatter + between) / (nu + count)[:, None, None]
    mean = clusters.mean + (1 - towards)[:, None] * off
    return now._replace(mean=mean, covariance=(covariance + covariance.swapaxes(-1, -2)) / 2)


def whitening(covariance: Float[Array, "*A F F"]) -> Float[Array, "*A F F"]:
    """Inverse lower Cholesky factors: row f depends on the first f properties only."""
    return inverse_lower(cholesky(covariance))


def log_terms(params: ClusterParams, rows: Measured) -> Float[Array, "N F C"]:
    """log p(x_f | earlier observed properties, c), zero where x_f is missing.

    Missing values are integrated out, errors widen the densities: the terms of a row sum to the log
    density of what was measured.
    """
    steps, observed = _steps(params, rows)
    total = jax.nn.logsumexp(params.log_share[:, :, None] + jnp.cumsum(steps, -1), axis=2)
    before = jnp.pad(total[..., :-1], ((0, 0), (0, 0), (1, 0)))
    terms = (total - before - jnp.log(params.scale)).swapaxes(1, 2)
    return jnp.where(observed[..., None], terms, 0.0)


def class_log_density(
    params: ClusterParams, rows: Measured, patterns: Patterns | None = None
) -> Float[Array, "N C"]:
    """log p(x | c), all properties together, but for the units of the values.

    With the patterns of exact rows their matrices are factored once a pattern, not once a row.
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
    size = jnp.log(jnp.diagonal(root, axis1=-2, axis2=-1)).sum(-1)
    whiten = inverse_lower(root)

    def one(row):
        value, seen, pattern = row
        offset = jnp.where(seen, value - params.mean, 0.0)
        white = jnp.einsum("ckfg,ckg->ckf", whiten[pattern], offset)
        return -size[pattern] - seen.sum() * HALF_LOG_2PI - 0.5 * (white**2).sum(-1)

    many = (x, observed, patterns.of_row)
    return jax.lax.map(one, many, batch_size=min(HOLES_ROWS, x.shape[0]))


def share_below(params: ClusterParams, rows: Measured) -> Float[Array, "N F C"]:
    """The share of each class below the value, property by property; NaN without one."""
    x, observed, variance = _standardised(params, rows)
    lower = inverse_lower(params.whiten)
    spread = jnp.sqrt((lower**2).sum(-1) + variance[:, None, None])  # [N, C, K, F]
    below = jnp.exp(params.log_share)[..., None]
    below = below * norm.cdf((x[:, None, None] - params.mean) / spread)
    return jnp.where(observed[..., None], below.sum(2).swapaxes(1, 2), jnp.nan)


def by_component(params: ClusterParams, rows: Measured) -> Float[Array, "N K C"]:
    """log P(k | c) N(x; mu_ck, Sigma_ck) of what was measured: each cluster's part."""
    steps, observed = _steps(params, rows)
    unit = jnp.where(observed, jnp.log(params.scale), 0.0).sum(1)[:, None, None]
    return (params.log_share + steps.sum(-1) - unit).swapaxes(1, 2)


def tilted(
    params: ClusterParams, tilt: Float[Array, "K C"]
) -> tuple[ClusterParams, Float[Array, "C"]]:
    """The clusters with P(k | c) times exp(tilt), and the log of what that must be divided by."""
    joint = params.log_share + tilt.T
    total = jax.nn.logsumexp(joint, axis=1)
    return params._replace(log_share=joint - total[:, None]), total


def responsibility(
    params: ClusterParams, rows: Measured, proportions: Float[Array, "C"]
) -> Float[Array, "N K"]:
    """P(k | x), the classes summed out under these proportions."""
    steps, _ = _steps(params, rows)
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


def _standardised(params: ClusterParams, rows: Measured):
    """Values, which there are, and error variances, in the coordinates of means and covariances."""
    value = jnp.asarray(rows.value)
    observed = jnp.ones(value.shape, bool) if rows.observed is None else jnp.asarray(rows.observed)
    x = jnp.where(observed, (value - params.shift) / params.scale, 0.0).clip(-FAR, FAR)
    variance = jnp.zeros_like(x) if rows.noise is None else rows.noise / params.scale**2
    return x, observed, jnp.where(observed, variance, 0.0)


def _steps(params: ClusterParams, rows: Measured):
    """Log density of each property given the earlier ones [N C K F], and which were measured."""
    x, observed, variance = _standardised(params, rows)
    plain = observed.all() & ~variance.any()
    return jax.lax.cond(plain, _complete, _with_holes, params, x, observed, variance), observed


def _covariance(params: ClusterParams) -> Float[Array, "C K F F"]:
    root = inverse_lower(params.whiten)
    return root @ root.swapaxes(-1, -2)


def _complete(params: ClusterParams, x, observed, variance) -> Float[Array, "N C K F"]:
    """Rows that are complete and exact: one product for all of them."""
    del observed, variance
    n_classes, n_clusters, n_features = params.mean.shape
    place = jnp.einsum("ckgf,ckf->ckg", params.whiten, params.mean)
    white = x @ params.whiten.reshape(-1, n_features).T
    white = white.reshape(-1, n_classes, n_clusters, n_features) - place
    size = jnp.log(jnp.abs(jnp.diagonal(params.whiten, axis1=-2, axis2=-1)))
    return size - HALF_LOG_2PI - 0.5 * white**2


def _with_holes(params: ClusterParams, x, observed, variance) -> Float[Array, "N C K F"]:
    """Rows with holes and errors: rows and columns of what is missing become the identity's."""
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

    return jax.lax.map(one, (x, observed, variance), batch_size=min(HOLES_ROWS, x.shape[0]))
