"""Draws of the class densities, their sources weighted at random.

Each draw weighs every group of sources by an independent Exp(1), which makes the shares of the
sources of a class Dirichlet(1, ..., 1): a Bayesian bootstrap (Rubin 1981, Ann. Statist. 9, 130).
All properties see the same weights, so what one source says too loudly is said too loudly
everywhere. What a prior adds to that the density draws itself (`Density.draw`).
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from xbayes.models.base import Density
from xbayes.types import Features


class DensityDraw(NamedTuple):
    """One draw: of the densities of all training rows, and of the out-of-fold log-likelihoods."""

    params: Any
    log_lik: Float[Array, "N F C"]  # of each row, its own fold left out


def draw_densities(
    density: Density,
    key: PRNGKeyArray,
    grid: Any,
    features: Features,
    class_index: Int[Array, "N"],
    fold: Int[Array, "N"],
    group: Int[np.ndarray, "N"],
    n_folds: int,
    n_draws: int,
) -> Iterator[DensityDraw]:
    """`n_draws` draws; rows of negative class or fold change nothing."""
    if density.smooth is None or density.draw is None:
        raise ValueError("draw_densities needs a density that can be drawn")
    rows = (features, class_index, fold)
    smoothing = _smoothing(density, n_folds, grid, *rows)
    _, member = np.unique(np.asarray(group), return_inverse=True)
    for each in jax.random.split(key, n_draws):
        yield _drawn(density, n_folds, each, grid, smoothing, *rows, jnp.asarray(member))


@partial(jax.jit, static_argnums=(0, 1))
def _smoothing(density: Density, n_folds: int, grid, features, class_index, fold):
    """Of all rows, and without each fold, along a first axis [1 + J]."""
    assert density.smooth is not None
    counts = density.count(grid, features, class_index, fold, n_folds)
    return jax.lax.map(partial(density.smooth, grid), _sets(counts))


@partial(jax.jit, static_argnums=(0, 1))
def _drawn(
    density: Density, n_folds: int, key, grid, smoothing, features, class_index, fold, member
) -> DensityDraw:
    assert density.draw is not None
    draw = density.draw
    weight_key, broad_key = jax.random.split(key)
    weight = jax.random.exponential(weight_key, fold.shape, features.value.dtype)[member]
    counts = density.count(grid, features, class_index, fold, n_folds, weight)
    # One key for all: folds share what pseudo-sources count for.
    params = jax.lax.map(lambda each: draw(broad_key, grid, *each), (smoothing, _sets(counts)))

    def add_fold(j, found):
        without = jax.tree.map(lambda leaf: leaf[1 + j], params)
        return jnp.where((fold == j)[:, None, None], density.log_lik(without, features), found)

    whole = jax.tree.map(lambda leaf: leaf[0], params)
    empty = jnp.zeros_like(density.log_lik(whole, features))
    return DensityDraw(whole, jax.lax.fori_loop(0, n_folds, add_fold, empty))


def _sets(counts):
    """Counts of all folds and without each, [1 + J ...] from those of each fold."""

    def sets(each):
        total = each.sum(0)[None]
        return jnp.concatenate([total, jnp.maximum(total - each, 0.0)])

    return jax.tree.map(sets, counts)
