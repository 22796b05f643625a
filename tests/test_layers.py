"""Imports go down the list of rooms only, so that a reader can walk from catalogue to posterior."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import xbayes

# From the top to the bottom: a room imports from those after it (docs/architecture.md).
ROOMS = (
    "cli",
    "app",
    "crowd",
    "hats",
    "compare",
    "tasks",
    "enhance",
    "report",
    "figures",
    "output",
    "estimators",
    "evaluate",
    "classifier",
    "published",
    "infer",
    "models",
    "features",
    "simulate",
    "catalog",
    "config",
    "types",
    "errors",
)
ONLY = {"enhance": {"catalog", "config", "types", "errors"}}  # stands on these alone
APART = ("hats", "crowd", "app")  # never import each other
ROOT = Path(xbayes.__file__).parent
TABLES = {"pandas", "astropy"}
ARRAYS_ONLY = ("classifier", "published", "infer", "models", "figures")
MAY_DRAW = ("cli", "app", "compare", "tasks", "report", "figures")


def files():
    return [path for path in ROOT.rglob("*.py") if path.name != "__init__.py"]


def module_of(path: Path) -> str:
    return ".".join(("xbayes", *path.relative_to(ROOT).with_suffix("").parts))


def room_of(module: str) -> str:
    return module.split(".")[1]


def imports_of(path: Path):
    """Every module imported anywhere in the file; `from package import module` counts as module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if _is_module(whole) else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _is_module(name: str) -> bool:
    path = ROOT.parent.joinpath(*name.split("."))
    return name.startswith("xbayes.") and (path.is_dir() or path.with_suffix(".py").is_file())


def arrows() -> dict[str, set[str]]:
    """The modules of the package that each module imports."""
    return {
        module_of(path): {m for m in imports_of(path) if m.startswith("xbayes.")}
        for path in files()
    }


def upward(graph: dict[str, set[str]]) -> list[str]:
    """Imports against the order of the rooms, or beside it where a room stands on few."""
    found = []
    for module, imported in graph.items():
        here = room_of(module)
        for other in imported:
            there = room_of(other)
            wrong = ROOMS.index(there) < ROOMS.index(here)
            wrong |= here in ONLY and there not in ONLY[here] | {here}
            wrong |= here != there and here in APART and there in APART
            if wrong:
                found.append(f"{module} -> {other}")
    return sorted(found)


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, if any do."""
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return error.args[1]
    return []


def test_every_room_exists_and_every_file_is_in_one():
    there = {room_of(module_of(path)) for path in files()}
    assert there == set(ROOMS)


def test_no_import_goes_up():
    assert upward(arrows()) == []


def test_no_circles_not_even_inside_a_room():
    assert circle(arrows()) == []


def test_tables_stop_at_features_and_figures_start_at_figures():
    for path in files():
        libraries = {module.split(".")[0] for module in imports_of(path)}
        room = room_of(module_of(path))
        if room in ARRAYS_ONLY:
            assert not libraries & TABLES, path
        if room not in MAY_DRAW:
            assert "matplotlib" not in libraries, path


def test_files_stay_readable():
    long = {module_of(p): n for p in files() if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


@pytest.mark.parametrize(
    ("graph", "wrong"),
    [
        ({"xbayes.models.a": {"xbayes.tasks.b"}}, ["xbayes.models.a -> xbayes.tasks.b"]),
        ({"xbayes.tasks.b": {"xbayes.models.a"}}, []),
        ({"xbayes.enhance.a": {"xbayes.models.b"}}, ["xbayes.enhance.a -> xbayes.models.b"]),
        ({"xbayes.app.a": {"xbayes.crowd.b"}}, ["xbayes.app.a -> xbayes.crowd.b"]),
    ],
)
def test_an_arrow_the_wrong_way_is_seen(graph, wrong):
    assert upward(graph) == wrong


def test_a_circle_is_seen():
    assert circle({"xbayes.models.a": {"xbayes.models.b"}, "xbayes.models.b": {"xbayes.models.a"}})
