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

    def step(carry):
        number, centre, _ = carry
        resp = _nearest(rows, centre) * weight[:, None]
        size = resp.sum(0)[:, None]
        new = jnp.where(size > 0, resp.T @ rows / jnp.where(size > 0, size, 1.0), centre)
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
    line, key = jax.random.split(key)
    order = _order(line, rows)
    draw = jax.vmap(lambda key: rows[_draw(key, order, weight)])
    return _nearest(rows, draw(jax.random.split(key, n_components)))


def random_centres(
    key: PRNGKeyArray, rows: Float[Array, "N F"], weight: Float[Array, "N"], n_components: int
) -> Float[Array, "N K"]:
    """Each row to the nearest of K draws from a standard normal."""
    return _nearest(rows, jax.random.normal(key, (n_components, rows.shape[1]), rows.dtype))


def _spread_centres(key, rows, weight, n_components: int) -> Float[Array, "K F"]:
    """k-means++: each next centre is drawn with the squared distance to those there are."""
    line, first, *keys = jax.random.split(key, n_components + 1)
    order = _order(line, rows)
    centre = rows[_draw(first, order, weight)]
    centres, distance = [centre], ((rows - centre) ** 2).sum(1)
    for key in keys:
        share = weight * distance
        share = jnp.where((share > 0).any(), share, weight)  # fewer distinct rows than components
        centre = rows[_draw(key, order, share)]
        centres.append(centre)
        distance = jnp.minimum(distance, ((rows - centre) ** 2).sum(1))
    return jnp.stack(centres)


def _order(key: PRNGKeyArray, rows: Float[Array, "N F"]):
    return jnp.argsort(rows @ jax.random.normal(key, (rows.shape[1],), rows.dtype))


def _draw(key: PRNGKeyArray, order, share: Float[Array, "N"]):
    """One row, with probability proportional to its share."""
    cumulative = jnp.cumsum(share[order])
    point = jax.random.uniform(key, dtype=share.dtype) * cumulative[-1]
    place = jnp.searchsorted(cumulative, point, side="right")
    # Rounding may put the point at the very end, behind the last row that has a share.
    last = jnp.searchsorted(cumulative, cumulative[-1], side="left")
    return order[jnp.minimum(place, last)]


def _nearest(rows: Float[Array, "N F"], centre: Float[Array, "K F"]) -> Float[Array, "N K"]:
    far = (centre**2).sum(1) - 2 * rows @ centre.T  # squared distance, less what all K share
    return jax.nn.one_hot(far.argmin(1), centre.shape[0], dtype=rows.dtype)
