"""A HATS catalogue: its partitions, and what is wrong with any of them, before work starts.

HATS stores a catalogue as one Parquet file a cell of the sky, with small files that describe it. A
margin, a second catalogue, holds for each cell the sources just outside of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from xbayes.errors import InputError

if TYPE_CHECKING:
    from hats.catalog.healpix_dataset.healpix_dataset import HealpixDataset
    from upath import UPath

LISTED = 5  # partitions that a message names
_AT_ONCE = 16  # footers that are read at once: those of a remote catalogue take their time


class Partition(NamedTuple):
    """One cell of the sky, and the file with its sources."""

    order: int
    pixel: int
    file: str
    n_rows: int

    @property
    def name(self) -> str:
        """The name of the partition in messages and file names."""
        return f"Norder={self.order}/Npix={self.pixel}"


class HatsTable(NamedTuple):
    """A catalogue of one table: the main one, or a margin."""

    name: str
    dataset: "HealpixDataset"
    schema: pa.Schema
    partitions: tuple[Partition, ...]  # that can be read
    n_rows: int
    bad: Mapping[str, str]  # name of each other partition: what is wrong with it


class HatsCatalogue(NamedTuple):
    """A HATS catalogue, with its margin if it has one."""

    path: str
    main: HatsTable
    margin: HatsTable | None


def open_hats(path: str | Path) -> HatsCatalogue:
    """The catalogue, after a look at the schema of every partition.

    Parameters
    ----------
    path
        A folder, or an address that fsspec knows (s3://, https://, ...).

    Raises
    ------
    InputError
        If there is no HATS catalogue, it cannot be reached, or none of its partitions can be read.
    """
    lsdb = import_lsdb()
    try:
        catalog = lsdb.open_catalog(str(path))
    except Exception as error:
        # Each kind of storage has errors of its own.
        raise InputError(
            f"{path} cannot be opened as a HATS catalogue: {first_line(error)}; check the address "
            "and the right to read it"
        ) from None
    main = _table(catalog.hc_structure)
    if not main.partitions:
        told = "; ".join(f"{name}: {reason}" for name, reason in [*main.bad.items()][:LISTED])
        raise InputError(f"no partition of {path} can be read: {told or 'it has none'}")
    margin = None if catalog.margin is None else _table(catalog.margin.hc_structure, is_margin=True)
    return HatsCatalogue(path=str(path), main=main, margin=margin)


def bad_partitions_text(table: HatsTable) -> str:
    """The partitions that cannot be read, with the reasons."""
    shown = [f"{name} ({reason})" for name, reason in [*table.bad.items()][:LISTED]]
    more = f" and {len(table.bad) - LISTED} more" if len(table.bad) > LISTED else ""
    return f"{len(table.bad)} partitions of {table.name} cannot be used: {', '.join(shown)}{more}"


@contextmanager
def local_file(file: str) -> Iterator[Path]:
    """The file on this machine: itself, or a copy of a remote one for the time of the block."""
    from hats.io.file_io.file_pointer import get_upath

    source = get_upath(file)
    if source.protocol in ("", "file", "local"):
        yield Path(source.path)
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "partition.parquet"
        source.fs.get_file(source.path, str(copy))
        yield copy


def _table(dataset: "HealpixDataset", *, is_margin: bool = False) -> HatsTable:
    from hats.io import paths

    schema = dataset.schema
    name = str(dataset.catalog_name)
    if schema is None:
        raise InputError(f"{name} has no schema (dataset/_common_metadata); write it again")
    good, bad, n_rows = [], {}, 0
    info, base = dataset.catalog_info, dataset.catalog_base_dir
    pixels = dataset.get_healpix_pixels()
    files = [paths.pixel_catalog_file(base, p, npix_suffix=info.npix_suffix) for p in pixels]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        looked = list(pool.map(lambda file: _look(file, schema), files))
    for pixel, file, (rows, reason) in zip(pixels, files, looked, strict=True):
        partition = Partition(order=pixel.order, pixel=pixel.pixel, file=str(file), n_rows=rows)
        n_rows += rows
        if reason:
            bad[partition.name] = reason
        elif rows:
            good.append(partition)
        elif not is_margin:  # a margin often is empty
            bad[partition.name] = "empty"
    return HatsTable(
        name=name, dataset=dataset, schema=schema, partitions=tuple(good), n_rows=n_rows, bad=bad
    )


def _look(file: "UPath", schema: pa.Schema) -> tuple[int, str]:
    """The number of rows of a partition, and what is wrong with it: '' for nothing."""
    try:
        with file.open("rb") as handle, pq.ParquetFile(handle) as opened:
            found, rows = opened.schema_arrow, opened.metadata.num_rows
    except (OSError, pa.ArrowException) as error:
        return 0, f"unreadable: {first_line(error)}"
    return (0, reason) if (reason := _difference(found, schema)) else (rows, "")


def first_line(error: BaseException) -> str:
    """The first line of an error message, or the type of the error if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _difference(found: pa.Schema, wanted: pa.Schema) -> str:
    missing = [name for name in wanted.names if name not in found.names]
    if missing:
        return f"lacks column {missing[0]!r}"
    for field in wanted:
        other = found.field(field.name).type
        if _kind(other) != _kind(field.type):
            return f"column {field.name!r} holds {other}, not {field.type}"
    return ""


def _kind(kind: pa.DataType) -> str:
    """Types that a reader need not tell apart have one kind."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind) or pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_integer(kind):
        return "integer"
    return "number" if pa.types.is_floating(kind) or pa.types.is_null(kind) else str(kind)


def import_lsdb() -> ModuleType:
    """LSDB. Raises InputError if it is not installed."""
    try:
        import lsdb
    except ImportError as error:
        raise InputError(
            f"HATS catalogues need further packages ({error}); install them: pip install "
            "'xbayes[lsdb]'"
        ) from None
    return lsdb


def repeated_ids(table: HatsTable, id_column: str) -> Sequence[str] | None:
    """Ids that stand in more than one row of the catalogue, at most `LISTED`.

    DuckDB counts them on disk where they do not fit into memory. None for a remote catalogue,
    whose ids would all have to be fetched, and without the column.
    """
    import duckdb

    files = [partition.file for partition in table.partitions]
    if any("://" in file for file in files) or id_column not in table.schema.names:
        return None
    name = '"' + id_column.replace('"', '""') + '"'
    with TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute("SET memory_limit = '1GB'")
        connection.execute("SET temp_directory = ?", [folder])
        # Hashes are smaller than names. Names are compared only if two hashes are equal.
        distinct = f"SELECT count({name}), count(DISTINCT hash({name})) FROM read_parquet(?)"
        n_ids, n_hashes = connection.execute(distinct, [files]).fetchall()[0]
        if n_ids == n_hashes:
            return ()
        counted = f"SELECT {name} FROM read_parquet(?) WHERE {name} IS NOT NULL GROUP BY {name}"
        found = connection.execute(
            f"{counted} HAVING count(*) > 1 LIMIT ?", [files, LISTED]
        ).fetchall()
    return [str(value) for (value,) in found]
