"""Intervals on the simulated sky, whose classes no product of densities describes.

    python experiments/bench_bayes/sky.py

The sky has no formula for p(class | source). Two stand in for it: the same model learned from LARGE
sources (what the intervals are about: the limit of this model), and boosted trees learned from the
same (closer to the sky, as their log loss says). What the intervals miss of the first is scatter
they do not know of; what they miss of the second beyond that is the model being wrong.
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
from xbayes.tasks.training import load_training, use_precision
from xbayes.types import Features, Labels

SMALL, LARGE, NEW = 1000, 50_000, 4000
SKIES = (1, 2, 3)
LAPLACE = ("variant=bayes", "posterior={method: laplace, chains: 1, draws: 200, kept: 60}")
# A calibrator is fitted to labels; here it would only blur what is compared.
FIXED = ("model.calibration=none",)


def sky(config: Config, n: int, seed: int) -> tuple[Features, np.ndarray]:
    """Features and classes of n simulated sources, in the proportions of the simulation."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sky.parquet"
        write_catalog(simulate_catalog(n, seed), path)
        training = load_training(config, path)
    return training.features, training.labels.class_index


def learned(recipe: Recipe, features: Features, truth: np.ndarray):
    """The classifier of all these sources."""
    everyone = np.arange(len(truth))
    fold = inner_folds(truth, everyone, truth >= 0, recipe.n_folds, 0)
    labels = Labels(truth, everyone)
    return fit_classifier(recipe, features, labels, fold, jax.random.key(0))[0]


def log_loss(posterior: np.ndarray, truth: np.ndarray) -> float:
    """Mean log loss."""
    return float(-np.log(np.clip(posterior[np.arange(len(truth)), truth], 1e-6, 1)).mean())


def raw(features: Features) -> np.ndarray:
    """What trees read: values, NaN where there is none."""
    return np.where(np.asarray(features.measured), np.asarray(features.value), np.nan)


def main() -> None:
    """Coverage of both stand-ins by the intervals of classifiers of SMALL sources."""
    path = Path(__file__).parents[2] / "configs/demo.yaml"
    config, bayes = load_config(path, list(FIXED)), load_config(path, [*FIXED, *LAPLACE])
    use_precision(config)
    plain, recipe = build_recipe(config), build_recipe(bayes)
    many, of_many = sky(config, LARGE, 100)
    new, of_new = sky(config, NEW, 200)
    limit = classify(plain, learned(plain, many, of_many), new).posterior
    trees = HistGradientBoostingClassifier(learning_rate=0.05, max_iter=200, random_state=0)
    boosted = trees.fit(raw(many), of_many).predict_proba(raw(new))
    losses = [log_loss(p, of_new) for p in (limit, boosted)]
    print(f"log loss of the limit of the model {losses[0]:.4f}, of the trees {losses[1]:.4f}\n")
    print("| sky | limit of the model held | trees held | median width |")
    print("|---|---|---|---|")
    for seed in SKIES:
        found = learned(recipe, *sky(config, SMALL, seed))
        low, high = np.moveaxis(classify(recipe, found, new).posterior_interval, -1, 0)
        held = [((low <= p) & (p <= high)).mean() for p in (limit, boosted)]
        width = np.median((high - low).max(1))
        print(f"| {seed} | {held[0]:.3f} | {held[1]:.3f} | {width:.3f} |", flush=True)


if __name__ == "__main__":
    main()
