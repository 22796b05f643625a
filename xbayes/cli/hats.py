"""The commands on HATS catalogues, once their arguments are parsed."""

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

import xbayes
from xbayes.catalog.hats_names import is_hats
from xbayes.catalog.write import check_output, write_catalog
from xbayes.cli.outputs import say
from xbayes.cli.progress import Reporter
from xbayes.errors import InputError

if TYPE_CHECKING:
    from xbayes.catalog.match import ColumnKeywords
    from xbayes.evaluate.applied_rule import AppliedRule, Asked
    from xbayes.evaluate.label_shift import CheckedEstimate
    from xbayes.hats.workers import Work
    from xbayes.tasks.fitted_run import FittedRun
    from xbayes.tasks.whole_catalogue import Prior

SHOWN = 10  # partitions that a message names


def check_dask_options(catalog: str, scheduler: str | None, workers: int | None) -> None:
    """Raise InputError for options of Dask with a catalogue that is one file."""
    if is_hats(catalog):
        return
    for name, value in (("--scheduler", scheduler), ("--workers", workers)):
        if value is not None:
            raise InputError(
                f"{name} is for HATS catalogues, whose partitions workers share; {catalog} is one "
                "file or no HATS catalogue"
            )


def classify(
    fitted: "FittedRun",
    catalog: str,
    out: Path,
    *,
    scheduler: str | None,
    workers: int | None,
    prior: "Prior",
    decision: "Asked | None",
    overwrite: bool,
    estimated: Callable[["CheckedEstimate"], None],
    decided: Callable[["AppliedRule"], None],
    **columns: Unpack["ColumnKeywords"],
) -> None:
    """Classify a HATS catalogue and write another."""
    with _needed_packages():
        from xbayes.hats.classify import Reports, classify_hats
    with Reporter() as reporter:
        done = classify_hats(
            fitted,
            catalog,
            out,
            work=_work(scheduler, workers),
            prior=prior,
            decision=decision,
            overwrite=overwrite,
            reports=Reports(say=say, progress=reporter, estimated=estimated, decided=decided),
            **columns,
        )
    if done.n_before:
        say(f"{done.n_before} partitions were there from a run that was stopped")
    say(f"{done.n_rows} sources classified: {out}")
    _refuse_failed(done.failed, f"{out} lacks them; the same command tries them again")


def sources(
    catalog: Path,
    by: str,
    *,
    out: Path,
    run: Path | None,
    rho: float | None,
    prior: Mapping[str, float] | None,
    overwrite: bool,
) -> None:
    """Pool the detections in the partitions of a classified HATS catalogue."""
    with _needed_packages():
        from xbayes.hats.sources import pool_hats
    check_output(out, overwrite)
    with Reporter() as reporter:
        pooled = pool_hats(
            catalog, by, run=None if run is None else xbayes.load(run), rho=rho, prior=prior,
            progress=reporter,
        )  # fmt: skip
    write_catalog(pooled.table, out, overwrite)
    for doubt in pooled.doubts:
        say(f"warning: {doubt}")
    n_detections = int(np.asarray(pooled.table["n_detections"]).sum())
    say(f"{n_detections} detections of {len(pooled.table)} sources: {out}")
    say(f"rho = {pooled.rho:.3g}, {pooled.origin}")


def _work(scheduler: str | None, workers: int | None) -> "Work":
    from xbayes.hats.workers import Work

    if scheduler is not None and workers is not None:
        raise InputError("give --workers, processes of this machine, or --scheduler, not both")
    return Work(scheduler=scheduler, n_workers=2 if workers is None else workers)


def _refuse_failed(failed: Mapping[str, str], left: str) -> None:
    if failed:
        shown = "; ".join(f"{name}: {reason}" for name, reason in [*failed.items()][:SHOWN])
        more = f"; and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
        raise InputError(f"{len(failed)} partitions could not be used ({left}): {shown}{more}")


@contextmanager
def _needed_packages():
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"HATS catalogues need further packages ({error}); install them: pip install "
            "'xbayes[lsdb]'"
        ) from None
