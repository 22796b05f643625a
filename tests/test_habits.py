"""Habits of the code that a reader relies on: keywords, few parameters, typed contracts."""

import ast
from functools import cache
from pathlib import Path

import pytest

import xbayes

ROOT = Path(xbayes.__file__).parent
MOST_POSITIONAL = 6
TYPED = ("classifier", "models/base.py", "output/results.py")  # signatures without Any


@cache
def trees() -> dict[str, ast.Module]:
    return {p.relative_to(ROOT).as_posix(): ast.parse(p.read_text()) for p in ROOT.rglob("*.py")}


def name_of(function: ast.expr) -> str:
    while isinstance(function, ast.Attribute | ast.Subscript):
        if isinstance(function, ast.Attribute):
            return function.attr
        function = function.value
    return function.id if isinstance(function, ast.Name) else ""


@cache
def records() -> set[str]:
    """The names of all classes of the package."""
    nodes = (node for tree in trees().values() for node in ast.walk(tree))
    return {node.name for node in nodes if isinstance(node, ast.ClassDef)}


def starred_records(tree: ast.AST) -> list[int]:
    """Lines that make a record of the package from a starred sequence."""
    known = records()
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and name_of(node.func) in known
        and any(isinstance(argument, ast.Starred) for argument in node.args)
    ]


def crowded_functions(tree: ast.AST) -> list[str]:
    """Public functions with more than six parameters that can be given by position."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            names = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
            if len([n for n in names if n not in ("self", "cls")]) > MOST_POSITIONAL:
                found.append(f"{node.name}:{node.lineno}")
    return found


def untyped_signatures(tree: ast.AST) -> list[str]:
    """Functions and fields whose annotation holds `Any`, or `Callable[..., ...]`."""
    found = []
    for node in ast.walk(tree):
        annotations: list[ast.expr | None] = []
        if isinstance(node, ast.FunctionDef):
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            annotations = [a.annotation for a in arguments] + [node.returns]
        elif isinstance(node, ast.AnnAssign):
            annotations = [node.annotation]
        for annotation in filter(None, annotations):
            inside = list(ast.walk(annotation))
            if any(isinstance(n, ast.Name) and n.id == "Any" for n in inside) or any(
                isinstance(n, ast.Constant) and n.value is ...
                for n in inside
                if _is_callable(inside)
            ):
                found.append(f"line {annotation.lineno}")
    return found


def _is_callable(inside: list[ast.AST]) -> bool:
    return any(isinstance(n, ast.Name) and n.id == "Callable" for n in inside)


def test_records_are_made_with_keywords():
    found = {path: lines for path, tree in trees().items() if (lines := starred_records(tree))}
    assert found == {}


def test_no_public_function_takes_more_than_six_positions():
    found = {path: names for path, tree in trees().items() if (names := crowded_functions(tree))}
    assert found == {}


def test_contracts_are_typed():
    found = {
        path: lines
        for path, tree in trees().items()
        if path.startswith(TYPED) and (lines := untyped_signatures(tree))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("check", "wrong", "right"),
    [
        (starred_records, "Results(*(a, b), c)", "Results(a=a, b=b, c=c)"),
        (starred_records, "results.Results(*a)", "measure(*a)"),
        (
            crowded_functions,
            "def f(a, b, c, d, e, f, g): ...",
            "def f(a, b, c, d, e, f, *, g, h): ...",
        ),
        (untyped_signatures, "def f(a: dict[str, Any]): ...", "def f(a: dict[str, int]): ..."),
        (untyped_signatures, "x: Callable[..., int]", "x: Callable[[int], int]"),
        (untyped_signatures, "def f() -> Any: ...", "def f(): x = Any"),
    ],
)
def test_a_bad_habit_is_seen(check, wrong, right):
    assert check(ast.parse(wrong))
    assert not check(ast.parse(right))


PUBLIC = ("_replace", "_make", "_asdict", "_fields")  # of records


def private_of_sklearn(tree: ast.AST) -> list[int]:
    """Lines that read a private attribute of another object, in a file that imports sklearn.

    Also the lines that import a private module or name of sklearn.
    """
    nodes, modules = list(ast.walk(tree)), []
    for node in nodes:
        if isinstance(node, ast.Import):
            modules += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    of_sklearn = [(line, name) for line, name in modules if name.split(".")[0] == "sklearn"]
    found = [line for line, name in of_sklearn if "._" in name]
    for node in nodes if of_sklearn else ():
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not (own or node.attr in PUBLIC or node.attr.endswith("__")):
                found.append(node.lineno)
    return found


def test_nothing_private_of_sklearn_is_read():
    found = {path: lines for path, tree in trees().items() if (lines := private_of_sklearn(tree))}
    assert found == {}


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("import sklearn\nmodel._predictors", "import sklearn\nself._table, row._replace()"),
        ("from sklearn.tree import X\nX().fit()._x[0]", "from numpy import X\nX()._x"),
        ("from sklearn.tree._tree import X", "from sklearn.tree import X\nX.__name__"),
        ("from sklearn.utils import _x", "from sklearn import utils"),
    ],
)
def test_a_private_attribute_of_sklearn_is_seen(wrong, right):
    assert private_of_sklearn(ast.parse(wrong))
    assert not private_of_sklearn(ast.parse(right))
