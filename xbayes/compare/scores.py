"""The numbers of a comparison: scores, paired differences, and the best variants."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float

from xbayes.compare.predictions import VariantPredictions
from xbayes.evaluate.paired import SharedDraws, difference, shared_draws, standing
from xbayes.evaluate.scores import Predictions, entry, number_or_none, pooled_predictions, score
from xbayes.types import Labels

BY_RULE = ("f1", "precision", "recall", "macro_f1")  # scores that depend on the decision rule
SCORES = ("f1", "f1_argmax", "precision", "recall", "macro_f1", "log_loss", "brier", "ece")
OF_PAIRS = ("log_loss", "f1")  # reported for every pair


def score_variants(
    variants: dict[str, VariantPredictions],
    labels: Labels,
    classes: tuple[str, ...],
    focus: int,
    n_bootstrap: int,
    seed: int,
) -> dict:
    """The numbers of `compare.json`; `labels` are those of the labelled rows.

    Scores that depend on the decision rule are None for a variant whose rule is not known.
    """
    names = list(variants)
    pooled = [_pooled(labels, one) for one in variants.values()]
    draws = shared_draws(pooled, focus, len(classes), n_bootstrap, seed)
    for v, one in enumerate(variants.values()):
        if (one.prediction < 0).any():
            for name in BY_RULE:
                draws.value[name][v] = draws.drawn[name][v] = np.nan
    standings = {name: standing(draws, name) for name in SCORES}
    rows = {}
    for v, (name, one) in enumerate(variants.items()):
        by_class = _scores_by_class(one, pooled[v], classes, n_bootstrap, seed)
        scores = {
            s: entry(draws.value[s][v], draws.drawn[s][v]) | {"standing": standings[s][v]}
            for s in SCORES
        }
        scores["ece"]["calibrated_q95"] = by_class["argmax"]["ece"]["calibrated_q95"]
        rows[name] = {
            "scores": scores,
            "by_class": by_class,
            "fit_seconds": number_or_none(one.fit_seconds),
            "predict_seconds": number_or_none(one.predict_seconds),
            "chosen": list(one.chosen),
        }
    return {
        "classes": list(classes),
        "focus": classes[focus],
        "n_sources": len(labels.class_index),
        "n_groups": len(np.unique(labels.group)),
        "bootstrap": n_bootstrap,
        "variants": rows,
        "differences": _differences(names, draws),
        "comparisons": _n_comparisons(len(names)),
    }


def disagreement(
    first: Float[np.ndarray, "N C"], second: Float[np.ndarray, "N C"]
) -> Float[np.ndarray, "N"]:
    """Total variation distance of two posteriors of each source, from 0 to 1."""
    return 0.5 * np.abs(first - second).sum(-1)


def best_of(numbers: dict, names: Sequence[str]) -> str:
    """The variant with the least log loss among `names`."""
    return min(names, key=lambda n: numbers["variants"][n]["scores"]["log_loss"]["value"])


def _pooled(labels: Labels, one: VariantPredictions) -> Predictions:
    """The predictions by the rule; by the most probable class if the rule is not known."""
    prediction = np.where(one.prediction < 0, one.posterior.argmax(-1), one.prediction)
    return pooled_predictions(labels, one.posterior, prediction)


def _scores_by_class(
    one: VariantPredictions,
    pooled: Predictions,
    classes: tuple[str, ...],
    n_bootstrap: int,
    seed: int,
) -> dict:
    """Every score by class, for the most probable class and under the rule."""
    probable = pooled._replace(prediction=pooled.posterior.argmax(1))
    scores = {"argmax": score(probable, classes, n_bootstrap, seed)}
    if (one.prediction >= 0).all():
        scores["rule"] = score(pooled, classes, n_bootstrap, seed)
    return scores


def _differences(names: list[str], draws: SharedDraws) -> list[dict]:
    """Scores of the second minus those of the first, for every pair."""
    return [
        {"first": names[a], "second": names[b]}
        | {name: difference(draws, name, a, b) for name in OF_PAIRS}
        for a, b in combinations(range(len(names)), 2)
    ]


def _n_comparisons(n_variants: int) -> dict[str, int]:
    """Number of paired differences: of all pairs, and of the best in each column to the others."""
    pairs = len(OF_PAIRS) * (n_variants * (n_variants - 1) // 2)
    best = (len(SCORES) - len(OF_PAIRS)) * (n_variants - 1)
    return {"pairs": pairs, "best": best, "all": pairs + best}
