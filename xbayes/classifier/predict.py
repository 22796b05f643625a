"""Apply a fitted classifier to any rows.

features -> log-likelihoods [N, F, C] -> class scores [N, C] -> posterior and the other products

    score_c = log prior(c) + b_c + sum over features f of contribution[f, c]
    reported_c = log prior'(c) + shrinkage * (calibrated(score)_c - log prior(c))
    p(c | x) = softmax over c of reported_c

`density.log_lik` gives the log-likelihoods; `model.contributions` and `model.log_joint` give the
terms and the score (`xbayes.models.naive_bayes`). `uncalibrated_scores` averages both with the
additive terms, if there are any. `_final_scores` computes the second line: it calibrates, shrinks
the log-odds of outliers (shrinkage in [0, 1]) and puts another prior' in place of the prior. Models
see subclasses (T); the score of a class is the log-sum-exp over its subclasses.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from xbayes.classifier import probabilities as post
from xbayes.classifier.blocks import in_blocks, over_devices, padded_size
from xbayes.classifier.calibration import calibrated
from xbayes.classifier.conformal import prediction_sets, row_uniform, with_prediction
from xbayes.classifier.decision import DecisionRule, decide
from xbayes.classifier.intervals import (
    JointDraws,
    PosteriorSamples,
    group_intervals,
    mean_over_samples,
    row_intervals,
)
from xbayes.classifier.learned import (
    Classifier,
    prior_of_classes,
    prior_of_rows,
    rule_under,
    subclass_log_prior,
)
from xbayes.classifier.novelty import combine, novelty_p, novelty_score
from xbayes.classifier.novelty import shrinkage as novelty_shrinkage
from xbayes.classifier.outlier import (
    outlier_measure,
    outlier_score,
    shrinkage_factor,
    tail_probability,
)
from xbayes.classifier.recipe import Recipe, Scoring
from xbayes.classifier.states import as_trained, available_as_trained
from xbayes.classifier.subclasses import class_scores, class_sums, most_probable_subclass
from xbayes.classifier.unusual_values import needs_reason, no_unusual_values, unusual_values
from xbayes.models.additive_terms import AdditiveTerms, contributions, mixed, mixed_log_joint
from xbayes.models.term_tables import padded
from xbayes.types import Features


class Products(NamedTuple):
    """The results for each source."""

    posterior: Float[np.ndarray, "N C"]
    prediction: Int[np.ndarray, "N"]
    margin: Float[np.ndarray, "N"]
    entropy: Float[np.ndarray, "N"]
    alternative: Int[np.ndarray, "N"]  # -1 if no other class wins without one category
    outlier: Float[np.ndarray, "N"]
    outlier_p: Float[np.ndarray, "N"]
    n_missing: Int[np.ndarray, "N"]
    n_not_available: Int[np.ndarray, "N"]  # of those missing
    track: Float[np.ndarray, "N G C"]  # the posterior given each category alone
    subclass: Int[np.ndarray, "N"]  # the most probable one of the predicted class
    prediction_set: Bool[np.ndarray, "N C"]  # the prediction, and classes not excluded at 10 %
    set_flag: Bool[np.ndarray, "N"]  # every class was excluded; the set is the prediction alone
    # Ends of 90 % intervals on the last axis, which is empty without posterior samples.
    posterior_interval: Float[np.ndarray, "N C E"]
    outlier_interval: Float[np.ndarray, "N E"]
    # The strangest values (`unusual_values`); the axis R is empty without joint densities.
    unusual_feature: Int[np.ndarray, "N R 3"] = np.zeros((0, 0, 3), np.int16)
    unusual_number: Float[np.ndarray, "N R 3"] = np.zeros((0, 0, 3))
    prior: Float[np.ndarray, "N P"] = np.zeros((0, 0))  # P is 0 if all sources have one prior
    group_interval: Float[np.ndarray, "N Q E"] = np.zeros((0, 0, 0))  # of groups of classes (Q)


def classify(
    recipe: Recipe,
    classifier: Classifier,
    features: Features,
    log_prior: Float[np.ndarray, "*R C"] | None = None,
    size: int | None = None,
    *,
    rule: DecisionRule | None = None,
    short: int | None = None,
) -> Products:
    """The results for each row.

    Parameters
    ----------
    log_prior
        Replaces the training prior in the score; None keeps it. With an axis N: that of each row.
    size
        Rows computed at once; the last chunk is padded, so that JAX compiles once.
    rule
        The decision rule; None: that of the classifier, under this prior.
    short
        Rows computed at once of a short remainder (`in_blocks`).
    """
    prior = subclass_log_prior(recipe, classifier, log_prior)
    rule = rule_under(recipe, classifier, log_prior) if rule is None else rule
    classifier = classifier._replace(rule=rule, terms=classifier.terms and padded(classifier.terms))
    n_rows = features.value.shape[0]
    features = jax.tree.map(np.asarray, features)

    def classify_block(first: int, size: int) -> Products:
        rows = features.rows(slice(first, first + size))
        own = prior_of_rows(prior, slice(first, first + size), size)
        return _classify_rows(recipe, classifier, rows, own, size)

    return in_blocks(classify_block, n_rows, size or padded_size(n_rows), short)


def _classify_rows(
    recipe: Recipe, classifier: Classifier, rows: Features, log_prior, size: int
) -> Products:
    n_rows = rows.value.shape[0]
    padded = rows if n_rows == size else rows.padded(size)
    learned = classifier._replace(held_out=None)  # its size would make JAX compile again
    spread = over_devices(padded)
    log_lik = _log_lik(recipe.scoring, learned, spread)
    scored = _score(recipe.scoring, learned, spread, log_lik, log_prior)
    posterior = post.exact(scored.posterior)[:n_rows]
    subclass = np.asarray(scored.subclass)[:n_rows]
    outlier = np.asarray(scored.outlier)[:n_rows].astype(np.float64)
    posterior_interval, outlier_interval = row_intervals(
        scored.posterior_samples, scored.outlier_samples, posterior, outlier, subclass
    )
    prediction, score = (np.asarray(a)[:n_rows] for a in (scored.prediction, scored.outlier_score))
    # Under the training prior, like the reference; only the prediction follows another prior.
    training_posterior = post.exact(scored.training_posterior)[:n_rows]
    not_excluded = prediction_sets(classifier.conformal, training_posterior, row_uniform(rows))
    prediction_set, set_flag = with_prediction(not_excluded, prediction)
    outlier_p = _outlier_p(classifier, scored, score, subclass)
    unusual = no_unusual_values(n_rows)
    if classifier.novelty is not None:
        explained = needs_reason(np.asarray(scored.shrinkage)[:n_rows], outlier_p)
        unusual = unusual_values(classifier.novelty, rows, subclass, explained)
    return Products(
        posterior=posterior,
        prediction=prediction,
        margin=post.margin(posterior),
        entropy=post.entropy(posterior),
        alternative=np.asarray(scored.alternative)[:n_rows],
        outlier=outlier,
        outlier_p=outlier_p,
        n_missing=(~np.asarray(rows.measured)).sum(1),
        n_not_available=(~available_as_trained(classifier.states, rows)).sum(1),
        track=post.exact(scored.track)[:n_rows],
        subclass=subclass,
        prediction_set=prediction_set,
        set_flag=set_flag,
        posterior_interval=posterior_interval,
        outlier_interval=outlier_interval,
        unusual_feature=unusual.feature,
        unusual_number=unusual.number,
        prior=prior_of_classes(recipe, log_prior, n_rows),
        group_interval=group_intervals(scored.posterior_samples, posterior, recipe.names.groups),
    )


def _outlier_p(classifier: Classifier, scored: "_Scored", score, subclass):
    """The outlier p-value, by the weighted surprise and, if there is one, the joint density."""
    p_weighted = tail_probability(classifier.outlier, score, subclass)
    if classifier.novelty is None or scored.novelty_score is None:
        return p_weighted
    joint = np.asarray(scored.novelty_score)[: len(subclass)]
    p_joint = novelty_p(classifier.novelty, joint, subclass)
    return combine(classifier.novelty, p_weighted, p_joint, subclass)


class _Scored(NamedTuple):
    """The results that are computed inside jit, in its precision."""

    posterior: Float[Array, "N C"]
    training_posterior: Float[Array, "N C"]  # under the training prior
    prediction: Int[Array, "N"]
    alternative: Int[Array, "N"]
    subclass: Int[Array, "N"]  # of the predicted class
    outlier: Float[Array, "N"]  # of that subclass
    outlier_score: Float[Array, "N T"]
    novelty_score: Float[Array, "N T"] | None  # by the joint densities
    shrinkage: Float[Array, "N"]
    track: Float[Array, "N G C"]
    posterior_samples: Float[Array, "S N C"] | None  # in single precision
    outlier_samples: Float[Array, "S N T"] | None


@partial(jax.jit, static_argnums=0)
def _log_lik(scoring: Scoring, classifier: Classifier, features: Features) -> Float[Array, "N F T"]:
    """The log-likelihoods, compiled by themselves.

    Compiled with `_score`, XLA computes them again for each of their uses, in twice the time.
    """
    return scoring.density.log_lik(classifier.density, as_trained(classifier.states, features))


@partial(jax.jit, static_argnums=0)
def _score(
    scoring: Scoring,
    classifier: Classifier,
    features: Features,
    log_lik: Float[Array, "N F T"],
    log_prior: Float[Array, "*R T"],
) -> _Scored:
    trained = classifier.weights.log_prior
    features = as_trained(classifier.states, features)
    scores = uncalibrated_scores(scoring, classifier, features, log_lik, by_category=True)
    log_joint, category_score, measured = scores.log_joint, scores.contribution, scores.measured
    # By difference: additive terms have offsets too, which belong to every category with evidence.
    offset = (log_joint - trained - category_score.sum(1))[:, None]
    category_measured = (category_score != 0).any(-1)  # [N, G]
    alone = trained + category_score + offset * category_measured[..., None]
    final = partial(_final_scores, classifier, log_prior, scores.shrinkage)
    of_classes = partial(class_scores, class_of=scoring.class_of)
    score = final(log_joint, measured)
    without = log_joint[:, None] - category_score
    without = final(without, jnp.broadcast_to(measured[:, None], category_measured.shape))
    posterior, samples = jax.nn.softmax(of_classes(score)), None
    training_posterior = jax.nn.softmax(of_classes(score - log_prior + trained))
    if classifier.draws is not None:
        samples = posterior_samples(scoring, classifier, features, log_prior, scores.shrinkage)
        if not scoring.averages_log_odds:
            posterior, training_posterior = samples.posterior.mean(0), samples.training_posterior
    prediction = jnp.asarray(decide(posterior, classifier.rule))
    subclass = most_probable_subclass(score, prediction, scoring.class_of)
    alpha = scoring.model.alpha(classifier.weights)
    measure = outlier_measure(log_lik, alpha, log_prior, as_published=scoring.normalises)
    return _Scored(
        posterior=posterior,
        training_posterior=training_posterior,
        prediction=prediction,
        alternative=post.alternative(of_classes(without), prediction),
        subclass=subclass,
        outlier=jnp.take_along_axis(measure, subclass[:, None], 1)[:, 0],
        outlier_score=scores.outlier_score,
        novelty_score=scores.novelty_score,
        shrinkage=scores.shrinkage,
        track=jax.nn.softmax(of_classes(final(alone, category_measured))),
        posterior_samples=None if samples is None else samples.posterior.astype(jnp.float32),
        outlier_samples=None if samples is None else samples.outlier.astype(jnp.float32),
    )


class UncalibratedScores(NamedTuple):
    """Scores of the subclasses under the training prior, and the contributions they consist of.

    score = log prior + offset + the sum of the contributions
    """

    log_joint: Float[Array, "N T"]
    contribution: Float[Array, "N _ T"]  # per feature, or summed over each category
    measured: Bool[Array, "N"]  # rows with evidence: a value, or a telling non-detection
    outlier_score: Float[Array, "N T"]
    novelty_score: Float[Array, "N T"] | None
    shrinkage: Float[Array, "N"]  # the factor for the calibrated log-odds


def uncalibrated_scores(
    scoring: Scoring,
    classifier: Classifier,
    features: Features,
    log_lik: Float[Array, "N F T"],
    by_category: bool,
) -> UncalibratedScores:
    """Scores and contributions of the weighted densities, averaged with the additive terms.

    `log_lik` are the log-likelihoods of the classifier's densities.
    """
    model = scoring.model
    measured = (log_lik != 0).any(axis=(1, 2))
    gather = partial(_sum_by_category, scoring) if by_category else lambda per_feature: per_feature
    if scoring.averages_log_odds:
        log_joint, per_feature = _mean_scores(scoring, classifier, features)
        contribution = gather(per_feature)
    else:
        log_joint = model.log_joint(classifier.weights, log_lik)
        terms_of = model.category_scores if by_category else model.contributions
        contribution = terms_of(classifier.weights, log_lik)
    for terms in _additive_terms(classifier):
        added = jnp.where(measured[:, None, None], contributions(terms, features), 0.0)
        contribution = mixed(terms, contribution, gather(added))
        log_joint = mixed_log_joint(terms, log_joint, added.sum(1), measured)
    unusual = outlier_score(classifier.outlier, log_lik, jnp.asarray(features.available))
    novelty = None
    if classifier.novelty is not None:
        novelty = novelty_score(classifier.novelty, features).astype(unusual.dtype)
    shrinkage = jnp.ones_like(unusual[:, 0])
    if scoring.shrinks_outliers:
        # Under the training prior, so that another prior changes only the prior term.
        trained = classifier.weights.log_prior
        score = calibrated(classifier.calibrator, log_joint, trained, measured)
        posterior = jax.nn.softmax(score)
        shrinkage = shrinkage_factor(classifier.outlier, unusual, posterior)
        if classifier.novelty is not None and novelty is not None:
            shrinkage = shrinkage * novelty_shrinkage(classifier.novelty, novelty, posterior)
    return UncalibratedScores(
        log_joint=log_joint,
        contribution=contribution,
        measured=measured,
        outlier_score=unusual,
        novelty_score=novelty,
        shrinkage=shrinkage,
    )


def posterior_samples(
    scoring: Scoring,
    classifier: Classifier,
    features: Features,
    log_prior: Float[Array, "*R T"],
    shrinkage: Float[Array, "N"],
) -> PosteriorSamples:
    """Calibrated posteriors under `log_prior`, one for each posterior sample of the classifier.

    The additive terms, and `shrinkage` of `uncalibrated_scores`, are the same in every sample. The
    samples are scored one after another, so that memory holds the log-likelihoods of one.
    """
    assert classifier.draws is not None, "the classifier has no posterior samples"
    model, trained = scoring.model, classifier.weights.log_prior
    additive = [(t, contributions(t, features).sum(1)) for t in _additive_terms(classifier)]

    def score_sample(draw: JointDraws):
        log_lik = _sampled_log_lik(scoring, classifier, draw, features)
        measured = (log_lik != 0).any(axis=(1, 2))
        score = model.log_joint(draw.weights, log_lik)
        for terms, added in additive:
            score = mixed_log_joint(terms, score, added, measured)
        score = _final_scores(classifier, log_prior, shrinkage, score, measured)
        measure = outlier_measure(log_lik, model.alpha(draw.weights), log_prior)
        return jax.nn.softmax(score), jax.nn.softmax(score - log_prior + trained), measure

    posterior, under_training, measure = jax.lax.map(score_sample, classifier.draws)
    return PosteriorSamples(
        posterior=class_sums(posterior, scoring.class_of),
        training_posterior=class_sums(under_training.mean(0), scoring.class_of),
        outlier=measure,
    )


def _mean_scores(scoring: Scoring, classifier: Classifier, features: Features):
    """Scores and contributions per feature, averaged over the posterior samples.

    A mean of log-odds is still a sum of contributions; a mean of probabilities is not.
    """
    assert classifier.draws is not None, "a recipe with a posterior has samples"

    def score_sample(draw: JointDraws):
        log_lik = _sampled_log_lik(scoring, classifier, draw, features)
        model = scoring.model
        return model.log_joint(draw.weights, log_lik), model.contributions(draw.weights, log_lik)

    return mean_over_samples(score_sample, classifier.draws)


def _sampled_log_lik(
    scoring: Scoring, classifier: Classifier, draw: JointDraws, features: Features
) -> Float[Array, "N F T"]:
    density = classifier.density if draw.density is None else draw.density
    return scoring.density.log_lik(density, features)


def _additive_terms(classifier: Classifier) -> tuple[AdditiveTerms, ...]:
    """The additive models, in the order in which they are averaged with the scores."""
    return tuple(t for t in (classifier.splines, classifier.terms) if t is not None)


def _sum_by_category(scoring: Scoring, per_feature: Float[Array, "N F C"]) -> Float[Array, "N G C"]:
    category = np.array(scoring.category)
    return jnp.einsum("nfc,fg->ngc", per_feature, jnp.eye(category.max() + 1)[category])


def _final_scores(
    classifier: Classifier,
    log_prior: Float[Array, "*R T"],
    shrinkage: Float[Array, "N"],
    score: Float[Array, "N *G T"],
    measured: Bool[Array, "N *G"],
) -> Float[Array, "N *G T"]:
    """The scores behind the reported posterior: calibrated, shrunk, under `log_prior`."""
    trained = classifier.weights.log_prior
    log_odds = calibrated(classifier.calibrator, score, trained, measured) - trained
    if log_prior.ndim == 2 and log_odds.ndim == 3:
        log_prior = log_prior[:, None]
    return log_prior + shrinkage.reshape(-1, *[1] * (log_odds.ndim - 1)) * log_odds
