"""The default class densities: smooth, aware of natural limits, honest about small classes.

Per property and class: a Gaussian kernel density, reflected at natural limits, mixed with a broad
Student-t of the same class (tails), and shrunk towards the mean over classes by `m` pseudo-sources.
Behind it lies a broad density that all classes share, so that values far from all training values
tell nothing (`far_values.py`). Bandwidth and m maximise the leave-one-out likelihood, each property
and class by itself; the bandwidth of a class too small to choose one is bounded below.

Draws of the posterior are of a logistic Gaussian process on the same grid, whose spread knows what
smoothing leaves open (`logistic_process.py`). As a point estimate it scored no better, five times
slower.
"""

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import t as student_t
from jaxtyping import Array, Bool, Float, Int

from xbayes.models import grid as grids
from xbayes.models.base import Density
from xbayes.models.far_values import far_below, log_far
from xbayes.models.logistic_process import ProcessFit, draw_process, fit_process
from xbayes.types import Features

BANDWIDTHS = np.geomspace(0.01, 0.3, 12)  # of the length of the grid
POOL_BANDWIDTH = 0.08
PSEUDO_SOURCES = (2.0, 5.0, 15.0, 40.0)
TAIL_SOURCES = 2.0
PRESENCE_SOURCES = 2.0
FEW_SOURCES = 30.0
TAILS = 1e-3
FARTHEST = 1e5  # nodes beyond the grid, so that far values stay finite in float32


class DensityParams(NamedTuple):
    """Log densities on the grid; normalised over the line, tails included."""

    origin: Float[Array, "F"]
    step: Float[Array, "F"]
    log_density: Float[Array, "F B C"]  # of value / step, at the nodes; linear between them
    fall: Float[Array, "F C 2"]  # log density lost per node beyond the first, the last node
    log_present: Float[Array, "F C"]
    log_missing: Float[Array, "F C"]


def smooth_density(
    bounds: Float[np.ndarray, "F 2"],
    evidence: np.ndarray,
    n_classes: int,
    missing_weight: float = 1.0,
    n_nodes: int = 128,
    tails: float = TAILS,
) -> Density:
    """Smooth densities of F properties for C classes on `n_nodes` nodes.

    `tails` is the share of any class's sources that may lie anywhere, whatever the class.
    """
    if n_nodes < 16:
        raise ValueError(f"smooth_density needs n_nodes >= 16; got {n_nodes}")
    if not 0 <= tails < 1:
        raise ValueError(f"smooth_density needs 0 <= tails < 1; got {tails}")
    limits = np.asarray(bounds, np.float64).tobytes()  # NaN, which is no limit, equals no NaN
    known = tuple(evidence.tolist())
    return _smooth_density(limits, known, n_classes, missing_weight, n_nodes, tails)


