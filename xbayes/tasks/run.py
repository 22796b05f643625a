"""One experiment, from the config and the catalogue to the run directory and the report.

load_training (read, build features) -> cross_validate_training -> fit_training -> classify
-> write_run -> write_figures_and_report (which a failure leaves out)
"""

import os
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xbayes.catalog.columns import masked_column
from xbayes.classifier.fit import FitReport
from xbayes.classifier.learned import prior_to_apply
from xbayes.classifier.patterns import Patterns, classify_by_pattern
from xbayes.classifier.predict import Classifier, Products
from xbayes.classifier.recipe import Recipe, build_recipe
from xbayes.config.reader import config_of
from xbayes.config.schema import Config, catalog_source
from xbayes.errors import InputError, XbayesWarning
from xbayes.evaluate.applied_rule import decision_record, rule_of_run
from xbayes.evaluate.cross_validate import CrossValidation
from xbayes.evaluate.harder_split import HarderSplit, harder_block
from xbayes.evaluate.metrics import measure
from xbayes.output.posterior_file import diagnose, inference_data
from xbayes.output.results import Metrics, Results
from xbayes.output.run_directory import new_run_directory, provenance_of, write_run
from xbayes.report.build import check_formats, write_figures_and_report
from xbayes.tasks.absent_features import patterns_in_training
from xbayes.tasks.fitted_run import FittedRun, load
from xbayes.tasks.precision import in_precision
from xbayes.tasks.training import (
    Progress,
    Training,
    cross_validate_harder,
    cross_validate_training,
    fit_training,
    load_training,
    scored_and_agreement,
)

if TYPE_CHECKING:
    import arviz

    from xbayes.catalog.inputs import CatalogLike, Releases


