"""The record of everything that is learned, and the priors that it contains."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float

from xbayes.classifier.calibration import Calibrator
from xbayes.classifier.conformal import ConformalReference
from xbayes.classifier.decision import DecisionRule, by_threshold, threshold_for
from xbayes.classifier.held_out import HeldOutSample, reweighted
from xbayes.classifier.intervals import JointDraws
from xbayes.classifier.novelty import Novelty
from xbayes.classifier.outlier import OutlierReference
from xbayes.classifier.recipe import Recipe
from xbayes.classifier.states import StatesSeen
from xbayes.classifier.subclasses import class_scores, class_sums, log_shares, prior_of_subclasses
from xbayes.models.additive_terms import SplineTerms
from xbayes.models.base import Params
from xbayes.models.naive_bayes import NaiveBayesParams
from xbayes.models.term_tables import TermTables


class Classifier(NamedTuple):
    """Everything that is learned, as arrays only."""

    density: Params
    weights: NaiveBayesParams
    outlier: OutlierReference
    rule: DecisionRule
    calibrator: Calibrator
    conformal: ConformalReference
    states: StatesSeen
    draws: JointDraws | None = None  # posterior samples of density and weights
    splines: SplineTerms | None = None  # averaged with the scores in log-odds
    terms: TermTables | None = None  # averaged with the result in log-odds
    novelty: Novelty | None = None  # joint densities, beside `outlier`
    held_out: HeldOutSample | None = None  # the labelled rows; left out inside jit


def rule_under(
    recipe: Recipe, classifier: Classifier, log_prior: Float[np.ndarray, "C"] | None
) -> DecisionRule:
    """The decision rule of a classifier under a prior; None: the training prior.

    A threshold is learned again, on the held-out posteriors under that prior, because both the
    posteriors and the attainable F1 change with it. Class weights stay.
    """
    rule, sample = classifier.rule, classifier.held_out
    if log_prior is None or sample is None or not recipe.decision.has_threshold:
        return rule
    trained, focus = trained_log_prior(recipe, classifier), recipe.focus
    posterior, weight = reweighted(np.asarray(sample.posterior), trained, log_prior)
    threshold = threshold_for(recipe.decision, posterior[:, focus], weight)
    return by_threshold(posterior.shape[1], focus, threshold)


def subclass_log_prior(
    recipe: Recipe, classifier: Classifier, log_prior: Float[np.ndarray, "C"] | None
) -> Float[Array, "T"]:
    """The prior of the subclasses in the precision of the model; None: the training prior."""
    trained, class_of = classifier.weights.log_prior, recipe.names.class_of
    return trained if log_prior is None else prior_of_subclasses(log_prior, trained, class_of)


def trained_log_prior(recipe: Recipe, classifier: Classifier) -> Float[np.ndarray, "C"]:
    """The log class proportions of the training part."""
    trained = class_scores(classifier.weights.log_prior, recipe.names.class_of)
    return np.asarray(trained, np.float64)


def densities_of_classes(
    recipe: Recipe, classifier: Classifier, of_subclass: Float[np.ndarray, "*F T"]
) -> Float[np.ndarray, "*F C"]:
    """Densities of classes, or cumulative shares, from those of their subclasses."""
    class_of = recipe.names.class_of
    share = np.exp(np.asarray(log_shares(classifier.weights.log_prior, class_of), np.float64))
    return np.asarray(class_sums(np.asarray(of_subclass) * share, class_of))
