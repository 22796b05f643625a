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
from jaxtyping import Array, Float, Int

from xbayes import posterior as post
from xbayes.config import Config, focus_class
from xbayes.decision import decide
from xbayes.features.build import properties_of
from xbayes.infer.build_density import build_density
from xbayes.infer.select import STRENGTHS
from xbayes.models.assignment import assignment_model
from xbayes.models.base import ClassModel, Density, ScoreModel
from xbayes.models.naive_bayes import naive_bayes
from xbayes.outlier import (
    OutlierReference,
    outlier_measure,
    strangeness,
    tail_probability,
)
from xbayes.types import Features, Properties

CHUNK = 8_192  # rows computed at once: one compilation, and they stay in the processor's cache


class Recipe(NamedTuple):
    """What does not change over folds: the functions, and the names on the axes."""

    density: Density
    model: ClassModel
    properties: Properties
    strengths: tuple[float, ...]  # penalties to choose from
    n_starts: int
    n_folds: int  # inner folds
    objective: str = "log_loss"  # or f1
    optimiser: str = "gradient"  # or evolution, for f1
    search_missing: bool = False  # whether evolution weighs what is missing too
    decision: str = "argmax"  # or f1
    focus: int = -1  # the class whose F1 counts; -1 if none does
    assignment: ScoreModel | None = None  # learned instead of weights, then turned into them


def build_recipe(config: Config) -> Recipe:
    """The functions a config asks for. Build it once a run: JAX compiles for each recipe anew."""
    properties = properties_of(config)
    classes, model = properties.classes, config.model
    density = build_density(config)
    assignment, weights = None, model.weights
    if weights == "assignment":
        n_clusters = int(model.clusters.components)
        assignment, weights = assignment_model(n_clusters, len(classes)), "property"
    weighting = naive_bayes(
        properties.category, len(classes), weights, model.normalise, model.offsets
    )
    strengths = STRENGTHS if model.penalty == "auto" else (float(model.penalty),)
    focus = focus_class(config)
    return Recipe(
        density,
        weighting,
        properties,
        strengths,
        model.starts,
        config.validation.inner_folds,
        model.objective,
        model.optimiser,
        model.missing_weight == "auto",
        config.decision,
        classes.index(focus) if focus else -1,
        assignment,
    )


class Classifier(NamedTuple):
    """What is learned; nothing but arrays."""

    density: Any
    weights: Any
    outlier: OutlierReference
    factor: Float[Array, "C"]  # of the decision rule; ones for the most probable class


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
    classifier = _with_prior(classifier, log_prior)
    n_rows = features.value.shape[0]
    size = size or padded_size(n_rows)
    features = Features(*map(np.asarray, features))

    def one(first: int) -> Products:
        rows = Features(*(a[first : first + size] for a in features))
        return _classify_rows(recipe, classifier, rows, size)

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
    """Rows computed at once for so many in all: a power of two, CHUNK at most."""
    return min(CHUNK, 1 << max(0, n_rows - 1).bit_length())


def _with_prior(classifier: Classifier, log_prior: Float[np.ndarray, "C"] | None) -> Classifier:
    if log_prior is None:
        return classifier
    given = jnp.asarray(log_prior, classifier.weights.log_prior.dtype)
    return classifier._replace(weights=classifier.weights._replace(log_prior=given))


class Explanation(NamedTuple):
    """The terms of each score: log prior + offset + the sum of the contributions over F."""

    log_lik: Float[np.ndarray, "N F C"]
    contribution: Float[np.ndarray, "N F C"]
    offset: Float[np.ndarray, "N C"]  # zero where nothing was measured
    log_prior: Float[np.ndarray, "C"]
    below: Float[np.ndarray, "N F C"]  # share of each class below the value; NaN without one


def explain(
    recipe: Recipe,
    classifier: Classifier,
    features: Features,
    log_prior: Float[np.ndarray, "C"] | None = None,
) -> Explanation:
    """What makes up the scores of a few rows; `log_prior` as in `classify`."""
    classifier = _with_prior(classifier, log_prior)
    log_lik = recipe.density.log_lik(classifier.density, features)
    contribution = np.asarray(recipe.model.contributions(classifier.weights, log_lik), np.float64)
    prior = np.asarray(classifier.weights.log_prior, np.float64)
    log_joint = np.asarray(recipe.model.log_joint(classifier.weights, log_lik), np.float64)
    offset = log_joint - prior - contribution.sum(1)
    below = np.asarray(recipe.density.share_below(classifier.density, features), np.float64)
    return Explanation(np.asarray(log_lik), contribution, offset, prior, below)


def _classify_rows(recipe: Recipe, classifier: Classifier, rows: Features, size: int) -> Products:
    n_rows = rows.value.shape[0]
    padded = rows if n_rows == size else _padded(rows, size - n_rows)
    scored = _score(recipe, classifier, padded)
    prediction, alternative, measure, strange = (
        np.asarray(a)[:n_rows]
        for a in (scored.prediction, scored.alternative, scored.outlier, scored.strangeness)
    )
    probability = post.exact(scored.posterior)[:n_rows]
    return Products(
        probability,
        prediction,
        post.margin(probability),
        post.entropy(probability),
        alternative,
        measure.astype(np.float64),
        tail_probability(classifier.outlier, strange, prediction),
        (~np.asarray(rows.observed)).sum(1),
        post.exact(scored.track)[:n_rows],
    )


def _padded(rows: Features, more: int) -> Features:
    return Features(*(np.pad(a, ((0, more), (0, 0))) for a in rows))


class _Scored(NamedTuple):
    """What is computed inside jit, in its precision."""

    posterior: Float[Array, "N C"]
    prediction: Int[Array, "N"]
    alternative: Int[Array, "N"]
    outlier: Float[Array, "N"]  # of the predicted class
    strangeness: Float[Array, "N C"]
    track: Float[Array, "N G C"]


@partial(jax.jit, static_argnums=0)
def _score(recipe: Recipe, classifier: Classifier, features: Features) -> _Scored:
    weights, log_prior = classifier.weights, classifier.weights.log_prior
    log_lik = recipe.density.log_lik(classifier.density, features)
    log_joint = recipe.model.log_joint(weights, log_lik)
    category_score = recipe.model.category_scores(weights, log_lik)
    posterior = jax.nn.softmax(log_joint)
    prediction = jnp.asarray(decide(posterior, classifier.factor))
    measure = outlier_measure(log_lik, recipe.model.alpha(weights), log_prior)
    # The offsets belong to every category in which something was measured.
    offset = (log_joint - log_prior - category_score.sum(1))[:, None]
    measured = (category_score != 0).any(-1, keepdims=True)  # [N, G, 1]
    return _Scored(
        posterior,
        prediction,
        post.alternative(log_joint, category_score, prediction),
        jnp.take_along_axis(measure, prediction[:, None], 1)[:, 0],
        strangeness(classifier.outlier, log_lik, jnp.asarray(features.surveyed)),
        post.track(category_score + offset * measured, log_prior),
    )
