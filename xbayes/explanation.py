"""What makes up the scores of a few sources: the contribution of every property, by class."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from xbayes.calibrate import calibrated
from xbayes.classifier import Classifier, own_scores, prior_of
from xbayes.models.term_tables import pair_terms
from xbayes.recipe import Recipe, scoring
from xbayes.types import Features


class Explanation(NamedTuple):
    """The terms of each score: log prior + offset + the sum of the contributions over F.

    All are calibrated: contributions go through the calibrator's matrix, and what is not linear in
    them (where the matrix weighs classes differently) is in the offset. Of a source unlike the
    training sources all have shrunk alike. Scores are log probabilities but for a constant of the
    source.
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
    log_joint, raw, measured, _, kept = _own_scores(
        scoring(recipe), classifier, features, log_lik, by_category=False
    )
    kept = np.asarray(kept, np.float64)
    score = np.asarray(calibrated(calibrator, log_joint, trained, measured), np.float64)
    # The evidence is normalised, which takes the same from all classes: given back, so that a
    # calibrator that treats them alike leaves the offsets b as they are.
    total = jax.nn.logsumexp(log_joint, axis=-1) * calibrator.matrix.sum(1).mean() * measured
    contribution = np.asarray(raw @ calibrator.matrix.T, np.float64)
    offset = score - np.asarray(trained, np.float64) - contribution.sum(1)
    offset = offset + np.asarray(total, np.float64)[:, None]
    prior = np.asarray(prior_of(classifier, log_prior), np.float64)
    below = np.asarray(recipe.density.share_below(classifier.density, features), np.float64)
    pairs = kept[:, None, None] * _pair_terms(classifier, features, measured)
    contribution, offset = kept[:, None, None] * contribution, kept[:, None] * offset
    return Explanation(np.asarray(log_lik), contribution, offset, prior, below, pairs)


_own_scores = jax.jit(own_scores, static_argnames=("how", "by_category"))


def _pair_terms(classifier: Classifier, features: Features, measured) -> np.ndarray:
    """Calibrated, and with their share."""
    terms, n_rows = classifier.terms, len(np.asarray(features.value))
    if terms is None or not len(terms.pair):
        return np.zeros((n_rows, 0, len(classifier.factor)))
    found = jnp.where(measured[:, None, None], pair_terms(terms, features), 0.0)
    return np.asarray(terms.share * found @ classifier.calibrator.matrix.T, np.float64)
