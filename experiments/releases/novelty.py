"""Power of the joint novelty score on real novelties: experiments/releases/novelty.py."""

import sys
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from halves import half
from sklearn.metrics import roc_auc_score

from xbayes.catalog.columns import masked_column, subset
from xbayes.catalog.read import read_catalog
from xbayes.catalog.taxonomy import class_indices
from xbayes.classifier.novelty import (
    Novelty,
    combine,
    fit_combined,
    fit_novelty,
    novelty_p,
    novelty_score,
    shrinkage,
)
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import build_recipe
from xbayes.config.reader import load_config
from xbayes.config.schema import catalog_path
from xbayes.evaluate.cross_validate import inner_folds, labelled_rows
from xbayes.features.build import build_features
from xbayes.features.trained_on import state_degrees
from xbayes.tasks.precision import use_precision
from xbayes.tasks.training import fit_training, load_training

CONFIG = Path(__file__).parents[2] / "configs/chandra_sources.yaml"
LEVEL = 0.05


class Sample(NamedTuple):
    """Sources with their posterior, and the p-values for the predicted class."""

    posterior: np.ndarray  # N C
    score: np.ndarray  # N T; novelty
    p: dict[str, np.ndarray]


def nearest(score, class_of, predicted) -> np.ndarray:
    """The subclass of the predicted class with the lowest novelty score."""
    return np.where(class_of == predicted[:, None], score, np.inf).argmin(1)


def sample(novelty: Novelty, class_of, posterior, p_weighted, score) -> Sample:
    """The p-values of all kinds."""
    own = nearest(score, class_of, posterior.argmax(1))
    p_joint = novelty_p(novelty, score, own)
    both = combine(novelty, p_weighted, p_joint, own)
    return Sample(posterior, score, {"weighted": p_weighted, "joint": p_joint, "both": both})


def table(title: str, odd: Sample, usual: Sample) -> list[str]:
    """AUC, and the power at 5 % false alarms among the usual sources."""
    lines = [f"\n{title}", "| p-value | AUC | power at 5 % false alarms | usual with p <= 0.05 |"]
    lines.append("|---|---|---|---|")
    for name in odd.p:
        p, q = odd.p[name], usual.p[name]
        auc = roc_auc_score(np.r_[np.ones(len(p)), np.zeros(len(q))], -np.r_[p, q])
        power = np.mean(p <= np.quantile(q, LEVEL))
        lines.append(f"| {name} | {auc:.3f} | {power:.3f} | {np.mean(q <= LEVEL):.3f} |")
    return lines


def log_losses(novelty: Novelty, class_of, found: Sample, truth, log_prior) -> str:
    """Log loss of the posterior as it is, and with the log-odds shrunk by the novelty score."""
    weight = np.zeros(found.score.shape)
    for c in range(found.posterior.shape[1]):
        own = nearest(found.score, class_of, np.full(len(truth), c))
        weight[np.arange(len(truth)), own] += found.posterior[:, c]
    factor = np.asarray(shrinkage(novelty, jax.numpy.asarray(found.score), weight))
    log_p = np.log(np.maximum(found.posterior, 1e-6))
    losses = []
    for f in (np.ones_like(factor), factor):
        shrunk = log_prior + f[:, None] * (log_p - log_prior)
        log_norm = np.logaddexp.reduce(shrunk, axis=1)
        losses.append(np.mean(log_norm - shrunk[np.arange(len(truth)), truth]))
    return (
        f"log loss {losses[0]:.4f}, shrunk {losses[1]:.4f} ({np.mean(factor < 0.999):.3f} of them)"
    )


