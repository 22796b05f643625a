"""What makes up the scores of a few sources: the contribution of every property, by class."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from xbayes.classifier.calibration import calibrated
from xbayes.classifier.predict import Classifier, densities_of_classes, own_scores, prior_of
from xbayes.classifier.recipe import Recipe, scoring
from xbayes.classifier.subclasses import (
    class_means,
    class_scores,
    log_shares,
    responsibilities,
    told_apart,
)
from xbayes.models.term_tables import pair_terms
from xbayes.types import Features


class Explanation(NamedTuple):
    """The terms of each score: log prior + offset + the sum of the contributions over F.

    All are calibrated: contributions go through the calibrator's matrix, and what is not linear in
    them (where the matrix weighs classes differently) is in the offset. Of a source unlike the
    training sources all have shrunk alike. The terms of a class with subclasses are means over
    these, each as responsible as it is, and `apart` makes their sum exact (`xbayes.classifier.subclasses`).
    Scores are log probabilities but for a constant of the source.
    """

    contribution: Float[np.ndarray, "N F C"]
    offset: Float[np.ndarray, "N C"]  # `apart` included; zero where nothing was measured
    log_prior: Float[np.ndarray, "C"]
    apart: Float[np.ndarray, "N C"]  # what tells subclasses apart; zero where a class has none
    responsibility: Float[np.ndarray, "N T"]  # of each subclass within its class
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
    pairs = kept[:, None, None] * _pair_terms(classifier, features, measured)
    contribution, offset = kept[:, None, None] * contribution, kept[:, None] * offset
    prior = np.asarray(prior_of(recipe, classifier, log_prior), np.float64)
    below = np.asarray(recipe.density.share_below(classifier.density, features), np.float64)
    class_of = recipe.names.class_of
    own = responsibilities(prior + offset + contribution.sum(1), class_of)
    apart = told_apart(own, log_shares(prior, class_of), class_of)
    terms = (
        class_means(contribution, own, class_of),
        class_means(offset, own, class_of) + apart,
        class_scores(prior, class_of),
        apart,
        own,
        densities_of_classes(recipe, classifier, below),
        class_means(pairs, own, class_of),
    )
    return Explanation(*(np.asarray(each, np.float64) for each in terms))


_own_scores = jax.jit(own_scores, static_argnames=("how", "by_category"))


def _pair_terms(classifier: Classifier, features: Features, measured) -> np.ndarray:
    """Calibrated, and with their share."""
    terms, n_rows = classifier.terms, len(np.asarray(features.value))
    if terms is None or not len(terms.pair):
        return np.zeros((n_rows, 0, len(classifier.weights.log_prior)))
    found = jnp.where(measured[:, None, None], pair_terms(terms, features), 0.0)
    return np.asarray(terms.share * found @ classifier.calibrator.matrix.T, np.float64)
