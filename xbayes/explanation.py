"""What makes up the scores of a few sources: the contribution of every property, by class."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from xbayes.calibrate import calibrated
from xbayes.classifier import (
    Classifier,
    Recipe,
    added_terms,
    any_measured,
    prior_of,
    term_contributions,
)
from xbayes.models.additive_terms import mixed, mixed_log_joint
from xbayes.models.term_tables import pair_terms
from xbayes.types import Features


class Explanation(NamedTuple):
    """The terms of each score: log prior + offset + the sum of the contributions over F.

    All are calibrated: contributions go through the calibrator's matrix, and what is not linear in
    them (where the matrix weighs classes differently) is in the offset. Scores are log
    probabilities but for a constant of the source.
    """

    log_lik: Float[np.ndarray, "N F C"]
    contribution: Float[np.ndarray, "N F C"]
    offset: Float[np.ndarray, "N C"]  # zero where nothing was measured
    log_prior: Float[np.ndarray, "C"]
    below: Float[np.ndarray, "N F C"]  # share of each class below the value; NaN without one
    # What pairs of properties add, which is in the contributions too, half with either.
    pairs: Float[np.ndarray, "N P C"]


def explain(
    recipe: Recipe,
    classifier: Classifier,
    features: Features,
    log_prior: Float[np.ndarray, "C"] | None = None,
) -> Explanation:
    """What makes up the scores of a few rows; `log_prior` as in `classify`."""
    weights, calibrator = classifier.weights, classifier.calibrator
    trained = weights.log_prior
    log_lik = recipe.density.log_lik(classifier.density, features)
    log_joint, measured, raw = _own_scores(recipe, classifier, features, log_lik)
    score = np.asarray(calibrated(calibrator, log_joint, trained, measured), np.float64)
    # The evidence is normalised, which takes the same from all classes: given back, so that a
    # calibrator that treats them alike leaves the offsets b as they are.
    total = jax.nn.logsumexp(log_joint, axis=-1) * calibrator.matrix.sum(1).mean() * measured
    contribution = np.asarray(raw @ calibrator.matrix.T, np.float64)
    offset = score - np.asarray(trained, np.float64) - contribution.sum(1)
    offset = offset + np.asarray(total, np.float64)[:, None]
    prior = np.asarray(prior_of(classifier, log_prior), np.float64)
    below = np.asarray(recipe.density.share_below(classifier.density, features), np.float64)
    pairs = _pair_terms(classifier, features, measured)
    return Explanation(np.asarray(log_lik), contribution, offset, prior, below, pairs)


@partial(jax.jit, static_argnums=0)
def _own_scores(recipe: Recipe, classifier: Classifier, features: Features, log_lik):
    """Scores before calibration, whether anything was measured, and the contributions in them."""
    measured = any_measured(log_lik)
    log_joint = recipe.model.log_joint(classifier.weights, log_lik)
    each = recipe.model.contributions(classifier.weights, log_lik)
    for terms in added_terms(classifier):
        added = term_contributions(terms, features, measured)
        log_joint = mixed_log_joint(terms, log_joint, added.sum(1), measured)
        each = mixed(terms, each, added)
    return log_joint, measured, each


def _pair_terms(classifier: Classifier, features: Features, measured) -> np.ndarray:
    """Calibrated, and with their share."""
    terms, n_rows = classifier.terms, len(np.asarray(features.value))
    if terms is None or not len(terms.pair):
        return np.zeros((n_rows, 0, len(classifier.factor)))
    found = jnp.where(measured[:, None, None], pair_terms(terms, features), 0.0)
    return np.asarray(terms.share * found @ classifier.calibrator.matrix.T, np.float64)
