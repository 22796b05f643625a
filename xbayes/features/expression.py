"""Expressions over columns: a small language that is parsed, but never executed, as Python.

It has numbers, columns (col("odd name") if the name is not an identifier), pi, + - * / **,
comparisons, and / or / not or & | ~, and the functions of `functions.py`. Text may appear only
in == and !=.
"""

import ast
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float

from xbayes.catalog.text_numbers import say_markers
from xbayes.catalog.units import Unit
from xbayes.config.checks import did_you_mean
from xbayes.errors import InputError
from xbayes.features import functions
from xbayes.features.expression_units import with_common_units
from xbayes.features.functions import NAMED, Function, Wanted
from xbayes.features.values import Value, constant, nothing, read_column

MAX_LENGTH = 2000
MAX_DEPTH = 50
_BINARY = {
    ast.Add: functions.ADD,
    ast.Sub: functions.SUBTRACT,
    ast.Mult: functions.MULTIPLY,
    ast.Div: functions.DIVIDE,
    ast.Pow: functions.POWER,
    ast.BitAnd: functions.AND,
    ast.BitOr: functions.OR,
}
_UNARY = {
    ast.UAdd: functions.PLUS,
    ast.USub: functions.MINUS,
    ast.Not: functions.NOT,
    ast.Invert: functions.NOT,
}
_COMPARE = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
_LANGUAGE = "use numbers, columns, + - * / **, comparisons, and, or, not and the functions"


class Evaluated(NamedTuple):
    """The result of an expression in every row of a table."""

    value: Float[np.ndarray, "N"]  # NaN where missing; a condition is 1 or 0
    missing: Bool[np.ndarray, "N"]
    undefined: Bool[np.ndarray, "N"]  # missing although its inputs are present, such as log of 0
    is_condition: bool  # also true if it is missing in every row
    unit: Unit = None  # None: a pure number, or not known


class Constant(NamedTuple):
    """A number or a text."""

    value: float | str
    place: str


class Column(NamedTuple):
    """A column, by its name."""

    name: str
    place: str


class Call(NamedTuple):
    """A function or an operator with its arguments."""

    function: Function
    args: tuple["Node", ...]
    place: str


class _Comparison(NamedTuple):
    ufuncs: tuple[np.ufunc, ...]
    args: tuple["Node", ...]
    place: str


Node = Constant | Column | Call | _Comparison


@dataclass(frozen=True)
class Expression:
    """A parsed expression and the columns that it needs."""

    columns: frozenset[str]
    root: Node

    def evaluate(self, table: Table) -> Evaluated:
        """The result in every row. Raises InputError for a column that is absent or unsuitable."""
        values = {name: read_column(table, name) for name in sorted(self.columns)}
        return self.evaluate_values(values, len(table))

    def evaluate_values(self, values: Mapping[str, Value], n_rows: int) -> Evaluated:
        """The result in every row, from columns that have already been read."""
        with np.errstate(all="ignore"):
            result = evaluate_node(self.root, values)
        if result.kind == "text":
            raise InputError(_text_message(self.root, result))
        missing = np.broadcast_to(result.missing, n_rows).copy()
        return Evaluated(
            value=np.where(missing, np.nan, result.data.astype(np.float64)),
            missing=missing,
            undefined=np.broadcast_to(result.undefined, n_rows) & missing,
            is_condition=result.kind in ("condition", "unknown"),
            unit=result.unit,
        )

    def with_root(self, root: Node) -> "Expression":
        """The same expression with another syntax tree."""
        return Expression(columns=frozenset(columns_in(root)), root=root)

    def sky_columns(self) -> tuple[frozenset[str], frozenset[str]]:
        """The columns that are used as a right ascension, and those used as a declination."""
        columns: tuple[set[str], set[str]] = (set(), set())
        for call in _calls(self.root):
            if call.function.units == "sky":
                for names, arg in zip(columns, call.args, strict=True):
                    names |= {arg.name} if isinstance(arg, Column) else set()
        return frozenset(columns[0]), frozenset(columns[1])

    def kinds(self) -> dict[str, set[str]]:
        """Of each column, the kinds that it is needed as: text, number, condition."""
        found: dict[str, set[str]] = {}
        for name, kind in _wanted(self.root, "number"):
            found.setdefault(name, set()).add(kind)
        return found


