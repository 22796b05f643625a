"""A catalogue as users hand it over: a path, or a table of astropy, pandas or pyarrow."""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from astropy.table import Table

from xbayes.catalog.cells import EXACT
from xbayes.catalog.columns import FileColumn, any_column, to_table, usual_column
from xbayes.catalog.format_arrow import to_arrow
from xbayes.catalog.format_parquet import columns_of_arrow
from xbayes.catalog.names import usable_names
from xbayes.catalog.read import Chunks, open_chunks, read_catalog, table_chunks
from xbayes.errors import InputError, XbayesWarning

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    CatalogLike = str | os.PathLike[str] | Table | pd.DataFrame | pa.Table
    Releases = Mapping[str, CatalogLike]

IN_MEMORY = "table in memory"
_ID_NAME = re.compile(r"(^|_)(id|ident|identifier|designation|objid|srcid|sourceid)\d*$", re.I)


class Origin(NamedTuple):
    """Where a catalogue came from, for the provenance of a run."""

    path: Path | None  # None: a table in memory, or several files
    sha256: str  # of several files: of their releases and checksums
    files: "Mapping[str, Origin]" = MappingProxyType({})  # by release, if there are several

    @property
    def name(self) -> str:
        """The name of the file, or of each file with its release."""
        if self.files:
            return ", ".join(f"{file.name} ({name})" for name, file in self.files.items())
        return IN_MEMORY if self.path is None else self.path.name


def as_table(
    source: "CatalogLike",
    text: Sequence[str] = (),
    *,
    numbers: Collection[str] | None = None,
    table: str | None = None,
) -> Table:
    """The catalogue as a masked table, in which NaN and empty text are missing.

    Parameters
    ----------
    source
        A path (FITS, VOTable, ECSV, CSV, Parquet) or a table of astropy, pandas or pyarrow.
    text, numbers, table
        How a file is read, as in `read_catalog`.

    Raises
    ------
    InputError
        For what is no table, or a table without rows.
    """
    if isinstance(source, str | os.PathLike):
        return read_catalog(source, text, numbers=numbers, table=table)
    columns = _columns(source)
    if not columns or not len(columns[0].values):
        raise InputError(
            f"the catalogue has {len(columns)} columns but no rows; give it at least one row"
        )
    meta = source.meta if isinstance(source, Table) else {}
    names = usable_names([column.name for column in columns], IN_MEMORY)
    columns = [c._replace(name=name) for c, name in zip(columns, names, strict=True)]
    _tell_float_ids(columns)
    return to_table(columns, meta or {})


def as_chunks(
    source: "CatalogLike",
    size: int,
    text: Sequence[str] = (),
    *,
    numbers: Collection[str] | None = None,
    table: str | None = None,
) -> Chunks:
    """The catalogue in pieces of `size` rows; arguments and errors as of `as_table`."""
    if isinstance(source, str | os.PathLike):
        return open_chunks(source, size, text, numbers=numbers, table=table)
    return table_chunks(as_table(source), size)


def origin_of(source: "CatalogLike | Releases") -> Origin:
    """Path and checksum of a catalogue; of a table in memory the checksum of its columns.

    A mapping of releases has the origin of each, and a checksum of all.
    """
    if isinstance(source, Mapping):
        files = {str(name): origin_of(file) for name, file in source.items()}
        text = json.dumps([[name, file.sha256] for name, file in files.items()])
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        return Origin(path=None, sha256=sha256, files=files)
    if isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        with path.open("rb") as stream:
            return Origin(path=path, sha256=hashlib.file_digest(stream, "sha256").hexdigest())
    digest = hashlib.sha256()
    columns = [
        c if c.values.dtype.kind != "O" else c._replace(values=np.array([*map(str, c.values)]))
        for c in _columns(source)
    ]
    for batch in to_arrow(columns).to_batches():
        digest.update(batch.serialize())
    return Origin(path=None, sha256=digest.hexdigest())


def _tell_float_ids(columns: Sequence[FileColumn]) -> None:
    """Warn of columns named as ids whose integers became floats, as pandas makes of gaps."""
    found = [column.name for column in columns if _ID_NAME.search(column.name)]
    rounded, gaps = [], []
    for column in columns:
        values = column.values[~column.missing]
        if column.name not in found or values.dtype.kind != "f" or not len(values):
            continue
        values = values[~np.isnan(values)].astype(np.float64)
        if len(values) and np.all(values == np.round(values)):
            exact = EXACT.get(column.values.dtype.itemsize, 2**63)
            (rounded if np.abs(values).max() >= exact else gaps).append(repr(column.name))
    how = "read or make it as integers: in pandas dtype 'Int64', which has gaps too, or 'string'"
    if rounded:
        warnings.warn(
            f"{IN_MEMORY}: the whole numbers of {', '.join(rounded)} are floats and too large for "
            f"every digit, so that different ids may have become equal; {how}",
            XbayesWarning,
            stacklevel=3,
        )
    if gaps:
        warnings.warn(
            f"{IN_MEMORY}: the whole numbers of {', '.join(gaps)} are floats, so that an id is "
            f"written as 12.0; {how}",
            XbayesWarning,
            stacklevel=3,
        )


def _columns(source: "Table | pd.DataFrame | pa.Table") -> list[FileColumn]:
    if isinstance(source, Table):
        # Copies, so that the user's table is not altered.
        columns = [any_column(source[name], name) for name in source.colnames]
        return [usual_column(c._replace(values=c.values.copy())) for c in columns]
    import pandas as pd
    import pyarrow as pa

    if isinstance(source, pd.DataFrame):
        names = map(str, source.columns)
        return [_pandas_column(source.iloc[:, i], name) for i, name in enumerate(names)]
    if isinstance(source, pa.Table):
        return columns_of_arrow(source, IN_MEMORY)
    raise InputError(
        "a catalogue is a path, an astropy Table, a pandas DataFrame or a pyarrow Table; "
        f"found {type(source).__name__}"
    )


def _pandas_column(cells: "pd.Series", name: str) -> FileColumn:
    """A column that Arrow knows, or else the Python objects in it."""
    import pyarrow as pa

    try:
        array = pa.array(cells, from_pandas=True)
    except (pa.ArrowException, OverflowError, ValueError):
        values = cells.to_numpy()
        missing = np.asarray(cells.isna(), bool)
        return usual_column(FileColumn(name=name, values=values, missing=missing))
    chunks = array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
    return columns_of_arrow(pa.table([chunks], names=[name]), IN_MEMORY)[0]
