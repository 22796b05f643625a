"""Fits that decisions.py and prior_shift.py share: each is made once and kept in runs/releases.

A file holds the held-out sample of the fit (inner folds), and classes, groups, posteriors and
outlier p-values of test rows, which the fit has not seen.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from halves import half

import xbayes
from xbayes.catalog.columns import masked_column
from xbayes.catalog.read import read_catalog
from xbayes.catalog.taxonomy import class_indices
from xbayes.classifier.decision import Decision, fit_rule
from xbayes.classifier.fit import fit_classifier
from xbayes.classifier.held_out import HeldOutSample
from xbayes.classifier.learned import Classifier, trained_log_prior
from xbayes.classifier.predict import classify
from xbayes.classifier.recipe import Recipe, build_recipe
from xbayes.config.reader import load_config
from xbayes.config.schema import catalog_path
from xbayes.evaluate.cross_validate import inner_folds, labelled_rows, nested_splits
from xbayes.tasks.precision import use_precision
from xbayes.tasks.training import Training, load_training

CONFIGS, OUT = Path(__file__).parents[2] / "configs", Path("runs/releases")
SOURCES, DETECTIONS = "chandra_sources.yaml", "chandra_detections.yaml"
FLUX, FAINT = ("Fcsc_s", "Fcsc_m", "Fcsc_h"), 5e-14  # erg/s/cm2, 0.5-7 keV
EDGES = (60, 150, 240)  # of the blocks in galactic longitude, degrees
EARLIER = "chandra_sources_2022.csv"

Part = tuple[str, np.ndarray, np.ndarray, int]  # name, inner fold or -1, test rows, seed


def fits(names: list[str]) -> dict[str, dict[str, np.ndarray]]:
    """The fits whose names begin with one of `names`, such as "sources-91", "faint", "2022"."""
    OUT.mkdir(parents=True, exist_ok=True)
    for name in names:
        if not list(OUT.glob(f"{name}*.npz")):
            _make(name)
    files = sorted(path for name in names for path in OUT.glob(f"{name}*.npz"))
    return {path.stem: dict(np.load(path)) for path in files}


def held_out_sample(fit: dict[str, np.ndarray]) -> HeldOutSample:
    """The held-out sample of a fit."""
    return HeldOutSample(**{name: fit[f"sample_{name}"] for name in HeldOutSample._fields})


def _make(name: str) -> None:
    if name == "2022":
        _make_release(name)
        return
    kind, _, seed = name.partition("-")
    settings = [f"seed={seed}"] if seed else []
    training = _load(DETECTIONS if kind == "detections" else SOURCES, settings)
    recipe = build_recipe(training.config)
    for part, inner, test, key in _parts(kind, training):
        features, labels = training.features, training.labels
        classifier, _ = fit_classifier(recipe, features, labels, inner, jax.random.key(key))
        products = classify(recipe, classifier, features.rows(test))
        _save(
            name + part,
            recipe,
            classifier,
            truth=labels.class_index[test],
            group=labels.group[test],
            posterior=products.posterior,
            outlier_p=products.outlier_p,
        )


def _make_release(name: str) -> None:
    """The best model of all 2023 sources, applied to half A of the 2022 release."""
    run = OUT / "run"
    fitted = xbayes.run(CONFIGS / SOURCES, out=run, overwrite=True)
    table = read_catalog(Path(os.environ["XBAYES_DATA"]) / EARLIER)
    in_a = half(np.asarray(table["ra"], float), np.asarray(table["dec"], float)) == 0
    table, model = table[in_a], fitted.model
    made = fitted.classify(table)
    label = np.ma.asarray(table[model.config.catalog.label])
    _save(
        name,
        model.recipe,
        model.classifier,
        truth=class_indices(label, model.config.taxonomy)[0],
        group=np.arange(len(table)),
        posterior=np.stack([np.asarray(made[f"p_{c}"]) for c in fitted.classes], axis=1),
        outlier_p=np.asarray(made["outlier_p"]),
    )


def _save(name: str, recipe: Recipe, classifier: Classifier, **arrays: np.ndarray) -> None:
    sample = classifier.held_out
    assert sample is not None
    focus = recipe.focus
    np.savez(
        OUT / f"{name}.npz",
        allow_pickle=False,
        focus=focus,
        class_weight=fit_rule(Decision(kind="f1"), focus, sample, 0).class_weight,
        log_prior=trained_log_prior(recipe, classifier),
        **arrays,
        **{f"sample_{field}": np.asarray(value) for field, value in sample._asdict().items()},
    )


def _parts(kind: str, training: Training) -> Iterator[Part]:
    """Random or group folds, faint sources, or blocks of the sky."""
    labels, validation = training.labels, training.config.validation
    truth, group = labels.class_index, labels.group
    seed, n_inner = training.config.seed, validation.inner_folds
    if kind in ("sources", "detections"):
        splits = nested_splits(labels, validation.folds, 1, n_inner, seed, validation.split)
        yield from ((f"-{s.fold}", s.inner, s.test, s.seed) for s in splits)
        return
    if kind == "faint":
        flux = [np.asarray(masked_column(training.table, c).filled(0)) for c in FLUX]
        tests = {"": np.sum(flux, axis=0) < FAINT}
    else:
        from astropy.coordinates import SkyCoord

        position = SkyCoord(training.table["ra"], training.table["dec"], unit="deg")
        block = np.digitize(position.galactic.l.deg, EDGES)
        tests = {f"-{k}": block == k for k in range(len(EDGES) + 1)}
    for part, test in tests.items():
        yield part, inner_folds(truth, group, ~test, n_inner, seed), test, seed


def _load(config: str, settings: list[str]) -> Training:
    """The labelled rows of a config's catalogue."""
    loaded = load_config(CONFIGS / config, settings)
    use_precision(loaded)
    training = load_training(loaded, catalog_path(loaded))
    rows, features, labels = labelled_rows(training.features, training.labels)
    return training._replace(table=training.table[rows], features=features, labels=labels)
