"""A Gaussian mixture for rows with missing values and measurement errors.

A row with observed features o and error covariance S has density N(x_o; mu_o, Sigma_oo + S_oo) in
each component. Missing values are integrated out exactly, and Sigma is the covariance of the true
values ("extreme deconvolution": Bovy, Hogg & Roweis 2011, Ann. Appl. Stat. 5, 1657).
"""

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from xbayes.models.base import Model, Statistics, dead
from xbayes.models.measured import Measured, Rows, as_measured
from xbayes.models.mixture_start import Start, k_means
from xbayes.models.small_matrices import (
    cholesky,
    inverse_lower,
    log_det_lower,
    solve_lower,
)

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
LOG_2PI = float(np.log(2 * np.pi))
# A block of rows should fit in the cache of a core. Exact rows: bytes per feature.
EXACT_BYTES, MEASURED_ROWS = 16_384, 256
GPU_BYTES, GPU_ROWS = 1 << 22, 1 << 16  # on a GPU, whose every launch takes microseconds
COUNT_FLOOR = 10  # machine epsilons added to the count of a component, as in scikit-learn
LANES, LANE_BLOCKS = 2, 8  # many blocks are summed in lanes, which XLA can run on two cores


class MixtureParams(NamedTuple):
    """Full covariance matrices, whatever the covariance type, which `maximise` imposes."""

    log_weight: Float[Array, "K"]
    mean: Float[Array, "K F"]
    covariance: Float[Array, "K F F"]


class Moments(NamedTuple):
    """Weighted sums of the true values minus the means of the E step, and of their products."""

    first: Float[Array, "K F"]
    second: Float[Array, "K F F"]


@lru_cache(maxsize=64)  # equal arguments give the same object, so that jit compiles once
def gaussian_mixture(
    n_components: int,
    covariance_type: str = "full",
    reg_covar: float = 1e-6,
    start: Start = k_means,
    reseeds: bool = True,
) -> Model:
    """A mixture of K Gaussians over `Measured` rows or an array [N F].

    `reg_covar` is added to the variances after each M step, as in scikit-learn. This is a penalty
    reg_covar / 2 tr(inv Sigma_k) per row, which the E step ignores. With several covariances the
    likelihood may therefore decrease, but only if a component is as narrow as sqrt(reg_covar). With
    reg_covar = 0 it never decreases, unless an empty component gets new starting values. A
    covariance that is singular to rounding gives NaN, which the drivers refuse.

    With `reseeds` an empty component gets new starting values. Without, it follows the M step as in
    scikit-learn: its weight tends to 0 and its covariance to `reg_covar`.
    """
    if n_components < 1:
        raise ValueError(f"gaussian_mixture needs n_components >= 1; got {n_components}")
    if covariance_type not in COVARIANCE_TYPES:
        raise ValueError(f"covariance_type must be in {COVARIANCE_TYPES}; got {covariance_type!r}")
    if not reg_covar >= 0:
        raise ValueError(f"gaussian_mixture needs reg_covar >= 0; got {reg_covar}")

    def maximise(params, statistics):
        return _maximise(params, statistics, covariance_type, reg_covar, reseeds)

    def m_step(params, x, resp):
        return maximise(params, moments_about(params, x, resp))

    def init(key, x, row_weight=None):
        return maximise(*first_moments(key, x, row_weight, n_components, start))

    return Model(
        init=jax.jit(init),
        log_joint=log_joint,
        m_step=jax.jit(m_step),
        statistics=statistics,
        maximise=jax.jit(maximise),
        reseeds=reseeds,
    )


def first_moments(
    key: PRNGKeyArray,
    x: Rows,
    row_weight: Float[Array, "N"] | None,
    n_components: int,
    start: Start,
) -> tuple[MixtureParams, Statistics]:
    """K copies of one Gaussian for all rows, and statistics about it under `start`.

    `start` gives the initial responsibilities. The row weights default to 1.
    """
    x = as_measured(x)
    row_weight = jnp.ones(x.value.shape[0], x.value.dtype) if row_weight is None else row_weight
    resp = start(key, standardised(x, row_weight), row_weight, n_components)
    return moments_given(x, row_weight, resp)


def standardised(x: Rows, row_weight: Float[Array, "N"]) -> Float[Array, "N F"]:
    """The rows with weighted mean 0 and variance 1; a missing value is 0."""
    x = as_measured(x)
    whole = _one_gaussian(x, row_weight, 1)
    rows = _filled(x, whole.mean[0]) - whole.mean[0]
    return rows / jnp.sqrt(jnp.diagonal(whole.covariance[0]))


