"""One experiment, from the config and the catalogue to the run directory and the report.

read -> features (`load_training`) -> cross-validate -> fit on all -> predict -> write -> report
"""

import os
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import jax

from xbayes.classifier.fit import FitReport, fit_classifier
from xbayes.classifier.predict import Classifier, classify
from xbayes.classifier.recipe import Recipe, build_recipe
from xbayes.config.reader import config_of
from xbayes.config.schema import Config, catalog_path, given_log_prior
from xbayes.errors import XbayesWarning
from xbayes.evaluate.cross_validate import inner_folds, labelled_rows
from xbayes.evaluate.metrics import measure
from xbayes.output.posterior_file import diagnose, inference_data
from xbayes.output.results import Metrics, Results
from xbayes.output.run_directory import provenance_of, write_run
from xbayes.report.build import write_figures_and_report
from xbayes.tasks.fitted_run import FittedRun, load
from xbayes.tasks.training import (
    Progress,
    Training,
    cross_validate_training,
    in_precision,
    load_training,
)
from xbayes.types import InputError

if TYPE_CHECKING:
    from xbayes.catalog.inputs import CatalogLike


def run(
    config: str | os.PathLike[str] | Mapping | Config,
    *,
    catalog: "CatalogLike | None" = None,
    out: str | os.PathLike[str] | None = None,
    target: str | os.PathLike[str] | None = None,
    set: Sequence[str] = (),
    overwrite: bool = False,
    strict: bool = False,
    progress: Progress = lambda share, what: None,
) -> FittedRun:
    """The fitted run of an experiment: cross-validated, fitted, written with its report.

    Parameters
    ----------
    config
        A YAML file, the same content as a mapping, or a `Config`.
    catalog
        The labelled catalogue, instead of `catalog.file`: a path, or a table of astropy, pandas or
        pyarrow.
    out
        The run directory to make; ``runs/NAME-TIME`` if not given.
    target
        A catalogue to learn for: features that it does not have are left out.
    set
        Changes of the config, such as ``["model.weights=property", "seed=2"]``.
    overwrite
        Replace a run that exists at `out`.
    strict
        Raise `InputError` after writing if the chains did not converge (`variant: bayes`).
    progress
        Called with the share done, in [0, 1], and the step under way.

    Raises
    ------
    InputError
        For a wrong config or catalogue; then, or when interrupted, nothing is left behind.

    Examples
    --------
    >>> fit = xbayes.run("configs/demo.yaml", catalog="runs/demo-catalog.fits", out="runs/again")
    >>> sorted(fit.metrics["cross_validated"]["f1"])
    ['AGN', 'CV', 'Star', 'XRB']
    """
    loaded = config_of(config, set, target=target)
    with in_precision(loaded.precision):
        folder = run_experiment(
            loaded,
            catalog,
            out=None if out is None else Path(out),
            overwrite=overwrite,
            progress=progress,
        )
    fitted = load(folder)
    for warning in fitted.provenance["warnings"]:
        warnings.warn(warning, XbayesWarning, stacklevel=2)
    doubts = fitted.metrics.get("posterior", {}).get("warnings", [])
    if strict and doubts:
        raise InputError(f"{doubts[0]} (the run is in {folder})")
    return fitted


def run_experiment(
    config: Config,
    catalog: "CatalogLike | None" = None,
    *,
    out: Path | None = None,
    overwrite: bool = False,
    progress: Progress = lambda share, what: None,
) -> Path:
    """The run directory of an experiment; arguments and errors as of `run`."""
    refuse_sweep(config)
    out = out or Path("runs") / f"{config.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    started = time.time()
    with fresh_folder(out, overwrite) as folder:
        progress(0.0, "reading the catalogue")
        training = load_training(config, catalog_path(config) if catalog is None else catalog)
        recipe, log_prior = build_recipe(training.config), given_log_prior(training.config)
        held_out = cross_validate_training(
            training, recipe, lambda share, what: progress(0.05 + 0.7 * share, what)
        )
        progress(0.75, "fitting on all labelled sources")
        classifier, fit = _fit_on_all(training, recipe)
        progress(0.85, "classifying the catalogue")
        products = classify(recipe, classifier, training.features, log_prior)
        scores = measure(training.config, training.labels, products, held_out, training.well)
        metrics = Metrics(**scores)
        posterior, doubts = _diagnosed(fit, recipe, metrics)
        progress(0.9, "writing the run and its report")
        results = Results(
            config=training.config,
            origin=training.origin,
            table=training.table,
            features=training.features,
            feature_report=training.report,
            labels=training.labels,
            warnings=(*doubts, *training.warnings),
            recipe=recipe,
            classifier=classifier,
            fit=fit,
            held_out=held_out,
            products=products,
            metrics=metrics,
            seconds=time.time() - started,
            posterior=posterior,
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
    """The classifier of all labelled rows, the same rows as in the folds: no new compilation."""
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


def _diagnosed(
    fit: FitReport, recipe: Recipe, metrics: Metrics
) -> "tuple[arviz.InferenceData | None, tuple[str, ...]]":
    """The posterior for its file, and doubts about its chains; these go into the metrics too."""
    if fit.posterior is None:
        return None, ()
    data = inference_data(fit.posterior, recipe.names)
    found = diagnose(data, fit.posterior)
    metrics["posterior"] = {**found.record, "warnings": list(found.doubts)}
    return data, found.doubts
