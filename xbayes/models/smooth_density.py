"""The default class densities: smooth, bounded by natural limits, regularised for small classes.

The density of a feature in a class is a Gaussian kernel density, reflected at natural limits. It is
mixed with a broad Student-t of the same class (tails) and shrunk towards the mean over classes,
which counts for `m` pseudo-sources. A broad density common to all classes is added, so that values
far from all training values are no evidence (`far_values.py`). Bandwidth and m maximise the
leave-one-out likelihood of each feature and class. A class too small to choose a bandwidth has a
lower limit on it.

Posterior samples come from a logistic Gaussian process on the same grid, which includes the
uncertainty of the smoothing (`logistic_process.py`). As a point estimate the process scored no
better and took five times as long.
"""

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from xbayes.models import grid as grids
from xbayes.models.base import Density
from xbayes.models.far_values import far_below, log_far
from xbayes.models.logistic_process import ProcessFit, draw_process, fit_process
from xbayes.types import Features

BANDWIDTHS = np.geomspace(0.01, 0.3, 12)  # in units of the length of the grid
POOL_BANDWIDTH = 0.08
PSEUDO_SOURCES = (2.0, 5.0, 15.0, 40.0)  # numbers to choose from
TAIL_SOURCES = 2.0  # pseudo-sources that the tail counts for
PRESENCE_SOURCES = 2.0  # pseudo-sources that the mean detection rate counts for
FEW_SOURCES = 30.0
TAILS = 1e-3
FARTHEST = 1e5  # nodes beyond the grid; keeps log densities of far values finite in float32


class DensityParams(NamedTuple):
    """Log densities on the grid; normalised over the line, tails included."""

    origin: Float[Array, "F"]
    step: Float[Array, "F"]
    log_density: Float[Array, "F B C"]  # of value / step, at the nodes; linear between them
    fall: Float[Array, "F C 2"]  # decrease of log density per node beyond the first, the last node
    log_present: Float[Array, "F C"]
    log_missing: Float[Array, "F C"]


def smooth_density(
    bounds: Float[np.ndarray, "F 2"],
    evidence: Bool[np.ndarray, "F"],
    n_classes: int,
    missing_weight: float = 1.0,
    n_nodes: int = 128,
    tails: float = TAILS,
) -> Density:
    """Smooth densities of F features for C classes.

    Parameters
    ----------
    bounds : natural limits of the scaled features, NaN where there is none.
    evidence : whether a non-detection of the feature is evidence.
    missing_weight : exponent of P(not detected | class).
    n_nodes : nodes of each grid, at least 16.
    tails : weight of the broad density common to all classes, in [0, 1).
    """
    if n_nodes < 16:
        raise ValueError(f"smooth_density needs n_nodes >= 16; got {n_nodes}")
    if not 0 <= tails < 1:
        raise ValueError(f"smooth_density needs 0 <= tails < 1; got {tails}")
    limits = np.asarray(bounds, np.float64).tobytes()  # bytes, because NaN does not equal NaN
    return _smooth_density(
        limits, tuple(evidence.tolist()), n_classes, missing_weight, n_nodes, tails
    )


