"""Additive models that are averaged with the weighted densities in log-odds.

There are two kinds: smooth curves (`SplineTerms`) and boosted tables (`term_tables`). A classifier
with both averages the tables with the average of densities and curves.

Smooth curves, one per feature:

    score(c | x) = base[c] + sum over f of curve[f, c](x_f)

This is a generalised additive model (Hastie & Tibshirani 1990). A curve is given by its heights at
nodes, linear between them and constant beyond the first and the last. Its mean over the training
rows is zero. A feature that is not available contributes zero; a feature that is not detected has a
height of its own.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from xbayes.models import term_tables
from xbayes.models.term_tables import TermTables
from xbayes.types import Features


class SplineTerms(NamedTuple):
    """The learned curves, at M nodes."""

    share: Float[Array | np.ndarray, ""]  # weight of these terms in the average of log-odds
    base: Float[Array | np.ndarray, "C"]
    node: Float[Array | np.ndarray, "F M"]  # increasing
    height: Float[Array | np.ndarray, "F M C"]
    missing: Float[Array | np.ndarray, "F C"]  # height of a feature that is not detected


AdditiveTerms = SplineTerms | TermTables


def contributions(terms: AdditiveTerms, features: Features) -> Float[Array, "N F C"]:
    """The contribution of each feature to the scores."""
    if isinstance(terms, SplineTerms):
        return spline_contributions(terms, features)
    return term_tables.contributions(terms, features)


def mixed(
    terms: AdditiveTerms,
    own: Float[Array | np.ndarray, "N *K"],
    added: Float[Array | np.ndarray, "N *K"],
) -> Float[Array, "N *K"]:
    """The average of the contributions `own` of a model and `added` of the terms."""
    return jnp.asarray((1 - terms.share) * own + terms.share * added)


def mixed_log_joint(
    terms: AdditiveTerms,
    own: Float[Array | np.ndarray, "N C"],
    added: Float[Array | np.ndarray, "N C"],
    measured: Bool[Array | np.ndarray, "N"],
) -> Float[Array, "N C"]:
    """The average of the scores `own` of a model and the summed contributions `added`.

    Rows where nothing is measured keep the scores of the model.
    """
    return jnp.where(measured[:, None], mixed(terms, own, terms.base + added), own)


def spline_contributions(splines: SplineTerms, features: Features) -> Float[Array, "N F C"]:
    """The contribution of each feature to the scores."""
    of_value = jax.vmap(_interpolated, in_axes=(0, 0, 1), out_axes=1)(
        jnp.asarray(splines.node), jnp.asarray(splines.height), jnp.asarray(features.value)
    )
    measured = jnp.asarray(features.measured)[..., None]
    available = jnp.asarray(features.available)[..., None]
    return jnp.where(available, jnp.where(measured, of_value, splines.missing), 0.0)


def _interpolated(
    node: Float[Array, "M"], height: Float[Array, "M C"], value: Float[Array, "N"]
) -> Float[Array, "N C"]:
    """Heights of one curve, interpolated linearly; constant beyond the end nodes."""
    last = len(node) - 2
    # A value that is not finite is a placeholder of a missing one, whose height is not used.
    value = jnp.clip(jnp.where(jnp.isfinite(value), value, node[0]), node[0], node[-1])
    left = jnp.clip(jnp.searchsorted(node, value, side="right") - 1, 0, last)
    along = ((value - node[left]) / (node[left + 1] - node[left]))[:, None]
    return (1 - along) * height[left] + along * height[left + 1]
