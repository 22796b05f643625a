"""The blocks of `metrics.json`: in-sample, cross-validated and prior-weighted scores."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.classifier.calibration import CalibrationReport
from xbayes.classifier.decision import by_threshold, decide, threshold_for
from xbayes.classifier.held_out import reweighted
from xbayes.classifier.predict import Products
from xbayes.classifier.probabilities import with_prior
from xbayes.classifier.recipe import decision_of
from xbayes.config.schema import Config, class_proportions, given_log_prior
from xbayes.evaluate.cross_validate import CrossValidation
from xbayes.evaluate.probabilities import brier_parts, interval_width, set_scores, sharpness
from xbayes.evaluate.scores import Predictions, pooled_predictions, proportion_weights, score
from xbayes.evaluate.well_characterised import score_well_characterised
from xbayes.infer.select_terms import TermReport
from xbayes.types import Labels

MOST_PAIRS = 10  # pairs of features per fold in the file
LEVELS = {0.05: 1, 0.01: 500}  # outlier p-value: the least number of out-of-fold sources


def measure(
    config: Config,
    labels: Labels,
    products: Products,
    held_out: CrossValidation,
    well: Bool[np.ndarray, "N"] | None = None,
) -> dict:
    """Scores of the labelled rows: in sample, out of fold, and under the expected proportions.

    Parameters
    ----------
    products
        The results of the final classifier for all rows, in the order of `labels`.
    well
        The well-characterised rows, which are also scored separately.
    """
    classes, rows = tuple(config.taxonomy.classes), held_out.rows
    options = {"n_bootstrap": config.validation.bootstrap, "seed": config.seed}
    in_sample = Predictions(
        truth=labels.class_index[rows],
        posterior=products.posterior[rows],
        prediction=products.prediction[rows],
        group=labels.group[rows],
        weight=np.ones(len(rows)),
    )
    pooled = pool_repeats(held_out, labels)
    sets = np.concatenate([p.prediction_set for p in held_out.products])
    flagged = np.concatenate([p.set_flag for p in held_out.products])
    metrics: dict = {}
    coarser = {"groups": config.taxonomy.coarse_classes, "aggregated": config.taxonomy.aggregated}
    for block, joins in coarser.items():
        if joins:
            metrics[block] = score(aggregate(classes, joins, pooled), tuple(joins), **options)
    metrics |= {
        "classes": list(classes),
        "in_sample": score(in_sample, classes, **options),
        "cross_validated": score(pooled, classes, **options)
        | {
            "brier_parts": brier_parts(pooled, **options),
            "sharpness": sharpness(pooled, **options),
            "prediction_set": set_scores(pooled, sets, classes, flagged=flagged, **options),
        }
        | _interval_scores(pooled, held_out, classes),
    }
    if well is not None:
        chosen = np.tile(well[rows], len(held_out.products))
        scores = score_well_characterised(pooled, chosen, classes, **options)
        metrics["well_characterised"] = scores
    expected = _expected_proportions(config, pooled.truth, held_out)
    return metrics | {
        "prior_weighted": score(_under_proportions(config, pooled, held_out), classes, **options),
        "proportions": dict(zip(classes, expected.tolist(), strict=True)),
        "penalty": [fit.penalty for fit in held_out.fits if fit.penalties],
        "calibration": [_calibration(fit.calibration) for fit in held_out.fits],
        "outlier": false_alarms(held_out.products[0].outlier_p),
        **_f1_weights(held_out),
        **_fitted_terms(config, held_out),
    }


def pool_repeats(held_out: CrossValidation, labels: Labels) -> Predictions:
    """All out-of-fold predictions; the repeats of a source share its weight and its group."""
    return pooled_predictions(
        labels.rows(held_out.rows),
        np.stack([p.posterior for p in held_out.products]),
        np.stack([p.prediction for p in held_out.products]),
    )


def aggregate(
    classes: Sequence[str], joins: Mapping[str, Sequence[str]], fine: Predictions
) -> Predictions:
    """Predictions of coarser classes, of which each class is in exactly one.

    The probability of a coarser class is the sum over its classes; the prediction is the most
    probable coarser class.
    """
    member = np.array([[name in joined for joined in joins.values()] for name in classes], float)
    posterior = fine.posterior @ member
    truth = member.argmax(1)[fine.truth]
    return fine._replace(truth=truth, posterior=posterior, prediction=posterior.argmax(1))


def false_alarms(outlier_p: Float[np.ndarray, "N"]) -> dict[str, dict]:
    """By level, the share of ordinary out-of-fold sources with an outlier p-value at or below it.

    `lo` and `hi` enclose the share with 95 % probability (binomial) if the p-values are right. The
    level 0.01 needs 500 sources, of which five are expected below it.
    """
    from scipy.stats import binom

    n = len(outlier_p)
    alarms = {}
    for level, least in LEVELS.items():
        if n >= least:
            low, high = binom.ppf([0.025, 0.975], n, level) / n
            share = float((outlier_p <= level).mean())
            alarms[str(level)] = {"value": share, "lo": float(low), "hi": float(high), "n": n}
    return alarms


def _fitted_terms(config: Config, held_out: CrossValidation) -> dict:
    """Gains of smooth curves and boosted terms in each outer fold, with the largest pairs."""
    names = list(config.features)

    def record(report: TermReport) -> dict:
        pairs = zip(report.pair[:MOST_PAIRS], report.importance, strict=False)
        largest = [{"properties": [names[f] for f in p], "importance": size} for p, size in pairs]
        numbers = report._asdict()
        del numbers["pair"], numbers["importance"]
        return {**numbers, "pairs": len(report.pair), "largest": largest}

    folds = {
        "splines": [fit.splines._asdict() for fit in held_out.fits if fit.splines is not None],
        "terms": [record(fit.terms) for fit in held_out.fits if fit.terms is not None],
    }
    return {name: of_folds for name, of_folds in folds.items() if of_folds}


def _interval_scores(
    pooled: Predictions, held_out: CrossValidation, classes: tuple[str, ...]
) -> dict:
    """Widths of the intervals of the probabilities; empty without posterior samples."""
    ends = np.concatenate([p.posterior_interval for p in held_out.products])
    if not ends.shape[-1]:
        return {}
    return {"interval_width": interval_width(ends, pooled.prediction, classes)}


def _calibration(report: CalibrationReport) -> dict:
    """The calibration chosen in one outer fold, and the log loss of each candidate there."""
    losses = zip(report.tried, report.held_out_loss, strict=True)
    finite = {name: loss for name, loss in losses if np.isfinite(loss)}
    return {"chosen": report.chosen, "held_out_log_loss": finite}


def _f1_weights(held_out: CrossValidation) -> dict[str, list[float]]:
    """The weight of the F1 term that each outer fold chose; empty without such a term."""
    chosen = [fit.f1_weight for fit in held_out.fits if fit.held_out_f1]
    return {"f1_weight": chosen} if chosen else {}


def _under_proportions(
    config: Config, pooled: Predictions, held_out: CrossValidation
) -> Predictions:
    """Predictions with the expected proportions as their prior, weighted to these proportions."""
    target = _expected_proportions(config, pooled.truth, held_out)
    weight = pooled.weight * proportion_weights(pooled.truth, target)
    if held_out.products[0].prior.shape[1]:
        return pooled._replace(weight=weight)  # each source has its own prior on the sky already
    prior = _prior_of_predictions(config, pooled.truth)
    pooled = _under_one_prior(config, pooled, held_out, prior)
    posterior = with_prior(pooled.posterior, prior, target)
    prediction = _decided_under(config, held_out, pooled.posterior, np.log(prior), np.log(target))
    return pooled._replace(posterior=posterior, prediction=prediction, weight=weight)


def _under_one_prior(
    config: Config, pooled: Predictions, held_out: CrossValidation, prior: Float[np.ndarray, "C"]
) -> Predictions:
    """Predictions under one prior: whole releases and blocks leave each fit another one."""
    if config.validation.split == "random":
        return pooled
    fit = (held_out.outer_fold + _first_fits(held_out)).reshape(-1)
    weight = pooled.posterior * prior / np.exp(held_out.log_prior)[fit]
    return pooled._replace(posterior=weight / weight.sum(-1, keepdims=True))


def _decided_under(
    config: Config,
    held_out: CrossValidation,
    posterior: Float[np.ndarray, "M C"],
    log_prior: Float[np.ndarray, "C"],
    target: Float[np.ndarray, "C"],
) -> Int[np.ndarray, "M"]:
    """Predictions under the log prior `target`; thresholds are learned again on the other folds."""
    fold = (held_out.outer_fold + _first_fits(held_out)).reshape(-1)
    shifted, weight = reweighted(posterior, log_prior, target)
    prediction, asked = np.full(len(fold), -1), decision_of(config)
    for k, rule in enumerate(held_out.rules):
        rows, focus = fold == k, int(rule.focus)
        if asked.has_threshold:
            others = _of_same_repeat(held_out, k) & ~rows
            threshold = threshold_for(asked, shifted[others, focus], weight[others])
            rule = by_threshold(posterior.shape[1], focus, threshold)
        prediction[rows] = decide(shifted[rows], rule)
    return prediction


def _first_fits(held_out: CrossValidation) -> Int[np.ndarray, "R 1"]:
    """The number of the first fit of each repeat."""
    n_repeats = len(held_out.outer_fold)
    return np.arange(n_repeats)[:, None] * (len(held_out.rules) // n_repeats)


def _of_same_repeat(held_out: CrossValidation, fit: int) -> Bool[np.ndarray, "M"]:
    """The pooled rows of the repeat to which a fit belongs."""
    n_repeats, n_rows = held_out.outer_fold.shape
    return np.repeat(np.arange(n_repeats), n_rows) == fit // (len(held_out.rules) // n_repeats)


def _expected_proportions(
    config: Config, truth: np.ndarray, held_out: CrossValidation
) -> Float[np.ndarray, "C"]:
    """`validation.proportions`, or else the prior that the posteriors already have.

    If that depends on the source, the mean over the sources.
    """
    if config.validation.proportions:
        return class_proportions(config.validation.proportions, list(config.taxonomy.classes))
    if held_out.products[0].prior.shape[1]:
        return held_out.products[0].prior.mean(0)
    return _prior_of_predictions(config, truth)


def _prior_of_predictions(config: Config, truth: np.ndarray) -> Float[np.ndarray, "C"]:
    # Stratified folds have the proportions of the whole sample, up to the rounding of counts.
    given = given_log_prior(config)
    if given is None:
        return np.bincount(truth, minlength=len(config.taxonomy.classes)) / len(truth)
    return np.exp(given)