def false_alarms(features, labels, n_classes: int, seed: int) -> list[str]:
    """Alarms at 5 % among sources outside each of five outer folds, by number of features."""
    truth, label = labels.class_index, labels.modelled
    outer = inner_folds(truth, labels.group, truth >= 0, 5, seed)
    p = np.zeros(len(truth))
    for k in range(5):
        inner = inner_folds(truth, labels.group, outer != k, 5, seed + k + 1)
        novelty = fit_novelty(features, label, inner, n_classes, seed).novelty
        test = outer == k
        p[test] = novelty_p(
            novelty, np.asarray(novelty_score(novelty, features))[test], label[test]
        )
    count = np.asarray(features.measured).sum(1)
    lines = ["\n| measured features | n | p <= 0.05 | p <= 0.2 |", "|---|---|---|---|"]
    for low, high in ((0, 40), (0, 12), (12, 20), (20, 30), (30, 34), (34, 40)):
        own = (count >= low) & (count < high)
        rates = f"{np.mean(p[own] <= 0.05):.3f} | {np.mean(p[own] <= 0.2):.3f}"
        lines.append(f"| {low}-{high - 1} | {own.sum()} | {rates} |")
    return lines


def main(settings: list[str]) -> None:
    """Print the tables of power, or, with --alarms, that of false alarms."""
    config = load_config(CONFIG, ["model.terms=none"])
    use_precision(config)
    training = load_training(config, catalog_path(config))
    recipe, config = build_recipe(training.config), training.config
    _, features, labels = labelled_rows(training.features, training.labels)
    if settings == ["--alarms"]:
        n_classes = len(recipe.names.class_of)
        print("\n".join(false_alarms(features, labels, n_classes, config.seed)))
        return
    classifier, _ = fit_training(training, recipe)
    truth, class_of = labels.class_index, np.array(recipe.names.class_of)
    fold = inner_folds(truth, labels.group, truth >= 0, recipe.n_folds, config.seed)
    modelled = labels.modelled
    fitted = fit_novelty(features, modelled, fold, len(class_of), config.seed)
    held = classifier.held_out
    p_weighted = np.asarray(held.outlier_p)
    p_joint = novelty_p(fitted.novelty, fitted.score, modelled)
    novelty = fit_combined(fitted.novelty, p_weighted, p_joint, modelled)
    usual = sample(novelty, class_of, np.asarray(held.posterior), p_weighted, fitted.score)

    def classified(rows, kept) -> Sample:
        found = build_features(rows, config)[0].rows(kept)
        products = classify(recipe, classifier, found)
        score = np.asarray(novelty_score(novelty, found))
        return sample(novelty, class_of, products.posterior, products.outlier_p, score)

    rows = read_catalog(catalog_path(config), text=["name"])
    state_degrees(rows, config)
    label = np.asarray(masked_column(rows, "Class").filled("")).astype(str)
    stars = classified(rows, label == "NS")
    print("\n".join(table("Neutron stars against held-out training sources", stars, usual)))
    rows = read_catalog(
        Path(catalog_path(config)).parent / "chandra_sources_2022.csv", text=["name"]
    )
    state_degrees(rows, config)
    index, included = class_indices(masked_column(rows, "Class"), config.taxonomy)
    rows, index = subset(rows, rows=included), index[included]
    kept = (half(np.asarray(rows["ra"]), np.asarray(rows["dec"])) == 0) & (index >= 0)
    found, true = classified(rows, kept), index[kept]
    wrong = found.posterior.argmax(1) != true
    parts = [
        Sample(found.posterior[r], found.score[r], {n: p[r] for n, p in found.p.items()})
        for r in (wrong, ~wrong)
    ]
    title = f"Half A of 2022: {wrong.sum()} wrong against {(~wrong).sum()} right"
    print("\n".join(table(title, *parts)))
    log_prior = np.log(np.bincount(truth[truth >= 0]) / np.sum(truth >= 0))
    print("\nHalf A:", log_losses(novelty, class_of, found, true, log_prior))
    print("Held-out training:", log_losses(novelty, class_of, usual, truth, log_prior))


if __name__ == "__main__":
    main(sys.argv[1:])
