"""How good predictions and probabilities are, each number with its interval.

All scores are ratios of sums over sources, so one bootstrap draw is a vector of source weights and
a thousand draws are a few matrix products.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from xbayes.classifier.probabilities import clipped

N_BINS = 10
NUMBERS_PER_BLOCK = 50_000_000  # times a group is drawn, held at once in the bootstrap


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
    terms = score_terms(predictions, len(classes))
    point = scores_of_sums(predictions.weight[None] @ terms, len(classes))
    draws = [
        scores_of_sums(sums, len(classes))
        for sums in resampled_sums(predictions, terms, n_bootstrap, seed)
    ]
    drawn = {name: np.concatenate([d[name] for d in draws]) for name in point} if draws else {}

    def entry(name, column=()):
        value = point[name][(0, *column)]
        sample = drawn[name][(slice(None), *column)] if drawn else np.array([])
        sample = sample[np.isfinite(sample)]
        low, high = np.quantile(sample, [0.05, 0.95]) if sample.size else (np.nan, np.nan)
        return with_interval(value, low, high)

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
    draws = [combine(sums) for sums in resampled_sums(predictions, terms, n_bootstrap, seed)]
    found = {}
    for name, value in point.items():
        sample = np.concatenate([d[name] for d in draws]) if draws else np.array([])
        sample = sample[np.isfinite(sample)]
        low, high = np.quantile(sample, [0.05, 0.95]) if sample.size else (np.nan, np.nan)
        if centred and sample.size:
            shift = value[0] - np.median(sample)
            least = 0.0 if sample.min() >= 0 else -np.inf
            low, high = max(low + shift, least), max(high + shift, least)
        found[name] = with_interval(value[0], low, high)
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


def score_terms(predictions: Predictions, n_classes: int) -> Float[np.ndarray, "N T"]:
    """What is summed over sources: confusion cells, losses, confidence minus success by bin."""
    truth, posterior = predictions.truth, predictions.posterior
    cells = np.eye(n_classes**2)[truth * n_classes + predictions.prediction]
    loss = log_losses(truth, posterior)
    brier = ((posterior - np.eye(n_classes)[truth]) ** 2).sum(-1)
    confidence, bins = _confidence(posterior)
    gap = (confidence - (posterior.argmax(-1) == truth))[:, None] * np.eye(N_BINS)[bins]
    return np.column_stack([cells, loss, brier, gap, np.ones(len(truth))])


def scores_of_sums(sums: Float[np.ndarray, "S T"], n_classes: int) -> dict[str, np.ndarray]:
    """Every score, from sums of `score_terms`; by class on the last axis where it is of a class."""
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


def resampled_sums(
    predictions: Predictions, terms: Float[np.ndarray, "N T"], n_draws: int, seed: int
) -> Iterator[Float[np.ndarray, "S T"]]:
    """Blocks of weighted sums of `terms`, the groups drawn with replacement.

    The draws depend on the groups and the seed alone: two predictions of the same sources get the
    same ones.
    """
    groups, member = np.unique(predictions.group, return_inverse=True)
    by_group = np.zeros((len(groups), terms.shape[1]))
    np.add.at(by_group, member, terms * predictions.weight[:, None])
    rng = np.random.default_rng(seed)
    block = max(1, min(n_draws, NUMBERS_PER_BLOCK // len(groups)))
    for first in range(0, n_draws, block):
        size = min(block, n_draws - first)
        times = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=size)
        yield times @ by_group


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient; NaN where there is no denominator."""
    return np.divide(
        numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0
    )


def number_or_none(value: float) -> float | None:
    """None for what JSON has no number for."""
    return float(value) if np.isfinite(value) else None


def with_interval(value: float, low: float, high: float) -> dict[str, float | None]:
    """An entry of `metrics.json`."""
    ends = {"value": value, "lo": low, "hi": high}
    return {name: number_or_none(number) for name, number in ends.items()}
