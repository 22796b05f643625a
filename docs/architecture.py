"""Draw the rooms of the package and the imports between them: `make picture`.

Writes `architecture.dot` beside this file, and `architecture.svg` with Graphviz (Debian: graphviz).
A test compares `architecture.dot` with the imports of today.
"""

import ast
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "xbayes"
ABOVE = {"errors", "types"}  # imported by every room; arrows to them would hide the others


def room_imports() -> dict[str, set[str]]:
    """The rooms that each room imports from."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts == ("__init__",):
            continue
        room = found.setdefault(parts[0], set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("xbayes"):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                room |= {name.split(".")[1] for name in names}
    rooms = {room: {r for r in imported if r in found} - {room} for room, imported in found.items()}
    return {room: imported - ABOVE for room, imported in rooms.items() if room not in ABOVE}


def without_shortcuts(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The graph without arrows that a longer way implies (transitive reduction)."""

    def reached(start: str) -> set[str]:
        below = set(graph[start])
        for room in graph[start]:
            below |= reached(room)
        return below

    return {
        room: {r for r in imported if not any(r in reached(other) for other in imported)}
        for room, imported in graph.items()
    }


def purpose(room: str) -> str:
    """The first line of the docstring of a room, up to the first stop."""
    text = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text())) or ""
    return text.split("\n")[0].split(";")[0].split(":")[0].rstrip(".")


def dot_text() -> str:
    """The picture in the language of Graphviz."""
    graph = without_shortcuts(room_imports())
    lines = [
        "digraph rooms {",
        '  graph [rankdir=TB, nodesep=0.35, ranksep=0.4, fontname="sans-serif"];',
        '  node [shape=box, style="rounded,filled", fillcolor="#eef3f8", color="#4a6785", '
        'fontname="sans-serif", fontsize=11, margin="0.14,0.07"];',
        '  edge [color="#4a6785", arrowsize=0.6];',
    ]
    for room in sorted(graph):
        files = len(list((PACKAGE / room).glob("*.py"))) - 1
        words = _wrapped(purpose(room))
        lines.append(
            f'  {room} [label=<<b>{room}/</b> ({files})<br/><font point-size="9">{words}</font>>];'
        )
    for room in sorted(graph):
        lines += [f"  {room} -> {other};" for other in sorted(graph[room])]
    return "\n".join([*lines, "}", ""])


def _wrapped(text: str, width: int = 30) -> str:
    lines, line = [], ""
    for word in text.replace("&", "and").split():
        if len(f"{line} {word}") > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "<br/>".join([*lines, line])


def main() -> None:
    """Write the text, and the picture where Graphviz is installed."""
    (HERE / "architecture.dot").write_text(dot_text())
    if shutil.which("dot") is None:
        raise SystemExit("architecture.dot is written; for the picture install Graphviz (dot)")
    command = ["dot", "-Tsvg", str(HERE / "architecture.dot"), "-o", str(HERE / "architecture.svg")]
    subprocess.run(command, check=True)
    print("docs/architecture.svg")


if __name__ == "__main__":
    main()
