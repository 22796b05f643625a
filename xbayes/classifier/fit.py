"""Learn the whole classifier from a training part.

    features -> statistics by fold -> out-of-fold log-likelihoods -> penalty -> weights
             -> nested out-of-fold scores -> additive terms -> calibration -> decision rule, sets

Folds here are inner folds. The penalty, the additive terms, the calibration and the decision rule
are chosen on nested out-of-fold scores: neither the densities nor the weights behind a score have
seen its row.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from xbayes.classifier.assignment import (
    apply_assignment,
    tilted_log_likelihoods,
    weight_learning_recipe,
)
from xbayes.classifier.calibration import NONE, Calibration, CalibrationReport, fit_calibration
from xbayes.classifier.conformal import fit_conformal
from xbayes.classifier.decision import fit_rule
from xbayes.classifier.f1_weight import learn_for_f1
from xbayes.classifier.given_weights import apply_given_weights
from xbayes.classifier.held_out import HeldOutSample
from xbayes.classifier.outlier import (
    OutlierReference,
    fit_reference,
    outlier_score,
    tail_probability,
)
from xbayes.classifier.posterior_draws import PosteriorReport, fit_posterior
from xbayes.classifier.predict import Classifier
from xbayes.classifier.probabilities import class_posterior
from xbayes.classifier.recipe import Recipe
from xbayes.classifier.shrink import fit_joint_novelty, shrunk
from xbayes.classifier.states import states_seen
from xbayes.classifier.subclasses import class_scores
from xbayes.classifier.training_part import TrainingPart, at_own_fold, training_part
from xbayes.infer.f1 import recalibrate
from xbayes.infer.gradient import GradientInfo, fit_from_starts
from xbayes.infer.out_of_fold import OutOfFold, out_of_fold
from xbayes.infer.select_penalty import Selection, select_penalty
from xbayes.infer.select_splines import SplineReport, learn_splines
from xbayes.infer.select_terms import HeldOut, TermReport, learn_terms
from xbayes.models.base import Params
from xbayes.models.naive_bayes import NaiveBayesParams
from xbayes.published.evolution import evolve_f1
from xbayes.types import Features, Labels


class FitReport(NamedTuple):
    """The choices made in the fit, and how it converged."""

    penalty: float  # NaN if the weights are given, as then nothing is penalised
    penalties: tuple[float, ...]
    held_out_loss: tuple[float, ...]  # log loss of each penalty
    weights: GradientInfo
    missing_weight: float = 1.0  # exponent of P(missing | class), if evolution searched it
    calibration: CalibrationReport = CalibrationReport()
    posterior: PosteriorReport | None = None
    terms: TermReport | None = None
    splines: SplineReport | None = None
    f1_weight: float = 0.0  # lambda of `objective: f1`
    held_out_f1: tuple[float, ...] = ()  # of each candidate lambda


class _Learned(NamedTuple):
    """Densities, weights, and out-of-fold log-likelihoods."""

    fitted_density: Params
    density: Params  # the same, unless the assignment or evolution changed it
    weights: NaiveBayesParams
    out_of_fold: OutOfFold  # log-likelihoods that the weights were learned on
    log_lik: Float[Array, "N F C"]  # out-of-fold log-likelihoods of `density`
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
    """The classifier fitted to the labelled rows with an inner `fold >= 0`; others are ignored.

    Parameters
    ----------
    row_weight
        Weight of each row in densities, weights and additive terms, about 1. The class proportions
        and the losses on which penalty, calibration, rule and sets are chosen are not weighted.
        Rows with a soft label (`labels.soft_share`) count by their share in densities, weights,
        terms and class proportions, and not at all in these losses.
    """
    training = training_part(recipe, features, labels, fold, row_weight)
    keys = jax.random.split(key, 3)
    learner = weight_learning_recipe(recipe)  # the recipe itself, unless weights: assignment
    learned = _learn(recipe, learner, training, keys)
    log_lik, alpha = np.asarray(learned.log_lik), np.asarray(recipe.model.alpha(learned.weights))
    measured, available = np.any(log_lik != 0, axis=(1, 2)), np.asarray(features.available)
    known = training.of_known
    outlier = fit_reference(log_lik, available, np.asarray(known.truth), alpha)
    draws, report = None, learned.report
    if recipe.posterior is None:
        log_joint = _nested_scores(recipe, learner, keys[0], training, learned)
    else:
        posterior_key = jax.random.fold_in(key, 3)
        draws, log_joint, posterior_report = fit_posterior(
            recipe, training, learned.out_of_fold, learned.fitted_density, posterior_key
        )
        report = report._replace(posterior=posterior_report)
    splines, terms, log_joint, report = _learn_additive_terms(
        recipe, key, training, log_joint, measured, report
    )
    calibration = _calibrate(recipe, known, log_joint, measured)
    score = np.asarray(calibration.log_joint)
    unusual = outlier_score(outlier, jnp.asarray(log_lik), jnp.asarray(available))
    joint = fit_joint_novelty(recipe, known, outlier, unusual, _seed(jax.random.fold_in(key, 5)))
    if recipe.shrinks_outliers:
        score = shrunk(score, np.asarray(training.log_prior), outlier, unusual, joint)
    sample = _held_out_sample(recipe, known, labels, score, outlier, unusual)
    rule = fit_rule(recipe.decision, recipe.focus, sample, _seed(keys[2]))
    classifier = Classifier(
        density=learned.density,
        weights=learned.weights,
        outlier=outlier,
        rule=jax.tree.map(jnp.asarray, rule),
        calibrator=calibration.calibrator,
        conformal=fit_conformal(np.asarray(sample.posterior), np.asarray(sample.class_index)),
        states=states_seen(features, training.rows),
        draws=draws,
        splines=splines,
        terms=terms,
        novelty=None if joint is None else joint.novelty,
        held_out=sample,
    )
    return classifier, report._replace(calibration=calibration.report)


def _calibrate(recipe: Recipe, training: TrainingPart, log_joint, measured) -> Calibration:
    return fit_calibration(
        log_joint,
        training.log_prior,
        measured,
        np.asarray(training.truth),
        np.asarray(training.fold),
        training.group,
        kind=recipe.calibration,
    )


def _held_out_sample(
    recipe: Recipe,
    training: TrainingPart,
    labels: Labels,
    score: Float[np.ndarray, "N T"],
    outlier: OutlierReference,
    unusual: Float[Array, "N T"],
) -> HeldOutSample:
    """The training rows with their held-out posteriors and outlier p-values."""
    rows, class_of = training.rows, recipe.names.class_of
    of_classes = np.asarray(class_scores(score[rows], class_of))
    predicted = of_classes.argmax(1)
    of_predicted = np.asarray(class_of)[None] == predicted[:, None]
    subclass = np.where(of_predicted, score[rows], -np.inf).argmax(1)
    return HeldOutSample(
        posterior=class_posterior(of_classes),
        class_index=labels.class_index[rows],
        group=training.group[rows],
        outlier_p=tail_probability(outlier, np.asarray(unusual)[rows], subclass),
        log_prior=None if labels.log_prior is None else labels.log_prior[rows],
    )


def _learn(recipe: Recipe, learner: Recipe, training: TrainingPart, keys) -> _Learned:
    """Densities from statistics, the penalty on inner folds, the weights out of fold."""
    prepared, features, fold = training.prepared, training.features, training.fold
    weight = () if training.row_weight is None else (training.row_weight,)
    statistics = recipe.density.statistics(
        prepared, features, training.truth, fold, recipe.n_folds, *weight
    )
    fitted = recipe.density.fit(prepared, jax.tree.map(lambda s: s.sum(0), statistics))
    log_lik = out_of_fold(learner.density, prepared, statistics, features, fold)
    selection, weights, missing_weight, info = _choose_weights(learner, keys, training, log_lik)
    density = fitted
    if recipe.assignment is not None:
        single = tilted_log_likelihoods(recipe, prepared, statistics, features, fold, weights.tilt)
        density, weights = apply_assignment(recipe, fitted, weights)
    else:
        single = _reweighed(recipe, training, log_lik.single, missing_weight)
        if recipe.search_missing:
            assert recipe.density.with_missing_weight is not None
            density = recipe.density.with_missing_weight(fitted, missing_weight)
    report = FitReport(
        penalty=float(selection.penalty),
        penalties=recipe.penalties if recipe.given_alpha is None else (),
        held_out_loss=tuple(map(float, selection.held_out_loss)),
        weights=jax.tree.map(np.asarray, info),
        missing_weight=missing_weight,
        f1_weight=selection.f1_weight,
        held_out_f1=tuple(map(float, selection.held_out_f1)),
    )
    return _Learned(
        fitted_density=fitted,
        density=density,
        weights=weights,
        out_of_fold=log_lik,
        log_lik=single,
        selection=selection,
        report=report,
    )


def _choose_weights(
    learner: Recipe, keys, training: TrainingPart, log_lik: OutOfFold
) -> tuple[Selection, Params, float, GradientInfo]:
    """The penalty, the weights, the exponent of P(missing | class), and how the search ended."""
    if learner.given_alpha is not None:
        weights, selection, info = apply_given_weights(learner, training, log_lik)
        return selection, weights, 1.0, info
    selection = select_penalty(
        learner.model,
        keys[0],
        log_lik.nested,
        training.truth,
        training.fold,
        log_prior=training.log_prior,
        penalties=learner.penalties,
        row_weight=training.row_weight,
        judged=training.known,
    )
    weights, missing_weight, info = _learn_weights(
        learner, keys[1], training, log_lik.single, selection.penalty
    )
    if learner.objective == "f1" and learner.optimiser == "gradient":
        seed = _seed(jax.random.fold_in(keys[1], 0))
        weights, info, selection = learn_for_f1(
            learner, training, log_lik, selection, weights, info, seed=seed
        )
    return selection, weights, missing_weight, info


def _learn_weights(recipe: Recipe, key, training: TrainingPart, log_lik, penalty):
    """Weights, the exponent of P(missing | class), and how the search converged."""
    rows = training.fold >= 0
    if recipe.optimiser == "evolution":
        return _evolve(recipe, key, training, log_lik, rows)
    row_weight = rows.astype(log_lik.dtype)
    if training.row_weight is not None:
        row_weight = row_weight * training.row_weight
    weights, info = fit_from_starts(
        recipe.model,
        key,
        log_lik,
        training.truth,
        row_weight,
        log_prior=training.log_prior,
        penalty=penalty,
        n_starts=recipe.n_starts,
    )
    return weights, 1.0, info


def _evolve(recipe: Recipe, key, training: TrainingPart, log_lik, rows):
    blank = recipe.model.init(key, log_lik)._replace(log_prior=training.log_prior)
    measured, truth = jnp.asarray(training.features.measured), training.truth
    row_weight = rows.astype(log_lik.dtype)
    best = evolve_f1(
        recipe.model,
        blank,
        log_lik,
        measured,
        truth,
        row_weight,
        focus=recipe.focus,
        seed=_seed(key),
        reweigh_missing=recipe.density.reweigh_missing if recipe.search_missing else None,
        available=jnp.asarray(training.features.available),
    )
    x = _reweighed(recipe, training, log_lik, best.missing_weight)
    weights, _ = _recalibrate(recipe, best.params, x, truth, row_weight)
    return weights, best.missing_weight, best.info


@partial(jax.jit, static_argnums=0)
def _recalibrate(recipe: Recipe, weights, log_lik, truth, row_weight):
    return recalibrate(recipe.model, weights, recipe.model.design(log_lik), truth, row_weight)


def _reweighed(recipe: Recipe, training: TrainingPart, log_lik, missing_weight: float):
    """Log-likelihoods with the exponent of P(missing | class) applied."""
    if missing_weight == 1.0:
        return log_lik
    assert recipe.density.reweigh_missing is not None, "the config lets only these search it"
    measured, available = map(
        jnp.asarray, (training.features.measured, training.features.available)
    )
    return recipe.density.reweigh_missing(log_lik, measured, available, missing_weight)


def _nested_scores(
    recipe: Recipe, learner: Recipe, key, training: TrainingPart, learned: _Learned
) -> Float[Array, "N C"]:
    """Scores of each row by densities and weights that never saw its fold.

    One exception: if evolution searches the weights and only the prediction sets need these scores,
    the weights are those of all rows, because a search per fold takes several times as long.
    """
    nested, fold = learned.out_of_fold.nested, training.fold
    if recipe.optimiser == "gradient":
        return learned.selection.log_joint
    if recipe.calibration == NONE and recipe.decision.kind == "argmax":
        return recipe.model.log_joint(learned.weights, learned.log_lik)
    scores = []
    for j in range(recipe.n_folds):
        others = (fold >= 0) & (fold != j)
        weights, missing_weight, _ = _evolve(learner, key, training, nested[j], others)
        x = _reweighed(learner, training, nested[j], missing_weight)
        scores.append(learner.model.log_joint(weights, x))
    return at_own_fold(jnp.stack(scores), fold)


def _learn_additive_terms(
    recipe: Recipe, key, training: TrainingPart, log_joint, measured, report: FitReport
):
    """Curves, boosted terms, the held-out scores averaged with both in this order, the report."""
    splines, terms, dtype = None, None, log_joint.dtype
    row_weight = None if training.row_weight is None else np.asarray(training.row_weight)

    def held_out(log_joint) -> HeldOut:
        return HeldOut(
            truth=np.asarray(training.truth),
            fold=np.asarray(training.fold),
            group=training.group,
            log_joint=np.asarray(log_joint, np.float64),
            measured=measured,
            judged=training.known,
        )

    def as_dtype(arrays):
        return jax.tree.map(
            lambda a: jnp.asarray(a, dtype if a.dtype.kind == "f" else a.dtype), arrays
        )

    if recipe.splines:
        splines, scores, chosen = learn_splines(training.features, held_out(log_joint), row_weight)
        splines, log_joint = as_dtype((splines, scores))
        report = report._replace(splines=chosen)
    if recipe.terms is not None:
        terms, scores, chosen = learn_terms(
            training.features,
            held_out(log_joint),
            recipe.terms,
            _seed(jax.random.fold_in(key, 4)),
            row_weight,
        )
        terms, log_joint = as_dtype((terms, scores))
        report = report._replace(terms=chosen)
    return splines, terms, log_joint, report


def _seed(key: PRNGKeyArray) -> int:
    """A seed for NumPy and SciPy."""
    return int(jax.random.randint(key, (), 0, 2**31 - 1))