@contextmanager
def errors_name(place: str) -> Iterator[None]:
    """Put the place in the config in front of the message of an InputError."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


@lru_cache(maxsize=1024)  # every use of a config parses its expressions again
def parse(text: str) -> Expression:
    """The parsed expression. Raises InputError that names the character where parsing fails."""
    text = text.strip()
    if not text:
        raise InputError("an empty expression; write one, such as log10(flux)")
    if len(text) > MAX_LENGTH:
        raise InputError(f"an expression may have {MAX_LENGTH} characters; found {len(text)}")
    if "#" in text and "\n" in text:
        # Lines are joined below, so a comment would swallow the rest of the expression.
        raise InputError("an expression over several lines may not hold a #; write it on one line")
    # Each line end becomes one blank, so positions in messages stay right.
    line = text.replace("\r", " ").replace("\n", " ")
    root = _convert(_python_tree(line), line, 1)
    return Expression(columns=frozenset(columns_in(root)), root=root)


def _python_tree(line: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            # Python warns about literals such as 1or 2; _convert refuses what is not allowed.
            warnings.simplefilter("ignore")
            return ast.parse(line, mode="eval").body
    except SyntaxError as error:
        hint = 'a column named like a Python word or with blanks is written col("its name")'
        # For an incomplete expression, Python gives no offset or one on a later line.
        here = error.offset if error.offset and error.lineno == 1 else len(line) + 1
        raise InputError(f"character {here}: not an expression ({error.msg}); {hint}") from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise InputError(f"not an expression ({error or 'nested too deeply'})") from None


def _place(node: ast.expr, line: str) -> str:
    """The position and the text of a part of the expression, for messages."""
    encoded = line.encode()  # Python counts bytes
    start = len(encoded[: node.col_offset].decode(errors="replace"))
    part = encoded[node.col_offset : node.end_col_offset].decode(errors="replace")
    return f"character {start + 1}, {part if len(part) <= 40 else part[:37] + '...'}"


def _convert(node: ast.expr, line: str, depth: int) -> Node:
    """Python's syntax tree as one of the four nodes; anything not listed here is refused."""
    place = _place(node, line)
    if depth > MAX_DEPTH:
        raise InputError(f"{place}: nested deeper than {MAX_DEPTH}; split the expression")

    def parts(nodes: list[ast.expr]) -> tuple[Node, ...]:
        return tuple(_convert(inner, line, depth + 1) for inner in nodes)

    def call(function: Function, nodes: list[ast.expr]) -> Call:
        return Call(function=function, args=parts(nodes), place=place)

    match node:
        case ast.Constant():
            return _literal(node.value, place)
        case ast.Name(id="pi"):
            return Constant(value=float(np.pi), place=place)
        case ast.Name():
            return Column(name=node.id, place=place)
        case ast.BinOp() if type(node.op) in _BINARY:
            return call(_BINARY[type(node.op)], [node.left, node.right])
        case ast.UnaryOp() if type(node.op) in _UNARY:
            return call(_UNARY[type(node.op)], [node.operand])
        case ast.BoolOp():
            function = functions.AND if isinstance(node.op, ast.And) else functions.OR
            return call(function, node.values)
        case ast.Compare() if all(type(op) in _COMPARE for op in node.ops):
            ufuncs = tuple(_COMPARE[type(op)] for op in node.ops)
            return _Comparison(
                ufuncs=ufuncs, args=parts([node.left, *node.comparators]), place=place
            )
        case ast.Call(func=ast.Name(id=name)) if not node.keywords:
            return _named_call(name, parts(node.args), place)
    hint = (
        "write ** for a power" if isinstance(getattr(node, "op", None), ast.BitXor) else _LANGUAGE
    )
    raise InputError(f"{place}: not allowed in an expression; {hint}")


def _literal(value: object, place: str) -> Constant:
    if isinstance(value, str):
        return Constant(value=value, place=place)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InputError(f"{place}: not allowed in an expression; {_LANGUAGE}")
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if not np.isfinite(number):
        raise InputError(f"{place}: too large a number; the largest is about 1.8e308")
    return Constant(value=number, place=place)


def _named_call(name: str, args: tuple[Node, ...], place: str) -> Node:
    if name == "col":
        if len(args) != 1 or not (isinstance(args[0], Constant) and isinstance(args[0].value, str)):
            raise InputError(f'{place}: col takes one name in quotes, as in col("e flux")')
        return Column(name=args[0].value, place=place)
    if name not in NAMED:
        known = [*NAMED, "col"]
        raise InputError(f"{place}: unknown function {name!r}{did_you_mean(name, known)}")
    function = NAMED[name]
    if len(args) < function.least or (function.most is not None and len(args) > function.most):
        wanted = {None: f"{function.least} or more", function.least: f"{function.least}"}
        several = wanted.get(function.most, f"{function.least} to {function.most}")
        raise InputError(f"{place}: {name} takes {several} arguments; found {len(args)}")
    return Call(function=function, args=args, place=place)


