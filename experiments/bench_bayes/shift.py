"""Does averaging over posterior samples help where features are absent or rare?

    python -m experiments.bench_bayes.shift [random] [release] [few]

Log loss of the point estimate and of probabilities averaged over posterior samples of densities,
weights and rates, on the same rows: random folds (complete, and with whole groups of features not
available), half A of the 2022 release, and folds whose training part has FEW members of the rare
classes. Weights are learned on other fields of the sky, as by configs/chandra_sources.yaml.
"""

import os
import sys
import time
from pathlib import Path

import jax
import numpy as np

from experiments.releases.halves import half
from xbayes.catalog.columns import masked_column, subset
from xbayes.catalog.read import read_catalog
from xbayes.catalog.taxonomy import class_indices
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.intervals import JointDraws
from xbayes.classifier.learned import Classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import Recipe, build_recipe
from xbayes.config.reader import load_config
from xbayes.config.schema import catalog_path
from xbayes.evaluate.cross_validate import inner_folds, labelled_rows, nested_splits
from xbayes.features.build import build_features, columns_of
from xbayes.features.trained_on import state_degrees
from xbayes.tasks.precision import use_precision
from xbayes.tasks.training import Training, load_training
from xbayes.types import Features, Labels

ROOT, DATA = Path(__file__).parents[2], Path(os.environ.get("XBAYES_DATA", "."))

SEED, SAMPLES, FEW, BOOTSTRAP, ABSENT = 61, 50, 10, 4000, 0.5
BLOCKS = ["validation.inner_split=blocks", "validation.cell=5"]
# Fewer steps than a run takes, because only SAMPLES samples are used.
CHAINS = "posterior={method: nuts, chains: 2, warmup: 200, draws: 200, thin: 2, samples: 50}"
LAPLACE = "posterior={method: laplace, samples: 50}"
METHODS = {"point": [], "Laplace": ["variant=bayes", LAPLACE], "NUTS": ["variant=bayes", CHAINS]}
SURVEYS = {
    "Gaia": {"Gmag", "BPmag", "RPmag", "rgeo", "PM", "RPlx", "ruwe", "epsi", "sepsi"},
    "2MASS": {"Jmag", "Hmag", "Kmag"},
    "WISE": {"W1mag", "W2mag", "W3mag"},
    "photon index": {"powlaw_gamma_mean"},
    "any counterpart": {"p_any"},
    "variability": {"var_intra_prob", "var_inter_prob"},
}

Losses = dict[str, np.ndarray]  # log loss of each row, by variant


def load(settings: list[str]) -> Training:
    """The labelled sources of 2023."""
    config = load_config(ROOT / "configs/chandra_sources_plain.yaml", [f"seed={SEED}", *settings])
    use_precision(config)
    training = load_training(config, catalog_path(config))
    _, features, labels = labelled_rows(training.features, training.labels)
    return training._replace(features=features, labels=labels)


def recipes(training: Training) -> dict[str, Recipe]:
    """The recipe of each method, for the features and the folds of `training`."""
    base = training.config
    made = {}
    for name, settings in METHODS.items():
        config = load_config(ROOT / "configs/chandra_sources_plain.yaml", settings)
        update = {"variant": config.variant, "posterior": config.posterior}
        made[name] = build_recipe(base.model_copy(update=update))
    return made


def averages(name: str, classifier: Classifier) -> dict[str, Classifier]:
    """The classifier, and the variants in which only a part of the samples varies."""
    draws = classifier.draws
    if draws is None or draws.density is None:
        return {name: classifier}
    mean = jax.tree.map(lambda leaf: leaf.mean(0), draws.weights)
    fixed = jax.tree.map(lambda m, leaf: 0 * leaf + m, mean, draws.weights)
    fitted, sampled = classifier.density, draws.density
    every = jax.tree.map(lambda f, leaf: 0 * leaf + f, fitted, sampled)
    rates = every._replace(log_present=sampled.log_present, log_missing=sampled.log_missing)
    parts = {
        "nothing": (every, fixed),
        "rates": (rates, fixed),
        "densities and rates": (sampled, fixed),
        "weights": (every, draws.weights),
        "everything": (sampled, draws.weights),
    }
    return {
        f"{name}: {part}": classifier._replace(draws=JointDraws(density=d, weights=w))
        for part, (d, w) in parts.items()
    }


def fit(recipe: Recipe, training: Training, inner: np.ndarray, seed: int) -> Classifier:
    """The classifier of the rows with an inner fold."""
    key = jax.random.key(seed)
    return fit_classifier(recipe, training.features, training.labels, inner, key)[0]


def losses(recipe: Recipe, classifier: Classifier, rows: Features, truth: np.ndarray):
    """The log loss of each row, and the width of its widest interval."""
    made = classify(recipe, classifier, rows)
    interval = made.posterior_interval
    width = np.ptp(interval, axis=-1).max(1) if interval.size else np.zeros(len(truth))
    return -np.log(np.clip(made.posterior[np.arange(len(truth)), truth], 1e-6, 1)), width