@lru_cache(maxsize=64)  # equal arguments give the same object, so that jit compiles once
def _smooth_density(
    limits: bytes,
    evidence: tuple[bool, ...],
    n_classes: int,
    missing_weight: float,
    n_nodes: int,
    tails: float,
) -> Density:
    bounds = np.frombuffer(limits).reshape(-1, 2)
    limited = np.isfinite(bounds)

    def as_params(grid, log_density, counts, presence_sources):
        log_density, fall = _with_tails(grid, log_density)
        log_present, log_missing = _presence(grid, counts, missing_weight, presence_sources)
        return DensityParams(
            origin=jnp.asarray(grid.origin),
            step=jnp.asarray(grid.step),
            log_density=log_density.transpose(0, 2, 1),
            fall=fall,
            log_present=log_present,
            log_missing=log_missing,
        )

    def fit(grid, counts):
        total, single = _kernel_sums(grid, counts.value)
        smoothing = _choose_smoothing(counts.value, total, single)
        density = _shrunk_density(smoothing, counts.value, total, TAIL_SOURCES, smoothing.pseudo)
        return as_params(grid, jnp.log(density), counts, PRESENCE_SOURCES)

    def prepare_sampling(grid, counts):
        smoothing = _choose_smoothing(counts.value, *_kernel_sums(grid, counts.value))
        pool = jnp.broadcast_to(smoothing.pool, counts.value.shape)
        return smoothing, fit_process(counts.value, jnp.log(pool))

    def sample(key, grid, fitted, counts):
        value_key, presence_key = jax.random.split(key)
        smoothing, process = fitted
        log_density = _sampled(value_key, grid, smoothing, process, counts.value)
        shape = jnp.full(log_density.shape[:2], PRESENCE_SOURCES, log_density.dtype)
        return as_params(grid, log_density, counts, jax.random.gamma(presence_key, shape))

    return Density(
        prepare=partial(
            grids.lay_grid,
            bounds=bounds,
            evidence=np.array(evidence, bool),
            n_nodes=n_nodes,
            margin=0.15,
        ),
        statistics=partial(grids.count, n_classes=n_classes, n_nodes=n_nodes),
        fit=jax.jit(fit),
        log_lik=jax.jit(partial(log_lik, limited=limited, tails=tails)),
        share_below=jax.jit(partial(share_below, limited=limited, tails=tails)),
        curves=grids.curves,
        reweigh_missing=grids.reweigh_missing,
        with_missing_weight=grids.with_missing_weight,
        prepare_sampling=jax.jit(prepare_sampling),
        sample=jax.jit(sample),
    )


def log_lik(
    params: DensityParams, features: Features, limited: Bool[np.ndarray, "F 2"], tails: float
) -> Float[Array, "N F C"]:
    """Log density of each value and class with its detection term; zero where not available.

    `limited` marks natural limits at the first and the last node.
    """
    n_features, n_nodes, n_classes = params.log_density.shape
    value = grids.measured_value(features)
    node, share = grids.node_of(params.origin, params.step, value, n_nodes)
    # Values and slopes of all classes are stored together: one lookup per feature.
    low, high = params.log_density[:, :-1], params.log_density[:, 1:]
    table = jnp.concatenate([low, high - low], -1).reshape(-1, 2 * n_classes)
    line = table[node + (n_nodes - 1) * jnp.arange(n_features)]  # [N, F, 2 C]
    inside = line[..., :n_classes] + share[..., None] * line[..., n_classes:]
    position = _position(params, value)
    below = jnp.maximum(-position, 0.0)[..., None]
    above = jnp.maximum(position - (n_nodes - 1), 0.0)[..., None]
    log_density = inside - params.fall[..., 0] * below - params.fall[..., 1] * above
    if tails:
        far = jnp.log(tails) + log_far(position, limited, n_nodes)
        log_density = jnp.logaddexp(jnp.log1p(-tails) + log_density, far[..., None])
    return grids.presence_log_lik(features, params.log_present, params.log_missing, log_density)


def _position(params: DensityParams, value: Float[Array, "N F"]) -> Float[Array, "N F"]:
    return jnp.clip((value - params.origin) / params.step, -FARTHEST, FARTHEST)


