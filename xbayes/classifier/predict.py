"""The whole classifier: densities, weights, outlier reference, decision; applied to any rows.

features -> density.log_lik [N, F, C] -> model.log_joint [N, C] -> posterior and products
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from xbayes.classifier import probabilities as post
from xbayes.classifier.calibration import Calibrator, calibrated
from xbayes.classifier.conformal import ConformalReference, prediction_sets, row_uniform
from xbayes.classifier.decision import decide
from xbayes.classifier.intervals import JointDraws, Spread, averaged, interval, over_draws
from xbayes.classifier.outlier import (
    OutlierReference,
    outlier_measure,
    outlier_score,
    shrinkage_factor,
    tail_probability,
)
from xbayes.classifier.recipe import Recipe, Scoring, scoring
from xbayes.classifier.subclasses import (
    class_scores,
    class_sums,
    likeliest,
    log_shares,
    prior_of_subclasses,
)
from xbayes.models.additive_terms import (
    AdditiveTerms,
    SplineTerms,
    contributions,
    mixed,
    mixed_log_joint,
)
from xbayes.models.term_tables import TermTables
from xbayes.types import Features

CHUNK = 8_192  # rows computed at once: one compilation, and they stay in the processor's cache
LEAST = 1_024  # fewer are filled up to so many: milliseconds, where compiling takes a second


class Classifier(NamedTuple):
    """What is learned; nothing but arrays."""

    density: Any
    weights: Any
    outlier: OutlierReference
    class_weight: Float[Array, "C"]  # of the decision rule; ones for the most probable class
    calibrator: Calibrator
    conformal: ConformalReference
    draws: JointDraws | None = None  # of density and weights, where the posterior was asked for
    splines: SplineTerms | None = None  # averaged with them in log-odds
    terms: TermTables | None = None  # averaged with all of these


class Products(NamedTuple):
    """What each source gets."""

    posterior: Float[np.ndarray, "N C"]
    prediction: Int[np.ndarray, "N"]
    margin: Float[np.ndarray, "N"]
    entropy: Float[np.ndarray, "N"]
    alternative: Int[np.ndarray, "N"]  # -1 if no other class wins without one category
    outlier: Float[np.ndarray, "N"]
    outlier_p: Float[np.ndarray, "N"]
    n_missing: Int[np.ndarray, "N"]
    track: Float[np.ndarray, "N G C"]
    subclass: Int[np.ndarray, "N"]  # likeliest of the predicted class; without any, that class
    prediction_set: Bool[np.ndarray, "N C"]  # not excluded at 10 %, under the training prior
    # 90 % intervals, ends on the last axis; without draws it is empty.
    posterior_interval: Float[np.ndarray, "N C E"]
    outlier_interval: Float[np.ndarray, "N E"]


def classify(
    recipe: Recipe,
    classifier: Classifier,
    features: Features,
    log_prior: Float[np.ndarray, "C"] | None = None,
    size: int | None = None,
) -> Products:
    """Everything each source gets; `log_prior` replaces that of the training part, no more.

    Rows are computed `size` at a time, filled up to it, so that JAX compiles once for any number.
    """
    prior = prior_of(recipe, classifier, log_prior)
    n_rows = features.value.shape[0]
    size = size or padded_size(n_rows)
    features = Features(*map(np.asarray, features))

    def one(first: int) -> Products:
        rows = features.rows(slice(first, first + size))
        return _classify_rows(recipe, classifier, rows, prior, size)

    start = one(0)
    whole = Products(*(np.empty((n_rows, *a.shape[1:]), a.dtype) for a in start))

    def fill(first: int) -> None:
        for column, part in zip(whole, one(first) if first else start, strict=True):
            column[first : first + size] = part

    # JAX and NumPy both let go of the interpreter while they compute.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, range(0, n_rows, size)))
    return whole


def padded_size(n_rows: int) -> int:
    """Rows computed at once for so many in all: a power of two from LEAST to CHUNK."""
    return min(CHUNK, max(LEAST, 1 << max(0, n_rows - 1).bit_length()))


def prior_of(
    recipe: Recipe, classifier: Classifier, log_prior: Float[np.ndarray, "C"] | None
) -> Float[Array, "T"]:
    """The prior to apply to subclasses, in the precision of the model; None: the trained one."""
    trained, class_of = classifier.weights.log_prior, recipe.names.class_of
    return trained if log_prior is None else prior_of_subclasses(log_prior, trained, class_of)


def trained_log_prior(recipe: Recipe, classifier: Classifier) -> Float[np.ndarray, "C"]:
    """The class proportions of the training part."""
    trained = class_scores(classifier.weights.log_prior, recipe.names.class_of)
    return np.asarray(trained, np.float64)


def densities_of_classes(
    recipe: Recipe, classifier: Classifier, of_subclass: Float[np.ndarray, "*F T"]
) -> Float[np.ndarray, "*F C"]:
    """Densities of classes, or shares of them, from those of their subclasses."""
    class_of = recipe.names.class_of
    share = np.exp(np.asarray(log_shares(classifier.weights.log_prior, class_of), np.float64))
    return np.asarray(class_sums(np.asarray(of_subclass) * share, class_of))


def added_terms(classifier: Classifier) -> tuple[AdditiveTerms, ...]:
    """What is averaged with the weighted densities, one after the other."""
    return tuple(t for t in (classifier.splines, classifier.terms) if t is not None)


def _classify_rows(
    recipe: Recipe, classifier: Classifier, rows: Features, log_prior, size: int
) -> Products:
    n_rows = rows.value.shape[0]
    padded = rows if n_rows == size else rows.padded(size)
    scored = _score(scoring(recipe), classifier, padded, log_prior)
    prediction, alternative, subclass, measure, strange = (
        np.asarray(a)[:n_rows]
        for a in (
            *(scored.prediction, scored.alternative, scored.subclass),
            *(scored.outlier, scored.outlier_score),
        )
    )
    probability, trained = (
        post.exact(p)[:n_rows] for p in (scored.posterior, scored.training_posterior)
    )
    return Products(
        probability,
        prediction,
        post.margin(probability),
        post.entropy(probability),
        alternative,
        measure.astype(np.float64),
        tail_probability(classifier.outlier, strange, subclass),
        (~np.asarray(rows.measured)).sum(1),
        post.exact(scored.track)[:n_rows],
        subclass,
        prediction_sets(classifier.conformal, trained, row_uniform(rows)),
        *_intervals(scored, subclass, n_rows),
    )


def _intervals(scored: "_Scored", subclass: Int[np.ndarray, "n"], n_rows: int):
    """Of the posterior of each class and of the outlier measure of the likeliest subclass."""
    if scored.posteriors is None or scored.measures is None:
        n_classes = scored.posterior.shape[1]
        return np.empty((n_rows, n_classes, 0)), np.empty((n_rows, 0))
    posteriors = np.asarray(scored.posteriors)[:, :n_rows]
    measures = np.asarray(scored.measures)[:, :n_rows]
    of_subclass = np.take_along_axis(measures, subclass[None, :, None], 2)[..., 0]
    return interval(posteriors), interval(of_subclass)


class _Scored(NamedTuple):
    """What is computed inside jit, in its precision."""

    posterior: Float[Array, "N C"]
    training_posterior: Float[Array, "N C"]  # under the prior of the training part
    prediction: Int[Array, "N"]
    alternative: Int[Array, "N"]
    subclass: Int[Array, "N"]  # of the predicted class
    outlier: Float[Array, "N"]  # of that subclass
    outlier_score: Float[Array, "N T"]
    track: Float[Array, "N G C"]
    posteriors: Float[Array, "D N C"] | None  # by draw, in single precision
    measures: Float[Array, "D N T"] | None


@partial(jax.jit, static_argnums=0)
def _score(
    how: Scoring, classifier: Classifier, features: Features, log_prior: Float[Array, "T"]
) -> _Scored:
    trained = classifier.weights.log_prior
    log_lik = how.density.log_lik(classifier.density, features)
    log_joint, category_score, measured, strange, kept = own_scores(
        how, classifier, features, log_lik, by_category=True
    )
    # The offsets belong to every category in which something was measured.
    offset = (log_joint - trained - category_score.sum(1))[:, None]
    there = (category_score != 0).any(-1)  # [N, G]
    alone = trained + category_score + offset * there[..., None]

    under_prior = partial(_under_prior, classifier, log_prior, kept)
    score = under_prior(log_joint, measured)
    without = log_joint[:, None] - category_score
    without = under_prior(without, jnp.broadcast_to(measured[:, None], there.shape))
    of_classes = partial(class_scores, class_of=how.class_of)
    posterior, spread = jax.nn.softmax(of_classes(score)), None
    training_posterior = jax.nn.softmax(of_classes(score - log_prior + trained))
    if classifier.draws is not None:
        spread = spread_of(how, classifier, classifier.draws, features, log_prior, kept)
        if not how.averages_log_odds:
            posterior, training_posterior = spread.posterior.mean(0), spread.training_posterior
    prediction = jnp.asarray(decide(posterior, classifier.class_weight))
    subclass = likeliest(score, prediction, how.class_of)
    measure = outlier_measure(log_lik, how.model.alpha(classifier.weights), log_prior)
    return _Scored(
        posterior,
        training_posterior,
        prediction,
        post.alternative(of_classes(without), prediction),
        subclass,
        jnp.take_along_axis(measure, subclass[:, None], 1)[:, 0],
        strange,
        jax.nn.softmax(of_classes(under_prior(alone, there))),
        None if spread is None else spread.posterior.astype(jnp.float32),
        None if spread is None else spread.outlier.astype(jnp.float32),
    )


class OwnScores(NamedTuple):
    """Scores of subclasses before calibration, under the training prior, and their parts.

    The parts are contributions by property F, or their sums by category G.
    """

    log_joint: Float[Array, "N T"]
    part: Float[Array, "N _ T"]
    measured: Bool[Array, "N"]  # whether anything was; otherwise all parts are exactly zero
    outlier_score: Float[Array, "N T"]
    kept: Float[Array, "N"]  # share of the log-odds beside the prior that is believed


def own_scores(
    how: Scoring,
    classifier: Classifier,
    features: Features,
    log_lik: Float[Array, "N F T"],
    by_category: bool,
) -> OwnScores:
    """What weighted densities, curves and terms say together; `log_lik` is of the densities."""
    measured = (log_lik != 0).any(axis=(1, 2))
    gather = partial(_by_category, how) if by_category else lambda each: each
    if how.averages_log_odds:
        assert classifier.draws is not None  # a recipe with a posterior has them
        own = (how.density, how.model, classifier.draws, classifier.density)
        log_joint, each = averaged(*own, features)
        part = gather(each)
    else:
        log_joint = how.model.log_joint(classifier.weights, log_lik)
        of_model = how.model.category_scores if by_category else how.model.contributions
        part = of_model(classifier.weights, log_lik)
    for terms in added_terms(classifier):
        each = jnp.where(measured[:, None, None], contributions(terms, features), 0.0)
        part = mixed(terms, part, gather(each))
        log_joint = mixed_log_joint(terms, log_joint, each.sum(1), measured)
    strange = outlier_score(classifier.outlier, log_lik, jnp.asarray(features.available))
    kept = jnp.ones_like(strange[:, 0])
    if how.shrinks:
        # Under the prior of the training part, so that another prior changes only its own term.
        trained = classifier.weights.log_prior
        score = calibrated(classifier.calibrator, log_joint, trained, measured)
        kept = shrinkage_factor(classifier.outlier, strange, jax.nn.softmax(score))
    return OwnScores(log_joint, part, measured, strange, kept)


def spread_of(
    how: Scoring, classifier: Classifier, draws: JointDraws, features: Features, log_prior, kept
) -> Spread:
    """What each draw says of the rows, calibrated and under `log_prior`.

    Terms, and `kept` of `own_scores`, are the same in every draw.
    """
    own = (how.density, how.model, draws, classifier.density)
    beside = [(terms, contributions(terms, features).sum(1)) for terms in added_terms(classifier)]

    def final(score, measured):
        for terms, added in beside:
            score = mixed_log_joint(terms, score, added, measured)
        return _under_prior(classifier, log_prior, kept, score, measured)

    spread = over_draws(*own, features, final, log_prior, classifier.weights.log_prior)
    posterior, trained = (class_sums(p, how.class_of) for p in spread[:2])
    return Spread(posterior, trained, spread.outlier)


def _by_category(how: Scoring, each: Float[Array, "N F C"]) -> Float[Array, "N G C"]:
    category = np.array(how.category)
    return jnp.einsum("nfc,fg->ngc", each, jnp.eye(category.max() + 1)[category])


def _under_prior(classifier: Classifier, log_prior, kept, score, measured):
    trained = classifier.weights.log_prior
    told = calibrated(classifier.calibrator, score, trained, measured) - trained
    return log_prior + kept.reshape(-1, *[1] * (told.ndim - 1)) * told
