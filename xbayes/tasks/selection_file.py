"""Write the selected sources as a catalogue, with units, descriptions and UCDs."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table

from xbayes.catalog.columns import to_table
from xbayes.catalog.format_parquet import columns_of_arrow
from xbayes.catalog.formats import format_of
from xbayes.catalog.query import ParquetCatalogue
from xbayes.catalog.selection import Selection, select_sql, shown_columns
from xbayes.catalog.write import catalog_writer
from xbayes.errors import InputError

MOST_ROWS = 2_000_000
MOST_CELLS = 16_000_000  # of formats that are made in memory
CHUNK = 100_000  # rows
AT_ONCE = 2
_PLACES = threading.BoundedSemaphore(AT_ONCE)


def write_selection(
    selection: Selection, catalogue: ParquetCatalogue, columns: tuple[str, ...], path: Path
) -> None:
    """Write all selected sources, in the order of the selection, whatever its page.

    Parameters
    ----------
    selection, catalogue
        The sources.
    columns
        The columns that are written.
    path
        The file, whose ending gives the format.

    Raises
    ------
    InputError
        If the selection is too large for the format.
    """
    whole = selection._replace(limit=MOST_ROWS + 1, offset=0)
    with _PLACES, catalog_writer(path, warn=lambda message: None) as append:
        rows = 0
        for table in _chunks(whole, catalogue, columns):
            rows += len(table)
            check_size(rows, len(columns), path)
            append(table)


def check_size(rows: int, columns: int, path: Path) -> None:
    """Raise InputError if a file of this size and format is not written."""
    if rows > MOST_ROWS:
        raise InputError(f"a file holds at most {MOST_ROWS:,} sources; narrow the selection")
    name = format_of(path).name
    if name != "Parquet" and rows * columns > MOST_CELLS:
        raise InputError(
            f"{name} files hold at most {MOST_CELLS:,} values here ({MOST_CELLS // columns:,} "
            f"sources with {columns} columns); choose fewer columns or sources, or Parquet"
        )


def _chunks(
    selection: Selection, catalogue: ParquetCatalogue, columns: tuple[str, ...]
) -> Iterator[Table]:
    sql, parameters = select_sql(selection, catalogue, columns)
    infos = shown_columns(catalogue, selection.cone)
    stored = pq.read_schema(catalogue.path).metadata or {}
    meta = json.loads(stored.get(b"xbayes", b"{}"))
    reader = catalogue.cursor().sql(sql, params=parameters).to_arrow_reader(CHUNK)
    any_rows = False
    for batch in reader:
        any_rows = True
        yield _table(pa.Table.from_batches([batch]), infos, meta)
    if not any_rows:
        yield _table(reader.schema.empty_table(), infos, meta)


def _table(rows: pa.Table, infos, meta: dict[str, object]) -> Table:
    named = (
        column._replace(
            unit=infos[column.name].unit,
            description=infos[column.name].description,
            ucd=infos[column.name].ucd,
        )
        for column in columns_of_arrow(rows, "the selection")
    )
    return to_table(list(named), meta)
