"""Expressions of ADQL as SQL of DuckDB.

Only what is listed here is translated; everything else is refused. No text of the query reaches
the SQL: texts become parameters, names are looked up, numbers are read and checked.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from sqlglot import exp

from xbayes.catalog.adql_geometry import (
    RELATIONS,
    SHAPES,
    Point,
    distance_between,
    relation,
    shape_of,
)
from xbayes.catalog.adql_scope import Scope, refuse_others
from xbayes.errors import InputError

_NUMBER = re.compile(r"(\d+)(\.\d*)?([eE][+-]?\d+)?|(\.\d+)([eE][+-]?\d+)?")
MOST_DIGITS = 40
LONGEST = 500_000  # characters of SQL
BINARY = {
    exp.And: "AND", exp.Or: "OR", exp.EQ: "=", exp.NEQ: "<>", exp.GT: ">", exp.GTE: ">=",
    exp.LT: "<", exp.LTE: "<=", exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/",
    exp.DPipe: "||", exp.Like: "LIKE", exp.ILike: "ILIKE",
}  # fmt: skip
TYPES = {
    exp.DataType.Type.SMALLINT: "SMALLINT",
    exp.DataType.Type.INT: "INTEGER",
    exp.DataType.Type.BIGINT: "BIGINT",
    exp.DataType.Type.FLOAT: "FLOAT",
    exp.DataType.Type.DOUBLE: "DOUBLE",
    exp.DataType.Type.CHAR: "VARCHAR",
    exp.DataType.Type.VARCHAR: "VARCHAR",
}


class Function(NamedTuple):
    """A function of ADQL: how many arguments it takes, and its SQL with {0}, {1} for them."""

    arguments: tuple[int, ...]
    sql: str


# Outside its domain a function is null: an error would end the query for one row of the catalogue.
FUNCTIONS = {
    "ABS": Function(arguments=(1,), sql="abs({0})"),
    "CEILING": Function(arguments=(1,), sql="ceil({0})"),
    "DEGREES": Function(arguments=(1,), sql="degrees({0})"),
    "EXP": Function(arguments=(1,), sql="exp({0})"),
    "FLOOR": Function(arguments=(1,), sql="floor({0})"),
    "LOG": Function(arguments=(1,), sql="CASE WHEN {0} > 0 THEN ln({0}) END"),
    "LOG10": Function(arguments=(1,), sql="CASE WHEN {0} > 0 THEN log10({0}) END"),
    "MOD": Function(arguments=(2,), sql="mod({0}, {1})"),
    "PI": Function(arguments=(0,), sql="pi()"),
    "POWER": Function(arguments=(2,), sql="pow({0}, {1})"),
    "RADIANS": Function(arguments=(1,), sql="radians({0})"),
    "RAND": Function(arguments=(0, 1), sql="random()"),
    "ROUND": Function(arguments=(1, 2), sql="round({0}, CAST({1} AS INTEGER))"),
    "SIGN": Function(arguments=(1,), sql="sign({0})"),
    "SQRT": Function(arguments=(1,), sql="CASE WHEN {0} >= 0 THEN sqrt({0}) END"),
    "TRUNCATE": Function(arguments=(1, 2), sql="trunc(({0}) * pow(10, {1})) / pow(10, {1})"),
    "ACOS": Function(arguments=(1,), sql="CASE WHEN abs({0}) <= 1 THEN acos({0}) END"),
    "ASIN": Function(arguments=(1,), sql="CASE WHEN abs({0}) <= 1 THEN asin({0}) END"),
    "ATAN": Function(arguments=(1,), sql="atan({0})"),
    "ATAN2": Function(arguments=(2,), sql="atan2({0}, {1})"),
    "COS": Function(arguments=(1,), sql="cos({0})"),
    "COT": Function(arguments=(1,), sql="1 / nullif(tan({0}), 0)"),
    "SIN": Function(arguments=(1,), sql="sin({0})"),
    "TAN": Function(arguments=(1,), sql="tan({0})"),
    "LOWER": Function(arguments=(1,), sql="lower({0})"),
    "UPPER": Function(arguments=(1,), sql="upper({0})"),
}
AGGREGATES = ("COUNT", "SUM", "AVG", "MIN", "MAX")
GEOMETRY = (*SHAPES, *RELATIONS, "DISTANCE", "COORD1", "COORD2")
Subquery = Callable[[exp.Expr, Scope], str]


class Expressions:
    """Translates expressions, and collects the parameters.

    Parameters
    ----------
    subquery
        Translates a query inside an expression.
    """

    def __init__(self, subquery: Subquery) -> None:
        self.parameters: dict[str, int] = {}  # the number of each text
        self._subquery = subquery

    def sql(self, node: exp.Expr, scope: Scope) -> str:
        """The expression as SQL, in parentheses where it needs them."""
        operator, handler = BINARY.get(type(node)), _HANDLERS.get(type(node))
        if operator is not None:
            sql = self._binary(node, operator, scope)
        elif handler is not None:
            sql = handler(self, node, scope)
        else:
            raise InputError(
                f"{type(node).__name__.upper()} is not understood; /tap/capabilities "
                f"lists the functions"
            )
        # Some functions repeat their argument: nested, they would grow without bound.
        if len(sql) > LONGEST:
            raise InputError("the query is nested too deeply; make it simpler")
        return sql

    def _binary(self, node: exp.Expr, operator: str, scope: Scope) -> str:
        refuse_others(node, ("this", "expression", "negate", "safe", "typed"))
        if isinstance(node, exp.EQ):
            one = _is_relation(node.this, node.expression) or _is_relation(
                node.expression, node.this
            )
            if one is not None:  # 1 = CONTAINS(...): the condition itself can skip rows
                found, wanted = one
                condition = self._relation(found, scope)
                return condition if wanted == 1 else f"(NOT {condition})"
        left, right = self.sql(node.this, scope), self.sql(node.expression, scope)
        if node.args.get("negate"):
            operator = f"NOT {operator}"
        return f"({left} {operator} {right})"

    def _relation(self, node: exp.Anonymous, scope: Scope) -> str:
        return relation(node.name.upper(), node.expressions, lambda part: self.sql(part, scope))

    def _literal(self, node: exp.Literal, scope: Scope) -> str:
        return self.text(node.name) if node.is_string else number(node.name)

    def text(self, value: str) -> str:
        """A text as a parameter; the same text is the same parameter."""
        if "\0" in value:
            raise InputError("a text must not hold the character NUL")
        return f"${self.parameters.setdefault(value, len(self.parameters) + 1)}"

    def _column(self, node: exp.Column, scope: Scope) -> str:
        refuse_others(node, ("this", "table", "db", "catalog"))
        if isinstance(node.this, exp.Star):
            raise InputError("* must stand after SELECT or in COUNT(*)")
        return scope.column(node).sql

    def _paren(self, node: exp.Paren, scope: Scope) -> str:
        return f"({self.sql(node.this, scope)})"

    def _negative(self, node: exp.Neg, scope: Scope) -> str:
        return f"(- {self.sql(node.this, scope)})"

    def _not(self, node: exp.Not, scope: Scope) -> str:
        return f"(NOT {self.sql(node.this, scope)})"

    def _null(self, node: exp.Null, scope: Scope) -> str:
        return "NULL"

    def _boolean(self, node: exp.Boolean, scope: Scope) -> str:
        return "TRUE" if node.this else "FALSE"

    def _is(self, node: exp.Is, scope: Scope) -> str:
        refuse_others(node, ("this", "expression"))
        if not isinstance(node.expression, exp.Null | exp.Boolean):
            raise InputError("IS must be followed by NULL, NOT NULL, TRUE or FALSE")
        right = self.sql(node.expression, scope)
        return f"({self.sql(node.this, scope)} IS {right})"

    def _between(self, node: exp.Between, scope: Scope) -> str:
        refuse_others(node, ("this", "low", "high", "negate"))
        value, low, high = (self.sql(node.args[key], scope) for key in ("this", "low", "high"))
        operator = "NOT BETWEEN" if node.args.get("negate") else "BETWEEN"
        return f"({value} {operator} {low} AND {high})"

    def _in(self, node: exp.In, scope: Scope) -> str:
        refuse_others(node, ("this", "expressions", "query", "negate"))
        query = node.args.get("query")
        if query is not None:
            listed = self._subquery(query, scope)
        else:
            listed = ", ".join(self.sql(item, scope) for item in node.expressions)
        operator = "NOT IN" if node.args.get("negate") else "IN"
        return f"({self.sql(node.this, scope)} {operator} ({listed}))"

    def _exists(self, node: exp.Exists, scope: Scope) -> str:
        refuse_others(node, ("this",))
        return f"EXISTS ({self._subquery(node.this, scope)})"

    def _scalar(self, node: exp.Expr, scope: Scope) -> str:
        return f"({self._subquery(node, scope)})"

    def _escape(self, node: exp.Escape, scope: Scope) -> str:
        character = node.expression
        if not (isinstance(node.this, exp.Like | exp.ILike) and len(character.name) == 1):
            raise InputError("ESCAPE must follow LIKE and name one character")
        return f"({self.sql(node.this, scope)[1:-1]} ESCAPE {self.sql(character, scope)})"

    def _case(self, node: exp.Case, scope: Scope) -> str:
        refuse_others(node, ("this", "ifs", "default"))
        parts = ["CASE"]
        if node.this is not None:
            parts.append(self.sql(node.this, scope))
        for one in node.args["ifs"]:
            refuse_others(one, ("this", "true"))
            then = self.sql(one.args["true"], scope)
            parts.append(f"WHEN {self.sql(one.this, scope)} THEN {then}")
        if node.args.get("default") is not None:
            parts.append(f"ELSE {self.sql(node.args['default'], scope)}")
        return "(" + " ".join([*parts, "END"]) + ")"

    def _cast(self, node: exp.Cast, scope: Scope) -> str:
        refuse_others(node, ("this", "to", "_type"))
        kind = TYPES.get(node.to.this)
        if kind is None:
            known = ", ".join(dict.fromkeys(t.name for t in TYPES))
            raise InputError(f"CAST to {node.to.this} is not known; the types are {known}")
        return f"CAST({self.sql(node.this, scope)} AS {kind})"

    def _function(self, node: exp.Anonymous, scope: Scope) -> str:
        refuse_others(node, ("this", "expressions"))
        name = node.name.upper()
        if name in AGGREGATES:
            return self._aggregate(name, node, scope)
        if name in GEOMETRY:
            return self._geometry(name, node, scope)
        if name == "COALESCE" and node.expressions:
            return f"coalesce({', '.join(self.sql(item, scope) for item in node.expressions)})"
        if name not in FUNCTIONS:
            raise InputError(f"no function {name}; the functions are {', '.join(functions())}")
        counts, template = FUNCTIONS[name]
        values = [self.sql(item, scope) for item in node.expressions]
        if len(values) not in counts:
            wanted = " or ".join(map(str, counts))
            raise InputError(f"{name} takes {wanted} values; found {len(values)}")
        if len(counts) == 2 and len(values) == 1:
            values.append("0")
        return f"({template.format(*values)})"

    def _aggregate(self, name: str, node: exp.Anonymous, scope: Scope) -> str:
        if len(node.expressions) != 1:
            raise InputError(f"{name} takes one value; found {len(node.expressions)}")
        value, distinct = node.expressions[0], ""
        if isinstance(value, exp.Distinct):
            refuse_others(value, ("expressions",))
            if len(value.expressions) != 1:
                raise InputError(f"{name}(DISTINCT ...) must have one value")
            value, distinct = value.expressions[0], "DISTINCT "
        if isinstance(value, exp.Star):
            refuse_others(value, ())
            if name != "COUNT" or distinct:
                raise InputError(f"* goes with COUNT only, not with {name}")
            return "count(*)"
        return f"{name.lower()}({distinct}{self.sql(value, scope)})"

    def _geometry(self, name: str, node: exp.Anonymous, scope: Scope) -> str:
        def write(part: exp.Expr) -> str:
            return self.sql(part, scope)

        if name == "DISTANCE":
            return f"({distance_between(node.expressions, write)})"
        if name in RELATIONS:
            return f"CAST({self._relation(node, scope)} AS INTEGER)"
        if name in ("COORD1", "COORD2"):
            point = shape_of(node.expressions[0], write) if len(node.expressions) == 1 else None
            if not isinstance(point, Point):
                raise InputError(f"{name} must have one POINT")
            return point.lon if name == "COORD1" else point.lat
        raise InputError(
            f"{name} must stand inside CONTAINS, INTERSECTS, DISTANCE, COORD1 or COORD2"
        )


_HANDLERS = {
    exp.Literal: Expressions._literal,
    exp.Column: Expressions._column,
    exp.Paren: Expressions._paren,
    exp.Neg: Expressions._negative,
    exp.Not: Expressions._not,
    exp.Null: Expressions._null,
    exp.Boolean: Expressions._boolean,
    exp.Is: Expressions._is,
    exp.Between: Expressions._between,
    exp.In: Expressions._in,
    exp.Exists: Expressions._exists,
    exp.Subquery: Expressions._scalar,
    exp.Select: Expressions._scalar,
    exp.Escape: Expressions._escape,
    exp.Case: Expressions._case,
    exp.Cast: Expressions._cast,
    exp.Anonymous: Expressions._function,
}


def functions() -> tuple[str, ...]:
    """The names of all functions."""
    return (*FUNCTIONS, "COALESCE", *AGGREGATES, *GEOMETRY)


def number(text: str) -> str:
    """A number as SQL: whole numbers as they are, others as floating-point numbers."""
    found = _NUMBER.fullmatch(text)
    if found is None or len(text) > MOST_DIGITS:
        raise InputError(f"a number must be such as 1.5 or 2e-14; found {text[:MOST_DIGITS]!r}")
    return text if text.isdigit() or found[3] or found[5] else f"{text}e0"


def _is_relation(one: exp.Expr, other: exp.Expr) -> tuple[exp.Anonymous, int] | None:
    """CONTAINS or INTERSECTS, and the 0 or 1 that it is compared with."""
    if (
        isinstance(one, exp.Anonymous)
        and one.name.upper() in RELATIONS
        and isinstance(other, exp.Literal)
        and not other.is_string
        and other.name in ("0", "1")
    ):
        return one, int(other.name)
    return None
