"""Imports go down the list of rooms only, so that a reader can walk from catalogue to posterior."""

import ast
from pathlib import Path

import xbayes

ROOMS = [
    "errors",
    "types",
    "config",
    "catalog",
    "enhance",
    "features",
    "models",
    "infer",
    "posterior",
    "subclasses",
    "outlier",
    "calibrate",
    "conformal",
    "decision",
    "intervals",
    "proportions",
    "importance",
    "recipe",
    "classifier",
    "explanation",
    "assign",
    "bayes",
    "fit",
    "evaluate",
    "votes",
    "estimators",
    "report",
    "crowd",
    "app",
    "target",
    "stream",
    "run",
    "select_k",
    "explain",
    "sources",
    "population",
    "learning",
    "suggest",
    "compare_plan",
    "compare",
    "progress",
    "commands",
    "commands_planning",
    "commands_compare",
    "cli",
]
SAME_LEVEL = dict.fromkeys(
    (
        *("config_file", "config_checks", "config_record", "config_table", "config_model"),
        "config_sweep",
    ),
    "config",
)
ROOT = Path(xbayes.__file__).parent
TABLES = {"pandas", "astropy"}


def room_of(path: Path) -> str:
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return SAME_LEVEL.get(part, part)


def imports_of(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "xbayes":
                yield from (f"xbayes.{alias.name}" for alias in node.names)
            else:
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def files():
    return [p for p in ROOT.rglob("*.py") if p.name != "__init__.py"]


def upward(path: Path) -> list[str]:
    here = ROOMS.index(room_of(path))
    inside = [m.split(".")[1] for m in imports_of(path) if m.startswith("xbayes.")]
    inside = [SAME_LEVEL.get(room, room) for room in inside]
    return [room for room in inside if room in ROOMS and ROOMS.index(room) > here]


def test_every_file_is_in_a_known_room():
    assert {room_of(path) for path in files()} <= set(ROOMS)


def test_no_import_goes_up():
    assert {str(p.relative_to(ROOT)): upward(p) for p in files() if upward(p)} == {}


def test_tables_stop_at_features_and_figures_start_at_report():
    arrays_only = ROOMS[ROOMS.index("models") : ROOMS.index("estimators")]
    for path in files():
        libraries = {module.split(".")[0] for module in imports_of(path)}
        if room_of(path) in arrays_only:
            assert not libraries & TABLES, path
        if ROOMS.index(room_of(path)) < ROOMS.index("report"):
            assert "matplotlib" not in libraries, path


def test_files_stay_readable():
    long = {
        str(p.relative_to(ROOT)): n for p in files() if (n := len(p.read_text().splitlines())) > 400
    }
    assert long == {}
