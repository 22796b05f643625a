"""Speed of the posterior and of intervals: python experiments/bench_bayes/run.py."""

import resource
import sys
import time
from pathlib import Path

import jax
import numpy as np

from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import build_recipe
from xbayes.config.reader import load_config
from xbayes.config.schema import catalog_path
from xbayes.evaluate.cross_validate import inner_folds
from xbayes.output.posterior_file import diagnose, inference_data
from xbayes.tasks.precision import use_precision
from xbayes.tasks.training import load_training

ROOT = Path(__file__).parents[2]
CLASSIFIED, SAMPLES, FEATURES = 100_000, 200, 25


def chains() -> None:
    """Time NUTS for the weights of the real sources, including compilation."""
    config = load_config(ROOT / "configs/chandra_sources_bayes.yaml", ["posterior.densities=false"])
    use_precision(config)
    training = load_training(config, catalog_path(config))
    truth, group = training.labels.class_index, training.labels.group
    fold = inner_folds(truth, group, truth >= 0, 5, config.seed)
    recipe = build_recipe(training.config)
    rows = (training.features, training.labels, fold, jax.random.key(config.seed))
    plain = recipe._replace(posterior=None)
    fit_classifier(plain, *rows)  # compiles everything except the posterior
    seconds = {}
    for name, each in (("point", plain), ("cold", recipe), ("warm", recipe)):
        began = time.perf_counter()
        _, report = fit_classifier(each, *rows)
        seconds[name] = time.perf_counter() - began
    sampled = report.posterior
    assert sampled is not None
    record = diagnose(inference_data(sampled, recipe.names), sampled).record
    cold, warm = (seconds[name] - seconds["point"] for name in ("cold", "warm"))
    shape = "4 chains, 500 + 500, 2,270 sources, 32 features, weights: matrix"
    print(f"| NUTS, {shape} | {cold:.0f} s cold, {warm:.0f} s warm | under 180 s |")
    worst = max(record["sites"], key=lambda row: row["rhat"])
    print(f"| largest R-hat ({worst['name']}) | {worst['rhat']:.4f} | at most 1.01 |")
    for row in record["sites"]:
        size = f"{row['ess_bulk']:.0f} bulk, {row['ess_tail']:.0f} tail"
        name = f"smallest effective sample size, {row['numbers']} {row['name']}"
        print(f"| {name} | {size} | 400 per weight |")
    print(f"| divergent draws, of {record['draws']} | {record['diverging']} | |", flush=True)


def intervals() -> None:
    """Time the intervals of the real sources, repeated, with 25 features and 200 joint draws."""
    settings = ["posterior.method=laplace", f"posterior.samples={SAMPLES}"]
    config = load_config(ROOT / "configs/chandra_sources_bayes.yaml", settings)
    use_precision(config)
    training = load_training(config, catalog_path(config))
    chosen = dict(list(training.config.features.items())[:FEATURES])
    features = training.features.columns(slice(FEATURES))
    labels = training.labels
    fold = inner_folds(labels.class_index, labels.group, labels.class_index >= 0, 5, 1)
    recipe = build_recipe(training.config.model_copy(update={"features": chosen}))
    classifier, _ = fit_classifier(recipe, features, labels, fold, jax.random.key(1))
    many = features.rows(np.arange(CLASSIFIED) % len(fold))
    before = peak_gib()
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        products = classify(recipe, classifier, many)
        seconds.append(time.perf_counter() - began)
    n_features, n_classes = len(recipe.names.features), len(recipe.names.classes)
    width = np.ptp(products.posterior_interval, axis=-1).max(1)
    shape = (
        f"{CLASSIFIED:,} sources x {SAMPLES} draws x {n_features} features x {n_classes} classes"
    )
    times = f"{seconds[0]:.0f} s with compilation, {seconds[1]:.0f} s repeated"
    print(f"| {shape} | {times} | under 60 s |")
    print(f"| peak memory before, after | {before:.2f}, {peak_gib():.2f} GiB | bounded |")
    print(f"| median width of the widest interval of a source | {np.median(width):.3f} | |")


def peak_gib() -> float:
    """The peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    print("| quantity | measured | target |\n|---|---|---|")
    if "chains" not in sys.argv[1:]:
        intervals()
    if "intervals" not in sys.argv[1:]:
        chains()
