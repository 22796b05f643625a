"""The database that answers ADQL: the classified catalogues and TAP_SCHEMA, read-only.

It is apart from the one that the pages use: queries of strangers have their own limits of time,
rows and memory, and can be stopped.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute

from xbayes.catalog.adql import translate
from xbayes.catalog.adql_names import schema_names
from xbayes.catalog.adql_tables import (
    TAP_SCHEMA,
    AdqlColumn,
    AdqlTable,
    schema_contents,
    schema_tables,
)
from xbayes.catalog.query import ParquetCatalogue, quote
from xbayes.catalog.standard_units import standard_unit
from xbayes.errors import InputError

pc: Any = pyarrow.compute  # its functions are made at run time, unknown to type checkers
TABLE = "catalogue"
TICK = 0.05  # seconds between looks at the clock
_DATATYPES = {
    "BOOLEAN": "boolean", "TINYINT": "short", "UTINYINT": "unsignedByte", "SMALLINT": "short",
    "USMALLINT": "int", "INTEGER": "int", "UINTEGER": "long", "BIGINT": "long", "UBIGINT": "long",
    "FLOAT": "float", "DOUBLE": "double", "VARCHAR": "char",
}  # fmt: skip
_MAIN_UCD = {"id": "meta.id;meta.main", "ra": "pos.eq.ra;meta.main", "dec": "pos.eq.dec;meta.main"}


class Stopped(InputError):
    """A query was ended by its user."""


class Stop:
    """Ends a query from another thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """End the query, now or as soon as it starts."""
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether the query was to end."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait; true if the query was to end."""
        return self._event.wait(seconds)


class QueryLimits(NamedTuple):
    """What one query may take."""

    rows: int
    seconds: float


class Answer(NamedTuple):
    """The rows of an answer, and what its columns are."""

    columns: tuple[AdqlColumn, ...]
    table: pa.Table
    overflow: bool  # there were more rows


class AdqlDatabase:
    """Classified catalogues as tables of ADQL; safe to use from several threads.

    Parameters
    ----------
    catalogues
        The catalogue of each run by its name. The run `demo` becomes the table `demo.catalogue`.
    memory
        The most memory of all queries together, as DuckDB writes it.
    """

    def __init__(self, catalogues: Mapping[str, ParquetCatalogue], memory: str = "400MB") -> None:
        import duckdb

        # Without a folder for temporary files, a query that needs too much memory fails.
        self._connection = duckdb.connect(
            config={"threads": 2, "memory_limit": memory, "temp_directory": ""}
        )
        names = schema_names(tuple(catalogues))
        self.runs: dict[str, AdqlTable] = {}
        for at, (run, catalogue) in enumerate(catalogues.items()):
            table = _view(self._connection, f"run_{at}", catalogue)
            self.runs[run] = table._replace(schema=names[run], run=run)
        own = schema_tables()
        self.tables = (*self.runs.values(), *own)
        self.schemas = (
            *((names[run], f"sources classified by the run {run}") for run in self.runs),
            (TAP_SCHEMA, "what this service holds"),
        )
        for name, contents in schema_contents(self.tables, self.schemas).items():
            self._connection.register("arriving", contents)
            self._connection.execute(f"CREATE TABLE {name} AS SELECT * FROM arriving")
            self._connection.unregister("arriving")
        files = ", ".join(_text(str(c.path)) for c in catalogues.values())
        for setting in (
            f"SET allowed_paths = [{files}]",
            "SET enable_external_access = false",
            "SET lock_configuration = true",
        ):
            self._connection.execute(setting)
        self._paths = tuple(str(c.path) for c in catalogues.values())

    def query(self, text: str, limits: QueryLimits, stop: Stop | None = None) -> Answer:
        """The answer to a query in ADQL.

        Raises
        ------
        Stopped
            If `stop` was set before the query had ended.
        InputError
            If the query is not understood, not allowed, or takes too long or too much memory.
        """
        import duckdb

        found = translate(text, self.tables, limits.rows + 1)
        stop = stop or Stop()
        cursor = self._connection.cursor()
        done, late = threading.Event(), threading.Event()
        watch = threading.Thread(
            target=_watch, args=(cursor.interrupt, stop, done, late, limits.seconds), daemon=True
        )
        watch.start()
        try:
            table = cursor.sql(found.sql, params=list(found.parameters)).to_arrow_table()
        except duckdb.InterruptException:
            raise _ended(late.is_set(), limits) from None
        except duckdb.OutOfMemoryException:
            raise InputError("the query needs too much memory; select or join less") from None
        except duckdb.Error as error:
            if late.is_set() or stop.is_set:
                raise _ended(late.is_set(), limits) from None
            raise InputError(f"the query fails: {self._plain(error)}") from None
        except (pa.ArrowException, UnicodeError, OverflowError) as error:
            raise InputError(f"the answer cannot be written: {error}") from None
        finally:
            done.set()
            watch.join()
            cursor.close()
        overflow = table.num_rows > limits.rows
        table = _simple(table.slice(0, limits.rows))
        return Answer(columns=_described(found.columns, table), table=table, overflow=overflow)

    def _plain(self, error: Exception) -> str:
        """The first line of a message of the database, without paths of this machine."""
        line = next(iter(str(error).splitlines()), "").strip()
        for path in self._paths:
            line = line.replace(path, "the catalogue")
        return line[:300]


