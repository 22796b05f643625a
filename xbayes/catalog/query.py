"""A classified catalogue in Parquet, queried by DuckDB where it lies.

Nothing is imported: the view `catalogue` reads the file. After opening, the connection cannot
reach any other file, whatever text a query holds.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from xbayes.errors import InputError

VIEW, ROW = "catalogue", "file_row_number"
AT_ONCE = 3  # queries; more would only share the cores, and each would end later
KINDS = ("number", "integer", "text", "flag")
Parameters = Sequence[object]


class ColumnInfo(NamedTuple):
    """A column of the catalogue."""

    name: str
    kind: str  # of KINDS
    unit: str
    description: str
    ucd: str


class Roles(NamedTuple):
    """The columns that hold the id and the position, in degrees."""

    id: str
    ra: str | None
    dec: str | None


class ParquetCatalogue:
    """A classified catalogue; safe to use from several threads.

    SQL sees the view `catalogue`, which has the columns of the file and `file_row_number`, and the
    tables given to the constructor.

    Parameters
    ----------
    path
        A Parquet file that `xbayes classify` or `xbayes run` wrote.
    roles
        Its columns of id and position.
    tables
        Further tables, held in memory: what is derived from each row, for speed.

    Raises
    ------
    InputError
        If the file is no classified catalogue.
    """

    def __init__(
        self, path: Path, roles: Roles, tables: Mapping[str, pa.Table] | None = None
    ) -> None:
        import duckdb

        schema = _schema_of(path)
        self.path, self.columns = path, _columns_of(schema)
        self.id, self.ra, self.dec = roles
        self.classes = _classes_of(schema, path)
        missing = [name for name in roles if name and name not in self.columns]
        if missing:
            raise InputError(
                f"{path} has no column {missing[0]!r}; it has {', '.join(list(self.columns)[:8])}"
            )
        self._connection = duckdb.connect(config={"threads": 2})
        self._local = threading.local()
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        file = str(path).replace("'", "''")
        self._connection.execute(
            f"CREATE VIEW {VIEW} AS SELECT * FROM read_parquet('{file}', {ROW} = true)"
        )
        for name, table in (tables or {}).items():
            self._connection.register("arriving", table)
            self._connection.execute(f"CREATE TABLE {quote(name)} AS SELECT * FROM arriving")
            self._connection.unregister("arriving")
        for setting in (
            f"SET allowed_paths = ['{file}']",
            "SET enable_external_access = false",
            "SET lock_configuration = true",
        ):
            self._connection.execute(setting)
        self.n_rows = pq.read_metadata(path).num_rows

    def query(self, sql: str, parameters: Parameters = ()) -> pa.Table:
        """The answer to a query; user's text comes in by `parameters` only."""
        with self._turns:
            return self.cursor().sql(sql, params=list(parameters)).to_arrow_table()

    def cursor(self):
        """A connection of this thread to the same database."""
        if not hasattr(self._local, "cursor"):
            self._local.cursor = self._connection.cursor()
        return self._local.cursor

    def quoted(self, name: str) -> str:
        """The name of a column as SQL; InputError if there is none."""
        if name not in self.columns:
            known = ", ".join(list(self.columns)[:12])
            raise InputError(f"no column {name!r} in the catalogue; it begins with {known}")
        return quote(name)

    def numeric(self, name: str) -> str:
        """The name of a column of numbers as SQL; InputError if it holds none."""
        sql = self.quoted(name)
        if self.columns[name].kind not in ("number", "integer"):
            raise InputError(
                f"column {name!r} must hold numbers; it holds {self.columns[name].kind}s"
            )
        return sql

    def row(self, source: str) -> dict[str, object]:
        """All columns of the source with this id; InputError if it is not there once."""
        found = self.query(
            f"SELECT * FROM {VIEW} WHERE CAST({self.quoted(self.id)} AS VARCHAR) = ? LIMIT 2",
            (source,),
        ).to_pylist()
        if len(found) != 1:
            often = "more than one source" if found else "no source"
            raise InputError(f"{often} {source!r} in the catalogue; give the id of one")
        return found[0]


def quote(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _schema_of(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(
            f"{path} cannot be read as Parquet ({error}); write one with xbayes classify RUN "
            "CATALOG --out FILE.parquet"
        ) from None


def _classes_of(schema: pa.Schema, path: Path) -> tuple[str, ...]:
    meta = json.loads((schema.metadata or {}).get(b"xbayes", b"{}"))
    if "CLASSES" not in meta or "prediction" not in schema.names:
        raise InputError(
            f"{path} is no classified catalogue; write one with xbayes classify RUN CATALOG --out "
            "FILE.parquet"
        )
    return tuple(meta["CLASSES"].split(","))


def _columns_of(schema: pa.Schema) -> dict[str, ColumnInfo]:
    units = _units_of(schema)
    found = {}
    for field in schema:
        meta = {k.decode(): v.decode() for k, v in (field.metadata or {}).items()}
        kind = _kind_of(field.type)
        if kind:
            found[field.name] = ColumnInfo(
                name=field.name,
                kind=kind,
                unit=meta.get("unit", units.get(field.name, "")),
                description=meta.get("description", ""),
                ucd=meta.get("ucd", ""),
            )
    return found


def _kind_of(kind: pa.DataType) -> str:
    """The kind of a column; empty for one that no table on a page can show, such as a list."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_boolean(kind):
        return "flag"
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind):
        return "number"
    return "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else ""


def _units_of(schema: pa.Schema) -> dict[str, str]:
    """The units in astropy's metadata of the table."""
    text = (schema.metadata or {}).get(b"table_meta_yaml")
    if text is None:
        return {}
    from astropy.table import meta

    columns = meta.get_header_from_yaml(text.decode().splitlines()).get("datatype", [])
    return {c["name"]: str(c["unit"]) for c in columns if "unit" in c}
