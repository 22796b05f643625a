"""The blocks of `metrics.json`: in sample, cross-validated, prior-weighted."""

import numpy as np
from jaxtyping import Bool, Float

from xbayes.classifier.calibration import CalibrationReport
from xbayes.classifier.predict import Products
from xbayes.classifier.probabilities import with_prior
from xbayes.config.schema import Config, class_proportions, given_log_prior
from xbayes.evaluate.cross_validate import CrossValidation
from xbayes.evaluate.probabilities import (
    brier_parts,
    interval_width,
    set_scores,
    sharpness,
)
from xbayes.evaluate.scores import Predictions, class_weights, score
from xbayes.evaluate.well_characterised import score_well_characterised
from xbayes.infer.select_terms import TermReport
from xbayes.types import Labels

MOST_PAIRS = 10  # of a fold, in the file
LEVELS = {0.05: 1, 0.01: 500}  # of the tail probability, from so many held-out sources on


def measure(
    config: Config,
    labels: Labels,
    products: Products,
    held_out: CrossValidation,
    well: Bool[np.ndarray, "N"] | None = None,
) -> dict:
    """Scores of the labelled rows: in sample, held out, held out under the sky's proportions.

    `products` are those of the final classifier on all rows, in the order of `labels`; `well` are
    the rows that are known well, to be scored apart.
    """
    classes = tuple(config.taxonomy.classes)
    rows = held_out.rows
    truth, group = labels.class_index[rows], labels.group[rows]
    in_sample = Predictions(
        truth, products.posterior[rows], products.prediction[rows], group, np.ones(len(rows))
    )
    pooled = pool_repeats(held_out, labels)
    sets = np.concatenate([p.prediction_set for p in held_out.products])
    options = {"n_bootstrap": config.validation.bootstrap, "seed": config.seed}
    coarse = aggregate(config, pooled)
    coarser = {} if coarse is None else {"aggregated": score(coarse[0], coarse[1], **options)}
    apart = {}
    if well is not None:
        chosen = np.tile(well[rows], len(held_out.products))
        scored = score_well_characterised(pooled, chosen, classes, **options)
        apart = {"well_characterised": scored}
    return coarser | {
        "classes": list(classes),
        "in_sample": score(in_sample, classes, **options),
        "cross_validated": score(pooled, classes, **options)
        | {
            "brier_parts": brier_parts(pooled, **options),
            "sharpness": sharpness(pooled, **options),
            "prediction_set": set_scores(pooled, sets, classes, **options),
        }
        | _of_intervals(pooled, held_out, classes),
        **apart,
        "prior_weighted": score(_under_proportions(config, pooled, held_out), classes, **options),
        "proportions": dict(zip(classes, _proportions(config, truth).tolist(), strict=True)),
        "penalty": [fit.penalty for fit in held_out.fits],
        "calibration": [_calibration(fit.calibration) for fit in held_out.fits],
        "outlier": false_alarms(held_out.products[0].outlier_p),
        **_of_terms(config, held_out),
    }


def _of_terms(config: Config, held_out: CrossValidation) -> dict:
    """What curves and boosted terms were worth in each outer fold, and the largest pairs."""
    names = list(config.features)

    def told(report: TermReport) -> dict:
        pairs = zip(report.pair[:MOST_PAIRS], report.importance, strict=False)
        largest = [{"properties": [names[f] for f in p], "importance": size} for p, size in pairs]
        kept = report._replace(pair=(), importance=())._asdict()
        del kept["pair"], kept["importance"]
        return {**kept, "pairs": len(report.pair), "largest": largest}

    curves = [fit.splines._asdict() for fit in held_out.fits if fit.splines is not None]
    found = [told(fit.terms) for fit in held_out.fits if fit.terms is not None]
    both = {"splines": curves, "terms": found}
    return {name: folds for name, folds in both.items() if folds}


