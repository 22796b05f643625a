"""How good probabilities and prediction sets are beyond a single score."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.classifier.probabilities import entropy
from xbayes.evaluate.scores import N_BINS, Predictions, entries, ratio

PARTS = ("reliability", "resolution", "uncertainty", "within_bins")
Combine = Callable[[Float[np.ndarray, "S T"]], dict[str, Float[np.ndarray, "S"]]]


def brier_parts(predictions: Predictions, n_bootstrap: int, seed: int) -> dict:
    """Murphy's decomposition of the Brier score: reliability - resolution + uncertainty.

    Summed over classes, each in ten equal bins of its probability. Murphy (1973) holds where all
    probabilities of a bin are alike; what they differ is `within_bins`, so that

        brier = reliability - resolution + uncertainty + within_bins

    exactly (Stephenson, Coelho & Jolliffe 2008, Eq. 9: variance less twice the covariance within
    bins). Values with 90 % intervals `lo`, `hi` of the bootstrap over groups, centred.
    """
    n_classes = predictions.posterior.shape[1]
    hit = np.eye(n_classes)[predictions.truth]
    per_class = [
        _binned(predictions.posterior[:, c], hit[:, c], np.ones(len(hit))) for c in range(n_classes)
    ]
    terms = np.stack(per_class, axis=1)  # [N, C, T]

    def parts(sums):
        by_class = _parts(sums.reshape(len(sums), n_classes, -1))
        return {name: value.sum(-1) for name, value in by_class.items()}

    return entries(predictions, terms.reshape(len(hit), -1), parts, n_bootstrap, seed, True)


def _binned(p: np.ndarray, hit: np.ndarray, one: np.ndarray) -> Float[np.ndarray, "N T"]:
    """What is summed over sources: by bin 1, p and hit; over all 1, p squared, p hit."""
    member = np.eye(N_BINS)[np.minimum((p * N_BINS).astype(int), N_BINS - 1)]
    columns = [value[:, None] * member for value in (one, p, hit)]
    return np.column_stack([*columns, one, p * p, p * hit])


def _parts(sums: Float[np.ndarray, "S C T"]) -> dict[str, np.ndarray]:
    size, p, hit = np.split(sums[..., : 3 * N_BINS], 3, axis=-1)
    total, squares, products = np.moveaxis(sums[..., 3 * N_BINS :], -1, 0)
    full = np.where(size > 0, size, 1.0)
    base = hit.sum(-1) / total
    reliability = ((p - hit) ** 2 / full).sum(-1) / total
    resolution = (hit**2 / full).sum(-1) / total - base**2
    variance = (squares - (p**2 / full).sum(-1)) / total
    covariance = (products - (p * hit / full).sum(-1)) / total
    values = (reliability, resolution, base * (1 - base), variance - 2 * covariance)
    return dict(zip(PARTS, values, strict=True))


def sharpness(predictions: Predictions, n_bootstrap: int, seed: int) -> dict:
    """How decided the probabilities are, right or wrong: mean largest one, mean entropy [nats]."""
    posterior = predictions.posterior
    terms = np.column_stack([posterior.max(1), entropy(posterior), np.ones(len(posterior))])

    def means(sums):
        return {"confidence": sums[:, 0] / sums[:, 2], "entropy": sums[:, 1] / sums[:, 2]}

    return entries(predictions, terms, means, n_bootstrap, seed)


def set_scores(
    predictions: Predictions,
    sets: Bool[np.ndarray, "N C"],
    classes: tuple[str, ...],
    n_bootstrap: int,
    seed: int,
) -> dict:
    """Share of prediction sets that hold the truth and their mean size, over all and by true class.

    `empty` and `single` are the shares of sets with no class and with one. A class without sources
    has None.
    """
    truth, size = predictions.truth, sets.sum(1)
    own = np.eye(len(classes))[truth]
    held = sets[np.arange(len(truth)), truth]
    of_size = [size == n for n in (0, 1)]
    terms = np.column_stack([own, held[:, None] * own, size[:, None] * own, *of_size])

    def shares(sums):
        count, held, size = np.split(sums[:, :-2], 3, axis=1)
        total = count.sum(1)
        found = {"coverage": held.sum(1) / total, "size": size.sum(1) / total}
        found |= {"empty": sums[:, -2] / total, "single": sums[:, -1] / total}
        for c, name in enumerate(classes):
            found[f"coverage/{name}"] = ratio(held[:, c], count[:, c])
            found[f"size/{name}"] = ratio(size[:, c], count[:, c])
        return found

    flat = entries(predictions, terms, shares, n_bootstrap, seed)
    over_all = {name: flat[name] for name in ("coverage", "size", "empty", "single")}
    by_class = {
        name: {what: flat[f"{what}/{name}"] for what in ("coverage", "size")} for name in classes
    }
    return over_all | {"by_class": by_class}


def interval_width(
    interval: Float[np.ndarray, "N C 2"], prediction: Int[np.ndarray, "N"], classes: tuple[str, ...]
) -> dict:
    """Median width of the interval of the predicted class's probability, over all and by class.

    The classes are the predicted ones, for that is what a reader of a catalogue knows; one that
    nothing was given has None.
    """
    width = np.diff(interval[np.arange(len(prediction)), prediction])[:, 0]
    by_class = {}
    for c, name in enumerate(classes):
        own = width[prediction == c]
        by_class[name] = float(np.median(own)) if own.size else None
    return {"median": float(np.median(width)), "by_prediction": by_class}
