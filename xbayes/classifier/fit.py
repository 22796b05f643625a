"""Learn the whole classifier from a training part.

    features -> counts by fold -> out-of-fold log-likelihoods -> penalty -> weights
             -> held-out scores -> calibration -> rule, sets

Folds here are inner folds. What is chosen (penalty, calibration, decision rule) is chosen on scores
of rows that neither the densities nor the weights behind the score have seen.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from xbayes.classifier import probabilities as post
from xbayes.classifier.assignment import assigned, assigned_likelihoods, learner_of
from xbayes.classifier.calibration import NONE, Calibration, CalibrationReport, fit_calibration
from xbayes.classifier.conformal import fit_conformal
from xbayes.classifier.decision import fit_class_weight
from xbayes.classifier.outlier import fit_reference
from xbayes.classifier.posterior_draws import Fitted, PosteriorReport, fit_posterior
from xbayes.classifier.predict import Classifier
from xbayes.classifier.recipe import Recipe, scoring
from xbayes.classifier.subclasses import class_scores
from xbayes.infer.f1 import fit_f1, recalibrate
from xbayes.infer.gradient import GradientInfo, fit_from_starts, fit_log_loss
from xbayes.infer.out_of_fold import OutOfFold, out_of_fold
from xbayes.infer.select_penalty import Selection, select_strength
from xbayes.infer.select_splines import SplineReport, learn_splines
from xbayes.infer.select_terms import Held, TermReport, learn_terms
from xbayes.published.evolution import evolve_f1
from xbayes.types import Features, Labels


class FitReport(NamedTuple):
    """How the fit went."""

    penalty: float
    penalties: tuple[float, ...]
    held_out_loss: tuple[float, ...]  # log loss by penalty
    weights: GradientInfo
    missing_weight: float = 1.0  # that evolution found, if it searched
    calibration: CalibrationReport = CalibrationReport()
    posterior: PosteriorReport | None = None
    terms: TermReport | None = None
    splines: SplineReport | None = None


class _Data(NamedTuple):
    """The training part as the drivers read it; rows outside it have truth and fold -1."""

    features: Any  # Features of JAX arrays
    truth: Int[Array, "N"]
    fold: Int[Array, "N"]
    log_prior: Float[Array, "C"]
    row_weight: Float[Array, "N"] | None  # what each row counts for; None: all alike


class _Learned(NamedTuple):
    """Densities and weights, and what judges them."""

    counted: Any  # densities as fitted; those of the classifier may be turned by what was learned
    density: Any
    weights: Any
    held_out: OutOfFold  # log-likelihoods that the weights were learned on
    single: Float[Array, "N F C"]  # out-of-fold log-likelihoods of `density`, by property
    selection: Selection
    report: FitReport


def fit_classifier(
    recipe: Recipe,
    features: Features,
    labels: Labels,
    fold: Int[np.ndarray, "N"],
    key: PRNGKeyArray,
    row_weight: Float[np.ndarray, "N"] | None = None,
) -> tuple[Classifier, FitReport]:
    """Fit on the labelled rows with `fold >= 0`; the others change nothing (shapes stay).

    `row_weight` is what each row counts for in densities, weights and terms, about 1; the class
    proportions, and what judges (penalty, calibration, rule, sets), count rows alike.
    """
    training = (np.asarray(fold) >= 0) & (labels.class_index >= 0)
    grid = jax.tree.map(jnp.asarray, recipe.density.lay_grid(features, training))
    data = _training_data(recipe, features, labels, fold, training, row_weight)
    keys = jax.random.split(key, 3)
    learner = learner_of(recipe)
    learned = _learn(recipe, learner, grid, data, keys)
    modelled, alpha = np.asarray(data.truth), np.asarray(recipe.model.alpha(learned.weights))
    available = np.asarray(features.available)
    outlier = fit_reference(np.asarray(learned.single), available, modelled, alpha)
    draws, report = None, learned.report
    if recipe.posterior is not None:
        rows = (learner, grid, data.features, data.truth, data.fold, data.log_prior)
        fitted = Fitted(*rows, learned.held_out.single, learned.held_out.nested, learned.counted)
        sampled = fit_posterior(recipe, fitted, labels.group, jax.random.fold_in(key, 3))
        draws, log_joint = sampled.draws, sampled.log_joint
        if scoring(recipe).averages_log_odds:
            log_joint = jnp.asarray(log_joint.mean(0))
        report = report._replace(posterior=sampled.report)
    else:
        log_joint = _scores_to_judge(recipe, learner, keys[0], data, learned)
    splines = terms = None
    if recipe.splines:
        splines, log_joint, told = _learn_splines(data, log_joint, learned, labels.group)
        report = report._replace(splines=told)
    if recipe.terms is not None:
        terms, log_joint, told = _learn_terms(recipe, key, data, log_joint, learned, labels.group)
        report = report._replace(terms=told)
    calibration = _calibrate(recipe, data, log_joint, learned.single, labels.group)
    posterior = _of_classes(recipe, calibration.log_joint[training])
    class_weight = np.ones(len(recipe.names.classes))
    if recipe.decision == "f1":
        class_weight = _learn_rule(recipe, keys[2], posterior, labels, training)
    conformal = fit_conformal(posterior, labels.class_index[training])
    fixed = (learned.density, learned.weights, outlier, jnp.asarray(class_weight))
    beside = {"splines": splines, "terms": terms}
    classifier = Classifier(*fixed, calibration.calibrator, conformal, draws, **beside)
    return classifier, report._replace(calibration=calibration.report)


def _learn(recipe: Recipe, learner: Recipe, grid, data: _Data, keys) -> _Learned:
    """Densities from counts, the penalty on inner folds, the weights out of fold."""
    weighed = () if data.row_weight is None else (data.row_weight,)
    rows = (data.features, data.truth, data.fold)
    counts = recipe.density.count(grid, *rows, recipe.n_folds, *weighed)
    density = counted = recipe.density.fit(grid, jax.tree.map(lambda c: c.sum(0), counts))
    held_out = out_of_fold(learner.density, grid, counts, data.features, data.fold)
    rows = (held_out.nested, data.truth, data.fold)
    given = (data.log_prior, *rows, recipe.penalties, data.row_weight)
    selection = select_strength(learner.model, keys[0], *given)
    weights, missing_weight, info = _learn_weights(
        learner, keys[1], data, held_out.single, selection.penalty
    )
    if recipe.assignment is not None:
        rows = (grid, counts, data.features, data.fold, weights.tilt)
        single = assigned_likelihoods(recipe, *rows)
        density, weights = assigned(recipe, density, weights)
    else:
        # Evolution may have weighed what is missing; densities are scored with that weight.
        single = _with_missing_weight(held_out.single, data.features.measured, missing_weight)
        if recipe.search_missing:
            density = density._replace(log_missing=density.log_missing * missing_weight)
    loss, info = tuple(map(float, selection.held_out_loss)), jax.tree.map(np.asarray, info)
    report = FitReport(float(selection.penalty), recipe.penalties, loss, info, missing_weight)
    return _Learned(counted, density, weights, held_out, single, selection, report)


def _scores_to_judge(
    recipe: Recipe, learner: Recipe, key, data: _Data, learned: _Learned
) -> Float[Array, "N C"]:
    """Scores of the training rows by which calibration, rule and sets are fitted."""
    if _searches_weights_only(recipe):
        return recipe.model.log_joint(learned.weights, learned.single)
    return _held_out_scores(learner, key, data, learned.held_out.nested, learned.selection)


def _learn_terms(recipe: Recipe, key, data: _Data, log_joint, learned: _Learned, group):
    """The terms beside the weighted densities, held-out scores of both together, a report."""
    assert recipe.terms is not None  # its caller sees to that
    seed = int(jax.random.randint(jax.random.fold_in(key, 4), (), 0, 2**31 - 1))
    held = _held(data, log_joint, learned, group)
    weight = _row_weight(data)
    terms, mixed, report = learn_terms(data.features, held, recipe.terms, seed, weight)
    return _in_precision(terms, log_joint.dtype), jnp.asarray(mixed, log_joint.dtype), report


def _learn_splines(data: _Data, log_joint, learned: _Learned, group):
    """The curves beside the weighted densities, likewise."""
    held = _held(data, log_joint, learned, group)
    splines, mixed, report = learn_splines(data.features, held, _row_weight(data))
    return _in_precision(splines, log_joint.dtype), jnp.asarray(mixed, log_joint.dtype), report


def _held(data: _Data, log_joint, learned: _Learned, group) -> Held:
    measured = np.any(np.asarray(learned.single) != 0, axis=(1, 2))
    own = np.asarray(log_joint, np.float64)
    return Held(np.asarray(data.truth), np.asarray(data.fold), np.asarray(group), own, measured)


def _row_weight(data: _Data) -> Float[np.ndarray, "N"] | None:
    return None if data.row_weight is None else np.asarray(data.row_weight)


def _in_precision(terms, dtype):
    """Arrays of JAX; None stays."""
    return jax.tree.map(lambda a: jnp.asarray(a, dtype if a.dtype.kind == "f" else a.dtype), terms)


def _searches_weights_only(recipe: Recipe) -> bool:
    """Whether evolution runs and only the prediction sets ask for held-out scores.

    A search for every fold would take several times as long; the sets are then made of scores
    whose densities are held out but whose few weights are not.
    """
    learns = recipe.calibration != NONE or recipe.decision == "f1"
    return recipe.objective == "f1" and recipe.optimiser == "evolution" and not learns


def _calibrate(recipe: Recipe, data: _Data, log_joint, single, group) -> Calibration:
    measured = np.any(np.asarray(single) != 0, axis=(1, 2))
    rows = (np.asarray(data.truth), np.asarray(data.fold), np.asarray(group))
    return fit_calibration(
        log_joint, data.log_prior, np.asarray(measured), *rows, recipe.calibration
    )


def _of_classes(recipe: Recipe, log_joint: Float[np.ndarray, "N T"]) -> Float[np.ndarray, "N C"]:
    """Posteriors of the classes from scores of their subclasses."""
    return post.class_posterior(np.asarray(class_scores(log_joint, recipe.names.class_of)))


def _training_data(
    recipe: Recipe, features: Features, labels: Labels, fold, training, row_weight
) -> _Data:
    arrays = jax.tree.map(jnp.asarray, features)
    return _Data(
        arrays,
        jnp.asarray(np.where(training, labels.modelled, -1)),
        jnp.asarray(np.where(training, fold, -1)),
        _training_log_prior(recipe, labels.modelled[training], arrays.value.dtype),
        None if row_weight is None else jnp.asarray(row_weight, arrays.value.dtype),
    )


def _training_log_prior(recipe: Recipe, truth: np.ndarray, dtype):
    members = np.bincount(truth, minlength=len(recipe.names.modelled))
    return jnp.log(jnp.asarray(np.maximum(members, 1e-3) / members.sum(), dtype))


def _learn_weights(recipe: Recipe, key, data: _Data, log_lik, penalty):
    """Weights, the exponent of P(missing | class), and how the search went."""
    training = data.fold >= 0
    if recipe.optimiser == "evolution":
        return _evolve(recipe, key, data, log_lik, training)
    weights, info = _descend(recipe, key, data, log_lik, training, penalty)
    return weights, 1.0, info


def _descend(recipe: Recipe, key, data: _Data, log_lik, training, penalty):
    row_weight = training.astype(log_lik.dtype)
    if data.row_weight is not None:
        row_weight = row_weight * data.row_weight
    rows = (log_lik, data.truth, row_weight, penalty)
    weights, info = fit_from_starts(recipe.model, key, data.log_prior, *rows, recipe.n_starts)
    if recipe.objective == "f1":
        weights, info = _towards_f1(recipe, weights, *rows)
    return weights, info


@partial(jax.jit, static_argnums=0)
def _towards_f1(recipe: Recipe, weights, log_lik, truth, row_weight, penalty):
    return fit_f1(recipe.model, weights, log_lik, truth, row_weight, penalty, recipe.focus)


def _evolve(recipe: Recipe, key, data: _Data, log_lik, training):
    like = recipe.model.init(key, log_lik)._replace(log_prior=data.log_prior)
    seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
    observed, row_weight = data.features.measured, training.astype(log_lik.dtype)
    rows = (log_lik, observed, data.truth, row_weight)
    found = evolve_f1(recipe.model, like, *rows, recipe.focus, seed, recipe.search_missing)
    x = _with_missing_weight(log_lik, observed, found.missing_weight)
    weights, _ = _recalibrated(recipe, found.params, x, data.truth, row_weight)
    return weights, found.missing_weight, found.info


@partial(jax.jit, static_argnums=0)
def _recalibrated(recipe: Recipe, weights, log_lik, truth, row_weight):
    return recalibrate(recipe.model, weights, log_lik, truth, row_weight)


def _with_missing_weight(log_lik, observed, missing_weight: float):
    """Log-likelihoods with the exponent of P(missing | class) applied."""
    if missing_weight == 1.0:
        return log_lik
    return jnp.where(observed[..., None], log_lik, missing_weight * log_lik)


def _held_out_scores(recipe: Recipe, key, data: _Data, nested, selection) -> Float[Array, "N C"]:
    """Scores of each row by weights of the same objective that never saw its fold."""
    if recipe.objective == "log_loss":
        return selection.log_joint
    if recipe.optimiser == "gradient":
        return _held_out_f1(recipe, key, data, nested, selection.penalty)
    rows, parts = jnp.maximum(data.fold, 0), []
    for j in range(recipe.n_folds):
        others = (data.fold >= 0) & (data.fold != j)
        weights, missing_weight, _ = _evolve(recipe, key, data, nested[j], others)
        x = _with_missing_weight(nested[j], data.features.measured, missing_weight)
        parts.append(recipe.model.log_joint(weights, x))
    return jnp.stack(parts)[rows, jnp.arange(len(rows))]


@partial(jax.jit, static_argnums=0)
def _held_out_f1(recipe: Recipe, key, data: _Data, nested, penalty):
    start = recipe.model.init(key, nested[0])._replace(log_prior=data.log_prior)

    def one_fold(args):
        j, x = args
        row_weight = ((data.fold >= 0) & (data.fold != j)).astype(x.dtype)
        rows = (x, data.truth, row_weight, penalty)
        weights, _ = fit_log_loss(recipe.model, start, *rows)
        weights, _ = fit_f1(recipe.model, weights, *rows, recipe.focus)
        return recipe.model.log_joint(weights, x)

    log_joint = jax.lax.map(one_fold, (jnp.arange(nested.shape[0]), nested))  # [J, N, C]
    return log_joint[jnp.maximum(data.fold, 0), jnp.arange(data.fold.shape[0])]


def _learn_rule(recipe: Recipe, key, posterior, labels: Labels, training) -> np.ndarray:
    """Factors of the decision rule from held-out calibrated posteriors of the training rows."""
    seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
    truth, group = labels.class_index[training], labels.group[training]
    return fit_class_weight(posterior, truth, group, recipe.focus, seed)
