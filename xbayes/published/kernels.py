"""Exponential-kernel densities on a grid, evaluated exactly (Tranin et al. 2022).

    h(b | c) = sum over the values x of class c of exp(-|x_b - x| / bandwidth)

at the nodes x_b of a grid, normalised over the nodes. exp(-|d|) factorises on either side of a
node, so that the sums over N values need N exponentials and a product with a [B, B] matrix.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from xbayes.models import grid as grids
from xbayes.types import Features


class TrainingRows(NamedTuple):
    """A grid, and the values that the densities are sums over."""

    grid: grids.Grid
    value: Float[Array | np.ndarray, "N F"]  # 0 where not measured
    weight: Float[Array | np.ndarray, "N F"]  # of each value; 0 where not measured
    measured: Bool[Array | np.ndarray, "N F"]
    available: Bool[Array | np.ndarray, "N F"]


class Smoothing(NamedTuple):
    """The nodes of one feature and the bandwidth of its kernel, the same in all classes."""

    origin: Float[Array, ""]
    step: Float[Array, ""]
    bandwidth: Float[Array, ""]


def training_rows(grid: grids.Grid, features: Features) -> TrainingRows:
    """All rows of the features; a fit counts those that have a class."""
    measured = np.asarray(features.measured)
    weight = np.asarray(grids.relative_weight(grid, features))
    return TrainingRows(
        grid=grid,
        value=np.where(measured, features.value, 0.0),
        weight=np.where(measured, weight, 0.0),
        measured=measured,
        available=np.asarray(features.available),
    )


def detected_share(
    rows: TrainingRows, membership: Float[Array, "N C"]
) -> tuple[Float[Array, "F C"], Float[Array, "F C"]]:
    """The share of the members of each class with a measured value, and their number."""
    available = jnp.asarray(rows.available, membership.dtype).T @ membership
    present = jnp.asarray(rows.measured, membership.dtype).T @ membership
    return present / jnp.maximum(available, 1.0), available


def rule_of_thumb(span: Float[Array, ""], n_values: Float[Array, ""]) -> Float[Array, ""]:
    """The published bandwidth, range / (5 N^0.2) for N measured values of all classes."""
    return span / (5.0 * jnp.maximum(n_values, 1.0) ** 0.2)


@partial(jax.jit, static_argnames="n_nodes")
def kernel_sums(
    smoothing: Smoothing, value: Float[Array, "N"], weight: Float[Array, "N C"], *, n_nodes: int
) -> Float[Array, "B C"]:
    """h at the nodes, not normalised: the kernel sums over the weighted values of each class."""
    origin, step, bandwidth = smoothing
    below = jnp.clip(jnp.floor((value - origin) / step), -1.0, n_nodes - 1.0)

    def decayed(node, nodes_seen):
        """Sums at the node next to each value, of the kernel over the distance to it."""
        factor = jnp.exp(-jnp.abs(value - (origin + step * node)) / bandwidth)
        at = jnp.where((node >= 0) & (node < n_nodes), node, n_nodes).astype(jnp.int32)
        total = jax.ops.segment_sum(factor[:, None] * weight, at, n_nodes + 1)[:n_nodes]
        return jnp.where(nodes_seen, kernel, 0.0) @ total

    node = jnp.arange(n_nodes)
    distance = node[:, None] - node
    kernel = jnp.exp(-jnp.abs(distance) * step / bandwidth)
    # A value acts on the nodes to its left through the node below it, to its right through the
    # node above it.
    return decayed(below, distance <= 0) + decayed(below + 1, distance >= 0)


def histogram(
    node: Int[Array, "N"], weight: Float[Array, "N C"], n_nodes: int
) -> Float[Array, "B C"]:
    """Weighted counts of each class by bin; rows with another node are left out."""
    at = jnp.where((node >= 0) & (node < n_nodes), node, n_nodes)
    return jax.ops.segment_sum(weight, at, n_nodes + 1)[:n_nodes]


def half_cosine(
    height: Float[Array, "F B C"], grid: grids.Grid, cosine: Bool[Array, "F C"]
) -> Float[Array, "F B C"]:
    """Where `cosine`, half the normalised density and half cos b, b the latitude in degrees."""
    node = jnp.arange(height.shape[1])
    latitude = jnp.asarray(grid.origin)[:, None] + jnp.asarray(grid.step)[:, None] * node
    cos_b = jnp.maximum(jnp.cos(jnp.deg2rad(latitude)), 0.0)[..., None]
    cos_b = cos_b / jnp.maximum(cos_b.sum(1, keepdims=True), 1e-9)
    return jnp.where(cosine[:, None], 0.5 * height + 0.5 * cos_b, height)


def normalised(height: Float[Array, "F B C"]) -> Float[Array, "F B C"]:
    """Heights with sum 1 over the bins; zero for a class without a value."""
    total = height.sum(1, keepdims=True)
    return jnp.where(total > 0, height / jnp.where(total > 0, total, 1.0), 0.0)
