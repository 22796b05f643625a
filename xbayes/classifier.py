"""The whole classifier: densities, weights, outlier reference, decision; applied to any rows.

features -> density.log_lik [N, F, C] -> model.log_joint [N, C] -> posterior and products
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from xbayes import posterior as post
from xbayes.config import Config, focus_class
from xbayes.decision import decide
from xbayes.features.build import properties_of, scale_bounds
from xbayes.infer.select import STRENGTHS
from xbayes.models.base import ClassModel, Density
from xbayes.models.density import smooth_density
from xbayes.models.naive_bayes import naive_bayes
from xbayes.models.published_density import published_density
from xbayes.outlier import (
    OutlierReference,
    outlier_measure,
    strangeness,
    tail_probability,
)
from xbayes.types import Features, Properties

CHUNK = 65_536  # rows classified at once: bounded memory, one compilation


class Recipe(NamedTuple):
    """What does not change over folds: the functions, and the names on the axes."""

    density: Density
    model: ClassModel
    properties: Properties
    strengths: tuple[float, ...]  # penalties to choose from
    n_starts: int
    n_folds: int  # inner folds
    objective: str = "log_loss"  # or f1
    decision: str = "argmax"  # or f1
    focus: int = -1  # the class whose F1 counts; -1 if none does


def build_recipe(config: Config) -> Recipe:
    """The functions a config asks for. Build it once a run: JAX compiles for each recipe anew."""
    properties = properties_of(config)
    features, classes, model = list(config.features.values()), properties.classes, config.model
    evidence = np.array([feature.missing == "evidence" for feature in features])
    if model.density == "published":
        cosine = np.array([[c in feature.cosine_for for c in classes] for feature in features])
        density = published_density(evidence, cosine, model.missing_weight)
    else:
        bounds = np.array([scale_bounds(feature) for feature in features])
        density = smooth_density(bounds, evidence, len(classes), model.missing_weight)
    weighting = naive_bayes(
        properties.category, len(classes), model.weights, model.normalise, model.offsets
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
        config.decision,
        classes.index(focus) if focus else -1,
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
    parts = []
    for first in range(0, n_rows, size):
        rows = Features(*(np.asarray(a)[first : first + size] for a in features))
        parts.append(_classify_rows(recipe, classifier, rows, size))
    return Products(*(np.concatenate(part) for part in zip(*parts, strict=True)))


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
    return Explanation(np.asarray(log_lik), contribution, offset, prior)


def _classify_rows(recipe: Recipe, classifier: Classifier, rows: Features, size: int) -> Products:
    n_rows = rows.value.shape[0]
    padded = Features(*(np.pad(a, ((0, size - n_rows), (0, 0))) for a in rows))
    scored = [np.asarray(a)[:n_rows] for a in _score(recipe, classifier, padded)]
    log_joint, contribution, measure, strange = scored
    properties, log_prior = recipe.properties, np.asarray(classifier.weights.log_prior, np.float64)
    probability = post.class_posterior(log_joint)
    prediction = decide(probability, np.asarray(classifier.factor))
    category_score = post.by_category(contribution, properties.category, len(properties.categories))
    rows_index = np.arange(n_rows)
    offset = np.asarray(log_joint, np.float64) - log_prior - category_score.sum(1)
    measured = (category_score != 0).any(-1, keepdims=True)  # [N, G, 1]
    return Products(
        probability,
        prediction,
        post.margin(probability),
        post.entropy(probability),
        post.alternative(log_joint, category_score, prediction),
        measure[rows_index, prediction].astype(np.float64),
        tail_probability(classifier.outlier, strange, prediction),
        (~np.asarray(rows.observed)).sum(1),
        post.track(category_score + offset[:, None] * measured, log_prior),
    )


@partial(jax.jit, static_argnums=0)
def _score(
    recipe: Recipe, classifier: Classifier, features: Features
) -> tuple[Float[Array, "N C"], Float[Array, "N F C"], Float[Array, "N C"], Float[Array, "N C"]]:
    """Scores, contributions, outlier measures and strangeness."""
    log_lik = recipe.density.log_lik(classifier.density, features)
    alpha = recipe.model.alpha(classifier.weights)
    return (
        recipe.model.log_joint(classifier.weights, log_lik),
        recipe.model.contributions(classifier.weights, log_lik),
        outlier_measure(log_lik, alpha, classifier.weights.log_prior),
        strangeness(classifier.outlier, log_lik, jnp.asarray(features.surveyed)),
    )
