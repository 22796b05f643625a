"""Out-of-fold and nested out-of-fold log-likelihoods.

Weights fitted to likelihoods whose densities saw the same rows rely too much on the densities. The
same holds for a penalty, a calibrator or a decision rule selected on such likelihoods. Statistics
of rows add, so leaving out any set of folds costs a subtraction and a small fit.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from xbayes.models.base import Density, DensityStatistics, Prepared
from xbayes.types import Features


class OutOfFold(NamedTuple):
    """Log-likelihoods `[N, F, C]`, meaningful for the rows with `fold >= 0`."""

    single: Float[Array, "N F C"]  # the densities of each row never saw its fold
    nested: Float[Array, "J N F C"]  # likewise, and the densities of nested[j] never saw fold j


def out_of_fold(
    density: Density,
    prepared: Prepared,
    statistics: DensityStatistics,
    features: Features,
    fold: Int[Array, "N"],
) -> OutOfFold:
    """Single and nested out-of-fold log-likelihoods, from the statistics of each fold `[J ...]`."""
    total = jax.tree.map(lambda leaf: leaf.sum(0), statistics)
    n_folds = jax.tree.leaves(statistics)[0].shape[0]

    def without(j, i):
        """Log-likelihoods of all rows by densities without folds j and i (which may be equal)."""

        def subtract(total, by_fold):
            left_out = by_fold[j] + by_fold[i] if i != j else by_fold[j]
            return jnp.maximum(total - left_out, 0.0)

        params = density.fit(prepared, jax.tree.map(subtract, total, statistics))
        return density.log_lik(params, features)

    # Python loops: a fit may take many seconds to compile, and is compiled once for all folds.
    nested = []
    for j in range(n_folds):
        log_lik = without(j, j)
        for i in range(n_folds):
            if i != j:
                log_lik = jnp.where((fold == i)[:, None, None], without(j, i), log_lik)
        nested.append(log_lik)
    nested = jnp.stack(nested)
    # In nested[j] the densities of the rows of fold j leave out this fold only.
    single = nested[jnp.maximum(fold, 0), jnp.arange(fold.shape[0])]
    return OutOfFold(single=single, nested=nested)
