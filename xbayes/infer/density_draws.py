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

SLOTS = 128  # the padded sizes of folds are multiples, so that outer folds share compilations


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
    slots = jnp.asarray(_rows_by_fold(np.asarray(fold), n_folds))
    for draw_key in jax.random.split(key, n_draws):
        yield _drawn(
            density,
            draw_key,
            prepared=prepared,
            smoothing=smoothing,
            features=features,
            class_index=class_index,
            fold=fold,
            member=member,
            slots=slots,
        )


def _rows_by_fold(fold: Int[np.ndarray, "N"], n_folds: int) -> Int[np.ndarray, "J M"]:
    """The rows of each fold, filled up with N, which is no row."""
    rows = [np.flatnonzero(fold == j) for j in range(n_folds)]
    size = -(-max(map(len, rows)) // SLOTS) * SLOTS
    return np.stack([np.pad(r, (0, size - len(r)), constant_values=len(fold)) for r in rows])


@partial(jax.jit, static_argnums=(0, 1))
def _smoothing(density: Density, n_folds: int, prepared, features, class_index, fold):
    """The smoothing of all rows, and without each fold, along a first axis [1 + J]."""
    assert density.prepare_sampling is not None
    statistics = density.statistics(prepared, features, class_index, fold, n_folds)
    return jax.lax.map(partial(density.prepare_sampling, prepared), _leaving_out(statistics))


@partial(jax.jit, static_argnums=0)
def _drawn(
    density: Density, key, *, prepared, smoothing, features, class_index, fold, member, slots
) -> DensityDraw:
    assert density.sample is not None
    sample, n_folds = density.sample, len(slots)
    weight_key, sample_key = jax.random.split(key)
    weight = jax.random.exponential(weight_key, fold.shape, features.value.dtype)[member]
    statistics = density.statistics(prepared, features, class_index, fold, n_folds, weight)
    # One key for all: every fold gets the same random prior.
    params = jax.lax.map(
        lambda part: sample(sample_key, prepared, part[0], part[1]),
        (smoothing, _leaving_out(statistics)),
    )

    def of_fold(part):
        without, rows = part
        own = jax.tree.map(lambda leaf: jnp.take(leaf, rows, axis=0, mode="clip"), features)
        return density.log_lik(without, own)

    # Each row is evaluated once, by the densities without its fold.
    own_fold = jax.lax.map(of_fold, (jax.tree.map(lambda leaf: leaf[1:], params), slots))
    log_lik = jnp.zeros((len(fold), *own_fold.shape[2:]), own_fold.dtype)
    log_lik = log_lik.at[slots.ravel()].set(own_fold.reshape(-1, *own_fold.shape[2:]), mode="drop")
    return DensityDraw(params=jax.tree.map(lambda leaf: leaf[0], params), log_lik=log_lik)


def _leaving_out(statistics):
    """Statistics [1 + J ...] of all folds and without each, from those of each fold [J ...]."""

    def subtract(leaf):
        total = leaf.sum(0)[None]
        return jnp.concatenate([total, jnp.maximum(total - leaf, 0.0)])

    return jax.tree.map(subtract, statistics)
