"""What the densities of single features share: a uniform grid per feature, counts and a lookup.

The grids of all features have the same number of nodes, so one array holds all densities and one
jitted lookup serves them.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from xbayes.models.base import Params
from xbayes.types import Features

MAX_DISCRETE = 10  # fewer distinct values than this: a histogram, no smoothing (Tranin et al. 2022)


class Grid(NamedTuple):
    """The B nodes of each feature: value = origin + step * node."""

    origin: Float[np.ndarray | Array, "F"]
    step: Float[np.ndarray | Array, "F"]
    reflect: Bool[np.ndarray | Array, "F 2"]  # a natural limit at the first, the last node
    discrete: Bool[np.ndarray | Array, "F"]
    evidence: Bool[np.ndarray | Array, "F"]  # whether a non-detection is evidence
    weight_scale: Float[np.ndarray | Array, "F"]  # median inverse error of the training rows
    usual_error: Float[np.ndarray | Array, "F"]  # their median known error on the scale; 0 if none


class Counts(NamedTuple):
    """Sufficient statistics of the densities: sums over sources, so folds can be subtracted."""

    value: Float[Array, "*J F C B"]  # linear binning: a value is shared by its two nodes
    present: Float[Array, "*J F C"]  # measured sources
    available: Float[Array, "*J F C"]  # measured or not detected


def lay_grid(
    features: Features,
    training: Bool[np.ndarray, "N"],
    bounds: Float[np.ndarray, "F 2"],
    evidence: Bool[np.ndarray, "F"],
    n_nodes: int,
    margin: float,
) -> Grid:
    """A grid over the training values of each feature, widened by `margin` of their range.

    `bounds` are natural limits after scaling, NaN where there is none. A grid ends at them.
    """
    n_features = features.value.shape[1]
    low, high = np.zeros(n_features), np.ones(n_features)
    discrete, weight_scale = np.zeros(n_features, bool), np.ones(n_features)
    usual_error = np.zeros(n_features)
    for f in range(n_features):
        rows = training & np.asarray(features.measured[:, f])
        values = np.asarray(features.value)[rows, f]
        if values.size:
            low[f], high[f] = values.min(), values.max()
            discrete[f] = np.unique(values).size < MAX_DISCRETE
            known = np.asarray(features.weight)[rows, f]
            weight_scale[f] = np.median(known[known > 0]) if (known > 0).any() else 1.0
            errors = np.asarray(features.error)[rows, f]
            usual_error[f] = (
                np.median(errors[np.isfinite(errors)]) if np.isfinite(errors).any() else 0.0
            )
    span = np.where(high > low, high - low, 1.0)
    low, high = low - margin * span, np.where(high > low, high, low + span) + margin * span
    limited = np.isfinite(bounds)
    low = np.where(limited[:, 0], bounds[:, 0], low)
    high = np.where(limited[:, 1], bounds[:, 1], high)
    return Grid(
        origin=low,
        step=(high - low) / (n_nodes - 1),
        reflect=limited,
        discrete=discrete,
        evidence=np.asarray(evidence),
        weight_scale=weight_scale,
        usual_error=usual_error,
    )


@partial(jax.jit, static_argnames=("n_classes", "n_folds", "n_nodes"))
def count(
    prepared: Grid,
    features: Features,
    class_index: Int[Array, "N"],
    fold: Int[Array, "N"],
    n_folds: int,
    row_weight: Float[Array, "N"] | None = None,
    *,
    n_classes: int,
    n_nodes: int,
) -> Counts:
    """Counts of the labelled rows of each fold; rows with a negative class or fold are ignored."""
    counted = (class_index >= 0) & (fold >= 0)
    segment = jnp.where(counted, fold * n_classes + class_index, n_folds * n_classes)
    one_hot = jax.nn.one_hot(segment, n_folds * n_classes, dtype=features.value.dtype)  # [N, J C]
    row_weight = jnp.ones_like(one_hot[:, 0]) if row_weight is None else row_weight
    one_hot = one_hot * row_weight[:, None]

    def tally(present):
        total = jnp.einsum("nf,ns->sf", present.astype(one_hot.dtype), one_hot)
        return total.reshape(n_folds, n_classes, -1).transpose(0, 2, 1)  # [J, F, C]

    node, share = node_of(
        jnp.asarray(prepared.origin), jnp.asarray(prepared.step), measured_value(features), n_nodes
    )
    weight = relative_weight(prepared, features) * features.measured * row_weight[:, None]
    size = n_folds * n_classes * n_nodes

    def histogram(node, share, weight):  # of one feature
        at = segment * n_nodes + node
        low = jnp.zeros(size).at[at].add(weight * (1 - share), mode="drop")
        return low.at[at + 1].add(weight * share, mode="drop")

    value = jax.vmap(histogram, in_axes=1)(node, share, weight)  # [F, J C B]
    value = value.reshape(-1, n_folds, n_classes, n_nodes).transpose(1, 0, 2, 3)
    return Counts(
        value=value, present=tally(features.measured), available=tally(features.available)
    )


def measured_value(features: Features) -> Float[Array, "N F"]:
    """The values, 0 where not measured: a NaN there would spread to gradients."""
    return jnp.where(features.measured, features.value, 0.0)


def relative_weight(grid: Grid, features: Features) -> Float[Array, "N F"]:
    """The weight of each training value.

    It is the inverse error over its training median, within [0.1, 10], and 1 where the error is
    unknown.
    """
    ratio = jnp.clip(features.weight / grid.weight_scale, 0.1, 10.0)
    return jnp.where(features.weight > 0, ratio, 1.0)


def node_of(
    origin: Float[Array, "*R F"],
    step: Float[Array, "*R F"],
    value: Float[Array, "N F"],
    n_nodes: int,
) -> tuple[Int[Array, "N F"], Float[Array, "N F"]]:
    """Lower node of each value and the share of the upper node; values off the grid use its end.

    `origin` and `step` are those of each feature, or of each value.
    """
    position = jnp.clip((value - origin) / step, 0.0, n_nodes - 1.0)
    node = jnp.minimum(position.astype(jnp.int32), n_nodes - 2)
    return node, position - node


def curves(params: Params) -> tuple[Float[np.ndarray, "F B"], Float[np.ndarray, "F B C"]]:
    """The nodes and the densities at the nodes, per unit of the value, of parameters on a grid."""
    step = np.asarray(params.step)[:, None]
    node = np.asarray(params.origin)[:, None] + step * np.arange(params.log_density.shape[1])
    return node, np.exp(np.asarray(params.log_density)) / step[..., None]


def with_missing_weight(params: Params, missing_weight: float) -> Params:
    """Parameters fitted with exponent 1 of P(not detected | class), with another exponent."""
    return params._replace(log_missing=missing_weight * params.log_missing)


def reweigh_missing(
    log_lik: Float[Array, "N F C"],
    measured: Bool[Array, "N F"],
    available: Bool[Array, "N F"],
    missing_weight: float | Float[Array, ""],
) -> Float[Array, "N F C"]:
    """Log-likelihoods computed with exponent 1 of P(not detected | class), with another one."""
    del available  # not available adds zero, whatever the exponent
    return jnp.where(measured[..., None], log_lik, missing_weight * log_lik)


def presence_log_lik(
    features: Features,
    log_present: Float[Array, "F C"],
    log_missing: Float[Array, "F C"],
    value_log_lik: Float[Array, "N F C"],
) -> Float[Array, "N F C"]:
    """Log-likelihoods with the detection term; exactly zero where not available."""
    measured = value_log_lik + log_present
    log_lik = jnp.where(features.measured[..., None], measured, log_missing)
    return jnp.where(features.available[..., None], log_lik, 0.0)
