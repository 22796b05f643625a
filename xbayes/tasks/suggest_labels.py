"""What to label next: the sources of a catalogue whose labels would teach a fitted run most.

read -> features -> class probabilities by draw -> information -> a diverse batch -> why
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from astropy.table import Column, Table
from jaxtyping import Bool, Float

from xbayes.catalog.columns import masked_column, subset
from xbayes.catalog.read import read_catalog
from xbayes.catalog.roles import check_catalog
from xbayes.catalog.taxonomy import without_label
from xbayes.catalog.units import convert_units
from xbayes.classifier.calibration import calibrated
from xbayes.classifier.fitted_model import FittedModel
from xbayes.classifier.intervals import JointDraws
from xbayes.classifier.predict import (
    Classifier,
    padded_size,
    posterior_samples,
    subclass_log_prior,
)
from xbayes.classifier.recipe import Recipe, Scoring
from xbayes.classifier.subclasses import class_means, class_scores, responsibilities
from xbayes.evaluate.information import Batch, choose_batch, information
from xbayes.features.build import build_features, needed_columns
from xbayes.output.table import passed_columns
from xbayes.types import Features, InputError

FEWEST, FOR_EACH = 2000, 20  # candidates of a batch: the most informative, 20 for each wanted


def suggest_labels(
    model: FittedModel,
    table: Table,
    n: int,
    *,
    tell: Callable[[str], None] = lambda message: None,
) -> Table:
    """The `n` sources to label next, in their order, with what each label would tell and why.

    Sources with a label, and those the run has learned from (by their id), are not among them.
    `tell` gets the warnings of the catalogue. Raises `InputError`.
    """
    if n < 1:
        raise InputError(f"-n must be at least 1; found {n}")
    if model.classifier.draws is None:
        raise InputError(
            f"{model.folder} has no posterior samples, so the information of a label is not known; "
            "make a run that has them: xbayes run CONFIG --set variant=bayes"
        )
    config = model.config
    checked = check_catalog(table, config.catalog, list(needed_columns(config)), "classify")
    features, report = build_features(convert_units(checked, model.units), config)
    for warning in report.warnings:
        tell(warning)
    free = np.flatnonzero(_unknown(model, checked))
    if n > len(free):
        raise InputError(
            f"-n {n}: the catalogue has {len(free)} sources without a label that the run has not "
            f"learned from ({len(checked)} in all); ask for fewer"
        )
    rows = free[_candidates(model, features.rows(free), n)]
    drawn = draw_posteriors(model.recipe, model.classifier, features.rows(rows), model.log_prior)
    batch = choose_batch(drawn, n)
    chosen = rows[batch.chosen]
    passed = subset(
        checked, [c for c in passed_columns(config.catalog) if c in checked.colnames], chosen
    )
    return _table(passed, model, features.rows(chosen), drawn[:, batch.chosen], batch)


def draw_posteriors(
    recipe: Recipe,
    classifier: Classifier,
    features: Features,
    log_prior: Float[np.ndarray, "C"] | None = None,
) -> Float[np.ndarray, "D N C"]:
    """The class probabilities of each source under each draw; one draw where there are none."""
    if classifier.draws is None:
        own = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], classifier.weights)
        classifier = classifier._replace(draws=JointDraws(density=None, weights=own))
    prior = subclass_log_prior(recipe, classifier, log_prior)
    n_rows = len(features.value)
    size, parts = padded_size(n_rows), []
    for first in range(0, n_rows, size):
        part = features.rows(slice(first, first + size))
        drawn = _by_draw(recipe.scoring, classifier, part.padded(size), prior)
        parts.append(np.asarray(drawn)[:, : len(part.value)])
    return np.concatenate(parts, axis=1).astype(np.float64)


@partial(jax.jit, static_argnums=0)
def _by_draw(scoring: Scoring, classifier: Classifier, features: Features, log_prior):
    assert classifier.draws is not None  # its callers see to that
    # Shrinking what strange sources tell would hide where draws differ.
    whole = jnp.ones(len(features.value), log_prior.dtype)
    return posterior_samples(scoring, classifier, features, log_prior, whole).posterior


def _unknown(model: FittedModel, table: Table) -> Bool[np.ndarray, "N"]:
    """Rows without a label that the run has not learned from either."""
    roles, unknown = model.config.catalog, np.ones(len(table), bool)
    if roles.label is not None and roles.label in table.colnames:
        unknown = without_label(masked_column(table, roles.label), model.config.taxonomy)
    learned = model.folder / "predictions.parquet"
    if learned.is_file():
        ids = np.asarray(read_catalog(learned, text=[roles.id])[roles.id]).astype(str)
        unknown &= ~np.isin(np.asarray(table[roles.id]).astype(str), ids)
    return unknown


def _candidates(model: FittedModel, features: Features, n: int) -> np.ndarray:
    """The rows whose labels tell most by themselves; a chunk at a time, for memory."""
    n_rows, gains = len(features.value), []
    for first in range(0, n_rows, padded_size(n_rows)):
        part = features.rows(slice(first, first + padded_size(n_rows)))
        drawn = draw_posteriors(model.recipe, model.classifier, part, model.log_prior)
        gains.append(information(drawn))
    order = np.argsort(-np.concatenate(gains), kind="stable")
    return order[: max(FEWEST, FOR_EACH * n)]


def _table(
    passed: Table, model: FittedModel, features: Features, drawn: np.ndarray, batch: Batch
) -> Table:
    classes, mean = np.array(model.classes), drawn.mean(0)
    first, second = np.argsort(-mean, axis=1)[:, :2].T
    shares = _shares(model.recipe, model.classifier, features, first, second)
    prop, category, share = _why(model.recipe, shares)
    made = {
        "rank": (np.arange(len(mean)) + 1, "order in which to label"),
        "gain": (batch.gain, "information of its label beside those before it, nats"),
        "gain_alone": (batch.alone, "information of its label by itself, nats"),
        "prediction": (classes[first], "most probable class"),
        "p": (mean.max(1), "its probability"),
        "runner_up": (classes[second], "second most probable class"),
        "why": (prop, "property whose evidence for the one against the other is least certain"),
        "why_category": (category, "its category"),
        "why_share": (share, "its part of the variance of these log-odds over draws"),
    }
    table = passed.copy()
    table.meta = {}
    for name, (values, text) in made.items():
        if name in table.colnames:
            raise InputError(
                f"the catalogue has a column {name!r}, which is also a column of the output; "
                "rename it, or take it out of catalog.keep"
            )
        unit = "nat" if name.startswith("gain") else None
        table[name] = Column(values, description=text, unit=unit)
    return table


def _shares(
    recipe: Recipe,
    classifier: Classifier,
    features: Features,
    first: np.ndarray,
    second: np.ndarray,
) -> Float[np.ndarray, "N F"]:
    """Part of each property in the variance over draws of the log-odds of two classes.

    cov(contribution, log-odds) / var(log-odds): over properties, the offset and which subclass it
    is these sum to 1. Zero
    where the draws all say the same.
    """
    at, class_of = np.arange(len(first)), recipe.names.class_of

    def one(draw: JointDraws):
        params = classifier.density if draw.density is None else draw.density
        log_lik = recipe.density.log_lik(params, features)
        each = recipe.model.contributions(draw.weights, log_lik) @ classifier.calibrator.matrix.T
        odds = calibrated(
            classifier.calibrator,
            recipe.model.log_joint(draw.weights, log_lik),
            classifier.weights.log_prior,
            (log_lik != 0).any(axis=(1, 2)),
        )
        own = responsibilities(odds, class_of)
        each, odds = class_means(each, own, class_of), class_scores(odds, class_of)
        return each[at, :, first] - each[at, :, second], odds[at, first] - odds[at, second]

    each, odds = (np.asarray(a, np.float64) for a in jax.lax.map(one, classifier.draws))
    off = odds - odds.mean(0)
    variance = (off**2).mean(0)
    covariance = (each * off[..., None]).mean(0)
    return covariance / np.maximum(variance, 1e-300)[:, None]


def _why(recipe: Recipe, shares: Float[np.ndarray, "N F"]):
    """Name, category and share of the property with the largest share; none if none has any."""
    names = recipe.names
    largest = shares.argmax(1)
    share = shares[np.arange(len(shares)), largest]
    told = share > 0
    prop = np.where(told, np.array(names.features)[largest], "")
    category = np.array(names.categories)[np.array(names.category)[largest]]
    return prop, np.where(told, category, ""), np.where(told, share, 0.0)
