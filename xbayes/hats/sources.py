"""The detections in the partitions of a classified HATS catalogue become a table of sources.

A source near the edge of a partition has detections in several. So the detections are first sorted
into buckets by the hash of the name of their source: every detection of a source is in one bucket,
in the order of the catalogue, and each bucket is pooled like a catalogue in memory.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table, vstack

from xbayes.catalog.columns import plain_columns, to_table
from xbayes.catalog.format_arrow import META
from xbayes.catalog.format_parquet import columns_of_arrow
from xbayes.catalog.whole_check import hash_ids
from xbayes.config.checks import did_you_mean
from xbayes.errors import InputError
from xbayes.hats.partitions import HatsTable, bad_partitions_text, local_file, open_hats
from xbayes.tasks.fitted_run import FittedRun
from xbayes.tasks.pool_detections import Pooled, pool_detections
from xbayes.tasks.precision import in_precision

ROWS = 2_000_000  # of a bucket
_MOST = 256  # buckets
_FEW = 1_000  # detections, to learn rho of a run whose own predictions give it


def pool_hats(
    catalog: str | Path,
    by: str,
    *,
    run: FittedRun | None = None,
    rho: float | None = None,
    prior: Mapping[str, float] | None = None,
    progress: Callable[[float, str], None] = lambda share, step: None,
) -> Pooled:
    """The table of sources of `xbayes.sources`, whose detections are in the partitions.

    Sources come in the order of their buckets. The table of sources is in memory.

    Parameters
    ----------
    catalog
        Detections classified by `classify_hats`.
    by
        The column that names the source of each detection.
    run, prior
        As in `xbayes.sources`.
    rho
        Correlation between the detections of a source. None: learned from the run, or from all
        detections with a label.

    Raises
    ------
    InputError
        As `xbayes.sources` does; and for a partition that cannot be read, because sources would
        lack detections.
    """
    table = open_hats(catalog).main
    if table.bad:
        raise InputError(f"{bad_partitions_text(table)}; their sources would lack detections")
    labels = ["true_class", *([] if run is None else [str(run.config.catalog.label)])]
    columns = _columns(table, by, labels)
    n_buckets = max(1, min(_MOST, -(-table.n_rows // ROWS)))
    with TemporaryDirectory() as scratch, in_precision(run.config.precision if run else "float64"):
        sorting = _Sorting(by=by, columns=columns, labels=labels, n_buckets=n_buckets)
        labelled = _sort(table, sorting, Path(scratch), progress)
        meta, buckets = _meta(table), sorted(Path(scratch).glob("bucket-*"))
        options = {"model": None if run is None else run.model, "prior": prior}
        learned = None
        if rho is None:
            few = labelled if len(labelled) else _read(buckets[0]).slice(0, _FEW)
            learned = pool_detections(_table(few, meta), by, **options)
        made: list[Pooled] = []
        for bucket in buckets:
            detections = _table(_read(bucket), meta)
            known = learned.rho if learned is not None else rho
            made.append(pool_detections(detections, by, rho=known, **options))
            progress(0.5 + 0.5 * len(made) / len(buckets), f"{len(made)} of {len(buckets)} buckets")
    pooled = vstack([part.table for part in made], metadata_conflicts="silent")
    origin = learned.origin if learned is not None else made[0].origin
    pooled.meta = {**(made[0].table.meta or {}), "RHO_FROM": origin}
    doubts = tuple(dict.fromkeys(doubt for part in made for doubt in part.doubts))
    return Pooled(table=plain_columns(pooled), rho=made[0].rho, origin=origin, doubts=doubts)


def _columns(table: HatsTable, by: str, labels: list[str]) -> list[str]:
    """The columns that the votes need."""
    kept, names = {by, "prediction", *labels}, table.schema.names
    if by not in names:
        near = did_you_mean(by, names)
        raise InputError(f"--by {by}: the catalogue {table.name} lacks column {by!r}{near}")
    return [name for name in names if name in kept or name.startswith(("p_", "prior_"))]


class _Sorting(NamedTuple):
    """How detections are sorted into buckets."""

    by: str
    columns: list[str]
    labels: list[str]
    n_buckets: int


def _sort(
    table: HatsTable, sorting: _Sorting, scratch: Path, progress: Callable[[float, str], None]
) -> pa.Table:
    """Write the detections into buckets, and return those with a label."""
    labelled, n_done = [], 0
    for number, partition in enumerate(table.partitions):
        with local_file(partition.file) as path:
            rows = pq.ParquetFile(path).read(sorting.columns)
        bucket = _bucket(rows[sorting.by], sorting.n_buckets)
        for b in np.unique(bucket):
            folder = scratch / f"bucket-{b:04d}"
            folder.mkdir(exist_ok=True)
            piece = rows.filter(pa.array(bucket == b))
            pq.write_table(piece, folder / f"{number:08d}.parquet", compression="lz4")
        labelled.append(rows.filter(_has_label(rows, sorting.labels)))
        n_done += partition.n_rows
        progress(0.5 * n_done / max(table.n_rows, 1), partition.name)
    return pa.concat_tables(labelled, promote_options="permissive")


def _bucket(names: pa.ChunkedArray, n_buckets: int) -> np.ndarray:
    """The bucket of each detection; equal names have equal ones, in this process."""
    return hash_ids(np.array(names.to_pylist(), dtype=object)) % n_buckets


def _has_label(rows: pa.Table, labels: list[str]) -> pa.Array:
    known = np.zeros(len(rows), bool)
    for name in labels:
        if name in rows.column_names:
            known |= np.array([cell not in (None, "") for cell in rows[name].to_pylist()], bool)
    return pa.array(known)


def _read(bucket: Path) -> pa.Table:
    """The detections of a bucket, in the order of the catalogue."""

    def pieces() -> Iterator[pa.Table]:
        for path in sorted(bucket.iterdir()):
            yield pq.ParquetFile(path).read()

    return pa.concat_tables(pieces(), promote_options="permissive")


def _table(rows: pa.Table, meta: dict) -> Table:
    return to_table(columns_of_arrow(rows, None), meta)


def _meta(table: HatsTable) -> dict:
    """The metadata of the classified catalogue, which each partition holds."""
    with local_file(table.partitions[0].file) as path:
        return json.loads((pq.read_schema(path).metadata or {}).get(META, b"{}"))