@lru_cache(maxsize=64)  # equal arguments give the same object, so that jit compiles once
def _smooth_density(
    limits: bytes,
    known: tuple[bool, ...],
    n_classes: int,
    missing_weight: float,
    n_nodes: int,
    tails: float,
) -> Density:
    bounds, evidence = np.frombuffer(limits).reshape(-1, 2), np.array(known, bool)
    limited = np.isfinite(bounds)

    def lay_grid(features, training):
        return grids.lay_grid(features, training, bounds, evidence, n_nodes, margin=0.15)

    def count(grid, features, class_index, fold, n_folds, row_weight=None):
        shape = (n_classes, n_folds, n_nodes)
        return grids.count(grid, features, class_index, fold, *shape, row_weight)

    def as_params(grid, log_density, counts, presence_sources):
        log_density, fall = _with_tails(grid, log_density)
        log_present, log_missing = _presence(grid, counts, missing_weight, presence_sources)
        origin, step = jnp.asarray(grid.origin), jnp.asarray(grid.step)
        return DensityParams(
            origin, step, log_density.transpose(0, 2, 1), fall, log_present, log_missing
        )

    def fit(grid, counts):
        sums = _kernel_sums(grid, counts.value)
        smoothing = _choose_smoothing(counts.value, *sums)
        broad = (TAIL_SOURCES, smoothing.pseudo)
        density = _shrunk_density(smoothing, counts.value, sums[0], *broad)  # [F, C, B]
        return as_params(grid, jnp.log(density), counts, PRESENCE_SOURCES)

    def smooth(grid, counts):
        smoothing = _choose_smoothing(counts.value, *_kernel_sums(grid, counts.value))
        pool = jnp.broadcast_to(smoothing.pool, counts.value.shape)
        return smoothing, fit_process(counts.value, jnp.log(pool))

    def draw(key, grid, smoothing, counts):
        value_key, presence_key = jax.random.split(key)
        chosen, process = smoothing
        log_density = _drawn(value_key, grid, chosen, process, counts.value)
        alike = jnp.full(log_density.shape[:2], PRESENCE_SOURCES, log_density.dtype)
        return as_params(grid, log_density, counts, jax.random.gamma(presence_key, alike))

    return Density(
        lay_grid,
        count,
        jax.jit(fit),
        jax.jit(partial(log_lik, limited=limited, tails=tails)),
        jax.jit(partial(share_below, limited=limited, tails=tails)),
        grids.curves,
        smooth=jax.jit(smooth),
        draw=jax.jit(draw),
    )


def log_lik(
    params: DensityParams, features: Features, limited: Bool[np.ndarray, "F 2"], tails: float
) -> Float[Array, "N F C"]:
    """Log density of each value for each class, with its presence term; zero if not available.

    `limited` says where a natural limit ends the density at the first, the last node.
    """
    n_features, n_nodes, n_classes = params.log_density.shape
    value = grids.observed_value(features)
    node, share = grids.node_of(params.origin, params.step, value, n_nodes)
    # Value and slope of all classes side by side: one look into the table for each property.
    low, high = params.log_density[:, :-1], params.log_density[:, 1:]
    table = jnp.concatenate([low, high - low], -1).reshape(-1, 2 * n_classes)
    found = table[node + (n_nodes - 1) * jnp.arange(n_features)]  # [N, F, 2 C]
    inside = found[..., :n_classes] + share[..., None] * found[..., n_classes:]
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
    """Share of each class below the value, tails included; NaN where there is no value."""
    log_density = params.log_density.transpose(0, 2, 1)  # [F, C, B]
    density, change = jnp.exp(log_density), jnp.diff(log_density, axis=-1)
    segment = _segment_mass(density[..., :-1], change)
    tail = _tail_mass(density, params.fall, jnp.asarray(limited))  # [F, C, 2]
    before = jnp.cumsum(segment, -1) - segment + tail[..., :1]  # what lies below each segment
    value, n_nodes = grids.observed_value(features), log_density.shape[-1]
    node, share = grids.node_of(params.origin, params.step, value, n_nodes)
    f, share = jnp.arange(len(log_density)), share[..., None]
    inside = before[f, :, node] + _segment_mass(density[f, :, node], change[f, :, node], share)
    place = _position(params, value)
    position = place[..., None]
    first = tail[..., 0] * jnp.exp(params.fall[..., 0] * jnp.minimum(position, 0.0))
    last = tail[..., 1] * jnp.exp(params.fall[..., 1] * jnp.minimum(n_nodes - 1 - position, 0.0))
    total = segment.sum(-1) + tail.sum(-1)
    found = jnp.where(position < 0, first, jnp.where(share < 1, inside, total - last))
    below = jnp.clip(found / total, 0.0, 1.0)
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
    """What the counts of a property and class choose, and the broad shapes they lean on."""

    bandwidth: Int[Array, "F C"]  # place in BANDWIDTHS
    pseudo: Float[Array, "F C"]  # sources that the pool counts for
    tail: Float[Array, "F C B"]
    pool: Float[Array, "F 1 B"]