def share_below(
    params: DensityParams, features: Features, limited: Bool[np.ndarray, "F 2"], tails: float
) -> Float[Array, "N F C"]:
    """Share of each class below the value, tails included; NaN where not measured."""
    log_density = params.log_density.transpose(0, 2, 1)  # [F, C, B]
    density, change = jnp.exp(log_density), jnp.diff(log_density, axis=-1)
    segment = _segment_mass(density[..., :-1], change)
    tail = _tail_mass(density, params.fall, jnp.asarray(limited))  # [F, C, 2]
    before = jnp.cumsum(segment, -1) - segment + tail[..., :1]  # mass below each segment
    value, n_nodes = grids.measured_value(features), log_density.shape[-1]
    node, share = grids.node_of(params.origin, params.step, value, n_nodes)
    f, share = jnp.arange(len(log_density)), share[..., None]
    inside = before[f, :, node] + _segment_mass(density[f, :, node], change[f, :, node], share)
    place = _position(params, value)
    position = place[..., None]
    first = tail[..., 0] * jnp.exp(params.fall[..., 0] * jnp.minimum(position, 0.0))
    last = tail[..., 1] * jnp.exp(params.fall[..., 1] * jnp.minimum(n_nodes - 1 - position, 0.0))
    total = segment.sum(-1) + tail.sum(-1)
    below = jnp.where(position < 0, first, jnp.where(share < 1, inside, total - last))
    below = jnp.clip(below / total, 0.0, 1.0)
    below = (1 - tails) * below + tails * far_below(place, limited, n_nodes)[..., None]
    return jnp.where(jnp.asarray(features.measured)[..., None], below, jnp.nan)


def _kernels(n_nodes: int) -> Float[np.ndarray, "3 H B B"]:
    """Gaussian kernels between nodes: direct, mirrored at the first node, at the last node."""
    node = np.arange(n_nodes) / (n_nodes - 1)
    direct, first = node[:, None] - node, node[:, None] + node
    last = 2 - first
    distance = np.stack([direct, first, last])[:, None] / BANDWIDTHS[None, :, None, None]
    norm = np.sqrt(2 * np.pi) * BANDWIDTHS[:, None, None]
    return np.exp(-0.5 * distance**2) / norm / (n_nodes - 1)  # per node


class Smoothing(NamedTuple):
    """Bandwidth and shrinkage of each feature and class, and the densities shrunk towards."""

    bandwidth: Int[Array, "F C"]  # index into BANDWIDTHS
    pseudo: Float[Array, "F C"]  # pseudo-sources that the pool counts for
    tail: Float[Array, "F C B"]  # broad density of the class
    pool: Float[Array, "F 1 B"]  # mean over classes


def _shrunk_density(
    smoothing: Smoothing,
    count: Float[Array, "F C B"],
    total: Float[Array, "F C H B"],
    tail_sources,
    pool_sources,
) -> Float[Array, "F C B"]:
    """Mean of kernel density, tail and pool, weighted by their numbers of sources.

    `total` holds the kernel sums of `_kernel_sums`.
    """
    bandwidth = smoothing.bandwidth[..., None, None]
    total = jnp.take_along_axis(total, bandwidth, axis=2)[:, :, 0]
    ones = jnp.ones_like(smoothing.pseudo)
    tail, pool = (tail_sources * ones)[..., None], (pool_sources * ones)[..., None]
    size = count.sum(-1, keepdims=True)
    return (total + tail * smoothing.tail + pool * smoothing.pool) / (size + tail + pool)


def _sampled(key, grid, smoothing: Smoothing, process: ProcessFit, count) -> Float[Array, "F C B"]:
    """A posterior sample of the log densities, given counts of randomly weighted sources.

    The prior is a logistic Gaussian process around the pool. A feature with few distinct values is
    a histogram. The weight of its pseudo-sources is Gamma distributed, as that of its sources is,
    so the sample is Dirichlet.
    """
    process_key, tail_key, pool_key = jax.random.split(key, 3)
    tail = jax.random.gamma(tail_key, jnp.full_like(smoothing.pseudo, TAIL_SOURCES))
    pool = jax.random.gamma(pool_key, smoothing.pseudo)
    total, _ = _kernel_sums(grid, count)
    histogram = jnp.log(_shrunk_density(smoothing, count, total, tail, pool))
    discrete = jnp.asarray(grid.discrete)[:, None, None]
    return jnp.where(discrete, histogram, draw_process(process_key, process, count))


