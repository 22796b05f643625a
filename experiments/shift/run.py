"""Robustness to shifts: run.py [--seed N] [--shift NAME] [VARIANT ...].

Runs the variants that are not in runs/shift yet, keeps their predictions there, and prints the
tables. Without names, all variants on all shifts.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from shifts import SHIFTS, Part, Shift, copies, test_features
from table import print_tables

from xbayes.classifier.decision import by_class_weight, decide
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.learned import trained_log_prior
from xbayes.classifier.patterns import classify_by_pattern
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import build_recipe
from xbayes.compare.cross_validate_peer import apply_peer, fit_peer
from xbayes.compare.peers import PEERS, Sample
from xbayes.config.reader import load_config
from xbayes.config.schema import catalog_path, focus_class
from xbayes.evaluate.cross_validate import Split, labelled_rows
from xbayes.evaluate.proportions import estimate_proportions
from xbayes.tasks.absent_features import patterns_in_training
from xbayes.tasks.precision import use_precision
from xbayes.tasks.target import importance_weights
from xbayes.tasks.training import Training, load_training
from xbayes.types import Features

CONFIGS, OUT = Path(__file__).parents[2] / "configs", Path("runs/shift")
BEST = "chandra_sources.yaml"
FOLD_SHIFTS = tuple(name for name, shift in SHIFTS.items() if shift.parts is SHIFTS["none"].parts)
WEIGHED = ("faint", "sky", "yso", "earlier")  # where importance weights may help
REFITTED = ("hard", "infrared", "earlier", "worse")


class Variant(NamedTuple):
    """A model and a remedy."""

    config: str
    settings: tuple[str, ...] = ()
    peer: str | None = None
    importance: float = 0.0  # power of the importance weights; 0: none
    available_only: bool = False  # fit without features that are not available in the test part
    by_pattern: bool = False  # weights fitted for the features a row has, as in xbayes classify
    shifts: tuple[str, ...] = tuple(SHIFTS)


DEFAULT, PUBLISHED = "chandra_sources_plain.yaml", "chandra_sources_published.yaml"
UNSHRUNK, LAPLACE = "model.shrink_outliers=false", "posterior.method=laplace"
RANDOM = "validation.inner_split=random"  # as third-party classifiers have in xbayes compare
VARIANTS = {
    "best": Variant(BEST, by_pattern=True),
    "best, one fit": Variant(BEST),
    "best, random inner folds": Variant(BEST, (RANDOM,), shifts=("none", "faint")),
    "best, no subclasses": Variant(BEST, ("taxonomy.subclasses={}",)),
    "best, unshrunk": Variant(BEST, (UNSHRUNK,)),
    "best, relearned": Variant(BEST, available_only=True, shifts=REFITTED),
    "best, importance 0.5": Variant(
        BEST, importance=0.5, available_only=True, shifts=("faint", "earlier")
    ),
    "default": Variant(DEFAULT),
    "default, unshrunk": Variant(DEFAULT, (UNSHRUNK,)),
    "default, no tails": Variant(DEFAULT, (UNSHRUNK, "model.tails=0")),
    "default, tails 0.01": Variant(DEFAULT, ("model.tails=0.01",)),
    "default, relearned": Variant(DEFAULT, available_only=True, shifts=REFITTED),
    "default, importance 0.5": Variant(
        DEFAULT, importance=0.5, available_only=True, shifts=WEIGHED
    ),
    "default, importance 1": Variant(DEFAULT, importance=1.0, available_only=True, shifts=WEIGHED),
    "published": Variant(PUBLISHED, shifts=FOLD_SHIFTS),
    "posterior (laplace)": Variant("chandra_sources_bayes.yaml", (LAPLACE, "posterior.samples=40")),
    "lightgbm": Variant(BEST, (RANDOM,), peer="lightgbm"),
    "lightgbm, inner blocks": Variant(BEST, peer="lightgbm", shifts=("none", "faint")),
    "hist_gradient_boosting": Variant(
        BEST, (RANDOM,), peer="hist_gradient_boosting", shifts=(*FOLD_SHIFTS, "faint")
    ),
}


class Fitted(NamedTuple):
    """A classifier fitted to one training part: of xbayes, or a third-party one."""

    apply: Callable[[Features], np.ndarray]  # posteriors [N C]
    class_weight: np.ndarray
    log_prior: np.ndarray


def available_in(shifted: Features, features: Features) -> Features:
    """The features, but not available where they are available in no row of `shifted`."""
    ever = np.asarray(shifted.available).any(0)
    return features._replace(
        value=features.value * ever,
        measured=np.asarray(features.measured) & ever,
        available=np.asarray(features.available) & ever,
    )


def fit(variant: Variant, training: Training, part: Part, shifted: Features, times) -> Fitted:
    """The classifier fitted to the training rows; of the test rows it uses only the features."""
    inner, test, seed = part
    features = training.features
    if variant.available_only:
        features = available_in(shifted, features)
    if variant.peer is not None:
        return _fit_peer(variant.peer, training, features, part)
    weight = None
    if variant.importance:
        is_training, rows = inner >= 0, np.repeat(np.flatnonzero(test), times[test])
        weight = np.ones(len(inner))
        weight[is_training] = importance_weights(
            features.rows(is_training), shifted.rows(rows), variant.importance, seed
        )
    recipe = build_recipe(training.config)
    key = jax.random.key(seed)
    classifier, _ = fit_classifier(recipe, features, training.labels, inner, key, weight)
    prior = trained_log_prior(recipe, classifier)

    seen = training._replace(
        features=features.rows(inner >= 0), labels=training.labels.rows(inner >= 0)
    )
    patterns = patterns_in_training(seen, recipe, classifier)

    def apply(rows: Features) -> np.ndarray:
        if variant.by_pattern:
            return classify_by_pattern(recipe, classifier, rows, patterns, size=512).posterior
        return classify(recipe, classifier, rows, None, 512).posterior

    return Fitted(
        apply=apply, class_weight=np.asarray(classifier.rule.class_weight), log_prior=prior
    )


def _fit_peer(name: str, training: Training, features: Features, part: Part) -> Fitted:
    inner, test, seed = part
    x = np.where(features.measured, features.value, np.nan)
    classes = list(training.config.taxonomy.classes)
    sample = Sample(
        x=x,
        truth=training.labels.class_index,
        n_classes=len(classes),
        names=tuple(training.config.features),
    )
    split = Split(number=0, repeat=0, fold=0, test=test, inner=inner, seed=seed)
    focus, group = classes.index(focus_class(training.config) or ""), training.labels.group
    fitted = fit_peer(PEERS[name], sample, group, split, focus, "auto")

    def apply(rows: Features) -> np.ndarray:
        values = np.where(rows.measured, rows.value, np.nan)
        return apply_peer(PEERS[name], fitted, values, None)

    return Fitted(
        apply=apply,
        class_weight=np.asarray(fitted.class_weight),
        log_prior=np.asarray(fitted.log_prior),
    )


def predict(variant: Variant, training: Training, shift: Shift, fits: dict) -> dict:
    """Posterior and prediction of every test row, and the same with --prior estimate."""
    shifted, times = test_features(training, shift), copies(training, shift)
    n_rows, n_classes = len(times), len(training.config.taxonomy.classes)
    posterior, part_of = np.full((n_rows, n_classes), np.nan), np.full(n_rows, -1)
    class_weight, trained = np.ones((2, n_rows, n_classes))
    for k, part in enumerate(shift.parts(training)):
        # Shifts with the same parts share a fit, unless the remedy uses the test features.
        uses_test = variant.available_only or variant.importance
        name = (shift.parts.__name__, k, shift.title if uses_test else "")
        fitted = fits.get(name) or fit(variant, training, part, shifted, times)
        fits[name], test = fitted, part[1]
        posterior[test] = fitted.apply(shifted.rows(test))
        class_weight[test], part_of[test] = fitted.class_weight, k
        trained[test] = np.exp(fitted.log_prior)
    # Random folds are parts of one catalogue; each block of the sky is a separate catalogue.
    whole = shift.parts.__name__ == "folds"
    estimated = posterior.copy()
    for rows in [part_of >= 0] if whole else [part_of == k for k in range(part_of.max() + 1)]:
        repeated = np.repeat(np.flatnonzero(rows), times[rows])
        log_prior = np.log(trained[rows].mean(0))
        key = jax.random.key(training.config.seed)
        share = estimate_proportions(posterior[repeated], log_prior, key).proportions
        joint = posterior[rows] * share / trained[rows]
        estimated[rows] = joint / joint.sum(1, keepdims=True)
    return {
        "truth": training.labels.class_index,
        "times": times,
        "posterior": posterior,
        "prediction": decide(posterior, by_class_weight(class_weight)),
        "estimated": estimated,
        "estimated_prediction": decide(estimated, by_class_weight(class_weight)),
        "tested": part_of >= 0,
    }


def load(variant: Variant, seed: int) -> Training:
    """The labelled sources of the variant's catalogue."""
    config = load_config(
        CONFIGS / variant.config, [*variant.settings, "decision=f1", f"seed={seed}"]
    )
    use_precision(config)
    training = load_training(config, catalog_path(config))
    rows, features, labels = labelled_rows(training.features, training.labels)
    return training._replace(table=training.table[rows], features=features, labels=labels)