def moments_given(
    x: Rows, row_weight: Float[Array, "N"], resp: Float[Array, "N K"]
) -> tuple[MixtureParams, Statistics]:
    """K copies of one Gaussian for all rows, and statistics about it for given responsibilities."""
    x = as_measured(x)
    whole = _one_gaussian(x, row_weight, resp.shape[1])
    return whole, moments_about(whole, x, resp * row_weight[:, None])


def free_parameters(covariance_type: str, n_components: int, n_features: int) -> int:
    """The number of free parameters of a mixture of K Gaussians over F features."""
    pairs = n_features * (n_features + 1) // 2
    each = {
        "full": n_components * pairs,
        "tied": pairs,
        "diag": n_components * n_features,
        "spherical": n_components,
    }
    return n_components - 1 + n_components * n_features + each[covariance_type]


@jax.jit
def log_joint(params: MixtureParams, x: Rows) -> Float[Array, "N K"]:
    """Log of weight times density of the observed values; log weight for a row without values."""
    x = as_measured(x)
    factor = _factors(params.covariance)

    def one(row):
        return _expect(params, factor, jax.tree.map(lambda leaf: leaf[None], row))[0][0]

    return jax.lax.map(one, x, batch_size=min(_block_size(x), x.value.shape[0]))


@jax.jit
def statistics(params: MixtureParams, x: Rows, row_weight: Float[Array, "N"]) -> Statistics:
    """E step: responsibilities, and the moments of the true values under them.

    Bovy et al. 2011, Eqs. 27-29, with missing values as infinite errors. Rows are processed in
    blocks, so the memory needed does not depend on their number.
    """
    return _statistics(params, as_measured(x), row_weight, None)


def moments_about(params: MixtureParams, x: Rows, resp: Float[Array, "N K"]) -> Statistics:
    """Counts and moments of the true values about the means, for given responsibilities.

    The expected true values are those of each component. The log-likelihood is that of the mixture,
    with the sum of the responsibilities of a row as its weight.
    """
    return _statistics(params, as_measured(x), resp.sum(1), resp)


