"""A fitted run applied to the partitions of a HATS catalogue, with Dask.

open -> survey some rows here -> on the workers, for each partition: classify, write -> describe

The posterior of a row depends on the row, the run, and what the survey learned, and so it is that
of `xbayes classify` on a file. A partition is written under a temporary name and renamed: a run
that was stopped goes on at the partitions that are not there yet.
"""

import hashlib
import json
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table
from distributed import Client, as_completed

from xbayes.catalog.columns import to_table
from xbayes.catalog.format_parquet import columns_of_arrow
from xbayes.catalog.match import ColumnKeywords, column_options
from xbayes.errors import InputError, XbayesWarning
from xbayes.evaluate.applied_rule import AppliedRule, Asked
from xbayes.evaluate.label_shift import CheckedEstimate
from xbayes.hats.describe import describe_collection, describe_table, partition_path
from xbayes.hats.part import Job, Made, classify_partition
from xbayes.hats.partitions import (
    HatsCatalogue,
    HatsTable,
    Partition,
    bad_partitions_text,
    local_file,
    open_hats,
    repeated_ids,
)
from xbayes.hats.workers import Work, dask_client, loaded_on_workers, sent_run
from xbayes.tasks.classify_parts import Asks, Tell, columns_to_read, is_sound, survey_parts
from xbayes.tasks.fitted_run import FittedRun
from xbayes.tasks.precision import in_precision
from xbayes.tasks.whole_catalogue import Prior

STATE = ".xbayes-unfinished"  # in a folder that is not complete: what it is made from
QUEUED = 4  # partitions a worker, so that the scheduler holds few tasks however many there are
_READ_AT_ONCE = 8  # partitions, by the survey
_FEW = 25  # partitions from which rows are taken where nothing is learned from the catalogue


class Reports(NamedTuple):
    """Called with what is worth knowing, and with the completed share and the step."""

    say: Callable[[str], None] = lambda message: None
    progress: Callable[[float, str], None] = lambda share, step: None
    estimated: Callable[[CheckedEstimate], None] = lambda estimate: None
    decided: Callable[[AppliedRule], None] = lambda rule: None


class Outcome(NamedTuple):
    """What was done."""

    n_rows: int  # of the classified catalogue, without its margin
    n_before: int  # partitions that a stopped run had written
    failed: Mapping[str, str]  # name of a partition: why it is not there


def classify_hats(
    run: FittedRun,
    catalog: str | Path,
    out: str | Path,
    *,
    work: Work | None = None,
    prior: Prior = None,
    decision: Asked | None = None,
    overwrite: bool = False,
    reports: Reports | None = None,
    **columns: Unpack[ColumnKeywords],
) -> Outcome:
    """Classify a HATS catalogue and write another, with its margin.

    Parameters
    ----------
    run
        The fitted run.
    catalog
        The folder or address of the catalogue.
    out
        The folder of the classified catalogue, which every worker reaches. One that a stopped run
        left is completed.
    work
        Who does it; None: two processes of this machine.
    prior, decision
        As in `FittedRun.classify`. What is learned from the catalogue is learned in a first pass
        over its partitions.
    reports
        Called with messages and progress.
    columns
        How the columns differ from those of the run, as in `FittedRun.classify`.

    Raises
    ------
    InputError
        For a fault of the whole catalogue, before any partition is classified.
    """
    reports, folder = reports or Reports(), _folder(out)
    opened = open_hats(catalog)
    asks = Asks(prior=prior, decision=decision, columns=column_options(**columns))
    made_from = _digest(run, opened, asks)
    _refuse_other(folder, made_from, overwrite)
    with in_precision(run.config.precision):
        needed, surveyed = _survey(run, opened.main, asks, reports)
    with dask_client(work or Work(), reports.say) as client, sent_run(client, run) as name:
        # The workers load the run while this process compares the ids.
        _loading = loaded_on_workers(client, name)
        compared = _refuse_repeated(run, opened.main, asks)
        _begin(folder, made_from, overwrite)
        tables = [table for table in (opened.main, opened.margin) if table is not None]
        n_before = sum(len(table.partitions) - len(_to_do(table, folder)) for table in tables)
        told = _Rate(sum(p.n_rows for t in tables for p in _to_do(t, folder)), reports.progress)
        failed: dict[str, str] = {}
        job = Job(run=name, surveyed=surveyed, needed=needed, columns=asks.columns)
        for table in tables:
            if table.bad:
                reports.say(f"warning: {bad_partitions_text(table)}")
            own = job._replace(compare_ids=not (compared and table is opened.main))
            bad = dict(table.bad) | _classify_table(client, own, table, folder, told)
            failed |= {f"{table.name} {name}": reason for name, reason in bad.items()}
    for left in folder.rglob(".Npix=*"):
        left.unlink(missing_ok=True)  # of a killed worker
    n_rows = [_describe(table, folder / table.name, failed) for table in tables]
    describe_collection(opened, folder)
    if not failed:
        (folder / STATE).unlink()
    return Outcome(n_rows=n_rows[0], n_before=n_before, failed=failed)


