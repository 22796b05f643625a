"""The contribution of every feature to the score of each class, for a few sources."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from xbayes.classifier.calibration import calibrated
from xbayes.classifier.predict import (
    Classifier,
    subclass_log_prior,
    uncalibrated_scores,
)
from xbayes.classifier.recipe import Recipe, Scoring
from xbayes.classifier.states import as_trained
from xbayes.classifier.subclasses import (
    class_means,
    class_scores,
    class_sums,
    log_shares,
    responsibilities,
    subclass_term,
)
from xbayes.models.term_tables import pair_terms
from xbayes.types import Features


class Explanation(NamedTuple):
    """The terms of each score: log prior + offset + the sum of the contributions over F.

    The scores are log posteriors up to a constant per source. All terms are calibrated and, if the
    recipe shrinks outliers, shrunk by the same factor. A calibration that weighs classes
    differently is not linear in the contributions; the remainder is in the offset. The terms of a
    class with subclasses are means weighted by responsibility, and `subclass_term` makes their sum
    exact (`xbayes.classifier.subclasses`).
    """

    contribution: Float[np.ndarray, "N F C"]
    offset: Float[np.ndarray, "N C"]  # contains subclass_term; zero if no feature was measured
    log_prior: Float[np.ndarray, "N C"]
    subclass_term: Float[np.ndarray, "N C"]  # zero for a class without subclasses
    responsibility: Float[np.ndarray, "N T"]  # of each subclass within its class
    share_below: Float[np.ndarray, "N F C"]  # of each class below the value; NaN if not measured
    # Terms of pairs of features; each contribution contains half of the terms of its pairs.
    pairs: Float[np.ndarray, "N P C"]


def explain(
    recipe: Recipe,
    classifier: Classifier,
    features: Features,
    log_prior: Float[np.ndarray, "*R C"] | None = None,
) -> Explanation:
    """The terms of the scores of a few rows; `log_prior` replaces the training prior."""
    exact = partial(jax.tree.map, lambda array: np.asarray(array, np.float64))
    terms: _Terms = exact(_calibrated_terms(recipe.scoring, classifier, features))
    trained, prior = exact(
        (classifier.weights.log_prior, subclass_log_prior(recipe, classifier, log_prior))
    )
    offset = terms.score - trained - terms.contribution.sum(1) + terms.evidence[:, None]
    shrinkage = terms.shrinkage[:, None, None]
    shrunk = terms._replace(
        contribution=shrinkage * terms.contribution, pairs=shrinkage * terms.pairs
    )
    offset = terms.shrinkage[:, None] * offset
    return Explanation(**exact(_of_classes(recipe.names.class_of, shrunk, offset, prior, trained)))


class _Terms(NamedTuple):
    """Terms of the calibrated scores of subclasses, in the precision of the model."""

    score: Float[Array, "N T"]
    evidence: Float[Array, "N"]
    contribution: Float[Array, "N F T"]
    pairs: Float[Array, "N P T"]
    shrinkage: Float[Array, "N"]
    share_below: Float[Array, "N F T"]


# One compilation for each part, where single operations would need fifty.
@partial(jax.jit, static_argnums=0)
def _calibrated_terms(scoring: Scoring, classifier: Classifier, features: Features) -> _Terms:
    calibrator, trained = classifier.calibrator, classifier.weights.log_prior
    features = as_trained(classifier.states, features)
    log_lik = scoring.density.log_lik(classifier.density, features)
    scores = uncalibrated_scores(scoring, classifier, features, log_lik, by_category=False)
    log_joint, measured = scores.log_joint, scores.measured
    matrix = jnp.asarray(calibrator.matrix)
    pairs: Array = jnp.zeros((len(measured), 0, len(trained)))
    if classifier.terms is not None and len(classifier.terms.pair):
        pairs = jnp.where(measured[:, None, None], pair_terms(classifier.terms, features), 0.0)
        pairs = jnp.asarray(classifier.terms.share * pairs) @ matrix.T
    return _Terms(
        score=calibrated(calibrator, log_joint, trained, measured),
        # Calibration normalises the evidence, which subtracts the same number from all classes. It
        # is added again, so that a temperature only multiplies the offsets b.
        evidence=jax.nn.logsumexp(log_joint, axis=-1) * matrix.sum(1).mean() * measured,
        contribution=scores.contribution @ matrix.T,
        pairs=pairs,
        shrinkage=scores.shrinkage,
        share_below=scoring.density.share_below(classifier.density, features),
    )


@partial(jax.jit, static_argnums=0)
def _of_classes(
    class_of: tuple[int, ...], terms: _Terms, offset, prior, trained
) -> dict[str, Array | np.ndarray]:
    """The fields of `Explanation`."""
    responsibility = responsibilities(prior + offset + terms.contribution.sum(1), class_of)
    between = subclass_term(responsibility, log_shares(prior, class_of), class_of)
    share = jnp.exp(log_shares(trained, class_of))
    return {
        "contribution": class_means(terms.contribution, responsibility, class_of),
        "offset": class_means(offset, responsibility, class_of) + between,
        "log_prior": jnp.broadcast_to(class_scores(prior, class_of), between.shape),
        "subclass_term": between,
        "responsibility": responsibility,
        "share_below": class_sums(terms.share_below * share, class_of),
        "pairs": class_means(terms.pairs, responsibility, class_of),
    }
