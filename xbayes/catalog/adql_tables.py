"""The tables that ADQL can query, described as the Virtual Observatory does (TAP_SCHEMA)."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from xbayes.catalog.adql_names import adql_name

TAP_SCHEMA = "TAP_SCHEMA"


class AdqlColumn(NamedTuple):
    """A column of a table, or of the answer to a query."""

    name: str
    datatype: str  # of VOTable; empty if only the answer tells
    unit: str = ""
    ucd: str = ""
    description: str = ""
    indexed: bool = False
    principal: bool = False

    @property
    def arraysize(self) -> str:
        """'*' for text, empty for the rest."""
        return "*" if self.datatype in ("char", "unicodeChar") else ""


class AdqlTable(NamedTuple):
    """A table that ADQL can query."""

    schema: str
    name: str
    description: str
    relation: str  # the table or view in the database, as SQL
    columns: tuple[AdqlColumn, ...]
    run: str = ""  # whose catalogue it is
    kind: str = "table"

    @property
    def full_name(self) -> str:
        """The name as a query writes it, with the schema."""
        return f"{self.schema}.{adql_name(self.name)}"


class ForeignKey(NamedTuple):
    """A column of one table that refers to a column of another."""

    id: str
    from_table: str
    target_table: str
    column: str


_FIELDS = {
    "schemas": (
        ("schema_name", "char", "name of the schema"),
        ("description", "char", "what the schema holds"),
        ("utype", "char", "meaning in a data model"),
        ("schema_index", "int", "order in which schemas are shown"),
    ),
    "tables": (
        ("schema_name", "char", "schema of the table"),
        ("table_name", "char", "name of the table as a query writes it"),
        ("table_type", "char", "table or view"),
        ("description", "char", "what the table holds"),
        ("utype", "char", "meaning in a data model"),
        ("table_index", "int", "order in which tables are shown"),
    ),
    "columns": (
        ("table_name", "char", "table of the column"),
        ("column_name", "char", "name of the column as a query writes it"),
        ("datatype", "char", "type in a VOTable"),
        ("arraysize", "char", "size in a VOTable"),
        ("xtype", "char", "interpretation of the value in a VOTable"),
        ("size", "int", "length of texts; deprecated, always null"),
        ("description", "char", "what the column holds"),
        ("utype", "char", "meaning in a data model"),
        ("unit", "char", "unit of the column"),
        ("ucd", "char", "kind of quantity"),
        ("indexed", "int", "1 if a search in this column is quick"),
        ("principal", "int", "1 if the column belongs in a short view of the table"),
        ("std", "int", "1 if a standard defines the column"),
        ("column_index", "int", "order in which columns are shown"),
    ),
    "keys": (
        ("key_id", "char", "name of the key"),
        ("from_table", "char", "table that refers to another"),
        ("target_table", "char", "table that is referred to"),
        ("description", "char", "what the key says"),
        ("utype", "char", "meaning in a data model"),
    ),
    "key_columns": (
        ("key_id", "char", "name of the key"),
        ("from_column", "char", "column of the table that refers"),
        ("target_column", "char", "column of the table referred to"),
    ),
}
_SAYS = {
    "schemas": "the schemas of this service",
    "tables": "the tables of this service",
    "columns": "the columns of the tables",
    "keys": "which tables refer to which",
    "key_columns": "the columns by which they refer",
}
_ARROW = {"char": pa.string(), "int": pa.int32()}
KEYS = tuple(
    ForeignKey(id=id, from_table=f"{TAP_SCHEMA}.{a}", target_table=f"{TAP_SCHEMA}.{b}", column=on)
    for id, a, b, on in (
        ("k_tables", "tables", "schemas", "schema_name"),
        ("k_columns", "columns", "tables", "table_name"),
        ("k_key_from", "keys", "tables", "table_name"),
        ("k_key_target", "keys", "tables", "table_name"),
        ("k_key_columns", "key_columns", "keys", "key_id"),
    )
)
_FROM_COLUMN = {"k_key_from": "from_table", "k_key_target": "target_table"}


def from_column(key: ForeignKey) -> str:
    """The column of the referring table."""
    return _FROM_COLUMN.get(key.id, key.column)


def schema_tables() -> tuple[AdqlTable, ...]:
    """The tables of TAP_SCHEMA, held in the database as tap_schemas, tap_tables and so on."""
    return tuple(
        AdqlTable(
            schema=TAP_SCHEMA,
            name=name,
            description=_SAYS[name],
            relation=f"tap_{name}",
            columns=tuple(
                AdqlColumn(name=field, datatype=datatype, description=says, principal=True)
                for field, datatype, says in fields
            ),
        )
        for name, fields in _FIELDS.items()
    )


def schema_contents(
    tables: Sequence[AdqlTable], schemas: Sequence[tuple[str, str]]
) -> dict[str, pa.Table]:
    """What the tables of TAP_SCHEMA hold, by the names of the tables in the database."""
    columns = [(table, at, column) for table in tables for at, column in enumerate(table.columns)]
    rows: dict[str, list[tuple[object, ...]]] = {
        "schemas": [(name, says, None, at) for at, (name, says) in enumerate(schemas)],
        "tables": [
            (t.schema, t.full_name, t.kind, t.description, None, at) for at, t in enumerate(tables)
        ],
        "columns": [_column_row(*one) for one in columns],
        "keys": [(k.id, k.from_table, k.target_table, None, None) for k in KEYS],
        "key_columns": [(k.id, from_column(k), k.column) for k in KEYS],
    }
    return {f"tap_{name}": _table(name, rows[name]) for name in _FIELDS}


def _column_row(table: AdqlTable, at: int, column: AdqlColumn) -> tuple[object, ...]:
    row: dict[str, object] = {
        "table_name": table.full_name,
        "column_name": adql_name(column.name),
        "datatype": column.datatype,
        "arraysize": column.arraysize or None,
        "description": column.description or None,
        "unit": column.unit or None,
        "ucd": column.ucd or None,
        "indexed": int(column.indexed),
        "principal": int(column.principal),
        "std": int(table.schema == TAP_SCHEMA),
        "column_index": at,
    }
    return tuple(row.get(field[0]) for field in _FIELDS["columns"])


def _table(name: str, rows: list[tuple[object, ...]]) -> pa.Table:
    fields = _FIELDS[name]
    columns = zip(*rows, strict=True)
    return pa.table(
        [pa.array(list(c), _ARROW[f[1]]) for c, f in zip(columns, fields, strict=True)],
        names=[field[0] for field in fields],
    )
