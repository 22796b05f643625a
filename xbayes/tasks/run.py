"""One experiment from config to run directory, and a fitted run applied to any catalogue.

read -> roles, labels -> features -> cross-validate -> fit on all -> classify -> write
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from xbayes.classifier.fit import FitReport, fit_classifier
from xbayes.classifier.predict import Classifier, classify
from xbayes.classifier.recipe import Recipe, build_recipe
from xbayes.config.schema import Config, catalog_path, given_log_prior
from xbayes.evaluate.cross_validate import (
    inner_folds,
    labelled_rows,
)
from xbayes.evaluate.metrics import measure
from xbayes.output.posterior_file import diagnose, inference_data
from xbayes.output.results import Results
from xbayes.output.run_directory import provenance_of, write_run
from xbayes.report.build import write_figures_and_report
from xbayes.tasks.training import Progress, Training, cross_validate_training, load_training
from xbayes.types import InputError


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
        provenance = provenance_of(results)
        write_run(folder, results, provenance)
        write_figures_and_report(folder, results, provenance, out)
    progress(1.0, "done")
    return out


def refuse_sweep(config: Config) -> None:
    """Raise `InputError` for a config of many variants where one is wanted."""
    if config.sweep:
        raise InputError(
            f"the config has a sweep over {', '.join(config.sweep)}, so it is many experiments: "
            "run 'xbayes compare CONFIG', or take it out with --set 'sweep={}'"
        )


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
    data = inference_data(fit.posterior, recipe.names)
    found = diagnose(data, fit.posterior)
    metrics["posterior"] = {**found.record, "warnings": list(found.doubts)}
    return data, found.doubts
