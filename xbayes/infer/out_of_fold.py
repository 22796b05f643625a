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
            both = each[j] + each[i] if i != j else each[j]
            return jnp.maximum(all_ - both, 0.0)

        return density.log_lik(density.fit(grid, jax.tree.map(minus, total, counts)), features)

    # Loops of Python: a fit may take many seconds to compile, and compiles once for all of them.
    nested = []
    for j in range(n_folds):
        found = without(j, j)
        for i in range(n_folds):
            if i != j:
                found = jnp.where((fold == i)[:, None, None], without(j, i), found)
        nested.append(found)
    nested = jnp.stack(nested)
    own = jnp.maximum(fold, 0)
    # Fold j seen from outside j is row by row single.
    single = nested[own, jnp.arange(fold.shape[0])]
    return OutOfFold(single, nested)
