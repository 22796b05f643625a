"""The tables of one TAP service in SQLite, which understands ADQL with geometry."""

import math
import re
import sqlite3

import numpy as np
from astropy.coordinates import angular_separation
from astropy.table import Column, MaskedColumn, Table

_TOP = re.compile(r"\bSELECT\s+(DISTINCT\s+)?TOP\s+(\d+)\b", re.IGNORECASE)


class Tables:
    """Tables by name, such as IX/69/xmm4d13s or csc21.master_source, and what ADQL says of them."""

    def __init__(self, tables: dict[str, Table]) -> None:
        self.tables = dict(tables)

    def select(self, adql: str, uploads: dict[str, Table]) -> Table:
        """The answer to a query. Raises sqlite3.Error for a wrong one."""
        everything = {
            **self.tables,
            **_schema(self.tables),
            **{f"TAP_UPLOAD.{k}": v for k, v in uploads.items()},
        }
        connection = sqlite3.connect(":memory:")
        try:
            for name, function, n in _FUNCTIONS:
                connection.create_function(name, n, function, deterministic=True)
            for schema in {name.split(".")[0] for name in everything if "." in name}:
                connection.execute(f'ATTACH ":memory:" AS "{schema}"')
            for name, table in everything.items():
                _store(connection, name, table)
            cursor = connection.execute(_as_sql(adql))
            names = [field[0] for field in cursor.description]
            return _answer(names, cursor.fetchall(), everything)
        finally:
            connection.close()


def _schema(tables: dict[str, Table]) -> dict[str, Table]:
    """The description of the tables that every TAP service has."""
    columns = [
        (f'"{name}"' if "/" in name else name, column.name, (column.meta or {}).get("ucd", ""))
        for name, table in tables.items()
        for column in table.columns.values()
    ]
    names = ("table_name", "column_name", "ucd")
    described = Table(rows=columns, names=names) if columns else Table(names=names, dtype=[str] * 3)
    return {
        "TAP_SCHEMA.columns": described,
        "TAP_SCHEMA.tables": Table({"table_name": sorted(set(described["table_name"]))}),
    }


def _as_sql(adql: str) -> str:
    """SQLite says LIMIT at the end of a query where ADQL says TOP at its beginning."""
    while found := _TOP.search(adql):
        depth, end = 0, len(adql)
        for place in range(found.end(), len(adql)):
            depth += {"(": 1, ")": -1}.get(adql[place], 0)
            if depth < 0:
                end = place
                break
        body = f"SELECT {found[1] or ''}{adql[found.end() : end]} LIMIT {found[2]}"
        adql = adql[: found.start()] + body + adql[end:]
    return adql


def _store(connection: sqlite3.Connection, name: str, table: Table) -> None:
    schema, _, bare = name.rpartition(".")
    # SQLite takes b_rgeo and B_rgeo for one column: the first is kept.
    first = {column.lower(): column for column in reversed(table.colnames)}
    table = table[[column for column in table.colnames if first[column.lower()] == column]]
    target = f'"{schema}"."{bare}"' if schema else f'"{name}"'
    columns = ", ".join(f'"{column}"' for column in table.colnames)
    connection.execute(f"CREATE TABLE {target} ({columns})")
    marks = ", ".join("?" * len(table.colnames))
    rows = zip(*(_cells(table[column]) for column in table.colnames), strict=True)
    connection.executemany(f"INSERT INTO {target} VALUES ({marks})", rows)


def _cells(column: Column) -> list:
    values = column.filled(column.dtype.type()) if isinstance(column, MaskedColumn) else column
    missing = np.ma.getmaskarray(column)
    cells = np.asarray(values).tolist()
    return [
        None if gone or (isinstance(cell, float) and math.isnan(cell)) else cell
        for cell, gone in zip(cells, missing, strict=True)
    ]


def _answer(names: list[str], rows: list[tuple], tables: dict[str, Table]) -> Table:
    """The rows with the types, units and UCDs of the columns that have these names."""
    known = {name: table[name] for table in tables.values() for name in table.colnames}
    answer = Table(masked=True)
    for index, name in enumerate(names):
        cells = [row[index] for row in rows]
        like = known.get(name)
        kind = _type_of(cells) if like is None else like.dtype
        blank = "" if np.dtype(kind).kind in "US" else np.dtype(kind).type(0)
        made = MaskedColumn(
            np.array([blank if cell is None else cell for cell in cells], dtype=kind),
            mask=[cell is None for cell in cells],
        )
        if like is not None:
            made.unit, made.description, made.meta = like.unit, like.description, like.meta
        answer[name] = made
    return answer


def _type_of(cells: list) -> type:
    kinds = {type(cell) for cell in cells if cell is not None}
    if str in kinds:
        return str
    return int if kinds == {int} else float


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split()]


def _shape(*values: object) -> str | None:
    """A point, circle or box as text; its first argument may be a frame."""
    numbers = [value for value in values if not isinstance(value, str)]
    return None if None in numbers else " ".join(repr(float(number)) for number in numbers)


def _distance(one: str | None, other: str | None) -> float | None:
    if one is None or other is None:
        return None
    a, b = map(math.radians, _numbers(one)), map(math.radians, _numbers(other))
    return math.degrees(float(angular_separation(*a, *b)))


def _contains(point: str | None, region: str | None) -> int:
    if point is None or region is None:
        return 0
    *centre, radius = _numbers(region)
    return int(_distance(point, " ".join(map(repr, centre))) <= radius)


_FUNCTIONS = (
    ("POINT", _shape, -1),
    ("CIRCLE", _shape, -1),
    ("DISTANCE", _distance, 2),
    ("CONTAINS", _contains, 2),
)
