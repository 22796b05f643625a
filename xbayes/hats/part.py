"""What a worker does with one partition: read, classify, write under a temporary name, rename.

The columns of the partition pass through as Arrow columns, with their types and metadata; the
columns of the result follow. Only the columns that the run needs become tables of astropy.
"""

import json
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table

from xbayes.catalog.columns import to_table
from xbayes.catalog.format_arrow import META, to_arrow
from xbayes.catalog.format_parquet import columns_of_arrow
from xbayes.catalog.match import ColumnOptions
from xbayes.catalog.read import Chunks
from xbayes.catalog.write_parquet import with_empty_text
from xbayes.errors import InputError
from xbayes.hats.partitions import Partition, first_line, local_file
from xbayes.hats.workers import ONE_AT_A_TIME, run_on_worker
from xbayes.tasks.classify_parts import Surveyed, classify_part

ROWS = 65_536  # read, classified and written at once
_STALE = (b"table_meta_yaml", b"IVOA.VOTable-Parquet.content", b"IVOA.VOTable-Parquet.version")


class Job(NamedTuple):
    """How every partition of a catalogue is classified."""

    run: str  # its name on the workers
    surveyed: Surveyed
    needed: Sequence[str]  # columns
    columns: ColumnOptions
    compare_ids: bool = True  # False: those of the whole catalogue have been compared


class Made(NamedTuple):
    """What a worker did with a partition."""

    n_rows: int = 0
    fault: str = ""  # why it could not be classified


def classify_partition(job: Job, partition: Partition, target: Path) -> Made:
    """Classify a partition and write it; a fault of the partition is in the result."""
    with ONE_AT_A_TIME:
        try:
            with local_file(partition.file) as path:
                return Made(n_rows=_classify(job, path, target))
        except (InputError, OSError, pa.ArrowException) as error:
            return Made(fault=first_line(error))


def _classify(job: Job, path: Path, target: Path) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")  # hidden: no partition yet
    loaded, n_rows = run_on_worker(job.run), 0
    with pq.ParquetFile(path) as file:
        waiting: deque[pa.Table] = deque()
        chunks = _chunks(file, job.needed, waiting)
        writer: pq.ParquetWriter | None = None
        try:
            for products in classify_part(
                loaded.run.model,
                chunks,
                job.surveyed,
                job.columns,
                loaded.patterns,
                compare_ids=job.compare_ids,
            ):
                made = to_arrow([with_empty_text(column) for column in products])
                table = _joined(waiting.popleft(), made, job.surveyed)
                if writer is None:
                    texts: Any = [f.name for f in table.schema if not pa.types.is_floating(f.type)]
                    # Numbers rarely repeat: a dictionary of them costs more time than it saves.
                    writer = pq.ParquetWriter(unfinished, table.schema, use_dictionary=texts)
                writer.write_table(table.cast(writer.schema))
                n_rows += len(table)
        except BaseException:
            if writer is not None:
                writer.close()
            unfinished.unlink(missing_ok=True)
            raise
        if writer is not None:
            writer.close()
    unfinished.replace(target)
    return n_rows


def _chunks(file: pq.ParquetFile, needed: Sequence[str], waiting: deque[pa.Table]) -> Chunks:
    """The needed columns of a partition; whole chunks are put where their products are joined."""
    n_passes = 0

    def read(names: Sequence[str] | None) -> Iterator[Table]:
        nonlocal n_passes
        n_passes += 1
        wanted = [name for name in needed if names is None or name in names]
        first = n_passes == 1  # a second pass compares ids, and nothing is written then
        for table in _tables(file, None if first else wanted):
            if first:
                waiting.append(table)
            yield to_table(columns_of_arrow(table.select(wanted), None), {})

    return Chunks(colnames=tuple(needed), n_rows=file.metadata.num_rows, size=ROWS, read=read)


def _tables(file: pq.ParquetFile, columns: Sequence[str] | None) -> Iterator[pa.Table]:
    """The rows, `ROWS` at a time or fewer: a batch ends with its row group, however small."""
    held: list[pa.RecordBatch] = []
    for batch in file.iter_batches(ROWS, columns=columns):
        if sum(map(len, held)) + len(batch) > ROWS:
            yield pa.Table.from_batches(held)
            held = []
        held.append(batch)
    if held:
        yield pa.Table.from_batches(held)


def _joined(passed: pa.Table, made: pa.Table, surveyed: Surveyed) -> pa.Table:
    """The columns of the catalogue, followed by the products."""
    renamed: Mapping[str, str] = surveyed.renamed
    passed = passed.rename_columns([renamed.get(name, name) for name in passed.column_names])
    kept = {k: v for k, v in (passed.schema.metadata or {}).items() if k not in _STALE}
    fields = [*passed.schema, *made.schema]
    metadata = kept | {META: json.dumps(surveyed.meta).encode()}
    schema = pa.schema(fields, metadata=metadata)
    return pa.Table.from_arrays([*passed.columns, *made.columns], schema=schema)
