"""Coverage of intervals on the simulated sky, whose classes are not products of densities.

    python experiments/bench_bayes/sky.py

The true p(class | source) of the sky is not known. Two references replace it: the same model fitted
to LARGE sources, which is the limit of this model, and boosted trees fitted to the same sources,
which are closer to the truth by their log loss. Coverage that is lost against the first is scatter
that the draws do not include; coverage that is lost against the second as well is model error.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from xbayes.catalog.write import write_catalog
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import Recipe, build_recipe
from xbayes.config.reader import load_config
from xbayes.config.schema import Config
from xbayes.evaluate.cross_validate import inner_folds
from xbayes.simulate.catalog import simulate_catalog
from xbayes.tasks.precision import use_precision
from xbayes.tasks.training import load_training
from xbayes.types import Features, Labels

SMALL, LARGE, NEW = 1000, 50_000, 4000
SKIES = (1, 2, 3)
LAPLACE = ("variant=bayes", "posterior={method: laplace, chains: 1, draws: 200, samples: 60}")
# A calibrator is fitted to labels and would blur the comparison.
FIXED = ("model.calibration=none",)


def sky(config: Config, n: int, seed: int) -> tuple[Features, np.ndarray]:
    """Features and classes of n simulated sources, in the proportions of the simulation."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sky.parquet"
        write_catalog(simulate_catalog(n, seed), path)
        training = load_training(config, path)
    return training.features, training.labels.class_index


def fitted(recipe: Recipe, features: Features, truth: np.ndarray):
    """The classifier fitted to all these sources."""
    group = np.arange(len(truth))
    fold = inner_folds(truth, group, truth >= 0, recipe.n_folds, 0)
    labels = Labels(class_index=truth, group=group)
    return fit_classifier(recipe, features, labels, fold, jax.random.key(0))[0]


def log_loss(posterior: np.ndarray, truth: np.ndarray) -> float:
    """Mean log loss."""
    return float(-np.log(np.clip(posterior[np.arange(len(truth)), truth], 1e-6, 1)).mean())


def with_nan(features: Features) -> np.ndarray:
    """The input of the trees: values, NaN where not measured."""
    return np.where(np.asarray(features.measured), np.asarray(features.value), np.nan)


def main() -> None:
    """Print how often intervals of classifiers fitted to SMALL sources cover both references."""
    path = Path(__file__).parents[2] / "configs/demo.yaml"
    config, bayes = load_config(path, list(FIXED)), load_config(path, [*FIXED, *LAPLACE])
    use_precision(config)
    plain, recipe = build_recipe(config), build_recipe(bayes)
    many, many_truth = sky(config, LARGE, 100)
    new, new_truth = sky(config, NEW, 200)
    limit = classify(plain, fitted(plain, many, many_truth), new).posterior
    trees = HistGradientBoostingClassifier(learning_rate=0.05, max_iter=200, random_state=0)
    boosted = trees.fit(with_nan(many), many_truth).predict_proba(with_nan(new))
    losses = [log_loss(p, new_truth) for p in (limit, boosted)]
    print(f"log loss of the large-sample model {losses[0]:.4f}, of the trees {losses[1]:.4f}\n")
    print("| sky | coverage of the large-sample model | coverage of the trees | median width |")
    print("|---|---|---|---|")
    for seed in SKIES:
        classifier = fitted(recipe, *sky(config, SMALL, seed))
        low, high = np.moveaxis(classify(recipe, classifier, new).posterior_interval, -1, 0)
        covered = [((low <= p) & (p <= high)).mean() for p in (limit, boosted)]
        width = np.median((high - low).max(1))
        print(f"| {seed} | {covered[0]:.3f} | {covered[1]:.3f} | {width:.3f} |", flush=True)


if __name__ == "__main__":
    main()