def _statistics(params, x: Measured, row_weight, given_resp) -> Statistics:
    n_rows = x.value.shape[0]
    size = min(_block_size(x), n_rows)
    factor = _factors(params.covariance)

    def block(index):
        # The last block overlaps the one before; rows counted twice get weight zero.
        start = jnp.minimum(index * size, n_rows - size)
        cut = partial(jax.lax.dynamic_slice_in_dim, start_index=start, slice_size=size)
        rows, weight, given = jax.tree.map(cut, (x, row_weight, given_resp))
        fresh = start + jnp.arange(size) >= index * size
        weight = jnp.where(fresh, weight, 0.0)
        if given is not None:
            given = jnp.where(fresh[:, None], given, 0.0)
        joint, moments = _expect(params, factor, rows)
        most = joint.max(1)  # log-sum-exp written out: its exponentials are the responsibilities
        share = jnp.exp(joint - most[:, None])
        total = share.sum(1)
        log_lik = most + jnp.log(total)
        resp = share * (weight / total)[:, None] if given is None else given
        log_lik = jnp.where(weight > 0, weight * log_lik, 0.0)
        return Statistics(
            log_lik=log_lik.sum(), weight=weight.sum(), count=resp.sum(0), moments=moments(resp)
        )

    def add(carry, index):
        # Kahan summation: a plain float32 sum of thousands of blocks loses two of seven digits.
        total, lost = carry
        each = jax.tree.map(jnp.subtract, block(index), lost)
        new = jax.tree.map(jnp.add, total, each)
        lost = jax.tree.map(lambda new, total, each: (new - total) - each, new, total, each)
        return (new, lost), None

    shape = jax.eval_shape(block, 0)
    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape)
    blocks = np.arange(-(-n_rows // size))
    lanes = np.array_split(blocks, LANES if len(blocks) >= LANES * LANE_BLOCKS else 1)
    totals = [jax.lax.scan(add, (zero, zero), jnp.asarray(lane))[0][0] for lane in lanes]
    return jax.tree.map(lambda *lane: sum(lane[1:], lane[0]), *totals)


def _block_size(x: Measured) -> int:
    exact, on_cpu = x.observed is None and x.noise is None, jax.default_backend() == "cpu"
    if exact:
        return (EXACT_BYTES if on_cpu else GPU_BYTES) // x.value.dtype.itemsize
    return MEASURED_ROWS if on_cpu else GPU_ROWS


def nan_where_singular(covariance: Float[Array, "K F F"]) -> Float[Array, "K F F"]:
    """The covariances; NaN where one is singular to rounding."""
    return jnp.where(jnp.isnan(_factor(covariance)), jnp.nan, covariance)


def _factor(covariance: Float[Array, "K F F"]) -> Float[Array, "K F F"]:
    """Lower Cholesky factors; NaN where a covariance is singular to rounding."""
    factor = cholesky(covariance)
    variance = jnp.diagonal(covariance, axis1=1, axis2=2)
    ratio = jnp.diagonal(factor, axis1=1, axis2=2) ** 2 / variance
    tiny = 4 * jnp.finfo(factor.dtype).eps
    return jnp.where((ratio > tiny).all(1)[:, None, None], factor, jnp.nan)


def _factors(covariance: Float[Array, "K F F"]):
    """Lower Cholesky factors and their inverses."""
    factor = _factor(covariance)
    return factor, inverse_lower(factor)


def _expect(params: MixtureParams, factor, rows: Measured):
    """Log joint [B K] of a block, and the function from responsibilities to its moments."""
    if rows.observed is None and rows.noise is None:
        return _expect_exact(params, factor, jnp.asarray(rows.value))
    return _expect_measured(params, rows)


def _expect_exact(params, factor, value: Float[Array, "B F"]):
    """Complete, exact rows. Moments are summed in whitened coordinates, safe in float32."""
    n_components, n_features = params.mean.shape
    factor, whiten = factor  # [K, F, F]
    # One product for all components and their means; rows are last, so the long axis is contiguous.
    shift = jnp.einsum("kfg,kg->kf", whiten, params.mean)
    affine = jnp.concatenate([whiten, -shift[:, :, None]], 2).reshape(-1, n_features + 1)
    white = affine @ jnp.concatenate([value.T, jnp.ones((1, value.shape[0]), value.dtype)])
    white = white.reshape(n_components, n_features, -1)  # [K, F, B]
    log_norm = params.log_weight - 0.5 * n_features * LOG_2PI - log_det_lower(factor)
    joint = log_norm[:, None] - 0.5 * (white**2).sum(1)  # [K, B]

    def moments(resp):
        weighted = resp.T[:, None] * white
        first = jnp.einsum("kfg,kg->kf", factor, weighted.sum(-1))
        second = jnp.einsum("kfb,kgb->kfg", weighted, white)
        second = jnp.einsum("kfg,kgh,kih->kfi", factor, second, factor)
        return Moments(first=first, second=second)

    return joint.T, moments


def _expect_measured(params: MixtureParams, rows: Measured):
    """Rows with missing values or errors: one small Cholesky factor per row and component."""
    value, covariance = rows.value, params.covariance
    observed = jnp.ones(value.shape, bool) if rows.observed is None else rows.observed
    seen = observed.astype(value.dtype)
    pairs = seen[:, :, None] * seen[:, None, :]
    identity = jnp.eye(value.shape[1], dtype=value.dtype)
    spread = jnp.broadcast_to(covariance, (value.shape[0], *covariance.shape))
    if rows.noise is not None:
        noise = rows.noise if rows.noise.ndim == 3 else rows.noise[:, :, None] * identity
        spread = spread + jnp.where(pairs > 0, noise, 0.0)[:, None]
    # A missing feature gets a row and column of the identity, which contributes zero.
    total = pairs[:, None] * spread + ((1 - seen)[:, :, None] * identity)[:, None]  # [B, K, F, F]
    root = cholesky(jnp.asarray(total))
    offset = jnp.where(observed[:, None], value[:, None] - params.mean, 0.0)  # [B, K, F]
    cross = seen[:, None, :, None] * covariance  # covariance of observed with true values
    solved = solve_lower(root, jnp.concatenate([offset[..., None], cross], -1))
    white, gain = solved[..., 0], solved[..., 1:]
    log_norm = params.log_weight - 0.5 * LOG_2PI * seen.sum(1, keepdims=True) - log_det_lower(root)
    joint = log_norm - 0.5 * (white**2).sum(-1)

    def moments(resp):
        shift = jnp.einsum("bkfg,bkf->bkg", gain, white)  # E[true value] - mean
        weighted = resp[..., None] * shift
        second = jnp.einsum("bkf,bkg->kfg", weighted, shift)
        explained = jnp.einsum("bkef,bkeg->kfg", resp[..., None, None] * gain, gain)
        residual = resp.sum(0)[:, None, None] * covariance - explained  # Cov[true value]
        return Moments(first=weighted.sum(0), second=second + residual)

    return joint, moments


def _maximise(params, statistics: Statistics, covariance_type: str, reg_covar: float, reseeds):
    """M step (Bovy et al. 2011, Eq. 30) under the covariance type; may reseed empty components."""
    empty = dead(statistics) & reseeds
    floor = 0.0 if reseeds else COUNT_FLOOR * jnp.finfo(params.mean.dtype).eps
    count = jnp.where(empty, 1.0, statistics.count + floor)
    step = statistics.moments.first / count[:, None]
    scatter = statistics.moments.second / count[:, None, None] - step[:, :, None] * step[:, None, :]
    scatter = (scatter + scatter.swapaxes(1, 2)) / 2
    share = jnp.where(empty, 0.0, count) / statistics.weight
    identity = jnp.eye(params.mean.shape[1], dtype=params.mean.dtype)
    covariance = _constrain(scatter, share, covariance_type) + reg_covar * identity
    covariance = nan_where_singular(covariance)
    log_weight = jnp.log(jnp.where(empty, 0.0, share / share.sum()))
    new = MixtureParams(log_weight=log_weight, mean=params.mean + step, covariance=covariance)
    return _reseed(new, empty) if reseeds else new


def _constrain(scatter: Float[Array, "K F F"], share: Float[Array, "K"], covariance_type: str):
    if covariance_type == "full":
        return scatter
    if covariance_type == "tied":
        tied = jnp.einsum("k,kfg->fg", share / share.sum(), scatter)
        return jnp.broadcast_to(tied, scatter.shape)
    variance = jnp.diagonal(scatter, axis1=1, axis2=2)
    if covariance_type == "spherical":
        variance = jnp.broadcast_to(variance.mean(1, keepdims=True), variance.shape)
    return variance[:, :, None] * jnp.eye(scatter.shape[1], dtype=scatter.dtype)


def _reseed(params: MixtureParams, empty) -> MixtureParams:
    """Split the heaviest component: empty ones start one sigma from its mean, along the axes."""
    n_features = params.mean.shape[1]
    heavy = jnp.argmax(params.log_weight)
    covariance = params.covariance[heavy]
    variance = jnp.diagonal(covariance)
    rank = jnp.cumsum(empty) - 1
    axis = jnp.argsort(-variance)[rank % n_features]
    side = jnp.where((rank // n_features) % 2 == 0, 1.0, -1.0)
    move = (covariance[:, axis] / jnp.sqrt(variance[axis]) * side).T  # [K, F]
    shared = params.log_weight[heavy] - jnp.log1p(empty.sum().astype(params.mean.dtype))
    split = empty.at[heavy].set(True) & empty.any()
    return MixtureParams(
        log_weight=jnp.where(split, shared, params.log_weight),
        mean=jnp.where(empty[:, None], params.mean[heavy] + move, params.mean),
        covariance=jnp.where(empty[:, None, None], covariance, params.covariance),
    )


def _filled(x: Measured, filler: Float[Array, "F"]) -> Float[Array, "N F"]:
    value = jnp.asarray(x.value)
    return value if x.observed is None else jnp.where(x.observed, value, filler)


def _one_gaussian(x: Measured, row_weight, n_components: int) -> MixtureParams:
    """K copies of one diagonal Gaussian for all rows."""
    weight = row_weight[:, None]
    if x.observed is not None:
        weight = weight * x.observed
    total = jnp.broadcast_to(weight, x.value.shape).sum(0)
    mean = (weight * _filled(x, jnp.zeros_like(x.value[0]))).sum(0) / total
    variance = (weight * (_filled(x, mean) - mean) ** 2).sum(0) / total
    # The width of a constant feature is arbitrary, because it is common to all components.
    variance = jnp.where(variance > 0, variance, 1.0)
    uniform = jnp.full(n_components, -np.log(n_components), x.value.dtype)
    covariance = jnp.broadcast_to(jnp.diag(variance), (n_components, *variance.shape * 2))
    mean = jnp.broadcast_to(mean, (n_components, mean.size))
    return MixtureParams(log_weight=uniform, mean=mean, covariance=covariance)
