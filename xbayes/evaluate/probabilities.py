"""Quality of probabilities and prediction sets: Brier parts, sharpness, coverage, widths."""

import numpy as np
from jaxtyping import Bool, Float, Int

from xbayes.classifier.probabilities import entropy
from xbayes.evaluate.scores import N_BINS, Predictions, entries, ratio


def brier_parts(predictions: Predictions, n_bootstrap: int, seed: int) -> dict:
    """Murphy's decomposition of the Brier score: reliability - resolution + uncertainty.

    The terms are summed over classes, each in ten equal bins of its probability. The decomposition
    of Murphy (1973) is exact only if all probabilities in a bin are equal; `within_bins` corrects
    for their differences, so that

        brier = reliability - resolution + uncertainty + within_bins

    holds exactly (Stephenson, Coelho & Jolliffe 2008, Eq. 9: variance minus twice the covariance
    within bins). Values have centred 90 % bootstrap intervals over groups.
    """
    n_sources, n_classes = predictions.posterior.shape
    hit = np.eye(n_classes)[predictions.truth]
    per_class = [_brier_terms(predictions.posterior[:, c], hit[:, c]) for c in range(n_classes)]
    terms = np.stack(per_class, axis=1)  # [N, C, T]

    def scores_of(sums: Float[np.ndarray, "S T"]) -> dict[str, np.ndarray]:
        by_class = _brier_parts_of_sums(sums.reshape(len(sums), n_classes, -1))
        return {name: value.sum(-1) for name, value in by_class.items()}

    flat = terms.reshape(n_sources, -1)
    return entries(predictions, flat, scores_of, n_bootstrap, seed, centred=True)


def _brier_terms(
    p: Float[np.ndarray, "N"], hit: Float[np.ndarray, "N"]
) -> Float[np.ndarray, "N T"]:
    """Terms to sum over sources: 1, p and hit in each bin; 1, p squared and p hit over all."""
    one = np.ones(len(p))
    member = np.eye(N_BINS)[np.minimum((p * N_BINS).astype(int), N_BINS - 1)]
    columns = [value[:, None] * member for value in (one, p, hit)]
    return np.column_stack([*columns, one, p * p, p * hit])


def _brier_parts_of_sums(sums: Float[np.ndarray, "S C T"]) -> dict[str, np.ndarray]:
    size, p, hit = np.split(sums[..., : 3 * N_BINS], 3, axis=-1)
    total, squares, products = np.moveaxis(sums[..., 3 * N_BINS :], -1, 0)
    positive_size = np.where(size > 0, size, 1.0)
    base = hit.sum(-1) / total
    variance = (squares - (p**2 / positive_size).sum(-1)) / total
    covariance = (products - (p * hit / positive_size).sum(-1)) / total
    return {
        "reliability": ((p - hit) ** 2 / positive_size).sum(-1) / total,
        "resolution": (hit**2 / positive_size).sum(-1) / total - base**2,
        "uncertainty": base * (1 - base),
        "within_bins": variance - 2 * covariance,
    }


def sharpness(predictions: Predictions, n_bootstrap: int, seed: int) -> dict:
    """Mean probability of the most probable class, and mean entropy [nats], right or wrong."""
    posterior = predictions.posterior
    terms = np.column_stack([posterior.max(1), entropy(posterior), np.ones(len(posterior))])

    def scores_of(sums: Float[np.ndarray, "S T"]) -> dict[str, np.ndarray]:
        return {"confidence": sums[:, 0] / sums[:, 2], "entropy": sums[:, 1] / sums[:, 2]}

    return entries(predictions, terms, scores_of, n_bootstrap, seed)


def set_scores(
    predictions: Predictions,
    sets: Bool[np.ndarray, "N C"],
    classes: tuple[str, ...],
    n_bootstrap: int,
    seed: int,
    *,
    flagged: Bool[np.ndarray, "N"],
) -> dict:
    """Coverage and mean size of prediction sets, over all sources and by true class.

    `single` is the share of sets with one class, `flagged` that of sets which hold the prediction
    although every class was excluded. The entries of a class without sources are None.
    """
    truth, set_size = predictions.truth, sets.sum(1)
    is_class = np.eye(len(classes))[truth]
    covered = sets[np.arange(len(truth)), truth]
    counted = (is_class, covered[:, None] * is_class, set_size[:, None] * is_class)
    terms = np.column_stack([*counted, flagged, set_size == 1])

    def scores_of(sums: Float[np.ndarray, "S T"]) -> dict[str, np.ndarray]:
        count, covered, size = np.split(sums[:, :-2], 3, axis=1)
        total = count.sum(1)
        return {
            "coverage": covered.sum(1) / total,
            "size": size.sum(1) / total,
            "flagged": sums[:, -2] / total,
            "single": sums[:, -1] / total,
            "class_coverage": ratio(covered, count),
            "class_size": ratio(size, count),
        }

    scores = entries(predictions, terms, scores_of, n_bootstrap, seed)
    by_class = {
        name: {"coverage": scores["class_coverage"][c], "size": scores["class_size"][c]}
        for c, name in enumerate(classes)
    }
    overall = {name: scores[name] for name in ("coverage", "size", "flagged", "single")}
    return overall | {"by_class": by_class}


def interval_width(
    interval: Float[np.ndarray, "N C 2"], prediction: Int[np.ndarray, "N"], classes: tuple[str, ...]
) -> dict:
    """Median width of the interval of the predicted class's probability, over all and by class.

    Sources are sorted by predicted class, the one that a reader of a catalogue knows. A class that
    is never predicted has None.
    """
    width = np.diff(interval[np.arange(len(prediction)), prediction])[:, 0]
    by_class = {}
    for c, name in enumerate(classes):
        class_width = width[prediction == c]
        by_class[name] = float(np.median(class_width)) if class_width.size else None
    return {"median": float(np.median(width)), "by_prediction": by_class}