def _shrunk_density(
    smoothing: Smoothing,
    count: Float[Array, "F C B"],
    total: Float[Array, "F C H B"],
    tail_sources,
    pool_sources,
) -> Float[Array, "F C B"]:
    """Kernels of the counted sources, the tail and the pool, each for its number of sources.

    `total` is the sum of the kernels of `_kernel_sums`.
    """
    place = smoothing.bandwidth[..., None, None]
    total = jnp.take_along_axis(total, place, axis=2)[:, :, 0]
    alike = jnp.ones_like(smoothing.pseudo)
    tail, pool = (tail_sources * alike)[..., None], (pool_sources * alike)[..., None]
    size = count.sum(-1, keepdims=True)
    return (total + tail * smoothing.tail + pool * smoothing.pool) / (size + tail + pool)


def _drawn(key, grid, smoothing: Smoothing, process: ProcessFit, count) -> Float[Array, "F C B"]:
    """A draw of the log densities, the sources in `count` weighted at random.

    A logistic Gaussian process around the pool. A property of few distinct values is a histogram:
    its pseudo-sources weigh as uncertainly as its sources do, as Gamma of their number, and the
    draw is Dirichlet.
    """
    process_key, tail_key, pool_key = jax.random.split(key, 3)
    tail = jax.random.gamma(tail_key, jnp.full_like(smoothing.pseudo, TAIL_SOURCES))
    pool = jax.random.gamma(pool_key, smoothing.pseudo)
    total, _ = _kernel_sums(grid, count)
    histogram = jnp.log(_shrunk_density(smoothing, count, total, tail, pool))
    discrete = jnp.asarray(grid.discrete)[:, None, None]
    return jnp.where(discrete, histogram, draw_process(process_key, process, count))


def _kernel_sums(grid, count: Float[Array, "F C B"]):
    """Sum of the kernels at each node and bandwidth [F C H B], and a kernel at its own node."""
    kernels = _kernels(count.shape[-1])
    direct, first, last = (jnp.asarray(each, count.dtype) for each in kernels)
    reflect = jnp.asarray(grid.reflect, dtype=count.dtype)[:, :, None, None, None]
    total = jnp.einsum("fcd,hbd->fchb", count, direct)
    total += reflect[:, 0] * jnp.einsum("fcd,hbd->fchb", count, first)
    total += reflect[:, 1] * jnp.einsum("fcd,hbd->fchb", count, last)  # [F, C, H, B]
    alone = np.einsum("rhbb->rhb", kernels).astype(count.dtype)  # a kernel at its own node
    own = alone[0] + reflect[:, 0] * alone[1] + reflect[:, 1] * alone[2]
    # A property of few distinct values stays a histogram: its only kernel is the node itself.
    histogram = jnp.asarray(grid.discrete)[:, None, None, None]
    return jnp.where(histogram, count[:, :, None], total), jnp.where(histogram, 1.0, own)


def _choose_smoothing(
    count: Float[Array, "F C B"], total: Float[Array, "F C H B"], own: Float[Array, "F _ H B"]
) -> Smoothing:
    """Bandwidth and pseudo-sources of greatest leave-one-out likelihood; of `_kernel_sums`."""
    n_nodes = count.shape[-1]
    size = count.sum(-1)[..., None, None]  # [F, C, 1, 1]
    tail = _tail(count)
    pool_index = int(np.argmin(np.abs(BANDWIDTHS - POOL_BANDWIDTH)))
    each = total[:, :, pool_index] / jnp.maximum(size[..., 0], 1e-9)
    seen = (size[..., 0] > 0).astype(count.dtype)
    pool = (each * seen).sum(1) / jnp.maximum(seen.sum(1), 1.0)  # [F, B]
    pool = (0.9 * pool + 0.1 / n_nodes)[:, None]
    left, fewer = jnp.maximum(total - own, 0.0), jnp.maximum(size - 1, 0.0)

    def held_out(m):
        broad = TAIL_SOURCES * tail + m * pool
        return jnp.log((left + broad[:, :, None]) / (fewer + TAIL_SOURCES + m))

    each = jnp.stack([held_out(m) for m in PSEUDO_SOURCES], 2)  # [F, C, M, H, B]
    score = (count[:, :, None, None] * each).sum(-1)  # [F, C, M, H]
    allowed = jnp.asarray(BANDWIDTHS, count.dtype) >= _narrowest(count)  # [F, C, H]
    score = jnp.where(allowed[:, :, None], score, -jnp.inf).reshape(*count.shape[:2], -1)
    chosen, bandwidth = jnp.divmod(score.argmax(-1), len(BANDWIDTHS))
    return Smoothing(bandwidth, jnp.asarray(PSEUDO_SOURCES, count.dtype)[chosen], tail, pool)