def without_groups(training: Training, rows: Features, rng: np.random.Generator) -> Features:
    """The rows, each without every group of features with probability ABSENT."""
    config = training.config
    member = np.array(
        [[bool(columns_of(config, name) & of) for of in SURVEYS.values()]
         for name in config.features]
    )  # fmt: skip
    absent = rng.random((len(rows.value), len(SURVEYS))) < ABSENT
    kept = ~(absent[:, None] & member[None]).any(-1)
    return rows._replace(
        value=np.where(kept, rows.value, 0.0),
        measured=np.asarray(rows.measured) & kept,
        available=np.asarray(rows.available) & kept,
    )


def score(training: Training, fits, tests: dict[str, tuple[Features, np.ndarray]], found) -> None:
    """Add the losses of all variants on `tests` to `found`."""
    for name, (recipe, classifier) in fits.items():
        for variant, each in averages(name, classifier).items():
            for test, (rows, truth) in tests.items():
                loss, width = losses(recipe, each, rows, truth)
                found.setdefault(test, {}).setdefault(variant, []).append((loss, width))
    for test, (_, truth) in tests.items():
        found[test].setdefault("truth", []).append(truth)


def fit_all(training: Training, made: dict[str, Recipe], inner, seed: int):
    """The fit of each method, and its seconds."""
    fits = {}
    for name, recipe in made.items():
        began = time.process_time()
        fits[name] = recipe, fit(recipe, training, inner, seed)
        print(f"  {name}: {time.process_time() - began:.0f} s of CPU", file=sys.stderr, flush=True)
    return fits


def random_folds(found: dict) -> None:
    """Random nested folds, complete and with groups of features not available."""
    training = load(BLOCKS)
    made, rng = recipes(training), np.random.default_rng(SEED)
    for split in splits_of(training):
        fits = fit_all(training, made, split.inner, split.seed)
        rows, truth = training.features.rows(split.test), training.labels.class_index[split.test]
        partly = without_groups(training, rows, rng)
        tests = {"random folds": (rows, truth), "groups absent": (partly, truth)}
        score(training, fits, tests, found)
        show(found)


def splits_of(training: Training):
    """Outer folds at random, inner folds as the config asks."""
    validation = training.config.validation
    inner = validation.inner_split
    inner = None if inner == "same" else inner
    return nested_splits(training.labels, 5, 1, 5, SEED, "random", inner_kind=inner)


def release(found: dict) -> None:
    """All sources of 2023, applied to half A of the 2022 release."""
    training = load(BLOCKS)
    labels = training.labels
    every = np.ones(len(labels.class_index), bool)
    inner = inner_folds(
        labels.class_index, labels.group, every, 5, SEED, "blocks", cell=labels.cell
    )
    table = read_catalog(DATA / "chandra_sources_2022.csv", text=["name"])
    in_a = half(np.asarray(table["ra"], float), np.asarray(table["dec"], float)) == 0
    table = subset(table, rows=in_a)
    state_degrees(table, training.config)
    features, _ = build_features(table, training.config, {})
    truth = class_indices(masked_column(table, "Class"), training.config.taxonomy)[0]
    fits = fit_all(training, recipes(training), inner, SEED)
    score(training, fits, {"half A of 2022": (features.rows(truth >= 0), truth[truth >= 0])}, found)


def few_members(found: dict) -> None:
    """Random folds; the training parts have FEW XRB and FEW CV."""
    training = load([])  # random inner folds: cells may leave no member of a class
    made, rng = recipes(training), np.random.default_rng(SEED)
    labels: Labels = training.labels
    for split in splits_of(training):
        training_rows = split.inner >= 0
        for c in (2, 3):
            own = np.flatnonzero(training_rows & (labels.class_index == c))
            training_rows[rng.permutation(own)[FEW:]] = False
        inner = inner_folds(labels.class_index, labels.group, training_rows, 5, split.seed)
        rows, truth = training.features.rows(split.test), labels.class_index[split.test]
        fits = fit_all(training, made, inner, split.seed)
        score(training, fits, {"few members": (rows, truth)}, found)
        show(found)


def show(found: dict) -> None:
    """One row per test and variant: log loss, paired difference to point, interval width."""
    print("\n| rows | averaged | log loss | less the point | less nothing | XRB, CV | width |")
    print("|---|---|---|---|---|---|---|")
    for test, variants in found.items():
        truth = np.concatenate(variants["truth"])
        joined = {
            name: [np.concatenate(part) for part in zip(*parts, strict=True)]
            for name, parts in variants.items()
            if name != "truth"
        }
        draws = np.random.default_rng(0).integers(0, len(truth), (BOOTSTRAP, len(truth)))
        for name, (loss, width) in joined.items():
            texts = []
            for other in ("point", f"{name.split(':')[0]}: nothing"):
                change = loss - joined.get(other, joined["point"])[0]
                lo, hi = np.quantile(change[draws].mean(1), [0.05, 0.95])
                texts.append("" if other == name or name == "point" else
                             f"{change.mean():+.4f} ({lo:+.4f} to {hi:+.4f})")  # fmt: skip
            rare = loss[truth >= 2].mean()
            print(f"| {test} ({len(truth)}) | {name} | {loss.mean():.4f} | {texts[0]} | {texts[1]} "
                  f"| {rare:.3f} | {np.median(width):.3f} |", flush=True)  # fmt: skip


STUDIES = {"random": random_folds, "release": release, "few": few_members}

if __name__ == "__main__":
    results: dict = {}
    for study in sys.argv[1:] or list(STUDIES):
        STUDIES[study](results)
    show(results)
