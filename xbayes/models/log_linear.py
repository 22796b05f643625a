"""Densities on uniform grids: log-linear between the nodes, with exponential tails beyond them.

One array holds K such densities for C classes, so one jitted lookup serves all.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from xbayes.models.grid import node_of

FARTHEST = 1e5  # nodes beyond the grid; keeps log densities of far values finite in float32


class LogLinear(NamedTuple):
    """K densities of each class; normalised over the line, tails included."""

    origin: Float[Array, "K"]
    step: Float[Array, "K"]
    log_density: Float[Array, "K B C"]  # of value / step, at the nodes; linear between them
    fall: Float[Array, "K C 2"]  # decrease of log density per node beyond the first, the last node


def normalised(
    limited: Bool[Array, "K 2"], log_density: Float[Array, "K C B"]
) -> tuple[Float[Array, "K C B"], Float[Array, "K C 2"]]:
    """Densities normalised over the whole line, and the slopes of their exponential tails.

    The tails continue the last slope of the mean over classes, so that their ratio is constant, but
    fall by at least one e-fold per grid length. A natural limit has no mass beyond it; there the
    steepest tail keeps the log density of a value finite.
    """
    n_nodes, mean = log_density.shape[-1], log_density.mean(1)
    slope = jnp.stack([mean[:, 1] - mean[:, 0], mean[:, -2] - mean[:, -1]], -1)
    fall = jnp.where(limited, 1.0, jnp.clip(slope, 1.0 / (n_nodes - 1), 1.0))  # [K, 2]
    fall = jnp.broadcast_to(fall[:, None], (*log_density.shape[:2], 2))
    density = jnp.exp(log_density)
    segment = _segment_mass(density[..., :-1], jnp.diff(log_density, axis=-1))
    mass = segment.sum(-1) + _tail_mass(density, fall, limited).sum(-1)
    return log_density - jnp.log(mass)[..., None], fall


def position_of(
    curves: LogLinear, chosen: Int[Array, "*R E"], value: Float[Array, "N E"]
) -> Float[Array, "N E"]:
    """Positions of values on the grids of the chosen densities, in nodes."""
    position = (value - curves.origin[chosen]) / curves.step[chosen]
    return jnp.clip(position, -FARTHEST, FARTHEST)


def log_height(
    curves: LogLinear, chosen: Int[Array, "*R E"], value: Float[Array, "N E"]
) -> Float[Array, "N E C"]:
    """Log density of each value under the chosen density, for each class."""
    _, n_nodes, n_classes = curves.log_density.shape
    node, share = node_of(curves.origin[chosen], curves.step[chosen], value, n_nodes)
    # Values and slopes of all classes are stored together: one lookup per value.
    low, high = curves.log_density[:, :-1], curves.log_density[:, 1:]
    table = jnp.concatenate([low, high - low], -1).reshape(-1, 2 * n_classes)
    line = table[node + (n_nodes - 1) * chosen]  # [N, E, 2 C]
    inside = line[..., :n_classes] + share[..., None] * line[..., n_classes:]
    position, fall = position_of(curves, chosen, value), curves.fall[chosen]
    below = jnp.maximum(-position, 0.0)[..., None]
    above = jnp.maximum(position - (n_nodes - 1), 0.0)[..., None]
    return inside - fall[..., 0] * below - fall[..., 1] * above


def share_below(
    curves: LogLinear,
    limited: Bool[Array, "K 2"],
    chosen: Int[Array, "*R E"],
    value: Float[Array, "N E"],
) -> Float[Array, "N E C"]:
    """Share of each class below the value, under the chosen density."""
    log_density = curves.log_density.transpose(0, 2, 1)  # [K, C, B]
    density, change = jnp.exp(log_density), jnp.diff(log_density, axis=-1)
    segment = _segment_mass(density[..., :-1], change)
    tail = _tail_mass(density, curves.fall, limited)  # [K, C, 2]
    before = jnp.cumsum(segment, -1) - segment + tail[..., :1]  # mass below each segment
    n_nodes = log_density.shape[-1]
    node, share = node_of(curves.origin[chosen], curves.step[chosen], value, n_nodes)
    # The index of the class is a slice, so the classes are last.
    at, share = (chosen, slice(None), node), share[..., None]
    inside = before[at] + _segment_mass(density[at], change[at], share)
    position = position_of(curves, chosen, value)[..., None]
    fall, ends = curves.fall[chosen], tail[chosen]
    first = ends[..., 0] * jnp.exp(fall[..., 0] * jnp.minimum(position, 0.0))
    last = ends[..., 1] * jnp.exp(fall[..., 1] * jnp.minimum(n_nodes - 1 - position, 0.0))
    total = (segment.sum(-1) + tail.sum(-1))[chosen]
    below = jnp.where(position < 0, first, jnp.where(share < 1, inside, total - last))
    return jnp.clip(below / total, 0.0, 1.0)


def _segment_mass(low: Array, change: Array, share: Array | float = 1.0) -> Array:
    """The exact integral of a log-linear density from a node over a share of its segment."""
    step = change * share
    flat = jnp.abs(step) < 1e-4
    return low * share * jnp.where(flat, 1 + step / 2, jnp.expm1(step) / jnp.where(flat, 1.0, step))


def _tail_mass(
    density: Float[Array, "K C B"], fall: Float[Array, "K C 2"], limited: Bool[Array, "K 2"]
) -> Float[Array, "K C 2"]:
    """Mass below the first node and above the last; zero beyond a natural limit."""
    return jnp.where(limited[:, None, :], 0.0, density[..., jnp.array([0, -1])] / fall)