def _of_intervals(pooled: Predictions, held_out: CrossValidation, classes: tuple[str, ...]) -> dict:
    """How wide the intervals of the probabilities are, where there are draws."""
    ends = np.concatenate([p.posterior_interval for p in held_out.products])
    if not ends.shape[-1]:
        return {}
    return {"interval_width": interval_width(ends, pooled.prediction, classes)}


def _calibration(report: CalibrationReport) -> dict:
    """What one outer fold chose, and the log loss of each candidate on its inner folds."""
    losses = zip(report.tried, report.held_out_loss, strict=True)
    finite = {name: loss for name, loss in losses if np.isfinite(loss)}
    return {"chosen": report.chosen, "held_out_log_loss": finite}


def aggregate(config: Config, fine: Predictions) -> tuple[Predictions, tuple[str, ...]] | None:
    """The predictions of the coarser classes, and their names; None if there are none.

    A coarse probability is the sum of those it joins; the most probable coarse class is predicted.
    """
    joins = config.taxonomy.aggregated
    if joins is None:
        return None
    classes = list(config.taxonomy.classes)
    member = np.array([[name in joined for joined in joins.values()] for name in classes], float)
    posterior = fine.posterior @ member
    truth = member.argmax(1)[fine.truth]
    coarse = fine._replace(truth=truth, posterior=posterior, prediction=posterior.argmax(1))
    return coarse, tuple(joins)


def false_alarms(outlier_p: Float[np.ndarray, "N"]) -> dict[str, dict]:
    """Per level, how many ordinary held-out sources are at or below it, and what chance allows.

    `lo`, `hi` hold 95 % of the binomial chance of a share. The level 0.01 needs 500 sources, to
    expect five of them below it.
    """
    from scipy.stats import binom

    n = len(outlier_p)
    levels = [level for level, least in LEVELS.items() if n >= least]
    alarms = {}
    for level in levels:
        low, high = binom.ppf([0.025, 0.975], n, level) / n
        share = float((outlier_p <= level).mean())
        alarms[str(level)] = {"value": share, "lo": float(low), "hi": float(high), "n": n}
    return alarms


def pool_repeats(held_out: CrossValidation, labels: Labels) -> Predictions:
    """All out-of-fold predictions; the repeats of a source share its weight and its group."""
    repeats = len(held_out.products)
    truth, group = labels.class_index[held_out.rows], labels.group[held_out.rows]
    return Predictions(
        np.tile(truth, repeats),
        np.concatenate([p.posterior for p in held_out.products]),
        np.concatenate([p.prediction for p in held_out.products]),
        np.tile(group, repeats),
        np.full(len(truth) * repeats, 1.0 / repeats),
    )


def _under_proportions(
    config: Config, pooled: Predictions, held_out: CrossValidation
) -> Predictions:
    """Told the sky's proportions as its prior, and scored on a sample re-weighted to them."""
    target = _proportions(config, pooled.truth)
    posterior = with_prior(pooled.posterior, _prior_of_predictions(config, pooled.truth), target)
    prediction = (posterior * np.concatenate(held_out.class_weight)).argmax(-1)
    weight = pooled.weight * class_weights(pooled.truth, target)
    return pooled._replace(posterior=posterior, prediction=prediction, weight=weight)


def _proportions(config: Config, truth: np.ndarray) -> Float[np.ndarray, "C"]:
    """Expected in the sky: `validation.proportions`, else the prior the posteriors already have."""
    if config.validation.proportions:
        return class_proportions(config.validation.proportions, list(config.taxonomy.classes))
    return _prior_of_predictions(config, truth)


def _prior_of_predictions(config: Config, truth: np.ndarray) -> Float[np.ndarray, "C"]:
    # Stratified folds have the proportions of the whole, but for the rounding of counts.
    given = given_log_prior(config)
    if given is None:
        return np.bincount(truth, minlength=len(config.taxonomy.classes)) / len(truth)
    return np.exp(given)
