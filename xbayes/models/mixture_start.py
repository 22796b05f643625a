"""Where EM starts: rows to components, by distance to centres chosen at random.

Every draw is made in the space of the properties, or along a sorted line through them, so that
neither the order of rows, nor rows of weight zero, nor writing a row twice instead of giving it
weight two, changes a start.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

# (key, standardised rows [N F], row weight [N], K) -> responsibilities [N K]
Start = Callable[..., Float[Array, "N K"]]

LLOYD_STEPS = 30


def k_means(
    key: PRNGKeyArray, rows: Float[Array, "N F"], weight: Float[Array, "N"], n_components: int
) -> Float[Array, "N K"]:
    """Clusters of k-means (Lloyd 1982) from k-means++ centres."""

    across = _with_ones(rows)
    heavy = weight[:, None] * across.T  # [N, F + 1]

    def step(carry):
        number, centre, _ = carry
        total = _chosen(across, centre) @ heavy  # [K, F + 1], the last column the weight
        size = total[:, -1:]
        new = jnp.where(size > 0, total[:, :-1] / jnp.where(size > 0, size, 1.0), centre)
        return number + 1, new, jnp.abs(new - centre).max()

    def unfinished(carry):
        number, _, moved = carry
        return (number < LLOYD_STEPS) & (moved > 1e-2)  # of a standard deviation: EM goes on

    centre = _spread_centres(key, rows, weight, n_components)
    first = (0, centre, jnp.asarray(jnp.inf, rows.dtype))
    return _nearest(rows, jax.lax.while_loop(unfinished, step, first)[1])


def k_means_plus_plus(
    key: PRNGKeyArray, rows: Float[Array, "N F"], weight: Float[Array, "N"], n_components: int
) -> Float[Array, "N K"]:
    """Each row to the nearest of K far-apart rows (Arthur & Vassilvitskii 2007, section 2.2)."""
    return _nearest(rows, _spread_centres(key, rows, weight, n_components))


def random_rows(
    key: PRNGKeyArray, rows: Float[Array, "N F"], weight: Float[Array, "N"], n_components: int
) -> Float[Array, "N K"]:
    """Each row to the nearest of K rows drawn by weight, with replacement."""
    line, share = _along_a_line(rows, weight)
    draw = jax.vmap(lambda key: line[_draw(key, share)])
    return _nearest(rows, draw(jax.random.split(key, n_components)))


def random_centres(
    key: PRNGKeyArray, rows: Float[Array, "N F"], weight: Float[Array, "N"], n_components: int
) -> Float[Array, "N K"]:
    """Each row to the nearest of K draws from a standard normal."""
    return _nearest(rows, jax.random.normal(key, (n_components, rows.shape[1]), rows.dtype))


def _spread_centres(key, rows, weight, n_components: int) -> Float[Array, "K F"]:
    """k-means++: each next centre is drawn with the squared distance to those there are."""
    first, *keys = jax.random.split(key, n_components)
    rows, weight = _along_a_line(rows, weight)
    centre = rows[_draw(first, weight)]
    centres, distance = [centre], ((rows - centre) ** 2).sum(1)
    for key in keys:
        share = weight * distance
        share = jnp.where((share > 0).any(), share, weight)  # fewer distinct rows than components
        centre = rows[_draw(key, share)]
        centres.append(centre)
        distance = jnp.minimum(distance, ((rows - centre) ** 2).sum(1))
    return jnp.stack(centres)


def _along_a_line(rows: Float[Array, "N F"], weight: Float[Array, "N"]):
    """Rows and weights in an order that is theirs, not that of the table.

    The line has no key, so that a loop over keys sorts once. Cosines of different integers have no
    rational relation, so rows on a grid do not share a place.
    """
    order = jnp.argsort(rows @ jnp.cos(jnp.arange(1, rows.shape[1] + 1, dtype=rows.dtype)))
    return rows[order], weight[order]


def _draw(key: PRNGKeyArray, share: Float[Array, "N"]):
    """The place of one row, with probability proportional to its share."""
    cumulative = jnp.cumsum(share)
    point = jax.random.uniform(key, dtype=share.dtype) * cumulative[-1]
    place = jnp.searchsorted(cumulative, point, side="right")
    # Rounding may put the point at the very end, behind the last row that has a share.
    return jnp.minimum(place, jnp.searchsorted(cumulative, cumulative[-1], side="left"))


def _nearest(rows: Float[Array, "N F"], centre: Float[Array, "K F"]) -> Float[Array, "N K"]:
    return _chosen(_with_ones(rows), centre).T


def _with_ones(rows: Float[Array, "N F"]):
    """Rows last, and a row of ones: the long axis is contiguous."""
    return jnp.concatenate([rows.T, jnp.ones((1, rows.shape[0]), rows.dtype)])


def _chosen(across: Float[Array, "F1 N"], centre: Float[Array, "K F"]) -> Float[Array, "K N"]:
    """One at the nearest centre of each row (the first of equals), zero elsewhere."""
    half = (centre**2).sum(1, keepdims=True) / 2
    near = jnp.concatenate([centre, -half], 1) @ across  # less half of what all K share
    return jax.nn.one_hot(near.argmax(0), centre.shape[0], dtype=centre.dtype, axis=0)
