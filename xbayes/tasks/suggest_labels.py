"""Active learning: the sources whose labels are most informative about a fitted run.

read -> features -> class probabilities of each posterior sample -> information -> diverse batch
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from astropy.table import Column, Table
from jaxtyping import Bool, Float

from xbayes.catalog.columns import masked_column, plain_columns, subset
from xbayes.catalog.match import ColumnOptions
from xbayes.catalog.read import read_catalog, table_chunks
from xbayes.catalog.roles import check_catalog
from xbayes.catalog.taxonomy import without_label
from xbayes.classifier.calibration import calibrated
from xbayes.classifier.fitted_model import FittedModel
from xbayes.classifier.intervals import JointDraws
from xbayes.classifier.predict import (
    Classifier,
    padded_size,
    posterior_samples,
    prior_of_rows,
    subclass_log_prior,
)
from xbayes.classifier.recipe import Recipe, Scoring
from xbayes.classifier.subclasses import class_means, class_scores, responsibilities
from xbayes.errors import InputError
from xbayes.evaluate.information import Batch, choose_batch, information
from xbayes.features.build import build_features, needed_columns
from xbayes.features.conditions import conditions_of_classes, number_columns
from xbayes.features.prior import source_prior
from xbayes.output.table import passed_columns
from xbayes.tasks.classify import AS_TRAINED
from xbayes.tasks.survey import check_values, in_units_of_run, match_to_run
from xbayes.types import Features

# Candidates of a batch: the most informative sources, at least 2000 and 20 per suggestion.
LEAST_CANDIDATES, CANDIDATES_PER_SUGGESTION = 2000, 20


def suggest_labels(
    model: FittedModel,
    table: Table,
    n: int,
    *,
    columns: ColumnOptions = AS_TRAINED,
    warn: Callable[[str], None] = lambda message: None,
) -> Table:
    """The `n` sources to label next, best first, with the information of each label and its origin.

    Sources with a label and training sources (by id) are excluded. `warn` is called with the
    warnings about the catalogue. Raises `InputError` for a run without posterior samples, a wrong
    catalogue or too large an `n`.
    """
    if n < 1:
        raise InputError(f"-n (n=) must be at least 1; found {n}")
    if model.classifier.draws is None:
        raise InputError(
            f"{model.folder} has no posterior samples, so the information of a label is not known; "
            "make a run that has them: xbayes run CONFIG --set variant=bayes"
        )
    matched = match_to_run(model, table_chunks(table, len(table)), columns)
    model = model.with_optional(columns.optional, **columns.values_by_key())
    config = model.config
    with matched.explaining_errors():
        table = next(matched.chunks.read(None))
        needed, numbers = list(needed_columns(config)), number_columns(config)
        checked = check_catalog(table, config.catalog, needed, "classify", numbers=numbers)
        converted = in_units_of_run(model, checked)
        features, report = build_features(converted, config)
        of_source = source_prior(converted, config, model.applied_log_prior)
        suspicions = check_values(model, checked)
    for message in (*suspicions, *report.warnings):
        warn(matched.explained(message))
    unlabelled = np.flatnonzero(_is_unlabelled(model, checked))
    if n > len(unlabelled):
        raise InputError(
            f"-n {n}: only {len(unlabelled)} of the {len(checked)} sources of the catalogue have "
            "no label and are not in the training sample; give a smaller -n (n=)"
        )
    prior = model.log_prior if of_source is None else of_source.log_prior
    of_unlabelled = prior_of_rows(prior, unlabelled)
    rows = unlabelled[_candidates(model, features.rows(unlabelled), n, of_unlabelled)]
    samples = draw_posteriors(
        model.recipe, model.classifier, features.rows(rows), prior_of_rows(prior, rows)
    )
    batch = choose_batch(samples, n)
    chosen = rows[batch.chosen]
    passed = [name for name in passed_columns(config.catalog) if name in checked.colnames]
    table = subset(checked, passed, chosen)
    table = matched.own_names(table)
    reasons = _with_reasons(table, model, features.rows(chosen), samples[:, batch.chosen], batch)
    return plain_columns(reasons)


def draw_posteriors(
    recipe: Recipe,
    classifier: Classifier,
    features: Features,
    log_prior: Float[np.ndarray, "*R C"] | None = None,
) -> Float[np.ndarray, "D N C"]:
    """The class probabilities of each source under each posterior sample.

    Without posterior samples the fitted weights count as one sample.
    """
    if classifier.draws is None:
        weights = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], classifier.weights)
        classifier = classifier._replace(draws=JointDraws(density=None, weights=weights))
    prior = subclass_log_prior(recipe, classifier, log_prior)
    n_rows = len(features.value)
    size, parts = padded_size(n_rows), []
    for first in range(0, n_rows, size):
        part = features.rows(slice(first, first + size))
        own = prior_of_rows(prior, slice(first, first + size), size)
        samples = _class_probabilities(recipe.scoring, classifier, part.padded(size), own)
        parts.append(np.asarray(samples)[:, : len(part.value)])
    return np.concatenate(parts, axis=1).astype(np.float64)


@partial(jax.jit, static_argnums=0)
def _class_probabilities(scoring: Scoring, classifier: Classifier, features: Features, log_prior):
    assert classifier.draws is not None  # the caller makes sure
    # No shrinkage of the log-odds of outliers: it would hide differences between the samples.
    shrinkage = jnp.ones(len(features.value), log_prior.dtype)
    return posterior_samples(scoring, classifier, features, log_prior, shrinkage).posterior


def _is_unlabelled(model: FittedModel, table: Table) -> Bool[np.ndarray, "N"]:
    """Rows without a label that are not in the training sample."""
    roles, unlabelled = model.config.catalog, np.ones(len(table), bool)
    if roles.label is not None and roles.label in table.colnames:
        conditions = conditions_of_classes(table, model.config, model.trained_on.lacked_by)
        label = masked_column(table, roles.label)
        unlabelled = without_label(label, model.config.taxonomy, conditions)
    predictions = model.folder / "predictions.parquet"
    if predictions.is_file():
        ids = np.asarray(read_catalog(predictions, text=[roles.id])[roles.id]).astype(str)
        unlabelled &= ~np.isin(np.asarray(table[roles.id]).astype(str), ids)
    return unlabelled


def _candidates(
    model: FittedModel, features: Features, n: int, log_prior: Float[np.ndarray, "*R C"] | None
) -> np.ndarray:
    """The rows with the most informative single labels; computed in chunks to bound memory."""
    n_rows, gains = len(features.value), []
    for first in range(0, n_rows, padded_size(n_rows)):
        chunk = slice(first, first + padded_size(n_rows))
        part, prior = features.rows(chunk), prior_of_rows(log_prior, chunk)
        samples = draw_posteriors(model.recipe, model.classifier, part, prior)
        gains.append(information(samples))
    order = np.argsort(-np.concatenate(gains), kind="stable")
    return order[: max(LEAST_CANDIDATES, CANDIDATES_PER_SUGGESTION * n)]


def _with_reasons(
    table: Table, model: FittedModel, features: Features, samples: np.ndarray, batch: Batch
) -> Table:
    """The table with gains, the two most probable classes, and the least certain feature."""
    classes, mean = np.array(model.classes), samples.mean(0)
    first, second = np.argsort(-mean, axis=1)[:, :2].T
    shares = _variance_shares(model.recipe, model.classifier, features, first, second)
    feature, category, share = _largest_share(model.recipe, shares)
    columns = {
        "rank": (np.arange(len(mean)) + 1, "order in which to label"),
        "gain": (batch.gain, "information of the label, given the labels ranked before, nats"),
        "gain_alone": (batch.alone, "information of the label by itself, nats"),
        "prediction": (classes[first], "most probable class"),
        "p": (mean.max(1), "probability of the most probable class"),
        "runner_up": (classes[second], "second most probable class"),
        "why": (feature, "feature with the least certain log-odds of these two classes"),
        "why_category": (category, "category of this feature"),
        "why_share": (share, "share of this feature in the variance of the log-odds over samples"),
    }
    table.meta = {}
    for name, (values, text) in columns.items():
        if name in table.colnames:
            raise InputError(
                f"the catalogue has a column {name!r}, which is also a column of the output; "
                "rename it in the catalogue"
            )
        unit = "nat" if name.startswith("gain") else None
        table[name] = Column(values, description=text, unit=unit)
    return table


def _variance_shares(
    recipe: Recipe,
    classifier: Classifier,
    features: Features,
    first: np.ndarray,
    second: np.ndarray,
) -> Float[np.ndarray, "N F"]:
    """The share of each feature in the variance of the log-odds of two classes over the samples.

    cov(contribution, log-odds) / var(log-odds). The shares of the features, of the offset and of
    the choice of subclass sum to 1. They are zero if all samples agree.
    """
    row, class_of = np.arange(len(first)), recipe.names.class_of

    def one(draw: JointDraws):
        params = classifier.density if draw.density is None else draw.density
        log_lik = recipe.density.log_lik(params, features)
        terms = recipe.model.contributions(draw.weights, log_lik) @ classifier.calibrator.matrix.T
        scores = calibrated(
            classifier.calibrator,
            recipe.model.log_joint(draw.weights, log_lik),
            classifier.weights.log_prior,
            (log_lik != 0).any(axis=(1, 2)),
        )
        resp = responsibilities(scores, class_of)
        terms, scores = class_means(terms, resp, class_of), class_scores(scores, class_of)
        contribution = terms[row, :, first] - terms[row, :, second]
        return contribution, scores[row, first] - scores[row, second]

    mapped = jax.lax.map(one, classifier.draws)
    contribution, log_odds = (np.asarray(array, np.float64) for array in mapped)
    deviation = log_odds - log_odds.mean(0)
    variance = (deviation**2).mean(0)
    covariance = (contribution * deviation[..., None]).mean(0)
    return covariance / np.maximum(variance, 1e-300)[:, None]


def _largest_share(recipe: Recipe, shares: Float[np.ndarray, "N F"]):
    """Name, category and share of the feature with the largest share; empty if none is positive."""
    names = recipe.names
    largest = shares.argmax(1)
    share = shares[np.arange(len(shares)), largest]
    positive = share > 0
    feature = np.where(positive, np.array(names.features)[largest], "")
    category = np.array(names.categories)[np.array(names.category)[largest]]
    return feature, np.where(positive, category, ""), np.where(positive, share, 0.0)
