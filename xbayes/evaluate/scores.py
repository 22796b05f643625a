"""Scores of predictions and probabilities, each with a bootstrap interval.

Every score is a function of sums over sources. A bootstrap draw is therefore a vector of source
weights, and a thousand draws are a few matrix products.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from xbayes.classifier.probabilities import clipped
from xbayes.types import Labels

N_BINS = 10
NUMBERS_PER_BLOCK = 50_000_000  # bootstrap counts held in memory at once
BY_CLASS = ("precision", "recall", "f1")
OVERALL = ("macro_f1", "accuracy", "log_loss", "brier", "ece")

Entry = dict[str, float | None]  # value, lo, hi: a number of `metrics.json`


class Predictions(NamedTuple):
    """Predictions of N labelled sources, to be scored."""

    truth: Int[np.ndarray, "N"]
    posterior: Float[np.ndarray, "N C"]
    prediction: Int[np.ndarray, "N"]
    group: Int[np.ndarray, "N"]  # sources of one group are resampled together
    weight: Float[np.ndarray, "N"]


@runtime_checkable
class ScoresOfSums(Protocol):
    """Computes scores from weighted sums over sources, one row per bootstrap draw."""

    def __call__(self, sums: Float[np.ndarray, "S T"]) -> dict[str, np.ndarray]:
        """Arrays `[S]`, or `[S C]` for a score of each class, by the name of the score."""
        ...


def score(predictions: Predictions, classes: tuple[str, ...], n_bootstrap: int, seed: int) -> dict:
    """All scores of a block of `metrics.json`, with 90 % bootstrap intervals `lo`, `hi`.

    The bootstrap draws groups with replacement. A score with a zero denominator, such as the
    precision of a class that is never predicted, is None.
    """
    n_classes = len(classes)
    scores_of = partial(scores_of_sums, n_classes=n_classes)
    terms = score_terms(predictions, n_classes)
    scores = entries(predictions, terms, scores_of, n_bootstrap, seed)
    block: dict = {
        "n_sources": len(predictions.truth),
        "confusion": confusion(predictions, n_classes).tolist(),
    }
    block |= {name: dict(zip(classes, scores[name], strict=True)) for name in BY_CLASS}
    block |= {name: scores[name] for name in OVERALL}
    block["ece"]["calibrated_q95"] = calibrated_ece_quantile(predictions, seed=seed)
    return block


def entries(
    predictions: Predictions,
    terms: Float[np.ndarray, "N T"],
    scores_of: ScoresOfSums,
    n_bootstrap: int,
    seed: int,
    *,
    centred: bool = False,
) -> dict:
    """Scores of the weighted sums of `terms`: an entry each, or a list of entries by class.

    `centred` shifts each interval so that the median of its draws is the value, but not below 0 if
    no draw is negative. Scores that are sums of squares need this: resampling noise increases them.
    """
    point = scores_of(predictions.weight[None] @ terms)
    draws = [scores_of(sums) for sums in resampled_sums(predictions, terms, n_bootstrap, seed)]
    found: dict = {}
    for name, value in point.items():
        drawn = np.concatenate([np.empty((0, *value.shape[1:])), *(d[name] for d in draws)])
        if value.ndim == 1:
            found[name] = entry(value[0], drawn, centred=centred)
        else:
            columns = zip(value[0], drawn.T, strict=True)
            found[name] = [entry(one, sample, centred=centred) for one, sample in columns]
    return found


def entry(value: float, draws: Float[np.ndarray, "S"], *, centred: bool = False) -> Entry:
    """A value with the 90 % interval of its bootstrap draws; None where JSON has no number."""
    finite = draws[np.isfinite(draws)]
    low, high = np.quantile(finite, [0.05, 0.95]) if finite.size else (np.nan, np.nan)
    if centred and finite.size:
        shift = value - np.median(finite)
        least = 0.0 if finite.min() >= 0 else -np.inf
        low, high = max(low + shift, least), max(high + shift, least)
    ends = {"value": value, "lo": low, "hi": high}
    return {name: number_or_none(number) for name, number in ends.items()}


def pooled_predictions(
    labels: Labels, posterior: Float[np.ndarray, "R N C"], prediction: Int[np.ndarray, "R N"]
) -> Predictions:
    """The predictions of all repeats; the repeats of a source share its weight and its group."""
    repeats, n_rows, n_classes = posterior.shape
    return Predictions(
        truth=np.tile(labels.class_index, repeats),
        posterior=posterior.reshape(-1, n_classes),
        prediction=prediction.reshape(-1),
        group=np.tile(labels.group, repeats),
        weight=np.full(repeats * n_rows, 1.0 / repeats),
    )


def confusion(predictions: Predictions, n_classes: int) -> Float[np.ndarray, "C C"]:
    """Weighted counts; rows are the true classes, columns the predictions."""
    cell = predictions.truth * n_classes + predictions.prediction
    counts = np.bincount(cell, predictions.weight, n_classes**2)
    return counts.reshape(n_classes, n_classes)


def proportion_weights(
    truth: Int[np.ndarray, "N"], proportions: Float[np.ndarray, "C"]
) -> Float[np.ndarray, "N"]:
    """Source weights under which the classes have the given proportions; they sum to N."""
    share = np.bincount(truth, minlength=len(proportions)) / len(truth)
    weight = np.divide(proportions, share, out=np.zeros_like(share), where=share > 0)[truth]
    return weight * len(truth) / weight.sum()


def log_losses(
    truth: Int[np.ndarray, "N"], posterior: Float[np.ndarray, "N C"]
) -> Float[np.ndarray, "N"]:
    """Log loss of each source [nats]: minus the log of the clipped probability of its class."""
    return -np.log(clipped(posterior)[np.arange(len(truth)), truth])


def calibrated_ece_quantile(
    predictions: Predictions, quantile: float = 0.95, n_draws: int = 1000, seed: int = 0
) -> float:
    """The quantile of the ECE that a perfectly calibrated model with these confidences would have.

    With the default quantile, such a model exceeds it one time in twenty.
    """
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
    """Probability of the most probable class, and its bin."""
    top = posterior.max(-1)
    return top, np.minimum((top * N_BINS).astype(int), N_BINS - 1)


def score_terms(predictions: Predictions, n_classes: int) -> Float[np.ndarray, "N T"]:
    """Terms to sum over sources: confusion cells, losses, confidence minus success by bin."""
    truth, posterior = predictions.truth, predictions.posterior
    cells = np.eye(n_classes**2)[truth * n_classes + predictions.prediction]
    loss = log_losses(truth, posterior)
    brier = ((posterior - np.eye(n_classes)[truth]) ** 2).sum(-1)
    confidence, bins = _confidence(posterior)
    gap = (confidence - (posterior.argmax(-1) == truth))[:, None] * np.eye(N_BINS)[bins]
    return np.column_stack([cells, loss, brier, gap, np.ones(len(truth))])


def scores_of_sums(sums: Float[np.ndarray, "S T"], n_classes: int) -> dict[str, np.ndarray]:
    """Every score from the sums of `score_terms`: `[S C]` for scores of a class, else `[S]`."""
    cells = sums[:, : n_classes**2].reshape(-1, n_classes, n_classes)
    loss, brier = sums[:, n_classes**2], sums[:, n_classes**2 + 1]
    gaps, total = sums[:, n_classes**2 + 2 : -1], sums[:, -1]
    hit, actual, chosen = np.einsum("scc->sc", cells), cells.sum(2), cells.sum(1)
    # A class without members that is never predicted has no F1; one that is always missed has 0.
    f1 = ratio(2 * hit, actual + chosen)
    return {
        "precision": ratio(hit, chosen),
        "recall": ratio(hit, actual),
        "f1": f1,
        "macro_f1": mean_f1(f1),
        "accuracy": hit.sum(1) / total,
        "log_loss": loss / total,
        "brier": brier / total,
        "ece": np.abs(gaps).sum(1) / total,
    }


def mean_f1(f1: Float[np.ndarray, "S C"]) -> Float[np.ndarray, "S"]:
    """Macro F1: the mean over the classes that have an F1."""
    return np.nan_to_num(f1).sum(1) / np.maximum(np.isfinite(f1).sum(1), 1)


def resampled_sums(
    predictions: Predictions, terms: Float[np.ndarray, "N T"], n_draws: int, seed: int
) -> Iterator[Float[np.ndarray, "S T"]]:
    """Blocks of weighted sums of `terms`, with the groups drawn with replacement.

    The draws depend on the groups and the seed alone, so different predictions of the same sources
    are resampled alike.
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
    """The quotient; NaN where the denominator is 0."""
    return np.divide(
        numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0
    )


def number_or_none(value: float) -> float | None:
    """The value; None if it is not finite, since JSON has no such number."""
    return float(value) if np.isfinite(value) else None
