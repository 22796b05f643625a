"""How good predictions and probabilities are, each number with its interval.

All scores are ratios of sums over sources, so one bootstrap draw is a vector of source weights and
a thousand draws are a few matrix products.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from xbayes.posterior import clipped

N_BINS = 10
SOURCES_PER_BLOCK = 50_000_000  # weights held at once in the bootstrap


class Predictions(NamedTuple):
    """What is scored: N predictions of labelled sources."""

    truth: Int[np.ndarray, "N"]
    posterior: Float[np.ndarray, "N C"]
    prediction: Int[np.ndarray, "N"]
    group: Int[np.ndarray, "N"]  # resampled together in the bootstrap
    weight: Float[np.ndarray, "N"]


def score(predictions: Predictions, classes: tuple[str, ...], n_bootstrap: int, seed: int) -> dict:
    """All scores of a block of `metrics.json`, with 90 % intervals `lo`, `hi` of the bootstrap.

    The bootstrap draws groups with replacement. A score without a denominator (the precision of a
    class never predicted) is None.
    """
    terms = _terms(predictions, len(classes))
    point = _scores(predictions.weight[None] @ terms, len(classes))
    draws = [
        _scores(weights @ terms, len(classes))
        for weights in _resampled(predictions, n_bootstrap, seed)
    ]
    drawn = {name: np.concatenate([d[name] for d in draws]) for name in point} if draws else {}

    def entry(name, column=()):
        value = point[name][(0, *column)]
        sample = drawn[name][(slice(None), *column)] if drawn else np.array([])
        sample = sample[np.isfinite(sample)]
        low, high = np.quantile(sample, [0.05, 0.95]) if sample.size else (np.nan, np.nan)
        return {"value": _number(value), "lo": _number(low), "hi": _number(high)}

    block: dict = {
        "n_sources": len(predictions.truth),
        "confusion": confusion(predictions, len(classes)).tolist(),
    }
    for name in ("precision", "recall", "f1"):
        block[name] = {label: entry(name, (c,)) for c, label in enumerate(classes)}
    for name in ("macro_f1", "accuracy", "log_loss", "brier", "ece"):
        block[name] = entry(name)
    block["ece"]["calibrated_q95"] = calibrated_ece_quantile(predictions, seed=seed)
    return block


def paired_differences(
    first: Predictions, second: Predictions, classes: tuple[str, ...], n_bootstrap: int, seed: int
) -> dict[str, dict]:
    """Scores of the second minus those of the first, with 90 % intervals, in the form of `score`.

    Both predict the same sources, and every bootstrap draw takes the same ones for both, so that
    what is hard for both drops out of the difference.
    """
    if not (np.array_equal(first.truth, second.truth) and len(first.group) == len(second.group)):
        raise ValueError("paired_differences needs two predictions of the same sources")
    pair = [_terms(p, len(classes)) for p in (first, second)]

    def difference(weights):
        low, high = (_scores(weights @ terms, len(classes)) for terms in pair)
        return {name: high[name] - low[name] for name in low}

    point = difference(first.weight[None])
    draws = [difference(weights) for weights in _resampled(first, n_bootstrap, seed)]

    def entry(name, column=()):
        sample = np.concatenate([d[name][(slice(None), *column)] for d in draws])
        low, high = np.nanquantile(sample, [0.05, 0.95])
        value = point[name][(0, *column)]
        return {"value": _number(value), "lo": _number(low), "hi": _number(high)}

    by_class = {
        name: {label: entry(name, (c,)) for c, label in enumerate(classes)}
        for name in ("precision", "recall", "f1")
    }
    over_all = ("macro_f1", "accuracy", "log_loss", "brier", "ece")
    return by_class | {name: entry(name) for name in over_all}


def entries(
    predictions: Predictions,
    terms: Float[np.ndarray, "N T"],
    combine: Callable[[Float[np.ndarray, "S T"]], dict[str, np.ndarray]],
    n_bootstrap: int,
    seed: int,
    centred: bool = False,
) -> dict:
    """Functions of weighted sums of `terms`, each with the 90 % interval of the bootstrap.

    `centred` moves the interval so that its middle is the value, and no end below 0 if no draw is:
    for squares, which the noise of drawing again makes larger than they are.
    """
    point = combine(predictions.weight[None] @ terms)
    draws = [combine(w @ terms) for w in _resampled(predictions, n_bootstrap, seed)]
    found = {}
    for name, value in point.items():
        sample = np.concatenate([d[name] for d in draws]) if draws else np.array([])
        sample = sample[np.isfinite(sample)]
        low, high = np.quantile(sample, [0.05, 0.95]) if sample.size else (np.nan, np.nan)
        if centred and sample.size:
            shift = value[0] - np.median(sample)
            least = 0.0 if sample.min() >= 0 else -np.inf
            low, high = max(low + shift, least), max(high + shift, least)
        found[name] = {"value": _number(value[0]), "lo": _number(low), "hi": _number(high)}
    return found


def confusion(predictions: Predictions, n_classes: int) -> Float[np.ndarray, "C C"]:
    """Weighted counts; rows are the truth, columns the prediction."""
    cell = predictions.truth * n_classes + predictions.prediction
    counts = np.bincount(cell, predictions.weight, n_classes**2)
    return counts.reshape(n_classes, n_classes)


def class_weights(
    truth: Int[np.ndarray, "N"], proportions: Float[np.ndarray, "C"]
) -> Float[np.ndarray, "N"]:
    """Weights under which the classes have the given proportions; their sum stays N."""
    share = np.bincount(truth, minlength=len(proportions)) / len(truth)
    weight = np.divide(proportions, share, out=np.zeros_like(share), where=share > 0)[truth]
    return weight * len(truth) / weight.sum()


def log_losses(
    truth: Int[np.ndarray, "N"], posterior: Float[np.ndarray, "N C"]
) -> Float[np.ndarray, "N"]:
    """-log of the clipped probability of the truth, one a source."""
    return -np.log(clipped(posterior)[np.arange(len(truth)), truth])


def calibrated_ece_quantile(
    predictions: Predictions, quantile: float = 0.95, n_draws: int = 1000, seed: int = 0
) -> float:
    """The ECE that a calibrated model with these confidences exceeds one time in twenty."""
    confidence, bins = _confidence(predictions.posterior)
    rng = np.random.default_rng(seed)
    weight = predictions.weight / predictions.weight.sum()
    member = np.eye(N_BINS)[bins] * weight[:, None]  # [N, bins]
    eces = [
        np.abs(
            (rng.random(len(bins)) < confidence).astype(float) @ member - confidence @ member
        ).sum()
        for _ in range(n_draws)
    ]
    return float(np.quantile(eces, quantile))


def _confidence(posterior: Float[np.ndarray, "N C"]):
    top = posterior.max(-1)
    return top, np.minimum((top * N_BINS).astype(int), N_BINS - 1)


def _terms(predictions: Predictions, n_classes: int) -> Float[np.ndarray, "N T"]:
    """What is summed over sources: confusion cells, losses, confidence minus success by bin."""
    truth, posterior = predictions.truth, predictions.posterior
    cells = np.eye(n_classes**2)[truth * n_classes + predictions.prediction]
    loss = log_losses(truth, posterior)
    brier = ((posterior - np.eye(n_classes)[truth]) ** 2).sum(-1)
    confidence, bins = _confidence(posterior)
    gap = (confidence - (posterior.argmax(-1) == truth))[:, None] * np.eye(N_BINS)[bins]
    return np.column_stack([cells, loss, brier, gap, np.ones(len(truth))])


def _scores(sums: Float[np.ndarray, "S T"], n_classes: int) -> dict[str, np.ndarray]:
    cells = sums[:, : n_classes**2].reshape(-1, n_classes, n_classes)
    loss, brier = sums[:, n_classes**2], sums[:, n_classes**2 + 1]
    gaps, total = sums[:, n_classes**2 + 2 : -1], sums[:, -1]
    hit, actual, chosen = np.einsum("scc->sc", cells), cells.sum(2), cells.sum(1)
    # A class that is neither there nor predicted has no F1; one always missed has 0.
    f1 = ratio(2 * hit, actual + chosen)
    return {
        "precision": ratio(hit, chosen),
        "recall": ratio(hit, actual),
        "f1": f1,
        "macro_f1": np.nan_to_num(f1).sum(1) / np.maximum(np.isfinite(f1).sum(1), 1),
        "accuracy": hit.sum(1) / total,
        "log_loss": loss / total,
        "brier": brier / total,
        "ece": np.abs(gaps).sum(1) / total,
    }


def _resampled(predictions: Predictions, n_draws: int, seed: int):
    """Blocks of weights `[S N]`: groups drawn with replacement."""
    groups, member = np.unique(predictions.group, return_inverse=True)
    rng = np.random.default_rng(seed)
    block = max(1, min(n_draws, SOURCES_PER_BLOCK // len(member)))
    for first in range(0, n_draws, block):
        size = min(block, n_draws - first)
        times = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=size)
        yield times[:, member] * predictions.weight


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient; NaN where there is no denominator."""
    return np.divide(
        numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
