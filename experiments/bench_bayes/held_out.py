"""Held-out scores of the Bayesian posterior: experiments/bench_bayes/held_out.py [CATALOGUE ...].

Point estimate and posterior use the same outer folds, on which no choice was made.
"""

import sys
import time
from pathlib import Path

import jax
import numpy as np
from set_splits import coverage_over_splits, table_of_coverage

from xbayes.classifier.predict import Products
from xbayes.classifier.recipe import build_recipe
from xbayes.cli.progress import Reporter
from xbayes.config.reader import load_config
from xbayes.config.schema import catalog_path
from xbayes.evaluate.paired import paired_differences
from xbayes.evaluate.scores import Predictions, score
from xbayes.tasks.precision import use_precision
from xbayes.tasks.training import cross_validate_training, load_training
from xbayes.types import Labels

ROOT = Path(__file__).parents[2]
SEED, BOOTSTRAP, SPLITS = 61, 2000, 200
LAPLACE, CHAINS = ["posterior.method=laplace"], ["posterior.folds=same"]
RUNS = {
    "sources": {
        "point estimate": ("chandra_sources_plain", []),
        "weights only (Laplace)": (
            "chandra_sources_bayes",
            [*LAPLACE, "posterior.densities=false"],
        ),
        "posterior (Laplace)": ("chandra_sources_bayes", LAPLACE),
        "posterior (NUTS)": ("chandra_sources_bayes", CHAINS),
    },
    "detections": {
        "point estimate": ("chandra_detections_plain", []),
        "posterior (Laplace)": ("chandra_detections_bayes", LAPLACE),
        "posterior (NUTS)": ("chandra_detections_bayes", CHAINS),
    },
}


def held_out(name: str, settings: list[str]) -> tuple[Labels, Products, tuple[str, ...]]:
    """Labels and out-of-fold products of every labelled source, and the classes."""
    config = load_config(ROOT / f"configs/{name}.yaml", [f"seed={SEED}", *settings])
    use_precision(config)
    training = load_training(config, catalog_path(config))
    result = cross_validate_training(training, build_recipe(training.config))
    labels = training.labels.rows(result.rows)
    return labels, result.products[0], tuple(config.taxonomy.classes)


def table(catalogue: str) -> None:
    """Print one row per variant; differences are against the first, on the same sources."""
    print("| variant | log loss | difference | ECE (95 % if calibrated) | 90 % interval of p | s |")
    print("|---|---|---|---|---|---|", flush=True)
    first, last = None, None
    with Reporter() as progress:
        runs = RUNS[catalogue]
        for n, (variant, (name, settings)) in enumerate(runs.items()):
            progress(n / len(runs), f"{catalogue}, {variant}")
            began = time.monotonic()
            labels, products, classes = held_out(name, settings)
            p, interval = products.posterior, products.posterior_interval
            predictions = Predictions(
                truth=labels.class_index,
                posterior=p,
                prediction=p.argmax(1),
                group=labels.group,
                weight=np.ones(len(p)),
            )
            scores = score(predictions, classes, BOOTSTRAP, 0)
            first = first or predictions
            change = paired_differences(first, predictions, classes, BOOTSTRAP, 0)["log_loss"]
            width = f"{np.median(np.ptp(interval, axis=-1).max(1)):.3f}" if interval.size else ""
            loss, ece = scores["log_loss"], scores["ece"]
            print(
                f"| {variant} | {loss['value']:.4f} ({loss['lo']:.3f} to {loss['hi']:.3f}) | "
                f"{change['value']:+.4f} ({change['lo']:+.4f} to {change['hi']:+.4f}) | "
                f"{ece['value']:.4f} ({ece['calibrated_q95']:.4f}) | {width} | "
                f"{time.monotonic() - began:.0f} |",
                flush=True,
            )
            if variant == "posterior (NUTS)":
                last = labels, p, classes
            jax.clear_caches()
    assert last is not None
    labels, posterior, classes = last
    coverage = coverage_over_splits(labels, posterior, SPLITS, SEED)
    print("", *table_of_coverage(labels, classes, coverage), sep="\n")


if __name__ == "__main__":
    for catalogue in sys.argv[1:] or list(RUNS):
        print(f"\n### {catalogue}\n")
        table(catalogue)
