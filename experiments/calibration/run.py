"""Calibration before and after, and coverage of sets: experiments/calibration/run.py."""

import sys
from pathlib import Path

import jax
import numpy as np
from set_splits import coverage_over_splits, table_of_coverage

from xbayes.catalog.splits import stratified_folds
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import build_recipe
from xbayes.config.reader import load_config
from xbayes.config.schema import catalog_path
from xbayes.evaluate.cross_validate import inner_folds, labelled_rows
from xbayes.evaluate.probabilities import brier_parts
from xbayes.evaluate.scores import Predictions, score
from xbayes.tasks.precision import use_precision
from xbayes.tasks.training import load_training
from xbayes.types import Labels

CONFIG = Path(__file__).parents[2] / "configs/chandra_sources_plain.yaml"
KINDS = ("none", "temperature", "vector", "dirichlet", "auto")
SPLITS = 200
SEED = 31


def held_out(config, kinds) -> tuple[Labels, dict[str, np.ndarray], dict[str, list[str]]]:
    """Labels of the labelled rows; out-of-fold posteriors and selected calibrations by kind."""
    training = load_training(config, catalog_path(config))
    _, features, labels = labelled_rows(training.features, training.labels)
    recipe = build_recipe(training.config)
    outer = stratified_folds(labels.class_index, labels.group, recipe.n_folds, config.seed)
    shape = len(outer), len(recipe.names.classes)
    posterior = {kind: np.zeros(shape) for kind in kinds}
    chosen: dict[str, list[str]] = {kind: [] for kind in kinds}
    for k in range(recipe.n_folds):
        truth, training_rows = labels.class_index, outer != k
        inner = inner_folds(truth, labels.group, training_rows, recipe.n_folds, config.seed + k + 1)
        key = jax.random.fold_in(jax.random.key(config.seed), k)
        test = features.rows(outer == k)
        for kind in kinds:
            variant = recipe._replace(calibration=kind)
            classifier, report = fit_classifier(variant, features, labels, inner, key)
            posterior[kind][outer == k] = classify(variant, classifier, test).posterior
            chosen[kind].append(report.calibration.chosen)
    return labels, posterior, chosen


def calibration_table(classes, labels: Labels, posterior, chosen) -> list[str]:
    """Markdown table of held-out scores by kind of calibration, on the same folds."""
    lines = ["| calibration | log loss | ECE (95 % if calibrated) | reliability | chosen |"]
    lines += ["|---|---|---|---|---|"]
    for kind, p in posterior.items():
        predictions = Predictions(
            truth=labels.class_index,
            posterior=p,
            prediction=p.argmax(1),
            group=labels.group,
            weight=np.ones(len(p)),
        )
        block = score(predictions, classes, 1000, SEED)
        part = brier_parts(predictions, 1, SEED)["reliability"]["value"]
        loss, ece = block["log_loss"], block["ece"]
        names = {name: chosen[kind].count(name) for name in dict.fromkeys(chosen[kind])}
        counts = ", ".join(f"{name} {n}" for name, n in names.items())
        lines.append(
            f"| {kind} | {loss['value']:.4f} ({loss['lo']:.3f} to {loss['hi']:.3f}) | "
            f"{ece['value']:.4f} ({ece['calibrated_q95']:.4f}) | {part:.5f} | {counts} |"
        )
    return lines


def main(settings: list[str]) -> None:
    """Print both tables."""
    config = load_config(CONFIG, [f"seed={SEED}", *settings])
    use_precision(config)
    classes = tuple(config.taxonomy.classes)
    labels, posterior, chosen = held_out(config, KINDS)
    print("\n".join(calibration_table(classes, labels, posterior, chosen)), end="\n\n")
    coverage = coverage_over_splits(labels, posterior["auto"], SPLITS, SEED)
    print("\n".join(table_of_coverage(labels, classes, coverage)))


if __name__ == "__main__":
    main(sys.argv[1:])
