"""Speed and memory of fitting and classifying: python experiments/bench_naive_bayes/run.py."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from xbayes.catalog.taxonomy import class_indices
from xbayes.catalog.write import write_catalog
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import build_recipe
from xbayes.classifier.store import save_model
from xbayes.config.reader import load_config
from xbayes.evaluate.cross_validate import inner_folds
from xbayes.features.build import build_features
from xbayes.models.naive_bayes import KINDS
from xbayes.simulate.catalog import simulate_catalog
from xbayes.tasks.precision import use_precision
from xbayes.types import Labels

CONFIG = Path(__file__).with_name("config.yaml")
FITTED, CLASSIFIED, LOOPED = 25_000, 1_000_000, 2_000


def seconds(do, times=1):
    """The shortest wall time of several calls."""
    times_taken = []
    for _ in range(times):
        start = time.perf_counter()
        do()
        times_taken.append(time.perf_counter() - start)
    return min(times_taken)


def row(name, value, target=""):
    """Print one row of the table."""
    print(f"| {name} | {value} | {target} |", flush=True)


def fit_weights(kind):
    """The config, recipe and classifier of one kind of weights, and the cold and warm times."""
    config = load_config(CONFIG, [f"model.weights={kind}"])
    use_precision(config)
    table = simulate_catalog(FITTED, 3)
    features, _ = build_features(table, config)
    truth, _ = class_indices(table["Class"], config.taxonomy)
    labels = Labels(class_index=truth, group=np.arange(len(truth)))
    fold = inner_folds(truth, labels.group, truth >= 0, config.validation.inner_folds, 1)
    recipe, result = build_recipe(config), []

    def fit():
        result[:] = fit_classifier(recipe, features, labels, fold, jax.random.key(1))

    cold, warm = seconds(fit), seconds(fit, 2)
    loss = min(result[1].held_out_loss)
    row(
        f"fitting, weights: {kind}",
        f"{cold:.1f} s cold, {warm:.1f} s warm; held-out log loss {loss:.4f}",
        "10 s cold, 3 s warm",
    )
    return config, recipe, result[0], (cold, warm)


def classify_in_memory(config, recipe, classifier, table):
    """Time all products of a million sources."""
    features, _ = build_features(table, config)
    classify(recipe, classifier, features)
    taken = seconds(lambda: classify(recipe, classifier, features), 5)
    row("classify in memory", f"{len(table) / taken:,.0f} sources/s", "1,000,000 sources/s")


def one_by_one(recipe, classifier, table, config):
    """Time the published algorithm: loops over sources, features and classes in Python."""
    features, _ = build_features(table[:LOOPED], config)
    density = {name: np.asarray(a) for name, a in classifier.density._asdict().items()}
    alpha = np.asarray(recipe.model.alpha(classifier.weights))
    log_prior = np.asarray(classifier.weights.log_prior)
    n_nodes = density["log_density"].shape[1]
    node = np.arange(n_nodes)

    def all_sources():
        for n in range(LOOPED):
            score = log_prior.copy()
            for f in np.flatnonzero(features.measured[n]):
                place = (features.value[n, f] - density["origin"][f]) / density["step"][f]
                for c in range(len(score)):
                    score[c] += alpha[f, c] * np.interp(
                        place, node, density["log_density"][f, :, c]
                    )
            np.exp(score - score.max()) / np.exp(score - score.max()).sum()

    taken = seconds(all_sources)
    row(
        "posterior alone, one source at a time",
        f"{LOOPED / taken:,.0f} sources/s",
        "(published: 1,500)",
    )


# A child process inherits the memory count of its parent, so a small process starts it.
MEASURED = """
import resource, subprocess, sys, time
start = time.perf_counter()
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
taken = time.perf_counter() - start
print(status, taken, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6)
"""


def command(*words):
    """Wall time and peak memory (GB) of an xbayes command in its own process."""
    program = Path(sys.executable).with_name("xbayes")
    environment = os.environ | {"PYTHONPATH": str(CONFIG.parents[2])}
    measured = subprocess.run(
        [sys.executable, "-c", MEASURED, program, *words],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    status, taken, memory = measured.stdout.split()
    if int(status):
        raise SystemExit(f"xbayes {' '.join(words)} failed:\n{measured.stderr}")
    return float(taken), float(memory)


def many_rows(source, times, target):
    """Write the catalogue several times into one file, with distinct names."""
    table = pq.read_table(source)
    at = table.schema.get_field_index("name")
    with pq.ParquetWriter(target, table.schema) as writer:
        for k in range(times):
            name = pc.binary_join_element_wise(f"{k}-", table["name"], "")
            writer.write_table(table.set_column(at, "name", name.cast(table.schema.field(at).type)))


def parquet_to_parquet(folder, table):
    """Time the command on one million and on four million rows."""
    one, four = folder / "1.parquet", folder / "4.parquet"
    write_catalog(table, one)
    many_rows(one, 4, four)
    for rows, source, target in ((1, one, "20 s, 2 GB"), (4, four, "2 GB")):
        out = folder / f"{rows}.out.parquet"
        taken, memory = command("classify", str(folder / "run"), str(source), "--out", str(out))
        row(f"Parquet to Parquet, {rows},000,000 rows", f"{taken:.1f} s, {memory:.2f} GB", target)


def main():
    """Print the table."""
    print(f"{os.cpu_count()} cores, JAX on {jax.devices()[0].platform}\n")
    print("| benchmark | measured | target |\n|---|---|---|")
    learned = {kind: fit_weights(kind) for kind in reversed(KINDS)}  # the most general first, cold
    row(
        "fitting, sum of the four",
        " ".join(
            f"{sum(x[3][i] for x in learned.values()):.1f} s {w}"
            for i, w in enumerate(("cold,", "warm"))
        ),
    )
    config, recipe, classifier, _ = learned["matrix"]
    table = simulate_catalog(CLASSIFIED, 7)
    classify_in_memory(config, recipe, classifier, table)
    one_by_one(recipe, classifier, table, config)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder / "run" / "model", config, classifier)
        parquet_to_parquet(folder, table)
        row("xbayes --help", f"{min(command('--help')[0] for _ in range(5)):.2f} s", "0.5 s")
        row("xbayes demo", f"{command('demo', '--out', str(folder / 'demo'))[0]:.0f} s", "60 s")


if __name__ == "__main__":
    main()
