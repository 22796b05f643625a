"""Which tables and columns the names in an ADQL query mean."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlglot import exp

from xbayes.catalog.adql_tables import AdqlColumn, AdqlTable
from xbayes.errors import InputError


class Found(NamedTuple):
    """A column that a name means, and how the database writes it."""

    column: AdqlColumn
    sql: str


class Source(NamedTuple):
    """A table in FROM: a catalogue, a subquery, or a table defined by WITH."""

    alias: str  # by which the query calls it
    schema: str  # empty for a table that has an alias
    columns: tuple[Found, ...]


class Scope:
    """The names that one SELECT knows: those of its tables, and those of the query around it.

    Parameters
    ----------
    parent
        The scope of the query around it.
    """

    def __init__(self, parent: "Scope | None" = None) -> None:
        self.sources: list[Source] = []
        self.merged: dict[str, Found] = {}  # columns of NATURAL JOIN and USING
        self.parent = parent

    def add(self, source: Source) -> None:
        """Add a table of FROM."""
        key = (source.schema.lower(), source.alias.lower())
        if source.alias and any((s.schema.lower(), s.alias.lower()) == key for s in self.sources):
            raise InputError(
                f"FROM has two tables called {source.alias}; give one an alias: {source.alias} AS b"
            )
        self.sources.append(source)

    def column(self, node: exp.Column) -> Found:
        """The column that a name means."""
        if node.args.get("catalog"):
            raise InputError(f"{node.sql()}: a column has at most a schema and a table before it")
        name, table, schema = node.name, node.table, node.db
        if not table and name.lower() in self.merged:
            return self.merged[name.lower()]
        sources = self.matching(table, schema) if table else self.sources
        found = [hit for source in sources for hit in columns_named(name, source.columns)]
        if len(found) == 1:
            return found[0]
        written = ".".join(part for part in (schema, table, name) if part)
        if found:
            raise InputError(f"column {written} is in more than one table; write TABLE.{name}")
        if self.parent is not None:
            return self.parent.column(node)
        if table and not sources:
            raise InputError(f"no table {table!r} in FROM, so there is no column {written}")
        known = ", ".join(f.column.name for s in sources for f in s.columns[:12])
        raise InputError(f"no column {written!r}; the tables in FROM begin with: {known}")

    def matching(self, table: str, schema: str = "") -> list[Source]:
        """The tables of FROM that a name means."""
        return [
            source
            for source in self.sources
            if source.alias.lower() == table.lower()
            and (not schema or source.schema.lower() == schema.lower())
        ]

    def all_columns(self) -> list[Found]:
        """The columns of *: those that tables share by NATURAL JOIN or USING come once, first."""
        shared = list(self.merged.values())
        names = set(self.merged)
        rest = [f for s in self.sources for f in s.columns if f.column.name.lower() not in names]
        return shared + rest


def columns_named(name: str, columns: Sequence[Found]) -> list[Found]:
    """The columns of this name; upper and lower case differ only where both exist."""
    alike = [found for found in columns if found.column.name.lower() == name.lower()]
    exact = [found for found in alike if found.column.name == name]
    return exact if len(alike) > 1 and exact else alike


def table_named(name: str, schema: str, tables: Sequence[AdqlTable]) -> AdqlTable:
    """The table that a query means; InputError if there is none."""
    found = [
        table
        for table in tables
        if table.name.lower() == name.lower()
        and (not schema or table.schema.lower() == schema.lower())
    ]
    if not found:
        written = f"{schema}.{name}" if schema else name
        known = ", ".join(table.full_name for table in tables)
        raise InputError(f"no table {written!r}; there are {known}")
    return found[0]


def refuse_others(node: exp.Expr, allowed: Mapping[str, object] | Sequence[str]) -> None:
    """Raise InputError if the node has parts that are not translated."""
    others = [key for key, value in node.args.items() if value and key not in allowed]
    if others:
        raise InputError(
            f"{type(node).__name__.upper()} with {others[0].strip('_').upper()} is not "
            "understood; leave it out"
        )