def _kernel_sums(grid, count: Float[Array, "F C B"]):
    """Kernel sums for each bandwidth and node [F C H B], and the peak of a single kernel."""
    kernels = _kernels(count.shape[-1])
    direct, first, last = (jnp.asarray(each, count.dtype) for each in kernels)
    reflect = jnp.asarray(grid.reflect, dtype=count.dtype)[:, :, None, None, None]
    total = jnp.einsum("fcd,hbd->fchb", count, direct)
    total += reflect[:, 0] * jnp.einsum("fcd,hbd->fchb", count, first)
    total += reflect[:, 1] * jnp.einsum("fcd,hbd->fchb", count, last)  # [F, C, H, B]
    alone = np.einsum("rhbb->rhb", kernels).astype(count.dtype)  # the peak of each kernel
    single = alone[0] + reflect[:, 0] * alone[1] + reflect[:, 1] * alone[2]
    # A feature with few distinct values stays a histogram: its kernel is the node itself.
    histogram = jnp.asarray(grid.discrete)[:, None, None, None]
    return jnp.where(histogram, count[:, :, None], total), jnp.where(histogram, 1.0, single)


def _choose_smoothing(
    count: Float[Array, "F C B"], total: Float[Array, "F C H B"], single: Float[Array, "F _ H B"]
) -> Smoothing:
    """Bandwidth and pseudo-sources that maximise the leave-one-out likelihood."""
    n_nodes = count.shape[-1]
    size = count.sum(-1)[..., None, None]  # [F, C, 1, 1]
    tail = _tail(count)
    pool_index = int(np.argmin(np.abs(BANDWIDTHS - POOL_BANDWIDTH)))
    each = total[:, :, pool_index] / jnp.maximum(size[..., 0], 1e-9)
    seen = (size[..., 0] > 0).astype(count.dtype)
    pool = (each * seen).sum(1) / jnp.maximum(seen.sum(1), 1.0)  # [F, B]
    pool = (0.9 * pool + 0.1 / n_nodes)[:, None]
    others, n_others = jnp.maximum(total - single, 0.0), jnp.maximum(size - 1, 0.0)

    def leave_one_out(m):
        broad = TAIL_SOURCES * tail + m * pool
        return jnp.log((others + broad[:, :, None]) / (n_others + TAIL_SOURCES + m))

    each = jnp.stack([leave_one_out(m) for m in PSEUDO_SOURCES], 2)  # [F, C, M, H, B]
    score = (count[:, :, None, None] * each).sum(-1)  # [F, C, M, H]
    allowed = jnp.asarray(BANDWIDTHS, count.dtype) >= _narrowest(count)  # [F, C, H]
    score = jnp.where(allowed[:, :, None], score, -jnp.inf).reshape(*count.shape[:2], -1)
    chosen, bandwidth = jnp.divmod(score.argmax(-1), len(BANDWIDTHS))
    pseudo = jnp.asarray(PSEUDO_SOURCES, count.dtype)[chosen]
    return Smoothing(bandwidth=bandwidth, pseudo=pseudo, tail=tail, pool=pool)


def _narrowest(count: Float[Array, "F C B"]) -> Float[Array, "F C 1"]:
    """Lower limit of the bandwidth: Silverman's for up to FEW_SOURCES, then falling as 1/size."""
    _, variance = _moments(count)
    size = jnp.maximum(count.sum(-1, keepdims=True), 1.0)
    silverman = 1.06 * jnp.sqrt(variance) * size**-0.2
    return jnp.minimum(silverman * jnp.minimum(1.0, FEW_SOURCES / size), 0.99 * BANDWIDTHS[-1])


