"""The numbers of a comparison: every variant's scores, every pair's difference, who is best."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float

from xbayes.compare.cross_validate_peer import HeldOut
from xbayes.evaluate.paired import SharedDraws, difference, shared_draws, standing
from xbayes.evaluate.scores import Predictions, number_or_none, score, with_interval
from xbayes.types import Labels

BY_RULE = ("f1", "precision", "recall", "macro_f1")  # what depends on the decision rule
SCORES = ("f1", "f1_argmax", "precision", "recall", "macro_f1", "log_loss", "brier", "ece")
OF_PAIRS = ("log_loss", "f1")  # told for every pair


def pooled(found: HeldOut, labels: Labels) -> Predictions:
    """All out-of-fold predictions of a variant; the repeats of a source share its weight.

    Where the rule is not known the most probable class stands in; `compare_variants` leaves the
    scores that depend on it out.
    """
    repeats, n_rows, n_classes = found.posterior.shape
    posterior = found.posterior.reshape(-1, n_classes)
    rule = found.prediction.reshape(-1)
    return Predictions(
        np.tile(labels.class_index, repeats),
        posterior,
        np.where(rule < 0, posterior.argmax(1), rule),
        np.tile(labels.group, repeats),
        np.full(repeats * n_rows, 1.0 / repeats),
    )


def compare_variants(
    found: dict[str, HeldOut],
    labels: Labels,
    classes: tuple[str, ...],
    focus: int,
    n_bootstrap: int,
    seed: int,
) -> dict:
    """The part of `compare.json` that is numbers; `labels` are of the labelled rows alone."""
    names = list(found)
    predictions = [pooled(one, labels) for one in found.values()]
    draws = shared_draws(predictions, focus, len(classes), n_bootstrap, seed)
    for v, one in enumerate(found.values()):
        if (one.prediction < 0).any():
            for name in BY_RULE:
                draws.value[name][v] = draws.drawn[name][v] = np.nan
    standings = {name: standing(draws, name) for name in SCORES}
    variants = {}
    for v, (name, one) in enumerate(found.items()):
        variants[name] = {
            "scores": {s: _entry(draws, s, v) | {"standing": standings[s][v]} for s in SCORES},
            **_by_class(one, predictions[v], classes, n_bootstrap, seed),
            "fit_seconds": number_or_none(one.fit_seconds),
            "predict_seconds": number_or_none(one.predict_seconds),
            "chosen": list(one.chosen),
        }
        q95 = variants[name]["by_class"]["argmax"]["ece"]["calibrated_q95"]
        variants[name]["scores"]["ece"]["calibrated_q95"] = q95
    return {
        "classes": list(classes),
        "focus": classes[focus],
        "n_sources": len(labels.class_index),
        "n_groups": len(np.unique(labels.group)),
        "bootstrap": n_bootstrap,
        "variants": variants,
        "differences": _differences(names, draws),
        "comparisons": n_comparisons(len(names)),
    }


def n_comparisons(n_variants: int) -> dict[str, int]:
    """How many paired differences are told: of all pairs, and of each column's best to the rest."""
    pairs = n_variants * (n_variants - 1) // 2
    of_best = (len(SCORES) - len(OF_PAIRS)) * (n_variants - 1)
    return {"pairs": len(OF_PAIRS) * pairs, "best": of_best, "all": len(OF_PAIRS) * pairs + of_best}


def disagreement(
    first: Float[np.ndarray, "N C"], second: Float[np.ndarray, "N C"]
) -> Float[np.ndarray, "N"]:
    """How strongly two posteriors of a source disagree: half the summed difference, 0 to 1."""
    return 0.5 * np.abs(first - second).sum(-1)


def best_of(numbers: dict, names: Sequence[str]) -> str | None:
    """The variant of the least log loss among those named."""
    losses = {n: numbers["variants"][n]["scores"]["log_loss"]["value"] for n in names}
    return min(losses, key=losses.__getitem__) if losses else None


def _entry(draws: SharedDraws, name: str, v: int) -> dict:
    sample = draws.drawn[name][v]
    sample = sample[np.isfinite(sample)]
    low, high = np.quantile(sample, [0.05, 0.95]) if sample.size else (np.nan, np.nan)
    return with_interval(draws.value[name][v], low, high)


def _by_class(
    one: HeldOut, predictions: Predictions, classes: tuple[str, ...], n_bootstrap: int, seed: int
) -> dict:
    """Every score by class, under the rule and for the most probable class."""
    probable = predictions._replace(prediction=predictions.posterior.argmax(1))
    by_class = {"argmax": score(probable, classes, n_bootstrap, seed)}
    if (one.prediction >= 0).all():
        by_class["rule"] = score(predictions, classes, n_bootstrap, seed)
    return {"by_class": by_class}


def _differences(names: list[str], draws: SharedDraws) -> list[dict]:
    """Of every pair, the second less the first."""
    return [
        {"first": names[a], "second": names[b]}
        | {name: difference(draws, name, a, b) for name in OF_PAIRS}
        for a, b in combinations(range(len(names)), 2)
    ]