class _Rate:
    """Tells the completed share, the rate and the time left."""

    def __init__(self, n_rows: int, progress: Callable[[float, str], None]) -> None:
        self.n_rows, self.done, self.started = n_rows, 0, time.monotonic()
        self.progress = progress

    def add(self, n_rows: int, name: str) -> None:
        """A further partition is done."""
        self.done += n_rows
        rate = self.done / max(time.monotonic() - self.started, 1e-3)
        left = (self.n_rows - self.done) / max(rate, 1e-3)
        share = min(self.done / max(self.n_rows, 1), 1.0)
        self.progress(share, f"{name}: {rate:,.0f} sources/s, {left:.0f} s left")


def _to_do(table: HatsTable, folder: Path) -> list[Partition]:
    """The partitions that are not in the folder, or have another number of rows there."""

    def is_done(partition: Partition) -> bool:
        path = partition_path(folder / table.name, partition)
        return path.is_file() and pq.read_metadata(path).num_rows == partition.n_rows

    return [partition for partition in table.partitions if not is_done(partition)]


def _classify_table(
    client: Client, job: Job, table: HatsTable, folder: Path, told: _Rate
) -> dict[str, str]:
    """Classify the partitions that are not in the folder; why some could not be."""
    waiting = iter(_to_do(table, folder))
    n_at_once = QUEUED * max(len(client.scheduler_info()["workers"]), 1)
    futures, failed = {}, {}

    def submit() -> Iterator:
        # The scheduler gives the partition of a killed worker to another one, three times.
        for partition in waiting:
            target = partition_path(folder / table.name, partition)
            future = client.submit(classify_partition, job, partition, target, pure=False)
            futures[future] = partition
            yield future

    ready = submit()
    running = as_completed([future for future, _ in zip(ready, range(n_at_once), strict=False)])
    for future in running:
        partition, error = futures.pop(future), future.exception()
        made: Made = Made(fault=f"{type(error).__name__}: {error}") if error else future.result()
        target = partition_path(folder / table.name, partition)
        if not made.fault and not target.is_file():
            made = Made(fault=f"the worker wrote {target}, which this machine does not see")
        if made.fault:
            failed[partition.name] = made.fault
        told.add(partition.n_rows, partition.name)
        following = next(ready, None)
        if following is not None:
            running.add(following)
    return failed


def _survey(run: FittedRun, table: HatsTable, asks: Asks, reports: Reports):
    """The columns to read, and what rows spread over the catalogue show."""
    colnames = list(table.schema.names)
    needed = columns_to_read(run.model, colnames, asks.columns)
    tell = Tell(
        warn=lambda message: warnings.warn(message, XbayesWarning, stacklevel=2),
        estimated=reports.estimated,
        decided=reports.decided,
    )
    sample = _sample(run, table, needed, asks)
    surveyed = survey_parts(run.model, sample, colnames, asks, tell)
    pa.default_memory_pool().release_unused()  # else it keeps the pages of the files it has read
    return needed, surveyed


