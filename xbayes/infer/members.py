"""The counts of densities that are fitted on rows rather than on what lies on a grid."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def count_members(n_classes: int) -> Callable[..., Float[Array, "J N C"]]:
    """`Density.count` where the counts of a fold are its rows, each with its class.

    Sets of rows add and subtract as counts on a grid do.
    """

    def count(grid, features, class_index, fold, n_folds, row_weight=None):
        del grid, features
        mine = (fold[None] == jnp.arange(n_folds)[:, None]) & (class_index >= 0)
        member = jax.nn.one_hot(class_index, n_classes)
        return mine[..., None] * (member if row_weight is None else member * row_weight[:, None])

    return count
