"""Variants side by side: run what is not yet there, score all on the same sources, write it down.

configs, runs, peers -> held-out posteriors on identical folds -> paired scores -> table and report
"""

import os
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import jax

from xbayes.classifier.recipe import build_recipe
from xbayes.compare.cross_validate_peer import HeldOut, cross_validate_peer, held_out_of
from xbayes.compare.page import render_comparison
from xbayes.compare.peers import PEERS
from xbayes.compare.plan import (
    Plan,
    Request,
    Variant,
    make_plan,
    predictions_of_run,
    training_of,
    with_fingerprint,
)
from xbayes.compare.results import Comparison
from xbayes.compare.scores import compare_variants
from xbayes.compare.store import FOLDER, store_variant, stored_variant
from xbayes.compare.write import write_comparison
from xbayes.config.schema import given_log_prior
from xbayes.output.posterior_file import compare_posteriors
from xbayes.output.run_directory import software_versions
from xbayes.tasks.training import Progress, cross_validate_training, use_precision
from xbayes.types import InputError

FEW_PROGRAMS = 8  # variants after which what JAX compiled for them is let go


class Compared(NamedTuple):
    """Where a comparison is, and what it found."""

    folder: Path
    numbers: dict  # the content of compare.json
    stopped: BaseException | None  # what stopped it before all variants were done
    reused: tuple[str, ...]  # variants that were there already
    warnings: tuple[str, ...]


def compare(
    request: Request,
    out: Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress = lambda share, what: None,
    command: str = "",
) -> Compared:
    """Compare variants; the folder holds report, tables, and each variant as soon as it is done.

    When stopped (an interrupt, or being told to end) the table of what is done is still written and
    says that it is partial. Raises `InputError` before any work for what cannot be compared.
    """
    began = time.time()
    plan = make_plan(request)
    name = plan.variants[0].name.split("[")[0]
    out = out or Path("runs") / f"compare-{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    _prepare(out, overwrite, resume)
    found: dict[str, HeldOut] = {}
    reused: list[str] = []
    stopped = None
    try:
        _run_all(plan, out, resume, progress, found, reused)
    except (KeyboardInterrupt, SystemExit) as stop:
        if not found:
            raise
        stopped = stop
    progress(0.97, "scoring and writing the report")
    comparison = _scored(plan, found, command, time.time() - began)
    write_comparison(out, comparison, render_comparison(comparison))
    progress(1.0, "done")
    return Compared(out, comparison.numbers, stopped, tuple(reused), plan.warnings)


def _prepare(out: Path, overwrite: bool, resume: bool) -> None:
    """Refuse a folder in use, or clear that of a comparison to be made anew."""
    if out.is_file():
        raise InputError(f"{out} is a file; a comparison is a folder: give another --out")
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / FOLDER).is_dir():
        raise InputError(f"{out} is a folder that no comparison wrote; give another --out")
    if not (overwrite or resume):
        raise InputError(
            f"{out} exists; --resume does only what is not done there, --overwrite begins anew, "
            "or give another --out"
        )
    if overwrite and not resume:
        shutil.rmtree(out)


def _run_all(
    plan: Plan,
    out: Path,
    resume: bool,
    progress: Progress,
    found: dict[str, HeldOut],
    reused: list[str],
) -> None:
    """Fill `found`, in the order of the plan; each variant is stored when it is done."""
    total = len(plan.variants)
    for n, variant in enumerate(with_fingerprint(v, plan.sha256) for v in plan.variants):
        kept = stored_variant(out, variant.name, variant.fingerprint) if resume else None
        if kept is not None:
            reused.append(variant.name)
            found[variant.name] = kept
            continue
        title = f"{variant.name} ({n + 1} of {total})"
        progress(0.97 * n / total, title)
        one = _held_out(
            plan,
            variant,
            lambda share, what, n=n, title=title: progress(
                0.97 * (n + share) / total, f"{title}, {what}"
            ),
        )
        store_variant(out, variant.name, variant.fingerprint, one)
        found[variant.name] = one
        if (n + 1) % FEW_PROGRAMS == 0:
            jax.clear_caches()  # or a long sweep runs out of the kernel's memory maps


def _held_out(plan: Plan, variant: Variant, progress: Progress) -> HeldOut:
    if variant.kind == "run":
        return predictions_of_run(plan, variant)
    use_precision(variant.config)
    training = training_of(plan, variant)
    if variant.kind == "config":
        recipe = build_recipe(training.config)
        return held_out_of(cross_validate_training(training, recipe, progress))
    folds = plan.folds._replace(inner=variant.config.validation.inner_folds)
    total, done = folds.outer * folds.repeats, iter(range(folds.outer * folds.repeats))
    return cross_validate_peer(
        PEERS[variant.name],
        tuple(training.config.features),
        len(plan.classes),
        training.features,
        training.labels,
        folds,
        plan.focus,
        variant.config.model.calibration,
        given_log_prior(training.config),
        lambda what: progress(next(done) / total, what),
    )


def _scored(plan: Plan, found: dict[str, HeldOut], command: str, seconds: float) -> Comparison:
    names = list(found)
    numbers = compare_variants(
        found, plan.labels, plan.classes, plan.focus, plan.bootstrap, plan.folds.seed
    )
    for variant in plan.variants:
        if variant.name in found:
            about = {"kind": variant.kind, "origin": variant.origin.name}
            numbers["variants"][variant.name] |= about | {"settings": variant.settings}
    numbers |= {
        "partial": [v.name for v in plan.variants if v.name not in found],
        "folds": plan.folds._asdict(),
        "provenance": software_versions()
        | {
            "catalog": plan.catalog.name,
            "catalog_sha256": plan.sha256,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "device": str(jax.devices()[0].device_kind),
            "cores": os.cpu_count(),
            "seconds": round(seconds, 1),
            "warnings": list(plan.warnings),
        },
    }
    drawn = {v.name: v.origin / "posterior.nc" for v in plan.variants if v.kind == "run"}
    drawn = {name: path for name, path in drawn.items() if name in found and path.exists()}
    numbers["psis_loo"] = compare_posteriors(drawn) if len(drawn) > 1 else []
    kinds = {v.name: v.kind for v in plan.variants if v.name in found}
    sources = (plan.id_column, plan.ids, plan.labels, plan.classes, plan.outer_fold)
    return Comparison(names, kinds, found, *sources, numbers, command)
