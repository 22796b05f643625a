"""The docstrings of xbayes, plain text with indented formulas, as reStructuredText for Sphinx."""

import re

# What plain text may hold and reStructuredText would read as its own.
_OWN = re.compile(r"(?P<code>`[^`]+`)|(?P<sign>[*|\\])|(?P<link>(?<=\w)_(?!\w))")


def as_restructured_text(app, what, name, obj, options, lines: list[str]) -> None:
    """Indented blocks and tables become literal, code in backticks stays code; in place."""
    lines[:] = converted(lines)


def converted(lines: list[str]) -> list[str]:
    """The lines as reStructuredText."""
    made: list[str] = []
    literal = False
    for line in lines:
        if not line.strip():
            made.append("")
        elif _is_literal(line):
            if not literal:
                made += ["", "::", ""]
            literal = True
            made.append("    " + line)
        else:
            if literal:
                made.append("")
            literal = False
            made.append(_OWN.sub(_escaped, line))
    return made


def _is_literal(line: str) -> bool:
    """Indented, or two columns: a name, two spaces or more, and what it is."""
    return line.startswith("  ") or bool(re.match(r"\S+(/\S+)?\s{2,}\S", line))


def _escaped(match: re.Match[str]) -> str:
    if match["code"]:
        return f"`{match['code']}`"
    return "\\" + match[0]
