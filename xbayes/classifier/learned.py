"""The record of everything that is learned, and the priors that it contains."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

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
from xbayes.config.schema import Config, given_log_prior
from xbayes.models.additive_terms import SplineTerms
from xbayes.models.base import Params
from xbayes.models.naive_bayes import NaiveBayesParams
from xbayes.models.term_tables import TermTables
from xbayes.types import Labels


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
    recipe: Recipe, classifier: Classifier, log_prior: Float[np.ndarray, "*R C"] | None
) -> DecisionRule:
    """The decision rule of a classifier under a prior; None: the training prior.

    A threshold is learned again, on the held-out posteriors under that prior, because both the
    posteriors and the attainable F1 change with it. Class weights stay. If the prior depends on the
    source (it has two axes), the held-out sources have the priors of their own rows.
    """
    rule, sample = classifier.rule, classifier.held_out
    if log_prior is None or sample is None or not recipe.decision.has_threshold:
        return rule
    under = held_out_under(recipe, classifier, log_prior)
    if under is None:
        return rule
    posterior, weight = under
    threshold = threshold_for(recipe.decision, posterior[:, recipe.focus], weight)
    return by_threshold(posterior.shape[1], recipe.focus, threshold)


def held_out_under(
    recipe: Recipe, classifier: Classifier, log_prior: Float[np.ndarray, "*R C"]
) -> tuple[Float[np.ndarray, "L C"], Float[np.ndarray, "L"]] | None:
    """Posteriors and weights of the held-out sources under a prior, as `reweighted` gives them.

    None if the prior depends on the source, but those of the held-out sources were not kept.
    """
    sample = classifier.held_out
    assert sample is not None, "a classifier lacks its held-out sample only inside jit"
    if np.ndim(log_prior) == 2:
        if sample.log_prior is None:
            return None
        log_prior = np.asarray(sample.log_prior, np.float64)
    trained = trained_log_prior(recipe, classifier)
    return reweighted(np.asarray(sample.posterior), trained, log_prior)


def subclass_log_prior(
    recipe: Recipe, classifier: Classifier, log_prior: Float[np.ndarray, "*R C"] | None
) -> Float[np.ndarray, "*R T"]:
    """The prior of the subclasses in the precision of the model; None: the training prior.

    It has an axis N if the prior depends on the source.
    """
    trained, class_of = classifier.weights.log_prior, recipe.names.class_of
    if log_prior is None:
        return np.asarray(trained)
    # An array of NumPy is sliced without compiling.
    return np.asarray(prior_of_subclasses(log_prior, trained, class_of))


def prior_to_apply(config: Config, labels: Labels) -> Float[np.ndarray, "*R C"] | None:
    """The prior of the rows of an experiment: of each by itself, or of all; None: the training one.

    All rows have one prior unless `model.prior` holds expressions.
    """
    return given_log_prior(config) if labels.log_prior is None else labels.log_prior


def prior_of_rows(
    log_prior: Float[np.ndarray, "*R C"] | None, rows: slice | np.ndarray, size: int = 0
) -> Float[np.ndarray, "*S C"] | None:
    """The prior of some rows, padded to `size` rows: itself, unless it depends on the source."""
    if log_prior is None or np.ndim(log_prior) == 1:
        return log_prior
    own = np.asarray(log_prior)[rows]
    return np.pad(own, ((0, max(size - len(own), 0)), (0, 0)))


def prior_of_classes(
    recipe: Recipe, log_prior: Float[np.ndarray, "*R T"], n_rows: int
) -> Float[np.ndarray, "N P"]:
    """The class proportions of each row; without columns if all rows have one prior."""
    if log_prior.ndim == 1:
        return np.zeros((n_rows, 0))
    n_classes = len(recipe.names.classes)
    member = np.asarray(recipe.names.class_of)[:, None] == np.arange(n_classes)
    prior = np.exp(np.asarray(log_prior, np.float64)[:n_rows]) @ member
    return prior / prior.sum(1, keepdims=True)


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
