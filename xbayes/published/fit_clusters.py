"""Scale, cluster, label: the published recipe as a `Density`, learned on the rows it is given."""

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from xbayes.infer.em import fit_em, random_starts
from xbayes.infer.fit_clusters import count_members
from xbayes.models.base import Density
from xbayes.models.cluster_label import whitening
from xbayes.models.gaussian_mixture import gaussian_mixture
from xbayes.published.clusters import (
    MIDDLE,
    PublishedClusterParams,
    class_moments,
    curves,
    hard_cluster,
    log_terms,
    scaled,
    share_below,
)
from xbayes.types import Features

REGULARISER = 1e-6  # scikit-learn's default
SEED = 1  # of the starts of EM


class PublishedGrid(NamedTuple):
    """Scaler and clusters, and the rows in them."""

    params: PublishedClusterParams  # the classes not yet known
    x: Float[Array, "N F"]  # scaled
    cluster: Float[Array, "N K"]  # 1 for the cluster of each row


@lru_cache(maxsize=64)  # equal arguments give the same object, so that jit compiles once
def published_cluster_density(
    rescale: tuple[str, ...], n_classes: int, components: int, starts: int, everything: bool
) -> Density:
    """The recipe; `everything`: scaler and clusters see the test rows too, as the authors did."""

    def lay_grid(features, training):
        rows = np.ones_like(training) if everything else training
        return _lay_grid(features, rows, rescale, n_classes, components, starts)

    def apply(function, params, f):
        return function(params, jnp.asarray(f.value), jnp.asarray(f.measured))

    return Density(
        lay_grid,
        count_members(n_classes),
        jax.jit(_fit),
        jax.jit(partial(apply, log_terms)),
        jax.jit(partial(apply, share_below)),
        lambda params: tuple(map(np.asarray, curves(params))),
    )


def published_rows(features: Features, rows: np.ndarray, rescale: tuple[str, ...]):
    """The scaler (log offset, shift, scale) learned on `rows`, and all rows scaled by it."""
    value, observed = np.asarray(features.value), np.asarray(features.measured)
    n_features = value.shape[1]
    offset, shift, scale = -np.ones(n_features), np.zeros(n_features), np.ones(n_features)
    for f, how in enumerate(rescale):
        seen = value[rows & observed[:, f], f]
        if how == "log_minmax" and (seen > 0).any():
            offset[f] = seen[seen > 0].min() / 10
            seen = np.log(np.maximum(seen + offset[f], 1e-300))
        if how != "none" and seen.size:
            shift[f], scale[f] = seen.min(), np.ptp(seen) or 1.0
    scaler = tuple(map(jnp.asarray, (offset, shift, scale)))
    x = scaled(scaler[0], scaler[1], scaler[2], jnp.asarray(value))
    return scaler, jnp.where(jnp.asarray(observed), x, MIDDLE)


def _lay_grid(features: Features, rows, rescale, n_classes: int, components: int, starts: int):
    scaler, x = published_rows(features, rows, rescale)
    model = gaussian_mixture(components, reg_covar=REGULARISER)
    weight = jnp.asarray(rows, x.dtype)
    begin = random_starts(model, jax.random.key(SEED), x, weight, starts)
    found, _ = fit_em(model, begin, x, weight)
    shape = (components, n_classes, x.shape[1])
    params = PublishedClusterParams(
        log_offset=scaler[0],
        shift=scaler[1],
        scale=scaler[2],
        log_weight=found.log_weight,
        cluster_mean=found.mean,
        cluster_whiten=whitening(found.covariance),
        mean=jnp.zeros(shape, x.dtype),
        whiten=jnp.zeros((*shape, x.shape[1]), x.dtype),
        known=jnp.zeros((components, n_classes), bool),
    )
    return PublishedGrid(params, x, jax.nn.one_hot(hard_cluster(params, x), components))


def _fit(grid: PublishedGrid, membership: Float[Array, "N C"]) -> PublishedClusterParams:
    mean, whiten, known = class_moments(grid.x, grid.cluster, membership)
    return grid.params._replace(mean=mean, whiten=whiten, known=known)
