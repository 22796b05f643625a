"""Scale, cluster and label as published (Perez-Diaz et al. 2024, arXiv 2401.12203)."""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from xbayes.infer.em import fit_em, random_starts
from xbayes.infer.fit_clusters import membership_statistics
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

REGULARISER = 1e-6  # added to the variances of the clusters; scikit-learn's default
SEED = 1  # of the random starts of EM


class PreparedPublished(NamedTuple):
    """Scaling and clusters, and the cluster of each row."""

    params: PublishedClusterParams  # without the classes
    x: Float[Array, "N F"]  # scaled
    cluster: Float[Array, "N K"]  # one-hot


@lru_cache(maxsize=64)  # equal arguments give the same object, so that jit compiles once
def published_cluster_density(
    rescale: tuple[str, ...], n_classes: int, components: int, starts: int, everything: bool
) -> Density:
    """The published cluster-then-label method.

    Parameters
    ----------
    rescale : scaling of each feature: none, minmax or log_minmax.
    n_classes, components : numbers of classes and clusters.
    starts : random starts of EM.
    everything : whether scaling and clusters are learned from all rows, test rows included, as
        published.
    """

    def prepare(features, training):
        rows = np.ones_like(training) if everything else training
        return _prepare(features, rows, rescale, n_classes, components, starts)

    def log_lik(params, features):
        return log_terms(params, jnp.asarray(features.value), jnp.asarray(features.measured))

    return Density(
        prepare=prepare,
        statistics=membership_statistics(n_classes),
        fit=jax.jit(_fit),
        log_lik=jax.jit(log_lik),
        share_below=jax.jit(share_below),
        curves=curves,
    )


def published_rows(
    features: Features, rows: Bool[np.ndarray, "N"], rescale: tuple[str, ...]
) -> tuple[tuple[Float[Array, "F"], Float[Array, "F"], Float[Array, "F"]], Float[Array, "N F"]]:
    """The scaling (log offset, shift, scale) learned from `rows`, and all rows scaled by it."""
    value, measured = np.asarray(features.value), np.asarray(features.measured)
    n_features = value.shape[1]
    offset, shift, scale = -np.ones(n_features), np.zeros(n_features), np.ones(n_features)
    for f, scaling in enumerate(rescale):
        values = value[rows & measured[:, f], f]
        if scaling == "log_minmax" and (values > 0).any():
            offset[f] = values[values > 0].min() / 10
            values = np.log(np.maximum(values + offset[f], 1e-300))
        if scaling != "none" and values.size:
            shift[f], scale[f] = values.min(), np.ptp(values) or 1.0
    log_offset, shift, scale = jnp.asarray(offset), jnp.asarray(shift), jnp.asarray(scale)
    x = scaled(log_offset, shift, scale, jnp.asarray(value))
    return (log_offset, shift, scale), jnp.where(jnp.asarray(measured), x, MIDDLE)


def _prepare(
    features: Features, rows, rescale: tuple[str, ...], n_classes: int, components: int, starts: int
) -> PreparedPublished:
    (log_offset, shift, scale), x = published_rows(features, rows, rescale)
    model = gaussian_mixture(components, reg_covar=REGULARISER)
    weight = jnp.asarray(rows, x.dtype)
    start = random_starts(model, jax.random.key(SEED), x, weight, starts)
    clusters, _ = fit_em(model, start, x, weight)
    shape = (components, n_classes, x.shape[1])
    params = PublishedClusterParams(
        log_offset=log_offset,
        shift=shift,
        scale=scale,
        log_weight=clusters.log_weight,
        cluster_mean=clusters.mean,
        cluster_whiten=whitening(clusters.covariance),
        mean=jnp.zeros(shape, x.dtype),
        whiten=jnp.zeros((*shape, x.shape[1]), x.dtype),
        known=jnp.zeros((components, n_classes), bool),
    )
    cluster = jax.nn.one_hot(hard_cluster(params, x), components)
    return PreparedPublished(params=params, x=x, cluster=cluster)


def _fit(prepared: PreparedPublished, membership: Float[Array, "N C"]) -> PublishedClusterParams:
    mean, whiten, known = class_moments(prepared.x, prepared.cluster, membership)
    return prepared.params._replace(mean=mean, whiten=whiten, known=known)