def _narrowest(count: Float[Array, "F C B"]) -> Float[Array, "F C 1"]:
    """Silverman's bandwidth for up to thirty sources, which cannot choose one; then ever less."""
    _, variance = _moments(count)
    size = jnp.maximum(count.sum(-1, keepdims=True), 1.0)
    silverman = 1.06 * jnp.sqrt(variance) * size**-0.2
    return jnp.minimum(silverman * jnp.minimum(1.0, FEW_SOURCES / size), 0.99 * BANDWIDTHS[-1])


def _moments(count: Float[Array, "F C B"]):
    """Mean and variance of each class, in units of the grid's length."""
    node = jnp.arange(count.shape[-1]) / (count.shape[-1] - 1.0)
    size = jnp.maximum(count.sum(-1, keepdims=True), 1e-9)
    mean = (count * node).sum(-1, keepdims=True) / size
    return mean, (count * (node - mean) ** 2).sum(-1, keepdims=True) / size


def _tail(count: Float[Array, "F C B"]) -> Float[Array, "F C B"]:
    """A broad Student-t (3 degrees of freedom) around each class, per node.

    The scale of a small class borrows from all classes: five sources' worth.
    """
    n_nodes = count.shape[-1]
    node = jnp.arange(n_nodes) / (n_nodes - 1.0)

    size = count.sum(-1, keepdims=True)
    mean, variance = _moments(count)
    pooled_mean, pooled_variance = _moments(count.sum(1, keepdims=True))
    mean = jnp.where(size > 0, mean, pooled_mean)
    variance = (size * variance + 5.0 * pooled_variance) / (size + 5.0)
    scale = jnp.sqrt(jnp.maximum(variance, 1e-4))
    density = student_t.pdf(node, 3.0, loc=mean, scale=scale)
    return density / density.sum(-1, keepdims=True)


def _with_tails(grid, log_density: Float[Array, "F C B"]):
    """Normalise over the whole line, with exponential tails that continue the last slope.

    A tail falls by at least one e-fold per grid length; at a natural limit nothing lies beyond, and
    the steepest tail keeps a stray value finite.
    """
    n_nodes = log_density.shape[-1]
    slope = jnp.stack(
        [log_density[..., 1] - log_density[..., 0], log_density[..., -2] - log_density[..., -1]], -1
    )
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
    """What lies below the first node and above the last; nothing beyond a natural limit."""
    return jnp.where(limited[:, None, :], 0.0, density[..., jnp.array([0, -1])] / fall)


def _presence(grid, counts: grids.Counts, missing_weight: float, sources):
    """Bernoulli presence terms, shrunk towards the mean over classes; zero where not evidence.

    `sources` is how many that mean counts for.
    """
    rate = counts.present / jnp.maximum(counts.available, 1.0)
    seen = (counts.available > 0).astype(rate.dtype)
    mean = (rate * seen).sum(1, keepdims=True) / jnp.maximum(seen.sum(1, keepdims=True), 1.0)
    mean = jnp.clip(mean, 0.005, 0.995)
    present = (counts.present + sources * mean) / (counts.available + sources)
    evidence = jnp.asarray(grid.evidence)[:, None]
    log_present = jnp.where(evidence, jnp.log(present), 0.0)
    return log_present, jnp.where(evidence, missing_weight * jnp.log1p(-present), 0.0)
