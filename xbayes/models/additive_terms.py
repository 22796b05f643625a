"""Additive models beside the weighted densities, averaged with them in log-odds.

Two kinds: smooth curves (`SplineTerms`) and boosted tables (`term_tables`). Where a classifier has
both, the tables are averaged with what densities and curves say together.

Smooth curves, one per feature:

    score(c | x) = base[c] + sum over f of curve[f, c](x_f)

A generalised additive model (Hastie & Tibshirani 1990). A curve is a table of heights at nodes,
with straight lines between them, and constant beyond the last node on either side. Its mean over
the training rows is zero. A property that was not available adds nothing; one that a survey looked
for and did not find has a height of its own.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from xbayes.models import term_tables
from xbayes.models.term_tables import TermTables
from xbayes.types import Features


class SplineTerms(NamedTuple):
    """What is learned, at M nodes."""

    share: Float[Array | np.ndarray, ""]  # of these terms in the log-odds beside the densities
    base: Float[Array | np.ndarray, "C"]
    node: Float[Array | np.ndarray, "F M"]  # increasing
    height: Float[Array | np.ndarray, "F M C"]
    missing: Float[Array | np.ndarray, "F C"]


AdditiveTerms = SplineTerms | TermTables


def contributions(terms: AdditiveTerms, features: Features) -> Float[Array, "N F C"]:
    """What each property adds to the scores."""
    if isinstance(terms, SplineTerms):
        return spline_contributions(terms, features)
    return term_tables.contributions(terms, features)


def mixed(terms: AdditiveTerms, own: Float[Any, "N *K"], added: Float[Any, "N *K"]):
    """Contributions averaged in log-odds: `own` are a model's, `added` those of the terms."""
    return (1 - terms.share) * own + terms.share * added


def mixed_log_joint(
    terms: AdditiveTerms,
    own: Float[Array | np.ndarray, "N C"],
    added: Float[Array | np.ndarray, "N C"],
    measured: Bool[Array | np.ndarray, "N"],
) -> Float[Array, "N C"]:
    """Scores averaged in log-odds; `own` are a model's, `added` sums of `contributions`."""
    return jnp.where(measured[:, None], mixed(terms, own, terms.base + added), own)


def spline_contributions(splines: SplineTerms, features: Features) -> Float[Array, "N F C"]:
    """What each property adds to the scores."""
    found = jax.vmap(_read_off, in_axes=(0, 0, 1), out_axes=1)(
        jnp.asarray(splines.node), jnp.asarray(splines.height), jnp.asarray(features.value)
    )
    observed = jnp.asarray(features.measured)[..., None]
    available = jnp.asarray(features.available)[..., None]
    return jnp.where(available, jnp.where(observed, found, splines.missing), 0.0)


def _read_off(
    node: Float[Array, "M"], height: Float[Array, "M C"], value: Float[Array, "N"]
) -> Float[Array, "N C"]:
    """Heights of one curve, by straight lines; those of the end nodes beyond them."""
    last = len(node) - 2
    # A stand-in that is not finite belongs to a missing value, which nobody reads.
    value = jnp.clip(jnp.where(jnp.isfinite(value), value, node[0]), node[0], node[-1])
    left = jnp.clip(jnp.searchsorted(node, value, side="right") - 1, 0, last)
    along = ((value - node[left]) / (node[left + 1] - node[left]))[:, None]
    return (1 - along) * height[left] + along * height[left + 1]