def _moments(count: Float[Array, "F C B"]):
    """Mean and variance of each class, in units of the length of the grid."""
    node = jnp.arange(count.shape[-1]) / (count.shape[-1] - 1.0)
    size = jnp.maximum(count.sum(-1, keepdims=True), 1e-9)
    mean = (count * node).sum(-1, keepdims=True) / size
    return mean, (count * (node - mean) ** 2).sum(-1, keepdims=True) / size


def _tail(count: Float[Array, "F C B"]) -> Float[Array, "F C B"]:
    """A broad Student-t (3 degrees of freedom) around each class, per node.

    The scale of a small class is shrunk towards that of all classes, which counts for five sources.
    """
    n_nodes = count.shape[-1]
    node = jnp.arange(n_nodes) / (n_nodes - 1.0)
    size = count.sum(-1, keepdims=True)
    mean, variance = _moments(count)
    pooled_mean, pooled_variance = _moments(count.sum(1, keepdims=True))
    mean = jnp.where(size > 0, mean, pooled_mean)
    variance = (size * variance + 5.0 * pooled_variance) / (size + 5.0)
    scale = jnp.sqrt(jnp.maximum(variance, 1e-4))
    from jax.scipy.stats import t as student_t  # slow to import, and needed only to fit

    density = student_t.pdf(node, 3.0, loc=mean, scale=scale)
    return density / density.sum(-1, keepdims=True)


def _with_tails(grid, log_density: Float[Array, "F C B"]):
    """Densities normalised over the whole line, and the slopes of their exponential tails.

    The tails continue the last slope, but fall by at least one e-fold per grid length. A natural
    limit has no mass beyond it; there the steepest tail keeps the log density of a value finite.
    """
    n_nodes = log_density.shape[-1]
    first = log_density[..., 1] - log_density[..., 0]
    last = log_density[..., -2] - log_density[..., -1]
    slope = jnp.stack([first, last], -1)
    fall = jnp.clip(slope, 1.0 / (n_nodes - 1), 1.0)
    fall = jnp.where(jnp.asarray(grid.reflect)[:, None, :], 1.0, fall)  # [F, C, 2]
    density = jnp.exp(log_density)
    segment = _segment_mass(density[..., :-1], jnp.diff(log_density, axis=-1))
    mass = segment.sum(-1) + _tail_mass(density, fall, grid.reflect).sum(-1)
    return log_density - jnp.log(mass)[..., None], fall


def _segment_mass(low: Array, change: Array, share: Array | float = 1.0) -> Array:
    """The exact integral of a log-linear density from a node over a share of its segment."""
    step = change * share
    flat = jnp.abs(step) < 1e-4
    return low * share * jnp.where(flat, 1 + step / 2, jnp.expm1(step) / jnp.where(flat, 1.0, step))


def _tail_mass(
    density: Float[Array, "F C B"], fall: Float[Array, "F C 2"], limited: Bool[Array, "F 2"]
) -> Float[Array, "F C 2"]:
    """Mass below the first node and above the last; zero beyond a natural limit."""
    return jnp.where(limited[:, None, :], 0.0, density[..., jnp.array([0, -1])] / fall)


def _presence(grid, counts: grids.Counts, missing_weight: float, sources):
    """Log P(measured | class) and log P(not detected | class); zero where they are not evidence.

    The rates are shrunk towards the mean over classes, which counts for `sources` pseudo-sources.
    """
    rate = counts.present / jnp.maximum(counts.available, 1.0)
    seen = (counts.available > 0).astype(rate.dtype)
    mean = (rate * seen).sum(1, keepdims=True) / jnp.maximum(seen.sum(1, keepdims=True), 1.0)
    mean = jnp.clip(mean, 0.005, 0.995)
    present = (counts.present + sources * mean) / (counts.available + sources)
    evidence = jnp.asarray(grid.evidence)[:, None]
    log_present = jnp.where(evidence, jnp.log(present), 0.0)
    return log_present, jnp.where(evidence, missing_weight * jnp.log1p(-present), 0.0)
