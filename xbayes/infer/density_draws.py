"""Posterior samples of the class densities, from randomly weighted sources.

Each sample gives every group of sources an independent weight from Exp(1), so that the shares of
the sources of a class are Dirichlet(1, ..., 1): the Bayesian bootstrap (Rubin 1981, Ann. Stat. 9,
130). All features see the same weights, so that their errors from one source are correlated. The
uncertainty of the prior is added by the density itself (`Density.sample`).
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from xbayes.models.base import Density, Params, Prepared
from xbayes.types import Features


class DensityDraw(NamedTuple):
    """One sample of the densities of all training rows, and its out-of-fold log-likelihoods."""

    params: Params
    log_lik: Float[Array, "N F C"]  # of each row, its own fold left out


def draw_densities(
    density: Density,
    key: PRNGKeyArray,
    prepared: Prepared,
    features: Features,
    class_index: Int[Array, "N"],
    fold: Int[Array, "N"],
    *,
    group: Int[np.ndarray, "N"],
    n_folds: int,
    n_draws: int,
) -> Iterator[DensityDraw]:
    """`n_draws` posterior samples; rows of negative class or fold change nothing.

    Rows of one `group` share their random weight.

    Raises
    ------
    ValueError
        The density has no `prepare_sampling` and `sample`.
    """
    if density.prepare_sampling is None or density.sample is None:
        raise ValueError(
            "the density has no posterior samples; use one with prepare_sampling and sample"
        )
    smoothing = _smoothing(density, n_folds, prepared, features, class_index, fold)
    member = jnp.asarray(np.unique(np.asarray(group), return_inverse=True)[1])
    for draw_key in jax.random.split(key, n_draws):
        yield _drawn(
            density, n_folds, draw_key, prepared, smoothing, features, class_index, fold, member
        )


@partial(jax.jit, static_argnums=(0, 1))
def _smoothing(density: Density, n_folds: int, prepared, features, class_index, fold):
    """The smoothing of all rows, and without each fold, along a first axis [1 + J]."""
    assert density.prepare_sampling is not None
    statistics = density.statistics(prepared, features, class_index, fold, n_folds)
    return jax.lax.map(partial(density.prepare_sampling, prepared), _leaving_out(statistics))


@partial(jax.jit, static_argnums=(0, 1))
def _drawn(
    density: Density, n_folds: int, key, prepared, smoothing, features, class_index, fold, member
) -> DensityDraw:
    assert density.sample is not None
    sample = density.sample
    weight_key, sample_key = jax.random.split(key)
    weight = jax.random.exponential(weight_key, fold.shape, features.value.dtype)[member]
    statistics = density.statistics(prepared, features, class_index, fold, n_folds, weight)
    # One key for all: every fold gets the same random prior.
    params = jax.lax.map(
        lambda part: sample(sample_key, prepared, part[0], part[1]),
        (smoothing, _leaving_out(statistics)),
    )

    def add_fold(j, log_lik):
        without = jax.tree.map(lambda leaf: leaf[1 + j], params)
        return jnp.where((fold == j)[:, None, None], density.log_lik(without, features), log_lik)

    whole = jax.tree.map(lambda leaf: leaf[0], params)
    zero = jnp.zeros_like(density.log_lik(whole, features))
    return DensityDraw(params=whole, log_lik=jax.lax.fori_loop(0, n_folds, add_fold, zero))


def _leaving_out(statistics):
    """Statistics [1 + J ...] of all folds and without each, from those of each fold [J ...]."""

    def subtract(leaf):
        total = leaf.sum(0)[None]
        return jnp.concatenate([total, jnp.maximum(total - leaf, 0.0)])

    return jax.tree.map(subtract, statistics)