def run(
    config: str | os.PathLike[str] | Mapping | Config,
    *,
    catalog: "CatalogLike | Releases | None" = None,
    out: str | os.PathLike[str] | None = None,
    target: str | os.PathLike[str] | None = None,
    set: Sequence[str] = (),
    overwrite: bool = False,
    strict: bool = False,
    figures: Sequence[str] = (),
    progress: Progress = lambda share, step: None,
) -> FittedRun:
    """The fitted run of an experiment: cross-validated, fitted, written with its report.

    Parameters
    ----------
    config
        A YAML file, the same content as a mapping, or a `Config`.
    catalog
        The labelled catalogue, instead of `catalog.file` or `catalog.files`: a path, or a table of
        astropy, pandas or pyarrow. A mapping of releases to such catalogues is joined, as
        `catalog.files` is.
    out
        The run directory to make; ``runs/NAME-TIME`` if not given.
    target
        The catalogue that the run will be applied to: features that it lacks are left out.
    set
        Changes to the config, such as ``["model.weights=property", "seed=2"]``.
    overwrite
        Replace an existing run at `out`.
    strict
        Raise `InputError` after writing if the chains did not converge (`variant: bayes`).
    figures
        Formats of the figures besides PNG: "pdf", "svg".
    progress
        Called with the completed share, in [0, 1], and the step that begins.

    Raises
    ------
    InputError
        For a wrong config or catalogue. Neither an error nor an interruption leaves files behind;
        a finished run stays, even if its report cannot be drawn, which is a warning.

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
            figures=figures,
            progress=progress,
        )
    fitted = load(folder)
    for warning in fitted.provenance["warnings"]:
        warnings.warn(warning, XbayesWarning, stacklevel=2)
    chain_warnings = fitted.metrics.get("posterior", {}).get("warnings", [])
    if strict and chain_warnings:
        raise InputError(f"{chain_warnings[0]} (the run is in {folder})")
    return fitted


def run_experiment(
    config: Config,
    catalog: "CatalogLike | Releases | None" = None,
    *,
    out: Path | None = None,
    overwrite: bool = False,
    figures: Sequence[str] = (),
    progress: Progress = lambda share, step: None,
) -> Path:
    """The run directory of an experiment; arguments and errors as of `run`."""
    refuse_sweep(config)
    check_formats(figures)
    out = out or default_directory(config)
    started = time.time()
    with new_run_directory(out, overwrite) as folder:
        progress(0.0, "reading the catalogue")
        training = load_training(config, catalog_source(config) if catalog is None else catalog)
        recipe = build_recipe(training.config)
        held_out = cross_validate_training(
            training, recipe, lambda share, step: progress(0.05 + 0.5 * share, step)
        )
        held_out, agreement = scored_and_agreement(training, held_out)
        harder = cross_validate_harder(
            training, recipe, lambda share, step: progress(0.55 + 0.2 * share, f"harder: {step}")
        )
        progress(0.75, "fitting on all labelled sources")
        classifier, fit = fit_training(training, recipe)
        progress(0.85, "classifying the catalogue")
        patterns = patterns_in_training(training, recipe, classifier)
        log_prior = prior_to_apply(training.config, training.labels)
        products = classify_by_pattern(
            recipe, classifier, training.features, patterns, log_prior=log_prior
        )
        progress(0.9, "writing the run")
        results = _results(
            training,
            recipe=recipe,
            held_out=held_out,
            harder=harder,
            classifier=classifier,
            patterns=patterns,
            fit=fit,
            products=products,
            started=started,
        )
        if agreement is not None:
            results.metrics["crowd"] = agreement
        provenance = provenance_of(results)
        write_run(folder, results, provenance)
    progress(0.92, "drawing the report")
    _report(out, results, provenance, figures)
    progress(1.0, "done")
    return out


def _report(out: Path, results: Results, provenance: dict, figures: Sequence[str]) -> None:
    """Write the report of a finished run; a failure is a warning, because the run is not lost."""
    try:
        write_figures_and_report(out, results, provenance, figures)
    except KeyboardInterrupt:
        left = f"the run is complete in {out}, without its report: xbayes report {out}"
        raise KeyboardInterrupt(left) from None
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        warnings.warn(
            f"the run is complete in {out}, but its report could not be drawn "
            f"({type(error).__name__}: {reason}); when that is mended: xbayes report {out}",
            XbayesWarning,
            stacklevel=3,
        )


def default_directory(config: Config) -> Path:
    """Where a run is written if nobody says where."""
    return Path("runs") / f"{config.name}-{time.strftime('%Y%m%d-%H%M%S')}"


def refuse_sweep(config: Config) -> None:
    """Raise `InputError` if the config has a sweep, which makes it many experiments."""
    if config.sweep:
        raise InputError(
            f"the config has a sweep over {', '.join(config.sweep)}, so it is many experiments: "
            "run 'xbayes compare CONFIG', or remove the sweep with --set 'sweep={}'"
        )


def _results(
    training: Training,
    *,
    recipe: Recipe,
    held_out: CrossValidation,
    harder: HarderSplit | None,
    classifier: Classifier,
    patterns: Patterns,
    fit: FitReport,
    products: Products,
    started: float,
) -> Results:
    """The scores, the diagnosed posterior samples and everything else that is written."""
    scores = measure(training.config, training.labels, products, held_out, training.well)
    log_prior = prior_to_apply(training.config, training.labels)
    applied = rule_of_run(recipe, classifier, log_prior)
    metrics = Metrics(**scores, decision=decision_record(applied, held_out.rules))
    if harder is not None:
        metrics["harder"] = harder_block(
            harder, held_out, training.labels, training.config, training.releases
        )
    known = training.labels.class_index >= 0
    ids = masked_column(training.table, training.config.catalog.id)[known]
    posterior, chain_warnings = _diagnosed(fit, recipe, metrics, np.ma.getdata(ids))
    return Results(
        config=training.config,
        origin=training.origin,
        table=training.table,
        features=training.features,
        feature_report=training.report,
        labels=training.labels,
        warnings=(*chain_warnings, *training.warnings),
        recipe=recipe,
        classifier=classifier,
        patterns=patterns,
        fit=fit,
        held_out=held_out,
        products=products,
        metrics=metrics,
        seconds=time.time() - started,
        posterior=posterior,
    )


def _diagnosed(
    fit: FitReport, recipe: Recipe, metrics: Metrics, ids: np.ndarray
) -> "tuple[arviz.InferenceData | None, tuple[str, ...]]":
    """The posterior samples and the warnings about their chains; adds both to `metrics`.

    `ids` are those of the labelled sources.
    """
    if fit.posterior is None:
        return None, ()
    data = inference_data(fit.posterior, recipe.names, ids)
    diagnostics = diagnose(data, fit.posterior)
    metrics["posterior"] = {**diagnostics.record, "warnings": list(diagnostics.doubts)}
    return data, diagnostics.doubts