def columns_in(node: Node) -> set[str]:
    """The names of the columns in a part of an expression."""
    match node:
        case Column():
            return {node.name}
        case Call() | _Comparison():
            return set().union(*map(columns_in, node.args))
    return set()


def _calls(node: Node) -> Iterator[Call]:
    if isinstance(node, Call):
        yield node
    if isinstance(node, Call | _Comparison):
        for arg in node.args:
            yield from _calls(arg)


def _wanted(node: Node, kind: str) -> Iterator[tuple[str, str]]:
    """Each column with the kind that is needed where it stands; a kind that is free is left out."""
    match node:
        case Column():
            yield from [(node.name, kind)] if kind != "any" else []
        case _Comparison():
            is_text = any(isinstance(a, Constant) and isinstance(a.value, str) for a in node.args)
            for arg in node.args:
                yield from _wanted(arg, "text" if is_text else "number")
        case Call():
            kinds = node.function.kinds
            for index, arg in enumerate(node.args):
                yield from _wanted(arg, kinds[min(index, len(kinds) - 1)])


def evaluate_node(node: Node, values: Mapping[str, Value]) -> Value:
    """The value of a part of an expression in every row."""
    match node:
        case Constant():
            return constant(node.value)
        case Column():
            return values[node.name]
    args = [evaluate_node(arg, values) for arg in node.args]
    if isinstance(node, _Comparison):
        return _compare(node, args)
    kinds = node.function.kinds
    fitting = [
        as_kind(kinds[min(index, len(kinds) - 1)], value, arg)
        for index, (value, arg) in enumerate(zip(args, node.args, strict=True))
    ]
    places = [arg.place for arg in node.args]
    converted, unit = with_common_units(node.function.units, fitting, places, node.place)
    return node.function.apply(*converted)._replace(unit=unit)


def _compare(node: _Comparison, args: list[Value]) -> Value:
    """A chained comparison: a < b < c is a < b and b < c, with each part computed once."""
    results = []
    for ufunc, pair in zip(node.ufuncs, pairwise(zip(args, node.args, strict=True)), strict=True):
        is_text = any(value.kind == "text" for value, _ in pair)
        if is_text and ufunc not in (np.equal, np.not_equal):
            found = [_markers_message(arg, value) for value, arg in pair if value.kind == "text"]
            said = next(
                (text for text in found if text), "text can only be compared with == and !="
            )
            raise InputError(f"{node.place}: {said}")
        sides = [as_kind("text" if is_text else "number", value, arg) for value, arg in pair]
        (a, b), _ = with_common_units("same", sides, [arg.place for _, arg in pair], node.place)
        results.append(functions.compare(ufunc, a, b))
    return functions.all_of(*results)


def as_kind(kind: Wanted, value: Value, node: Node) -> Value:
    """The value of a node as the kind that is needed; a condition is also a number, 1 or 0."""
    if kind == "any" or kind == value.kind:
        return value
    if value.kind == "unknown":
        return nothing(kind)
    if kind == "number" and value.kind == "condition":
        return value._replace(kind="number", data=value.data.astype(np.float64))
    if value.kind == "text":
        raise InputError(_text_message(node, value))
    if kind == "text":
        raise InputError(f"{node.place}: a number where text belongs; remove the quotes")
    raise InputError(
        f"{node.place}: a number where a condition belongs; write a comparison such as (x > 3), "
        "in brackets where & or | join it"
    )


def _markers_message(node: Node, value: Value) -> str | None:
    """The message for a column of numbers with a few markers in it; None for any other."""
    rows = np.flatnonzero(~value.missing)
    return say_markers(node.name, value.data[rows], rows) if isinstance(node, Column) else None


def _text_message(node: Node, value: Value) -> str:
    row = int(np.flatnonzero(~value.missing)[0])
    found = repr(str(value.data[row]))
    markers = _markers_message(node, value)
    if markers is not None:
        found = markers
    elif isinstance(node, Column):
        found = (
            f"column {node.name!r} holds {found} (row {row + 1}); compare it with == or !=, or "
            "list it under catalog.missing_values (to classify: --missing-values, missing_values=) "
            "if it marks a missing value"
        )
    return f"{node.place}: text where numbers belong: {found}"
