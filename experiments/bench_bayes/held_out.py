"""What the posterior is worth, held out: experiments/bench_bayes/held_out.py [CATALOGUE ...].

Point estimate and posterior on the same outer folds; nothing was chosen on these.
"""

import sys
import time
from pathlib import Path

import jax
import numpy as np
from set_splits import coverage_over_splits, table_of_coverage

from xbayes.classifier.recipe import build_recipe
from xbayes.cli.progress import Reporter
from xbayes.config.reader import load_config
from xbayes.config.schema import catalog_path
from xbayes.evaluate.cross_validate import CrossValidation, cross_validate
from xbayes.evaluate.paired import paired_differences
from xbayes.evaluate.scores import Predictions, score
from xbayes.tasks.training import load_training, use_precision
from xbayes.types import Labels

ROOT = Path(__file__).parents[2]
SEED, BOOTSTRAP, SPLITS = 61, 2000, 200
LAPLACE = ["posterior.method=laplace"]
RUNS = {
    "sources": {
        "point estimate": ("chandra_sources", []),
        "weights only (Laplace)": (
            "chandra_sources_bayes",
            [*LAPLACE, "posterior.densities=false"],
        ),
        "posterior (Laplace)": ("chandra_sources_bayes", LAPLACE),
        "posterior (NUTS)": ("chandra_sources_bayes", []),
    },
    "detections": {
        "point estimate": ("chandra_detections", []),
        "posterior (Laplace)": ("chandra_detections_bayes", LAPLACE),
        "posterior (NUTS)": ("chandra_detections_bayes", []),
    },
}


def held_out(name: str, settings: list[str]) -> tuple[Labels, CrossValidation, tuple[str, ...]]:
    """Out-of-fold products of every labelled source."""
    config = load_config(ROOT / f"configs/{name}.yaml", [f"seed={SEED}", *settings])
    use_precision(config)
    training = load_training(config, catalog_path(config))
    key = jax.random.fold_in(jax.random.key(config.seed), 0)
    rows = (build_recipe(training.config), training.features, training.labels, key)
    result = cross_validate(*rows, config.validation.folds, seed=config.seed)
    labels = training.labels.rows(result.rows)
    return labels, result, tuple(config.taxonomy.classes)


def table(catalogue: str) -> None:
    """A line a variant; differences are against the first, on the same sources."""
    print("| variant | log loss | difference | ECE (95 % if calibrated) | 90 % interval of p | s |")
    print("|---|---|---|---|---|---|", flush=True)
    first, last = None, None
    with Reporter() as progress:
        runs = RUNS[catalogue]
        for n, (variant, (name, settings)) in enumerate(runs.items()):
            progress(n / len(runs), f"{catalogue}, {variant}")
            began = time.monotonic()
            labels, result, classes = held_out(name, settings)
            p, product = result.products[0].posterior, result.products[0]
            weight = np.ones(len(p))
            found = Predictions(labels.class_index, p, p.argmax(1), labels.group, weight)
            own = score(found, classes, BOOTSTRAP, 0)
            first = first or found
            change = paired_differences(first, found, classes, BOOTSTRAP, 0)["log_loss"]
            ends = product.posterior_interval
            width = f"{np.median(np.ptp(ends, axis=-1).max(1)):.3f}" if ends.shape[-1] else ""
            loss, ece = own["log_loss"], own["ece"]
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
    found = coverage_over_splits(labels, posterior, SPLITS, SEED)
    print("", *table_of_coverage(labels, classes, found), sep="\n")


if __name__ == "__main__":
    for catalogue in sys.argv[1:] or list(RUNS):
        print(f"\n### {catalogue}\n")
        table(catalogue)
