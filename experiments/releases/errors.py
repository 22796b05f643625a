"""Faint after bright: errors.py [CONFIG] [SETTING ...].

Log loss on inner splits by flux (A, B), on the faint part (F), and on random folds (R) of seed 51.
Choices are made by A, B and R; F is reported. The inner folds are random, unless a setting says
otherwise.
"""

import sys
from pathlib import Path

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "shift"))
from run import VARIANTS, load
from shifts import FLUX, folds

from xbayes.catalog.columns import masked_column
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import build_recipe
from xbayes.evaluate.cross_validate import inner_folds

# Least flux of the training part, range of fluxes of the test part (erg/s/cm2).
SPLITS = {"A": (1e-13, 5e-14, 1e-13), "B": (2e-13, 5e-14, 2e-13), "F": (5e-14, 0.0, 5e-14)}


def parts(training, name):
    """Inner folds of the training rows, test rows and seed of each part of a split."""
    if name == "R":
        yield from folds(training)
        return
    flux = np.sum([np.asarray(masked_column(training.table, c).filled(0)) for c in FLUX], axis=0)
    least, low, high = SPLITS[name]
    truth, group = training.labels.class_index, training.labels.group
    n_folds = training.config.validation.inner_folds
    yield inner_folds(truth, group, flux >= least, n_folds, 52), (flux >= low) & (flux < high), 52


def main(config="default", *settings):
    """Print the log loss of each split."""
    settings = ("validation.inner_split=random", *settings)
    training = load(VARIANTS[config]._replace(settings=settings), 51)
    recipe, truth = build_recipe(training.config), training.labels.class_index
    for name in ("A", "B", "F", "R"):
        losses = []
        for inner, test, seed in parts(training, name):
            rows, key = training.features.rows(test), jax.random.key(seed)
            fitted, _ = fit_classifier(recipe, training.features, training.labels, inner, key)
            posterior = classify(recipe, fitted, rows, None, 512).posterior
            chosen = posterior[np.arange(test.sum()), truth[test]]
            losses.append(-np.log(np.clip(chosen, 1e-6, 1)))
        print(f"{name} {np.concatenate(losses).mean():.4f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
