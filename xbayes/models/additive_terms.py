"""Additive models beside the weighted densities, averaged with them in log-odds.

Two kinds: smooth curves (`spline_terms`) and boosted tables (`term_tables`). Where a classifier has
both, the tables are averaged with what densities and curves say together.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from xbayes.models import term_tables
from xbayes.models.spline_terms import SplineTerms, spline_contributions
from xbayes.models.term_tables import TermTables
from xbayes.types import Features

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
