"""Random starts of EM: each row belongs to the nearest of several random centres.

Centres are sampled in feature space, or along a sorted line through it. So a start depends neither
on the order of the rows, nor on rows of weight zero, nor on whether a row of weight two is written
once or twice.
"""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

LLOYD_STEPS = 30


@runtime_checkable
class Start(Protocol):
    """Initial responsibilities of standardised rows."""

    def __call__(  # noqa: D102
        self,
        key: PRNGKeyArray,
        rows: Float[Array, "N F"],
        weight: Float[Array, "N"],
        n_components: int,
    ) -> Float[Array, "N K"]: ...


def k_means(
    key: PRNGKeyArray, rows: Float[Array, "N F"], weight: Float[Array, "N"], n_components: int
) -> Float[Array, "N K"]:
    """Clusters of k-means (Lloyd 1982) from k-means++ centres."""
    across = _with_ones(rows)
    weighted = weight[:, None] * across.T  # [N, F + 1]

    def step(carry):
        number, centre, _ = carry
        total = _chosen(across, centre) @ weighted  # [K, F + 1], the last column the weight
        size = total[:, -1:]
        new = jnp.where(size > 0, total[:, :-1] / jnp.where(size > 0, size, 1.0), centre)
        return number + 1, new, jnp.abs(new - centre).max()

    def unfinished(carry):
        number, _, moved = carry
        return (number < LLOYD_STEPS) & (moved > 1e-2)  # standard deviations; EM does the rest

    centre = _spread_centres(key, rows, weight, n_components)
    first = (0, centre, jnp.asarray(jnp.inf, rows.dtype))
    return _nearest(rows, jax.lax.while_loop(unfinished, step, first)[1])


def k_means_plus_plus(
    key: PRNGKeyArray, rows: Float[Array, "N F"], weight: Float[Array, "N"], n_components: int
) -> Float[Array, "N K"]:
    """The nearest of K distant rows (Arthur & Vassilvitskii 2007, section 2.2)."""
    return _nearest(rows, _spread_centres(key, rows, weight, n_components))


def random_rows(
    key: PRNGKeyArray, rows: Float[Array, "N F"], weight: Float[Array, "N"], n_components: int
) -> Float[Array, "N K"]:
    """The nearest of K rows sampled by weight, with replacement."""
    line, share = _along_a_line(rows, weight)
    index = jax.vmap(lambda key: _sampled_index(key, share))(jax.random.split(key, n_components))
    return _nearest(rows, line[index])


def random_centres(
    key: PRNGKeyArray, rows: Float[Array, "N F"], weight: Float[Array, "N"], n_components: int
) -> Float[Array, "N K"]:
    """The nearest of K samples of a standard normal distribution."""
    return _nearest(rows, jax.random.normal(key, (n_components, rows.shape[1]), rows.dtype))


def _spread_centres(key, rows, weight, n_components: int) -> Float[Array, "K F"]:
    """k-means++: each centre is sampled by squared distance to the nearest earlier one."""
    first, *keys = jax.random.split(key, n_components)
    rows, weight = _along_a_line(rows, weight)
    centre = rows[_sampled_index(first, weight)]
    centres, distance = [centre], ((rows - centre) ** 2).sum(1)
    for key in keys:
        share = weight * distance
        share = jnp.where((share > 0).any(), share, weight)  # fewer distinct rows than components
        centre = rows[_sampled_index(key, share)]
        centres.append(centre)
        distance = jnp.minimum(distance, ((rows - centre) ** 2).sum(1))
    return jnp.stack(centres)


def _along_a_line(rows: Float[Array, "N F"], weight: Float[Array, "N"]):
    """Rows and weights sorted along a line, which does not depend on their order in the table.

    The line is fixed, so a loop over keys sorts once. Its direction is the cosines of integers,
    which have no rational relation, so rows on a grid have distinct positions.
    """
    order = jnp.argsort(rows @ jnp.cos(jnp.arange(1, rows.shape[1] + 1, dtype=rows.dtype)))
    return rows[order], weight[order]


def _sampled_index(key: PRNGKeyArray, share: Float[Array, "N"]) -> Int[Array, ""]:
    """The index of a row, sampled with probability proportional to its share."""
    cumulative = jnp.cumsum(share)
    point = jax.random.uniform(key, dtype=share.dtype) * cumulative[-1]
    index = jnp.searchsorted(cumulative, point, side="right")
    # Rounding may put the point at the very end, after the last row with a positive share.
    return jnp.minimum(index, jnp.searchsorted(cumulative, cumulative[-1], side="left"))


def _nearest(rows: Float[Array, "N F"], centre: Float[Array, "K F"]) -> Float[Array, "N K"]:
    return _chosen(_with_ones(rows), centre).T


def _with_ones(rows: Float[Array, "N F"]):
    """The transposed rows with a row of ones appended; the long axis is contiguous."""
    return jnp.concatenate([rows.T, jnp.ones((1, rows.shape[0]), rows.dtype)])


def _chosen(across: Float[Array, "F1 N"], centre: Float[Array, "K F"]) -> Float[Array, "K N"]:
    """One-hot nearest centre of each row (the first of equals)."""
    half = (centre**2).sum(1, keepdims=True) / 2
    near = (
        jnp.concatenate([centre, -half], 1) @ across
    )  # minus half the squared distance, up to a constant
    return jax.nn.one_hot(near.argmax(0), centre.shape[0], dtype=centre.dtype, axis=0)