def _watch(
    interrupt: Callable[[], None],
    stop: Stop,
    done: threading.Event,
    late: threading.Event,
    seconds: float,
) -> None:
    """Interrupt the query when it is to end; again and again, because it may not have begun."""
    end = time.monotonic() + seconds
    while not done.is_set():
        if time.monotonic() > end:
            late.set()
        if late.is_set() or stop.is_set:
            interrupt()
        done.wait(TICK)


def _ended(late: bool, limits: QueryLimits) -> InputError:
    if not late:
        return Stopped("the query was stopped")
    return InputError(
        f"the query took over {limits.seconds:g} s and was stopped; select less, or send it to "
        "/tap/async, which allows more time"
    )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _view(connection, name: str, catalogue: ParquetCatalogue) -> AdqlTable:
    """A view of a catalogue in which a missing number is null, never NaN."""
    file = f"read_parquet({_text(str(catalogue.path))})"
    types = {
        row[0]: row[1]
        for row in connection.execute(f"DESCRIBE SELECT * FROM {file}").fetchall()
        if row[0] in catalogue.columns and row[1] in _DATATYPES
    }
    marked = _marked(connection, file, types)
    listed = [
        f"CASE WHEN isnan({quote(n)}) THEN NULL ELSE {quote(n)} END AS {quote(n)}"
        if n in marked and types[n] != "VARCHAR"
        else quote(n)
        for n in types
    ]
    connection.execute(f"CREATE VIEW {name} AS SELECT {', '.join(listed)} FROM {file}")
    roles = {catalogue.id: "id", catalogue.ra: "ra", catalogue.dec: "dec"}
    main = {catalogue.id, catalogue.ra, catalogue.dec, "prediction"}
    main |= {f"p_{c}" for c in catalogue.classes}
    columns = []
    for column, kind in types.items():
        info, role = catalogue.columns[column], roles.get(column, "")
        wide = kind == "VARCHAR" and column in marked
        unit = standard_unit(info.unit, "cds") if info.unit else None
        columns.append(
            AdqlColumn(
                name=column,
                datatype="unicodeChar" if wide else _DATATYPES[kind],
                unit=unit or info.unit or ("deg" if role in ("ra", "dec") else ""),
                ucd=_MAIN_UCD.get(role, info.ucd),
                description=info.description or _DESCRIPTIONS.get(role, ""),
                principal=column in main,
            )
        )
    return AdqlTable(
        schema="",
        name=TABLE,
        description="classified X-ray sources: positions, class probabilities and diagnostics",
        relation=name,
        columns=tuple(columns),
        kind="view",
    )


_DESCRIPTIONS = {
    "id": "name of the source",
    "ra": "right ascension (ICRS)",
    "dec": "declination (ICRS)",
}


def _marked(connection, file: str, types: Mapping[str, str]) -> set[str]:
    """The columns of numbers that hold NaN, and those of text beyond ASCII."""
    tests = {
        "FLOAT": "bool_or(isnan({0}))",
        "DOUBLE": "bool_or(isnan({0}))",
        "VARCHAR": "bool_or(strlen({0}) <> length({0}))",
    }
    asked = {name: tests[kind].format(quote(name)) for name, kind in types.items() if kind in tests}
    if not asked:
        return set()
    row = connection.execute(f"SELECT {', '.join(asked.values())} FROM {file}").fetchone()
    return {name for name, found in zip(asked, row, strict=True) if found}


def _simple(table: pa.Table) -> pa.Table:
    """The answer with types that VOTable has."""
    columns = [_simple_column(column) for column in table.columns]
    return pa.table(columns, names=[f"n{at}" for at in range(1, len(columns) + 1)])


def _simple_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_decimal(kind):
        # A sum of integers is a decimal of 38 digits.
        if kind.scale == 0:
            try:
                return column.cast(pa.int64())
            except pa.ArrowInvalid:
                pass
        return column.cast(pa.float64())
    if pa.types.is_null(kind):
        return column.cast(pa.int32())
    wanted = {
        pa.int8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(),
        pa.uint64(): pa.float64(),
    }.get(kind)  # fmt: skip
    if wanted is not None:
        return column.cast(wanted, safe=False)
    if pa.types.is_string(kind) or pa.types.is_dictionary(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    return column


_VOTABLE = {
    pa.bool_(): "boolean", pa.uint8(): "unsignedByte", pa.int16(): "short", pa.int32(): "int",
    pa.int64(): "long", pa.float32(): "float", pa.float64(): "double",
}  # fmt: skip


def _described(columns: tuple[AdqlColumn, ...], table: pa.Table) -> tuple[AdqlColumn, ...]:
    """The columns with the types that the answer has."""
    found = []
    for column, values in zip(columns, table.columns, strict=True):
        datatype = _VOTABLE.get(values.type, "char")
        if datatype == "char":
            wide = column.datatype == "unicodeChar"
            wide |= pc.all(pc.string_is_ascii(values)).as_py() is False
            datatype = "unicodeChar" if wide else "char"
        found.append(column._replace(datatype=datatype))
    return tuple(found)
