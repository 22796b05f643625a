"""Kernel densities on a grid: the kernels, and the choice of bandwidth and shrinkage."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

BANDWIDTHS = np.geomspace(0.01, 0.3, 12)  # in units of the length of the grid
POOL_BANDWIDTH = 0.08
PSEUDO_SOURCES = (2.0, 5.0, 15.0, 40.0)  # numbers to choose from
TAIL_SOURCES = 2.0  # pseudo-sources that the tail counts for
FEW_SOURCES = 30.0


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


def shrunk_density(
    smoothing: Smoothing,
    count: Float[Array, "F C B"],
    total: Float[Array, "F C H B"],
    tail_sources,
    pool_sources,
) -> Float[Array, "F C B"]:
    """Mean of kernel density, tail and pool, weighted by their numbers of sources.

    `total` holds the kernel sums of `kernel_sums`.
    """
    bandwidth = smoothing.bandwidth[..., None, None]
    total = jnp.take_along_axis(total, bandwidth, axis=2)[:, :, 0]
    ones = jnp.ones_like(smoothing.pseudo)
    tail, pool = (tail_sources * ones)[..., None], (pool_sources * ones)[..., None]
    size = count.sum(-1, keepdims=True)
    return (total + tail * smoothing.tail + pool * smoothing.pool) / (size + tail + pool)


def smoothed(grid, count: Float[Array, "F C B"], smoothing: Smoothing) -> Float[Array, "F C B"]:
    """The density that a given smoothing makes of the counts."""
    total, _ = kernel_sums(grid, count)
    return shrunk_density(smoothing, count, total, TAIL_SOURCES, smoothing.pseudo)


def kernel_sums(grid, count: Float[Array, "F C B"]):
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


def choose_smoothing(
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
