"""The files of a run directory; the HTML report is written by `xbayes.report`."""

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
from astropy.table import Column, Table
from jaxtyping import Float

import xbayes
from xbayes.catalog.columns import subset
from xbayes.catalog.inputs import Origin
from xbayes.catalog.write import DISK_ERRORS, cannot_write, write_catalog
from xbayes.classifier.learned import Classifier, trained_log_prior
from xbayes.classifier.predict import Products
from xbayes.classifier.store import save_model
from xbayes.config.reader import dump_config
from xbayes.config.schema import given_log_prior
from xbayes.errors import InputError
from xbayes.features.trained_on import trained_on
from xbayes.output.files import check_new_folder
from xbayes.output.novelty_text import novelty_texts
from xbayes.output.posterior_file import write_posterior
from xbayes.output.report_data import save_report_data
from xbayes.output.results import Results
from xbayes.output.table import GROUP, add_pooling_meta, output_table, passed_columns

LIBRARIES = ("jax", "jaxlib", "numpyro", "optax", "numpy", "scipy", "pandas", "astropy")
LIBRARIES += ("scikit-learn",)


@contextmanager
def new_run_directory(out: Path, overwrite: bool) -> Iterator[Path]:
    """A temporary folder that is renamed to `out` on success and removed on failure.

    An earlier run at `out` stays until the new one is in its place. Raises InputError if the disk
    is full or cannot be written to.
    """
    check_run_directory(out, overwrite)
    folder = out.with_name(f".{out.name}.partial-{os.getpid()}")
    try:
        folder.mkdir(parents=True)
        yield folder
        _put_in_place(folder, out)
    except OSError as error:
        if error.errno in DISK_ERRORS or str(error.filename or "").startswith(str(folder)):
            raise cannot_write(out, error) from error
        raise
    except InputError as error:
        if isinstance(error.__cause__, OSError) and str(folder) in str(error):
            raise cannot_write(out, error.__cause__) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(folder: Path, out: Path) -> None:
    """Rename a complete run; an earlier one is deleted only after that."""
    earlier = folder.with_name(f"{folder.name}-earlier")
    try:
        if out.exists():
            out.rename(earlier)
        folder.rename(out)
    except BaseException:
        if earlier.exists() and not out.exists():
            earlier.rename(out)
        raise
    try:
        shutil.rmtree(earlier, ignore_errors=True)
    except KeyboardInterrupt:
        shutil.rmtree(earlier, ignore_errors=True)
        left = f"the run is complete in {out}, without its report: xbayes report {out}"
        raise KeyboardInterrupt(left) from None


def check_run_directory(out: Path, overwrite: bool) -> None:
    """Raise `InputError` if no run can be written to `out`."""
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; give another --out, or --overwrite to replace it")
    if out.is_file():
        raise InputError(f"{out} is a file, but a run is a folder; give another --out")
    if out.exists() and any(out.iterdir()) and not (out / "model").is_dir():
        raise InputError(
            f"{out} is a folder that holds no run; --overwrite replaces runs only: give another "
            "--out"
        )
    check_new_folder(out)


def write_run(folder: Path, results: Results, provenance: Mapping[str, object]) -> None:
    """Write tables, metrics, posterior samples and model into `folder`."""
    (folder / "config.yaml").write_text(dump_config(results.config))
    write_json(folder / "provenance.json", provenance)
    write_json(folder / "metrics.json", results.metrics)
    if results.posterior is not None:
        write_posterior(results.posterior, folder / "posterior.nc")
    labelled = results.labels.class_index >= 0
    facts = trained_on(results.table, results.features, labelled, results.config)
    save_model(folder / "model", results.config, results.classifier, facts)
    catalog = catalog_table(results)
    for name, table in (("catalog", catalog), ("predictions", predictions_table(results))):
        for ending in (".fits", ".parquet"):
            # What FITS cannot hold was told when the catalogue was read.
            write_catalog(table, folder / f"{name}{ending}", warn=lambda message: None)
    save_report_data(folder, results)


def catalog_table(results: Results) -> Table:
    """The table of all sources, classified by the classifier fitted on all labelled sources."""
    table = _classified(results, results.products, slice(None))
    table.meta = {**(table.meta or {}), "DECISION": results.metrics["decision"]["rule"]}
    return table


def predictions_table(results: Results) -> Table:
    """The table of the labelled sources with their out-of-fold products (first repeat)."""
    rows = results.held_out.rows
    table = _classified(results, results.held_out.products[0], rows)
    text = "outer fold that held this source out"
    fold = Column(results.held_out.outer_fold[0], description=text)
    table.add_column(fold, name="fold", index=table.colnames.index("true_class"))
    group = results.labels.group[rows]
    if len(np.unique(group)) < len(group):
        text = "rows of one group were never split over folds; for the bootstrap and nothing else"
        member = Column(np.unique(group, return_inverse=True)[1], description=text)
        table.add_column(member, name=GROUP, index=table.colnames.index("fold"))
        meta = table.meta or {}
        table.meta = {**meta, "NOPOOL": sorted({*meta["NOPOOL"], GROUP})}
    return table


def _classified(results: Results, products: Products, rows: slice | np.ndarray) -> Table:
    """The output table of some rows of the catalogue."""
    roles = results.config.catalog
    table = output_table(
        subset(results.table, passed_columns(roles), rows),
        products,
        results.recipe.names,
        resolution(results.classifier),
        results.labels.class_index[rows],
        novelty_why=novelty_texts(results.config.features, products),
    )
    add_pooling_meta(table, roles, _log_prior(results))
    return table


def _log_prior(results: Results) -> Float[np.ndarray, "C"]:
    # The priors of the folds differ from this one only by the rounding of counts.
    given = given_log_prior(results.config)
    return trained_log_prior(results.recipe, results.classifier) if given is None else given


def resolution(classifier: Classifier) -> Float[np.ndarray, "C"]:
    """The smallest possible `outlier_p` of each class, 1 / (n + 1)."""
    return 1.0 / (np.asarray(classifier.outlier.size) + 1.0)


def provenance_of(results: Results) -> dict:
    """The content of `provenance.json`: versions, checksum of the catalogue, seed, device, time."""
    return software_versions() | {
        "catalog": results.origin.name,
        "catalog_sha256": results.origin.sha256,
        **_releases_of(results.origin),
        "catalog_rows": len(results.table),
        "seed": results.config.seed,
        "precision": str(jax.numpy.zeros(()).dtype),
        "device": str(jax.devices()[0].device_kind),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(results.seconds, 1),
        "warnings": list(results.warnings),
    }


def _releases_of(origin: Origin) -> dict:
    """The file and the SHA-256 of each release, if the catalogue was joined from several."""
    files = {
        name: {"file": file.name, "sha256": file.sha256} for name, file in origin.files.items()
    }
    return {"catalog_files": files} if files else {}


def software_versions() -> dict[str, str | None]:
    """Versions of xbayes, Python and the main libraries, and the git commit if known."""
    return {
        "xbayes": xbayes.__version__,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def _git_commit() -> str | None:
    """The commit of the code, or None if it does not run from a checkout."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None


def write_json(path: Path, record: Mapping[str, object]) -> None:
    """Write a record as indented JSON; NaN is refused."""
    path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
