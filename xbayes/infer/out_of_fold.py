"""Log-likelihoods of rows that the densities never saw, once and nested.

Weights fitted on likelihoods whose densities saw the same rows would trust the densities too much;
so would a penalty, a calibrator or a decision rule chosen on them. Counts on a grid add up, so
every set of folds left out costs a subtraction and a small fit.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from xbayes.models.base import Density
from xbayes.types import Features


class OutOfFold(NamedTuple):
    """Log-likelihoods `[N, F, C]`, meaningful for the rows with `fold >= 0`."""

    single: Float[Array, "N F C"]  # each row by the densities without its own fold
    nested: Float[Array, "J N F C"]  # likewise, and fold j nowhere in the densities of any row


def out_of_fold(
    density: Density, grid: Any, counts: Any, features: Features, fold: Int[Array, "N"]
) -> OutOfFold:
    """Single and nested out-of-fold log-likelihoods from the counts of each fold `[J ...]`."""
    total = jax.tree.map(lambda c: c.sum(0), counts)
    n_folds = jax.tree.leaves(counts)[0].shape[0]

    def without(j, i):
        """Log-likelihoods of all rows by densities without folds j and i, which may be one."""

        def minus(all_, each):
            return jnp.maximum(all_ - each[j] - jnp.where(i == j, 0.0, each[i]), 0.0)

        return density.log_lik(density.fit(grid, jax.tree.map(minus, total, counts)), features)

    def outside(j):
        """Densities without fold j; rows of another fold i by those without i as well."""

        def and_without(step, nested):
            i = (j + step) % n_folds  # from j itself, whose densities are of all rows at first
            mine = (step == 0) | (fold == i)
            return jnp.where(mine[:, None, None], without(j, i), nested)

        # One program for all pairs of folds: a fit may take seconds to compile.
        return jax.lax.fori_loop(0, n_folds, and_without, empty)

    found = jax.eval_shape(without, 0, 0)
    empty = jnp.zeros(found.shape, found.dtype)
    nested = jax.lax.map(outside, jnp.arange(n_folds))
    own = jnp.maximum(fold, 0)
    single = nested[
        own, jnp.arange(fold.shape[0])
    ]  # fold j seen from outside j is row by row single
    return OutOfFold(single, nested)
