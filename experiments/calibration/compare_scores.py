"""Prediction sets by several nonconformity scores: compare_scores.py RUN..."""

import sys

import numpy as np
from jaxtyping import Float, Int

import xbayes
from xbayes.classifier.conformal import LEVEL, ConformalReference, p_values, with_prediction

SPLITS, SEED = 200, 31
SMALLEST = 1e-300


def nonconformity(
    posterior: Float[np.ndarray, "N C"], prediction: Int[np.ndarray, "N"]
) -> dict[str, Float[np.ndarray, "N C"]]:
    """Scores by name; in all but the first the prediction conforms most, with score 0."""
    every = np.arange(len(posterior))
    log_p = np.log(np.maximum(posterior, SMALLEST))
    order = np.argsort(-posterior, axis=1)
    ranked = np.take_along_axis(posterior, order, 1)
    above = np.empty_like(posterior)
    np.put_along_axis(above, order, np.cumsum(ranked, axis=1) - ranked, 1)
    scores = {
        "-log p": -log_p,
        "-log p, 0 for the prediction": -log_p,
        "log of p of the prediction over p": log_p[every, prediction][:, None] - log_p,
        "sum of all larger p": above,
    }
    for name in list(scores)[1:]:
        scores[name] = np.maximum(scores[name], 0.0)
        scores[name][every, prediction] = 0.0
    return scores


def main(runs: list[str]) -> None:
    """Coverage and size by class of 200 splits of the held-out predictions of each run."""
    for run in runs:
        fit = xbayes.load(run)
        table, classes = fit.predictions, list(fit.classes)
        posterior = np.column_stack([np.asarray(table[f"p_{name}"]) for name in classes])
        truth, prediction = (
            np.array([classes.index(name) for name in np.asarray(table[column]).astype(str)])
            for column in ("true_class", "prediction")
        )
        grouped = "fold_group" in table.colnames
        group = np.asarray(table["fold_group"]) if grouped else np.arange(len(truth))
        recall = [(prediction[truth == c] == c).mean() for c in range(len(classes))]
        print(
            f"\n{run}; recall",
            ", ".join(f"{n} {r:.3f}" for n, r in zip(classes, recall, strict=True)),
        )
        print("\n| score | prediction | coverage, " + ", ".join(classes) + " | mean size |")
        print("|---|---|---|---|")
        for name, score in nonconformity(posterior, prediction).items():
            for added in (False, True) if name == "-log p" else (True,):
                found = np.mean(splits(score, truth, prediction, group, added), axis=0)
                cells = ", ".join(f"{value:.3f}" for value in found[:-1])
                print(f"| {name} | {'added' if added else 'as is'} | {cells} | {found[-1]:.3f} |")


def splits(score, truth, prediction, group, added: bool) -> list[list[float]]:
    """Coverage of each class and mean size, of sets calibrated on a random half of the groups."""
    rng, n_classes, rows = np.random.default_rng(SEED), score.shape[1], []
    for _ in range(SPLITS):
        half = (rng.random(group.max() + 1) < 0.5)[group]
        size = np.bincount(truth[half], minlength=n_classes)
        own = np.full((n_classes, size.max()), np.inf)
        for c in range(n_classes):
            own[c, : size[c]] = np.sort(score[half & (truth == c), c])
        # `p_values` takes probabilities, of which the score is -log.
        reference = ConformalReference(score=own, size=size)
        p_value = p_values(reference, np.exp(-score[~half]), rng.random((~half).sum()))
        sets = p_value > LEVEL
        if added:
            sets, _ = with_prediction(sets, prediction[~half])
        covered = sets[np.arange(len(sets)), truth[~half]]
        by_class = [covered[truth[~half] == c].mean() for c in range(n_classes)]
        rows.append([*by_class, sets.sum(1).mean()])
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