def run_variants(names: list[str], seed: int, only: str | None) -> None:
    """Run these variants, on one shift or on all of theirs, where a result is missing."""
    OUT.mkdir(parents=True, exist_ok=True)
    for name in names:
        variant, fits, training = VARIANTS[name], {}, None
        for key in (key for key in variant.shifts if only in (None, key)):
            path = OUT / f"{seed}-{name.replace(' ', '_')}-{key}.npz"
            if not path.exists():
                training = training or load(variant, seed)
                np.savez(path, **predict(variant, training, SHIFTS[key], fits))
                print(f"{name}: {SHIFTS[key].title}", file=sys.stderr, flush=True)


def main(words: list[str]) -> None:
    """Run the variants that are missing, then print the tables of all results."""
    given = {
        option: words.pop(words.index(option) + 1)
        for option in ("--seed", "--shift")
        if option in words
    }
    seed, only = int(given.get("--seed", 91)), given.get("--shift")
    names = [word for word in words if word not in given] or list(VARIANTS)
    run_variants(names, seed, only)
    files = {
        (name, key): path
        for name in VARIANTS
        for key in SHIFTS
        if (path := OUT / f"{seed}-{name.replace(' ', '_')}-{key}.npz").exists()
    }
    print_tables(files, {key: shift.title for key, shift in SHIFTS.items()})


if __name__ == "__main__":
    main(sys.argv[1:])