def _sample(run: FittedRun, table: HatsTable, needed: list[str], asks: Asks) -> Table:
    """Evenly spaced rows of all partitions, or the first rows of some of them."""
    partitions = list(table.partitions)
    first_row = np.cumsum([0, *(p.n_rows for p in partitions)])
    if asks.learns:
        spacing = -(-int(first_row[-1]) // asks.n_surveyed)
        parts = [
            (p, slice(-int(first) % spacing, None, spacing))
            for p, first in zip(partitions, first_row[:-1], strict=True)
        ]
    else:
        chosen = np.unique(np.linspace(0, len(partitions) - 1, _FEW).astype(int))
        parts = [(partitions[i], slice(asks.n_surveyed // len(chosen) or 1)) for i in chosen]
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        rows = list(pool.map(lambda part: _rows(part[0], part[1], needed), parts))
    tables = [to_table(columns_of_arrow(each, None), {}) for each in rows]
    sound = [is_sound(run.model, table, asks.columns) for table in tables]
    # A partition with wrong values is told by its name, when it is classified.
    kept = [each for each, ok in zip(rows, sound, strict=True) if ok or not any(sound)]
    joined = pa.concat_tables(kept, promote_options="permissive")
    return to_table(columns_of_arrow(joined.replace_schema_metadata(None), None), {})


def _rows(partition: Partition, rows: slice, needed: list[str]) -> pa.Table:
    with local_file(partition.file) as path, pq.ParquetFile(path) as file:
        if rows.step is None:
            first = next(file.iter_batches(rows.stop, columns=needed))
            return pa.Table.from_batches([first])
        table = file.read(columns=needed)
        return table.take(np.arange(*rows.indices(len(table))))


def _describe(table: HatsTable, folder: Path, failed: Mapping[str, str]) -> int:
    """Describe the written partitions, and return their number of rows."""
    written = [p for p in table.partitions if partition_path(folder, p).is_file()]
    if not written and table.partitions:
        name, reason = next(iter(failed.items()))
        raise InputError(f"no partition of {table.name} could be classified; {name}: {reason}")
    return describe_table(table, folder, written)


def _folder(out: str | Path) -> Path:
    """The folder of the output. Raises InputError for an address, and the name of a file."""
    folder = Path(out).expanduser()
    if "://" in str(out) or folder.suffix not in ("", ".hats"):
        raise InputError(
            f"a classified HATS catalogue is a folder, and {out} is none; give a folder that "
            "every worker reaches: --out FOLDER.hats"
        )
    return folder


def _digest(run: FittedRun, opened: HatsCatalogue, asks: Asks) -> str:
    """What a classified catalogue is made from: two unfinished ones may not be mixed."""
    model = (run.folder / "model" / "SHA256").read_text()
    tables = [table for table in (opened.main, opened.margin) if table is not None]
    read = [(table.name, str(table.schema.remove_metadata())) for table in tables]
    path = opened.path if "://" in opened.path else str(Path(opened.path).expanduser().resolve())
    text = json.dumps([model, path, read, asks], default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse_other(folder: Path, made_from: str, overwrite: bool) -> None:
    """Refuse a folder that holds anything but an unfinished catalogue of the same command."""
    if folder.is_file():
        raise InputError(f"{folder} is a file; give a folder: --out FOLDER.hats")
    if overwrite or not folder.exists() or not any(folder.iterdir()):
        return
    state = folder / STATE
    if not state.is_file():
        raise InputError(f"{folder} exists; choose another folder, or replace it with --overwrite")
    if state.read_text() != made_from:
        raise InputError(
            f"{folder} holds an unfinished catalogue of another run, catalogue or options; choose "
            "another folder, or replace it with --overwrite"
        )


def _begin(folder: Path, made_from: str, overwrite: bool) -> None:
    """Make the folder of the output, and note from what."""
    if overwrite:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STATE).write_text(made_from)


def _refuse_repeated(run: FittedRun, table: HatsTable, asks: Asks) -> bool:
    """Refuse ids that stand in several rows; False where they could not be compared."""
    roles, columns = run.config.catalog, asks.columns
    known = [columns.id, columns.map.get(roles.id), roles.id, *roles.aliases.get(roles.id, ())]
    own = next((name for name in known if name in table.schema.names), roles.id)
    repeated = repeated_ids(table, own)
    if repeated is None:
        return False
    if repeated:
        raise InputError(
            f"ids must be unique, but column {own!r} of {table.name} repeats "
            f"{', '.join(map(repr, repeated))}; remove the repeated rows, or give a column that "
            "tells them apart: --id COLUMN"
        )
    return True
