"""A catalogue as users hand it over: a path, or a table of astropy, pandas or pyarrow."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from astropy.table import Column, Table

from xbayes.catalog.columns import FileColumn, file_column, to_table
from xbayes.catalog.format_arrow import columns_of_arrow, to_arrow
from xbayes.catalog.read import Chunks, open_chunks, read_catalog, table_chunks
from xbayes.types import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    CatalogLike = str | os.PathLike[str] | Table | pd.DataFrame | pa.Table

IN_MEMORY = "table in memory"


class Origin(NamedTuple):
    """Where a catalogue came from, for the provenance of a run."""

    path: Path | None  # None: a table in memory
    sha256: str

    @property
    def name(self) -> str:
        """The name of the file."""
        return IN_MEMORY if self.path is None else self.path.name


def as_table(source: "CatalogLike", text: Sequence[str] = ()) -> Table:
    """The catalogue as a masked table, in which NaN and empty text are missing.

    Parameters
    ----------
    source
        A path (FITS, VOTable, ECSV, CSV, Parquet) or a table of astropy, pandas or pyarrow.
    text
        Columns of a CSV file that are text even if every cell looks like a number.

    Raises
    ------
    InputError
        For what is no table, or a table without rows.
    """
    if isinstance(source, str | os.PathLike):
        return read_catalog(source, text)
    columns = _columns(source)
    if not columns or not len(columns[0].values):
        raise InputError(
            f"the catalogue has {len(columns)} columns but no rows; give it at least one row"
        )
    meta = source.meta if isinstance(source, Table) else {}
    return to_table(columns, meta or {})


def as_chunks(
    source: "CatalogLike",
    size: int,
    text: Sequence[str] = (),
) -> Chunks:
    """The catalogue in pieces of `size` rows; arguments and errors as of `as_table`."""
    if isinstance(source, str | os.PathLike):
        return open_chunks(source, size, text)
    return table_chunks(as_table(source, text), size)


def origin_of(source: "CatalogLike") -> Origin:
    """Path and checksum of a catalogue; of a table in memory the checksum of its columns."""
    if isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        with path.open("rb") as stream:
            return Origin(path=path, sha256=hashlib.file_digest(stream, "sha256").hexdigest())
    digest = hashlib.sha256()
    for batch in to_arrow(_columns(source)).to_batches():
        digest.update(batch.serialize())
    return Origin(path=None, sha256=digest.hexdigest())


def _columns(source: "Table | pd.DataFrame | pa.Table") -> list[FileColumn]:
    if isinstance(source, Table):
        return [_astropy_column(source, name) for name in source.colnames]
    import pandas as pd
    import pyarrow as pa

    if isinstance(source, pd.DataFrame):
        try:
            return columns_of_arrow(pa.Table.from_pandas(source, preserve_index=False), IN_MEMORY)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise InputError(
                f"the data frame cannot be read: {str(error).strip()}; give every column one type"
            ) from None
    if isinstance(source, pa.Table):
        return columns_of_arrow(source, IN_MEMORY)
    raise InputError(
        "a catalogue is a path, an astropy Table, a pandas DataFrame or a pyarrow Table; "
        f"found {type(source).__name__}"
    )


def _astropy_column(table: Table, name: str) -> FileColumn:
    column: Any = table[name]
    if not isinstance(column, Column):
        # Quantities, times and coordinates: the values in their unit, or as text.
        unit = getattr(column, "unit", None)
        texts = [str(cell) for cell in column] if unit is None else []
        values = np.asarray(column.value) if unit is not None else np.array(texts)
        missing = np.zeros(values.shape, bool)
        return FileColumn(name=name, values=values, missing=missing, unit=str(unit or ""))
    plain = file_column(column)
    return plain._replace(values=plain.values.copy())  # so that the user's table is not altered
