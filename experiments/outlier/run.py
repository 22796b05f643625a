"""False alarms and power of the outlier p-value: python experiments/outlier/run.py [SEED]."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
from scipy.stats import binom

from xbayes.catalog.splits import stratified_folds
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import build_recipe
from xbayes.config.reader import load_config
from xbayes.config.schema import catalog_path
from xbayes.evaluate.cross_validate import inner_folds, labelled_rows
from xbayes.tasks.precision import use_precision
from xbayes.tasks.training import Training, load_training
from xbayes.types import Features, Labels

CONFIG = Path(__file__).parents[2] / "configs/chandra_sources_plain.yaml"
LEVELS = (0.05, 0.01)
Injection = Callable[[Features, Features, np.random.Generator], Features]


def shifted(n_features: int, by: float) -> Injection:
    """Shifts some measured features of each source by `by` standard deviations, up or down."""

    def inject(test: Features, training: Features, rng: np.random.Generator) -> Features:
        measured = np.where(training.measured, training.value, np.nan)
        scatter = np.nan_to_num(np.nanstd(measured, axis=0))
        order = np.argsort(np.where(test.measured, rng.random(test.value.shape), 2.0), axis=1)
        chosen = (order.argsort(axis=1) < n_features) & test.measured
        sign = rng.choice([-1.0, 1.0], test.value.shape)
        return test._replace(value=test.value + chosen * sign * by * scatter)

    return inject


def chimera(test: Features, training: Features, rng: np.random.Generator) -> Features:
    """Replaces each measured value by that of another source, independently for each feature."""
    value = test.value.copy()
    for f in range(value.shape[1]):
        rows, pool = test.measured[:, f], training.value[training.measured[:, f], f]
        value[rows, f] = rng.choice(pool, rows.sum())
    return test._replace(value=value)


INJECTIONS: dict[str, Injection] = {
    "as they are (false alarms)": lambda test, training, rng: test,
    "one feature shifted by 3 standard deviations": shifted(1, 3.0),
    "one feature shifted by 6": shifted(1, 6.0),
    "three features shifted by 3": shifted(3, 3.0),
    "five features shifted by 3": shifted(5, 3.0),
    "chimera: every value from a different source": chimera,
}


def folds(training: Training, labels: Labels) -> Iterator[tuple]:
    """Yield each recipe and classifier, and the rows of its test part."""
    config, truth = training.config, labels.class_index
    recipe = build_recipe(config)
    outer = stratified_folds(truth, labels.group, config.validation.folds, config.seed)
    for k in range(config.validation.folds):
        inner = inner_folds(truth, labels.group, outer != k, recipe.n_folds, config.seed + k)
        key = jax.random.fold_in(jax.random.key(config.seed), k)
        yield recipe, fit_classifier(recipe, training.features, labels, inner, key)[0], outer == k


def flagged(training: Training) -> dict[str, np.ndarray]:
    """Outlier p-values of held-out sources, and of the unusual sources made from them."""
    rng = np.random.default_rng(training.config.seed)
    pooled: dict[str, list] = {name: [] for name in INJECTIONS}
    for recipe, classifier, test in folds(training, training.labels):
        held_out, known = training.features.rows(test), training.features.rows(~test)
        for name, inject in INJECTIONS.items():
            unusual = inject(held_out, known, rng)
            pooled[name].append(classify(recipe, classifier, unusual).outlier_p)
    return {name: np.concatenate(parts) for name, parts in pooled.items()}


def unknown_class(training: Training, name: str) -> np.ndarray:
    """Outlier p-values of one class, by a classifier fitted to the other classes."""
    classes = list(training.config.taxonomy.classes)
    left_out = classes.index(name)
    taxonomy = training.config.taxonomy
    others = {c: labels for c, labels in taxonomy.classes.items() if c != name}
    config = training.config.model_copy(
        update={"taxonomy": taxonomy.model_copy(update={"classes": others}), "f1_class": None}
    )
    truth = training.labels.class_index
    known = np.where(truth > left_out, truth - 1, np.where(truth == left_out, -1, truth))
    others_only = truth != left_out
    rest = training._replace(
        config=config,
        features=training.features.rows(others_only),
        labels=Labels(class_index=known[others_only], group=training.labels.group[others_only]),
    )
    recipe, classifier, _ = next(folds(rest, rest.labels))
    return classify(recipe, classifier, training.features.rows(~others_only)).outlier_p


def line(name: str, outlier_p: np.ndarray) -> str:
    """A row with the share at or below each level, and the 95 % binomial interval of the level."""
    cells = []
    for level in LEVELS:
        low, high = binom.ppf([0.025, 0.975], len(outlier_p), level) / len(outlier_p)
        share = (outlier_p <= level).mean()
        cells.append(f"{share:.3f}" + (f" ({low:.3f} to {high:.3f})" if "false" in name else ""))
    return f"| {name} | {len(outlier_p)} | {' | '.join(cells)} |"


def main(seed: int) -> None:
    """Print the table."""
    config = load_config(CONFIG, [f"seed={seed}"])
    use_precision(config)
    training = load_training(config, catalog_path(config))
    _, features, labels = labelled_rows(training.features, training.labels)
    training = training._replace(features=features, labels=labels)
    print(f"| sources | n | {' | '.join(f'outlier_p <= {level}' for level in LEVELS)} |")
    print("|---|---|---|---|")
    for name, outlier_p in flagged(training).items():
        print(line(name, outlier_p), flush=True)
    for name in training.config.taxonomy.classes:
        print(line(f"{name}, class left out of the training", unknown_class(training, name)))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 31)
