"""One experiment from config to run directory, and a fitted run applied to any catalogue.

read -> roles, labels -> features -> cross-validate -> fit on all -> classify -> write
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float

from xbayes.catalog.columns import masked_column, subset
from xbayes.catalog.read import read_catalog
from xbayes.catalog.roles import check_catalog
from xbayes.catalog.suspects import stand_in_warnings
from xbayes.catalog.taxonomy import class_indices, group_indices, subclass_indices
from xbayes.classifier import Classifier, Products, classify
from xbayes.config import Config, catalog_path, given_log_prior
from xbayes.evaluate.cross_validate import (
    CrossValidation,
    cross_validate,
    inner_folds,
    labelled_rows,
    require_members,
)
from xbayes.evaluate.metrics import measure
from xbayes.features.build import (
    FeatureReport,
    build_features,
    needed_columns,
    properties_of,
    useful_features,
)
from xbayes.features.conditions import well_characterised
from xbayes.fit import FitReport, fit_classifier
from xbayes.recipe import Recipe, build_recipe
from xbayes.report.posterior_file import diagnose, inference_data
from xbayes.report.run_directory import Results, write_run
from xbayes.report.table import passed_columns, refuse_clashes
from xbayes.stream import classify_catalog
from xbayes.target import for_target
from xbayes.types import Features, InputError, Labels

Progress = Callable[[float, str], None]  # share done in [0, 1], what is being done


class Training(NamedTuple):
    """A catalogue ready to learn from; rows with a label that is left out are gone."""

    config: Config  # without the features that say nothing
    path: Path
    table: Table
    features: Features
    report: FeatureReport
    labels: Labels
    warnings: tuple[str, ...]
    well: Bool[np.ndarray, "N"] | None = None  # rows known well, where the config tells which
    row_weight: Float[np.ndarray, "N"] | None = None  # what each counts for; None: all alike


def use_precision(config: Config) -> None:
    """Switch JAX to the precision of the config; called by the commands, never on import."""
    jax.config.update("jax_enable_x64", config.precision == "float64")


def run_experiment(
    config: Config,
    catalog: Path | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    progress: Progress = lambda share, what: None,
) -> Path:
    """Cross-validate, fit on all, classify the catalogue, report; the run directory made.

    Raises `InputError` for wrong input; then, or when interrupted, nothing is left behind.
    """
    refuse_sweep(config)
    out = out or Path("runs") / f"{config.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    started = time.time()
    with fresh_folder(out, overwrite) as folder:
        progress(0.0, "reading the catalogue")
        training = load_training(config, catalog or catalog_path(config))
        recipe = build_recipe(training.config)
        held_out = cross_validate_training(
            training, recipe, lambda share, what: progress(0.05 + 0.7 * share, what)
        )
        progress(0.75, "fitting on all labelled sources")
        classifier, fit = _fit_on_all(training, recipe)
        progress(0.85, "classifying the catalogue")
        products = classify(recipe, classifier, training.features, given_log_prior(training.config))
        metrics = measure(training.config, training.labels, products, held_out, training.well)
        posterior, doubts = _diagnosed(fit, recipe, metrics)
        progress(0.9, "writing the run and its report")
        told = (*doubts, *training.warnings)
        results = Results(
            *(training.config, training.path, training.table, training.features, training.report),
            *(training.labels, told, recipe, classifier, fit, held_out, products),
            *(metrics, time.time() - started, posterior),
        )
        write_run(folder, results, out)
    progress(1.0, "done")
    return out


def refuse_sweep(config: Config) -> None:
    """Raise `InputError` for a config of many variants where one is wanted."""
    if config.sweep:
        raise InputError(
            f"the config has a sweep over {', '.join(config.sweep)}, so it is many experiments: "
            "run 'xbayes compare CONFIG', or take it out with --set 'sweep={}'"
        )


def load_training(config: Config, path: Path) -> Training:
    """Read and check a labelled catalogue. Raises `InputError`."""
    roles, label = config.catalog, config.catalog.label
    if label is None:
        raise InputError(
            "the config names no label column (catalog.label), so there is nothing to learn from; "
            "set it, or apply a fitted run with 'xbayes classify'"
        )
    needed = [*needed_columns(config), label, *roles.keep]
    needed += [column for column in (roles.source, roles.group, roles.block) if column]
    table = check_catalog(read_catalog(path, text=[roles.id]), roles, needed, "train")
    _refuse_what_fits_cannot_hold(subset(table, passed_columns(roles)))
    refuse_clashes(passed_columns(roles), properties_of(config))
    class_index, kept = class_indices(masked_column(table, label), config.taxonomy)
    table, class_index = subset(table, rows=kept), class_index[kept]
    subclass = subclass_indices(masked_column(table, label), config.taxonomy)
    features, report = build_features(table, config)
    asked = for_target(config, table, features, class_index >= 0)
    if asked is not None:
        config, features = _with_features(config, features, asked.measured)
    config, features, dropped = _drop_useless(config, features, class_index >= 0)
    labels = Labels(class_index, group_indices(table, roles), subclass)
    validation = config.validation
    require_members(labels, list(config.taxonomy.classes), validation.folds, validation.inner_folds)
    doubts = stand_in_warnings(table, list(needed_columns(config)))
    told = (*report.warnings, *(asked.warnings if asked else ()), *dropped, *doubts)
    wanted = validation.well_characterised
    well = None if wanted is None else well_characterised(table, wanted)
    row_weight = asked.row_weight if asked else None
    return Training(config, path, table, features, report, labels, told, well, row_weight)


@contextmanager
def fresh_folder(out: Path, overwrite: bool) -> Iterator[Path]:
    """A temporary folder that becomes `out` if all goes well, and vanishes if not."""
    check_folder(out, overwrite)
    folder = out.with_name(f".{out.name}.partial-{os.getpid()}")
    folder.mkdir(parents=True)
    try:
        yield folder
        if out.exists():
            shutil.rmtree(out)
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_folder(out: Path, overwrite: bool) -> None:
    """Raise `InputError` where no run may be written."""
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; give another --out, or --overwrite to replace it")
    if out.is_file():
        raise InputError(f"{out} is a file; a run is a folder: give another --out")
    if out.exists() and any(out.iterdir()) and not (out / "model").is_dir():
        raise InputError(f"{out} is a folder that no run wrote; --overwrite replaces runs only")


def cross_validate_training(
    training: Training, recipe: Recipe, progress: Progress = lambda share, what: None
) -> CrossValidation:
    """Held-out products of every labelled row, on the folds that the config asks for."""
    validation = training.config.validation
    total = validation.folds * validation.repeats
    done = iter(range(total))
    return cross_validate(
        recipe,
        training.features,
        training.labels,
        jax.random.fold_in(jax.random.key(training.config.seed), 0),
        validation.folds,
        validation.repeats,
        training.config.seed,
        given_log_prior(training.config),
        lambda what: progress(next(done) / total, what),
        training.row_weight,
        validation.split,
    )


def _fit_on_all(training: Training, recipe: Recipe) -> tuple[Classifier, FitReport]:
    """Of the labelled rows, which the folds had too, so that nothing is compiled anew."""
    features, labels, model = training.features, training.labels, training.config.model
    row_weight = training.row_weight
    if model.density != "published_clusters" or model.clusters.fit_on != "everything":
        rows, features, labels = labelled_rows(features, labels)
        row_weight = None if row_weight is None else row_weight[rows]
    truth, group = labels.class_index, labels.group
    seed, kind = training.config.seed, training.config.validation.split
    fold = inner_folds(truth, group, truth >= 0, recipe.n_folds, seed, kind)
    key = jax.random.fold_in(jax.random.key(training.config.seed), 1)
    return fit_classifier(recipe, features, labels, fold, key, row_weight)


def _diagnosed(fit: FitReport, recipe: Recipe, metrics: dict) -> tuple[Any, tuple[str, ...]]:
    """The posterior for its file, and doubts about its chains; these go into the metrics too."""
    if fit.posterior is None:
        return None, ()
    data = inference_data(fit.posterior, recipe.properties)
    found = diagnose(data, fit.posterior)
    metrics["posterior"] = {**found.record, "warnings": list(found.doubts)}
    return data, found.doubts


def _refuse_what_fits_cannot_hold(table: Table) -> None:
    """Known now, rather than when `catalog.fits` is written after all the work."""
    for name in table.colnames:
        for text in np.ma.asarray(table[name]).compressed():
            if isinstance(text, str) and not text.isascii():
                raise InputError(
                    f"column {name!r} holds {str(text)!r}, which FITS cannot; use plain ASCII"
                )


def _drop_useless(
    config: Config, features: Features, labelled: np.ndarray
) -> tuple[Config, Features, list[str]]:
    """Leave out features that tell no labelled rows apart, with a warning each."""
    evidence = np.array([feature.missing == "evidence" for feature in config.features.values()])
    useful, warnings = useful_features(features, labelled, list(config.features), evidence)
    if not useful.any():
        raise InputError(
            "no feature varies among the labelled rows, so nothing can be learned; "
            "check the expressions and the catalogue: " + "; ".join(warnings)
        )
    return *_with_features(config, features, useful), warnings


def _with_features(
    config: Config, features: Features, kept: Bool[np.ndarray, "F"]
) -> tuple[Config, Features]:
    named = {name: f for (name, f), use in zip(config.features.items(), kept, strict=True) if use}
    columns = Features(*(np.asarray(a)[:, kept] for a in features))
    categories = {feature.category for feature in named.values()}
    told = {name: c for name, c in config.categories.items() if name in categories}
    return config.model_copy(update={"features": named, "categories": told}), columns


__all__ = ["Products", "classify_catalog", "load_training", "run_experiment", "use_precision"]
