"""ADQL, the query language of the Virtual Observatory, translated into SQL of DuckDB.

sqlglot parses the query. What it holds is compared with lists of what is allowed, and the SQL is
written anew (`xbayes.catalog.adql_expressions`), so that no text of the query enters it: only
SELECT, only the tables given, only known functions.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlglot import ParseError, TokenError, exp, parser, tokens
from sqlglot.dialects.dialect import Dialect
from sqlglot.tokenizer_core import TokenType

from xbayes.catalog.adql_expressions import Expressions, number
from xbayes.catalog.adql_scope import (
    Found,
    Scope,
    Source,
    columns_named,
    refuse_others,
    table_named,
)
from xbayes.catalog.adql_tables import AdqlColumn, AdqlTable
from xbayes.catalog.query import quote
from xbayes.errors import InputError

LONGEST = 50_000  # characters of a query
MOST_TABLES = 20  # in FROM, in the whole query
_WORDS = """
ALL AND AS ASC BETWEEN BIGINT CASE CHAR CROSS DESC DISTINCT DOUBLE ELSE END ESCAPE EXCEPT EXISTS
FALSE FROM FULL HAVING ILIKE IN INNER INTEGER INTERSECT IS JOIN LEFT LIKE NATURAL NOT NULL OFFSET
ON OR OUTER REAL RIGHT SELECT SMALLINT THEN TRUE UNION USING VARCHAR WHEN WHERE WITH
"""
_OTHERS = ("DOUBLE PRECISION", "GROUP BY", "ORDER BY", "||", "<=", ">=", "<>", "!=")
_SIDES = {"": "JOIN", "LEFT": "LEFT JOIN", "RIGHT": "RIGHT JOIN", "FULL": "FULL JOIN"}
_SETS = {exp.Union: "UNION", exp.Except: "EXCEPT", exp.Intersect: "INTERSECT"}


class Adql(Dialect):
    """The words of ADQL; functions are left to `Expressions`."""

    class Tokenizer(tokens.Tokenizer):  # noqa: D106
        QUOTES = ["'"]  # noqa: RUF012
        IDENTIFIERS = ['"']  # noqa: RUF012
        COMMENTS = ["--"]  # noqa: RUF012
        KEYWORDS = {  # noqa: RUF012
            **{word: tokens.Tokenizer.KEYWORDS[word] for word in (*_WORDS.split(), *_OTHERS)},
            "TOP": TokenType.TOP,
        }

    class Parser(parser.Parser):  # noqa: D106
        FUNCTIONS = {}  # noqa: RUF012
        FUNCTION_PARSERS = {"CAST": parser.Parser.FUNCTION_PARSERS["CAST"]}  # noqa: RUF012
        NO_PAREN_FUNCTIONS = {}  # noqa: RUF012
        NO_PAREN_FUNCTION_PARSERS = {  # noqa: RUF012
            "CASE": parser.Parser.NO_PAREN_FUNCTION_PARSERS["CASE"]
        }


class Translated(NamedTuple):
    """A query as SQL, its parameters, and the columns of its answer."""

    sql: str
    parameters: tuple[str, ...]
    columns: tuple[AdqlColumn, ...]


def translate(text: str, tables: Sequence[AdqlTable], most_rows: int) -> Translated:
    """The SQL of a query, which gives no more than `most_rows` rows.

    Parameters
    ----------
    text
        The query in ADQL.
    tables
        The tables that it may read.
    most_rows
        The most rows of the answer.

    Raises
    ------
    InputError
        If the query cannot be parsed, or is not allowed.
    """
    if len(text) > LONGEST:
        raise InputError(f"a query may have {LONGEST:,} characters; this has {len(text):,}")
    try:
        query = _Query(tables)
        columns, sql = query.write(_parsed(text), None, most_rows)
        return Translated(
            sql=sql,
            parameters=tuple(query.expressions.parameters),
            columns=tuple(found.column for found in columns),
        )
    except RecursionError:
        raise InputError("the query is nested too deeply; make it simpler") from None


def _parsed(text: str) -> exp.Expr:
    try:
        found = [node for node in Adql().parse(text) if node is not None]
    except (ParseError, TokenError) as error:
        raise InputError(f"the query is not understood: {_told(error)}") from None
    if len(found) != 1:
        raise InputError(f"one query is wanted; found {len(found)}")
    return found[0]


def _told(error: ParseError | TokenError) -> str:
    details = error.errors[0] if isinstance(error, ParseError) and error.errors else {}
    if not details.get("line"):
        return "a quotation mark or comment is not closed, or a character is none of ADQL"
    at = f"line {details['line']}, column {details['col']}"
    near = details.get("highlight") or "the end"
    what = str(details.get("description", "")).removesuffix(".")
    return f"{what} at {near[:40]!r} ({at})"


class _Defined(NamedTuple):
    """A table that WITH defines, and its name in the database."""

    relation: str
    columns: tuple[Found, ...]


class _Query:
    """Writes one query, with those inside it."""

    def __init__(self, tables: Sequence[AdqlTable]) -> None:
        self._tables = tables
        self._n_sources = self._n_names = 0
        self._defined: dict[str, _Defined] = {}
        self.expressions = Expressions(self._inner)

    def _inner(self, node: exp.Expr, scope: Scope) -> str:
        return self.write(node, scope)[1]

    def write(
        self, node: exp.Expr, parent: Scope | None, most_rows: int | None = None
    ) -> tuple[tuple[Found, ...], str]:
        """The columns of a query as n1, n2 ..., and its SQL."""
        if isinstance(node, exp.Subquery) and not node.args.get("alias"):
            refuse_others(node, ("this",))
            return self.write(node.this, parent, most_rows)
        before = dict(self._defined)
        defined = self._with(node, parent)
        if isinstance(node, exp.Select):
            columns, sql = self._select(node, parent, most_rows)
        elif type(node) in _SETS:
            columns, sql = self._set(node, parent, most_rows)
        else:
            raise InputError("a query begins with SELECT (or WITH); nothing else is allowed")
        self._defined = before
        return columns, defined + sql

    def _with(self, node: exp.Expr, parent: Scope | None) -> str:
        clause = node.args.get("with_")
        if clause is None:
            return ""
        refuse_others(clause, ("expressions",))
        parts = []
        for one in clause.expressions:
            refuse_others(one, ("this", "alias"))
            refuse_others(one.args["alias"], ("this",))
            columns, sql = self.write(one.this, parent)
            name = self._new_name()
            self._defined[one.alias.lower()] = _Defined(relation=name, columns=columns)
            parts.append(f"{name} AS ({sql})")
        return f"WITH {', '.join(parts)} "

    def _select(
        self, node: exp.Select, parent: Scope | None, most_rows: int | None
    ) -> tuple[tuple[Found, ...], str]:
        refuse_others(
            node,
            ("expressions", "from_", "joins", "where", "group", "having", "order", "limit",
             "offset", "distinct", "with_"),
        )  # fmt: skip
        scope = Scope(parent)
        tables = self._from(node, scope)
        items = [item for one in node.expressions for item in self._items(one, scope)]
        if not items:
            raise InputError("SELECT needs at least one column")
        listed = ", ".join(f"{found.sql} AS n{at}" for at, found in enumerate(items, 1))
        distinct = node.args.get("distinct")
        if distinct is not None:
            refuse_others(distinct, ())
        sql = f"SELECT {'DISTINCT ' if distinct is not None else ''}{listed}{tables}"
        for key, word in (("where", "WHERE"), ("having", "HAVING")):
            if key == "having" and node.args.get("group") is not None:
                sql += self._group(node.args["group"], scope)
            clause = node.args.get(key)
            if clause is not None:
                sql += f" {word} {self.expressions.sql(clause.this, scope)}"
        sql += self._order(node, items, scope) + self._limit(node, most_rows)
        return _renamed(items), sql

    def _set(
        self, node: exp.Expr, parent: Scope | None, most_rows: int | None
    ) -> tuple[tuple[Found, ...], str]:
        refuse_others(node, ("this", "expression", "distinct", "order", "limit", "offset", "with_"))
        columns, left = self.write(node.this, parent)
        others, right = self.write(node.expression, parent)
        if len(columns) != len(others):
            raise InputError(
                f"{_SETS[type(node)]} needs as many columns on both sides; found {len(columns)} "
                f"and {len(others)}"
            )
        word = _SETS[type(node)] + ("" if node.args.get("distinct", True) else " ALL")
        sql = f"(SELECT * FROM ({left})) {word} (SELECT * FROM ({right}))"
        return columns, sql + self._order(node, columns, None) + self._limit(node, most_rows)

    def _from(self, node: exp.Select, scope: Scope) -> str:
        first = node.args.get("from_")
        if first is None:
            if node.args.get("joins"):
                raise InputError("JOIN needs FROM with a table before it")
            return ""
        sql = f" FROM {self._source(first.this, scope)[1]}"
        sql += self._joins(first.this, scope)
        return sql + "".join(self._join(join, scope) for join in node.args.get("joins") or ())

    def _joins(self, node: exp.Expr, scope: Scope) -> str:
        """The joins that the parser keeps with a table in parentheses."""
        return "".join(self._join(join, scope) for join in node.args.get("joins") or ())

    def _source(self, node: exp.Expr, scope: Scope) -> tuple[Source, str]:
        self._n_sources += 1
        if self._n_sources > MOST_TABLES:
            raise InputError(f"too many tables; a query may read {MOST_TABLES}")
        alias = node.args.get("alias")
        if alias is not None:
            refuse_others(alias, ("this",))
        name = self._new_name()
        if isinstance(node, exp.Subquery):
            refuse_others(node, ("this", "alias", "joins"))
            columns, inner = self.write(node.this, None)
            found = tuple(f._replace(sql=f"{name}.{f.sql}") for f in columns)
            source = Source(alias=node.alias, schema="", columns=found)
            sql = f"({inner}) AS {name}"
        elif isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            refuse_others(node, ("this", "db", "alias", "joins"))
            source, sql = self._table(node, name)
        else:
            raise InputError("FROM must name tables or hold subqueries")
        scope.add(source)
        return source, sql

    def _table(self, node: exp.Table, name: str) -> tuple[Source, str]:
        defined = self._defined.get(node.name.lower()) if not node.db else None
        if defined is not None:
            parts = tuple(f._replace(sql=f"{name}.{f.sql}") for f in defined.columns)
            source = Source(alias=node.alias or node.name, schema="", columns=parts)
            return source, f"{defined.relation} AS {name}"
        table = table_named(node.name, node.db, self._tables)
        columns = tuple(Found(column=c, sql=f"{name}.{quote(c.name)}") for c in table.columns)
        schema = "" if node.alias else table.schema
        source = Source(alias=node.alias or table.name, schema=schema, columns=columns)
        return source, f"{table.relation} AS {name}"

    def _join(self, join: exp.Expr, scope: Scope) -> str:
        refuse_others(join, ("this", "on", "using", "method", "side", "kind"))
        method, side, kind = (str(join.args.get(k) or "") for k in ("method", "side", "kind"))
        if method not in ("", "NATURAL") or kind not in ("", "INNER", "OUTER", "CROSS"):
            raise InputError(
                f"{method} {kind} JOIN is no part of ADQL; use JOIN, LEFT, RIGHT or FULL OUTER JOIN"
            )
        before = list(scope.all_columns())
        source, sql = self._source(join.this, scope)
        names = [identifier.name for identifier in join.args.get("using") or ()]
        if method == "NATURAL":
            own = {found.column.name.lower() for found in source.columns}
            names = [f.column.name for f in before if f.column.name.lower() in own]
        if names:
            on = " AND ".join(_merge(name, before, source, scope) for name in names)
        elif join.args.get("on") is not None:
            on = self.expressions.sql(join.args["on"], scope)
        elif side or method or kind == "INNER":
            raise InputError("JOIN needs ON or USING, or NATURAL and a column that both have")
        else:
            return f" CROSS JOIN {sql}{self._joins(join.this, scope)}"
        return f" {_SIDES[side]} {sql} ON {on}{self._joins(join.this, scope)}"

    def _items(self, node: exp.Expr, scope: Scope) -> list[Found]:
        """What one item of SELECT adds to the columns of the answer."""
        star = node.this if isinstance(node, exp.Column) else node
        if isinstance(star, exp.Star):
            refuse_others(star, ())
            if star is node:
                return scope.all_columns()
            sources = scope.matching(node.args["table"].name, node.text("db"))
            if not sources:
                raise InputError(f"no table {node.args['table'].name!r}; name it in FROM")
            return [found for source in sources for found in source.columns]
        name, inner = "", node
        if isinstance(node, exp.Alias):
            refuse_others(node, ("this", "alias"))
            if not isinstance(node.args["alias"], exp.Identifier):
                raise InputError("AS must be followed by a name")
            name, inner = node.alias, node.this
        if isinstance(inner, exp.Column):
            self.expressions.sql(inner, scope)  # refuses what is no plain column
            found = scope.column(inner)
            return [found._replace(column=found.column._replace(name=name or found.column.name))]
        called = inner.name.lower() if isinstance(inner, exp.Anonymous) else "expression"
        column = AdqlColumn(name=name or called, datatype="")
        return [Found(column=column, sql=self.expressions.sql(inner, scope))]

    def _group(self, node: exp.Expr, scope: Scope) -> str:
        refuse_others(node, ("expressions",))
        parts = [self.expressions.sql(one, scope) for one in node.expressions]
        return f" GROUP BY {', '.join(parts)}"

    def _order(self, node: exp.Expr, items: Sequence[Found], scope: Scope | None) -> str:
        order = node.args.get("order")
        if order is None:
            return ""
        refuse_others(order, ("expressions",))
        parts = []
        for one in order.expressions:
            refuse_others(one, ("this", "desc", "nulls_first"))
            way = "DESC" if one.args.get("desc") else "ASC"
            parts.append(f"{self._key(one.this, items, scope)} {way} NULLS LAST")
        return f" ORDER BY {', '.join(parts)}"

    def _key(self, node: exp.Expr, items: Sequence[Found], scope: Scope | None) -> str:
        if isinstance(node, exp.Literal) and not node.is_string:
            at = int(node.name) if node.name.isdigit() and len(node.name) < 5 else 0
            if not 1 <= at <= len(items):
                raise InputError(f"ORDER BY {node.name}: the answer has {len(items)} columns")
            return str(at)
        if isinstance(node, exp.Column) and not node.table:
            named = columns_named(node.name, items)
            if named:
                return str(items.index(named[0]) + 1)
        if scope is None:
            raise InputError("after UNION, ORDER BY must name columns, or give their numbers")
        return self.expressions.sql(node, scope)

    def _limit(self, node: exp.Expr, most_rows: int | None) -> str:
        rows, skipped = (_count(node.args.get(key)) for key in ("limit", "offset"))
        most = [n for n in (rows, most_rows) if n is not None]
        limit = f" LIMIT {min(most)}" if most else ""
        return limit + (f" OFFSET {skipped}" if skipped is not None else "")

    def _new_name(self) -> str:
        self._n_names += 1
        return f"t{self._n_names}"


def _merge(name: str, before: Sequence[Found], source: Source, scope: Scope) -> str:
    """The condition of USING for one column, which then belongs to both tables."""
    left, right = columns_named(name, before), columns_named(name, source.columns)
    if len(left) != 1 or len(right) != 1:
        raise InputError(f"USING ({name}): each of the two tables needs one column of this name")
    scope.merged[name.lower()] = Found(
        column=left[0].column, sql=f"coalesce({left[0].sql}, {right[0].sql})"
    )
    return f"{left[0].sql} = {right[0].sql}"


def _count(node: exp.Expr | None) -> int | None:
    """The number of TOP or OFFSET."""
    if node is None:
        return None
    refuse_others(node, ("expression",))
    value = node.args["expression"]
    if not (isinstance(value, exp.Literal) and not value.is_string and value.name.isdigit()):
        raise InputError("TOP and OFFSET must be followed by a whole number")
    return min(int(number(value.name)), 2**53)


def _renamed(items: Sequence[Found]) -> tuple[Found, ...]:
    return tuple(found._replace(sql=f"n{at}") for at, found in enumerate(items, 1))
