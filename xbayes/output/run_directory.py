"""The run directory: what a run leaves behind, each file as DESIGN.md names it."""

import hashlib
import importlib.metadata
import json
import platform
import subprocess
import time
from pathlib import Path

import jax
import numpy as np
from astropy.table import Column, Table

import xbayes
from xbayes.catalog.columns import subset
from xbayes.catalog.units import units_of
from xbayes.catalog.write import write_catalog
from xbayes.classifier.predict import Classifier, trained_log_prior
from xbayes.classifier.store import save_model
from xbayes.config.reader import dump_config
from xbayes.config.schema import given_log_prior
from xbayes.features.build import needed_columns
from xbayes.output.posterior_file import write_posterior
from xbayes.output.results import Results
from xbayes.output.table import GROUP, add_pooling_meta, output_table, passed_columns

LIBRARIES = (
    "jax",
    "jaxlib",
    "numpyro",
    "optax",
    "numpy",
    "scipy",
    "pandas",
    "astropy",
    "scikit-learn",
)


def write_run(folder: Path, results: Results, provenance: dict) -> None:
    """Write tables, metrics, posterior samples and model into `folder`."""
    (folder / "config.yaml").write_text(dump_config(results.config))
    write_json(folder / "provenance.json", provenance)
    write_json(folder / "metrics.json", results.metrics)
    if results.posterior is not None:
        write_posterior(results.posterior, folder / "posterior.nc")
    units = units_of(results.table, list(needed_columns(results.config)))
    save_model(folder / "model", results.config, results.classifier, units)
    catalog = catalog_table(results)
    write_catalog(catalog, folder / "catalog.fits")
    write_catalog(catalog, folder / "catalog.parquet")
    write_catalog(predictions_table(results), folder / "predictions.parquet")


def catalog_table(results: Results) -> Table:
    """Every source, classified by the classifier fitted on all labelled ones."""
    table = output_table(
        _passed(results, slice(None)),
        results.products,
        results.recipe.names,
        resolution(results.classifier),
        results.labels.class_index,
    )
    add_pooling_meta(table, results.config.catalog, _log_prior(results))
    return table


def predictions_table(results: Results) -> Table:
    """Every labelled source, classified by a classifier that never saw it (the first repeat)."""
    rows = results.held_out.rows
    table = output_table(
        _passed(results, rows),
        results.held_out.products[0],
        results.recipe.names,
        resolution(results.classifier),
        results.labels.class_index[rows],
    )
    fold = Column(
        results.held_out.outer_fold[0], description="outer fold that held this source out"
    )
    table.add_column(fold, name="fold", index=table.colnames.index("true_class"))
    add_pooling_meta(table, results.config.catalog, _log_prior(results))
    _add_groups(table, results)
    return table


def _add_groups(table: Table, results: Results) -> None:
    """Which rows are alike, where there are such; a number that bars itself from pooling."""
    rows, meta = results.held_out.rows, table.meta or {}
    group = results.labels.group[rows]
    if len(np.unique(group)) < len(group):
        text = "rows of one group were never split over folds; for the bootstrap and nothing else"
        member = Column(np.unique(group, return_inverse=True)[1], description=text)
        table.add_column(member, name=GROUP, index=table.colnames.index("fold"))
        table.meta = {**meta, "NOPOOL": sorted({*meta.get("NOPOOL", ()), GROUP})}


def _log_prior(results: Results) -> np.ndarray:
    # The priors of the folds differ from that of the whole by the rounding of counts only.
    given = given_log_prior(results.config)
    return trained_log_prior(results.recipe, results.classifier) if given is None else given


def resolution(classifier: Classifier) -> np.ndarray:
    """The smallest `outlier_p` of each class, 1 / (n + 1)."""
    return 1.0 / (np.asarray(classifier.outlier.size) + 1.0)


def provenance_of(results: Results) -> dict:
    """Versions, commit, checksum of the catalogue, seed, time, device."""
    return software_versions() | {
        "catalog": results.catalog.name,
        "catalog_sha256": sha256_of(results.catalog),
        "catalog_rows": len(results.table),
        "seed": results.config.seed,
        "precision": str(jax.numpy.zeros(()).dtype),
        "device": str(jax.devices()[0].device_kind),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(results.seconds, 1),
        "warnings": list(results.warnings),
    }


def software_versions() -> dict[str, str | None]:
    """What the numbers were computed with."""
    return {
        "xbayes": xbayes.__version__,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def _passed(results: Results, rows) -> Table:
    roles = results.config.catalog
    return subset(results.table, passed_columns(roles), rows)


def _git_commit() -> str | None:
    """The commit of the code, where it runs from a checkout; None elsewhere."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def sha256_of(path: Path) -> str:
    """Checksum of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_json(path: Path, record: dict) -> None:
    """Write a record for people and programs to read."""
    path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
