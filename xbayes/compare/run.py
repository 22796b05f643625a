"""`xbayes compare`: variants and third-party classifiers on the same sources and folds.

plan -> predictions of every variant -> scores and paired differences -> files and report
"""

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from xbayes.classifier.recipe import build_recipe
from xbayes.compare.cross_validate_peer import cross_validate_peer
from xbayes.compare.page import render_comparison
from xbayes.compare.peers import PEERS
from xbayes.compare.plan import Plan, make_plan, training_of
from xbayes.compare.predictions import (
    VariantPredictions,
    predictions_of_config,
    predictions_of_run,
)
from xbayes.compare.results import make_comparison
from xbayes.compare.store import FOLDER, store_variant, stored_variant
from xbayes.compare.variants import Request, Variant, command_of
from xbayes.compare.write import write_comparison
from xbayes.config.schema import given_log_prior
from xbayes.errors import InputError
from xbayes.output.files import check_new_folder
from xbayes.tasks.precision import in_precision, use_precision
from xbayes.tasks.training import Progress, counted, cross_validate_training

FEW_PROGRAMS = 8  # variants after which the compiled programs of JAX are dropped
FITS = 0.97  # share of the progress bar for the fits


class Compared(NamedTuple):
    """The folder of a comparison, and its numbers."""

    folder: Path
    numbers: dict  # the content of compare.json
    stopped: BaseException | None  # the exception that stopped it before all variants were done
    reused: tuple[str, ...]  # variants that were already done
    warnings: tuple[str, ...]


class Finished(NamedTuple):
    """The predictions of the finished variants."""

    predictions: dict[str, VariantPredictions]  # in the order of the plan
    reused: tuple[str, ...]
    stopped: BaseException | None


def compare(
    *items: str | os.PathLike[str],
    catalog: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    peer: Sequence[str] = (),
    peers_on: str | os.PathLike[str] | None = None,
    peer_calibration: str | None = None,
    set: Sequence[str] = (),
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress = lambda share, what: None,
) -> Compared:
    """Scores of configs, run directories and third-party classifiers on the same folds.

    Parameters
    ----------
    items
        Config files (one may hold a sweep), which are cross-validated here, and run directories,
        whose held-out predictions are read.
    catalog, set, overwrite, progress
        As in `xbayes.run`.
    out
        The folder to make; ``runs/compare-NAME-TIME`` if not given.
    peer
        Third-party classifiers: random_forest, hist_gradient_boosting, lightgbm,
        explainable_boosting, hard_rules; or all.
    peers_on
        The config whose features the peers get; the first one if not given.
    peer_calibration
        none, auto, temperature, vector or dirichlet; that of this config if not given.
    resume
        Do only the variants that a stopped comparison has not done.

    Raises
    ------
    InputError
        Before any fit, for variants that cannot be compared and for a folder in use.

    Examples
    --------
    >>> found = xbayes.compare("runs/demo", catalog="runs/demo-catalog.fits", out="runs/compared",
    ...                        peer=["random_forest"])
    >>> list(found.numbers["variants"])
    ['demo', 'random_forest']
    """
    request = Request(
        items=tuple(map(Path, items)),
        settings=tuple(set),
        catalog=None if catalog is None else Path(catalog),
        peers=tuple(peer),
        peers_on=None if peers_on is None else Path(peers_on),
        peer_calibration=peer_calibration,
    )
    with in_precision("float64"):
        return run_comparison(
            request,
            None if out is None else Path(out),
            overwrite=overwrite,
            resume=resume,
            progress=progress,
        )


def run_comparison(
    request: Request,
    out: Path | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress = lambda share, what: None,
) -> Compared:
    """Compare variants; the folder gets each variant when it is done, then tables and report.

    After an interrupt the tables and the report are still written, marked as partial.

    Raises
    ------
    InputError
        Before any fit, for variants that cannot be compared and for a folder in use.
    """
    started = time.time()
    plan = make_plan(request)
    folder = prepare_folder(out or default_folder(plan), overwrite, resume)
    finished = run_variants(plan, folder, resume, progress)
    progress(FITS, "scoring and writing the report")
    seconds = time.time() - started
    comparison = make_comparison(plan, finished.predictions, command_of(request), seconds)
    write_comparison(folder, comparison, render_comparison(comparison))
    progress(1.0, "done")
    return Compared(
        folder=folder,
        numbers=comparison.numbers,
        stopped=finished.stopped,
        reused=finished.reused,
        warnings=plan.warnings,
    )


def default_folder(plan: Plan) -> Path:
    """The folder of a comparison without `--out`."""
    name = plan.variants[0].name.split("[")[0]
    return Path("runs") / f"compare-{name}-{time.strftime('%Y%m%d-%H%M%S')}"


def prepare_folder(folder: Path, overwrite: bool, resume: bool) -> Path:
    """The folder, emptied if it is to be overwritten. Raises `InputError` for a folder in use."""
    if folder.is_file():
        raise InputError(f"{folder} is a file, but a comparison is a folder; give another --out")
    check_new_folder(folder)
    if not folder.exists() or not any(folder.iterdir()):
        return folder
    if not (folder / FOLDER).is_dir():
        raise InputError(f"{folder} is a folder but not of a comparison; give another --out")
    if not (overwrite or resume):
        raise InputError(
            f"{folder} exists; add --resume to do only the missing variants, --overwrite to start "
            "again, or give another --out"
        )
    if overwrite and not resume:
        shutil.rmtree(folder)
    return folder


def run_variants(plan: Plan, folder: Path, resume: bool, progress: Progress) -> Finished:
    """The predictions of all variants, each stored when it is done; after an interrupt of some."""
    predictions: dict[str, VariantPredictions] = {}
    reused: list[str] = []
    stopped, total = None, len(plan.variants)
    try:
        for n, variant in enumerate(plan.variants):
            stored = stored_variant(folder, variant) if resume else None
            if stored is not None:
                reused.append(variant.name)
                predictions[variant.name] = stored
                continue
            title = f"{variant.name} ({n + 1} of {total})"
            progress(FITS * n / total, title)
            made = predict_variant(
                plan,
                variant,
                lambda share, what, n=n, title=title: progress(
                    FITS * (n + share) / total, f"{title}, {what}"
                ),
            )
            store_variant(folder, variant, made)
            predictions[variant.name] = made
            if (n + 1) % FEW_PROGRAMS == 0:
                jax.clear_caches()  # a long sweep would exhaust the memory maps of the kernel
    except (KeyboardInterrupt, SystemExit) as stop:
        if not predictions:
            raise
        stopped = stop
    return Finished(predictions=predictions, reused=tuple(reused), stopped=stopped)


def predict_variant(plan: Plan, variant: Variant, progress: Progress) -> VariantPredictions:
    """The out-of-fold predictions of one variant."""
    if variant.kind == "run":
        return predictions_of_run(plan, variant)
    use_precision(variant.config)
    training = training_of(plan, variant)
    if variant.kind == "config":
        recipe = build_recipe(training.config)
        return predictions_of_config(cross_validate_training(training, recipe, progress))
    folds = plan.folds._replace(inner=variant.config.validation.inner_folds)
    return cross_validate_peer(
        PEERS[variant.name],
        training.features,
        training.labels,
        folds,
        names=tuple(training.config.features),
        n_classes=len(plan.classes),
        focus=plan.focus,
        calibration=variant.config.model.calibration,
        log_prior=given_log_prior(training.config),
        progress=counted(progress),
    )
