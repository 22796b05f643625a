"""The docstrings of xbayes, plain text with indented formulas, as reStructuredText for Sphinx."""

import re

# What plain text may hold and reStructuredText would read as its own.
_OWN = re.compile(r"(?P<code>`[^`]+`)|(?P<sign>[*|\\])|(?P<link>(?<=\w)_(?!\w))")

_NAMES = {
    "jaxlib._jax.Array": "Array",
    "jax.Array": "Array",
    "numpy.ndarray": "ndarray",
}


def as_restructured_text(app, what, name, obj, options, lines: list[str]) -> None:
    """Indented blocks and tables become literal, code in backticks stays code; in place."""
    lines[:] = converted(lines)


def without_bare_fields(app, what, name, obj, skip, options) -> bool | None:
    """Fields of records stand in their signature; one line each with nothing to say is left out."""
    bare = str(getattr(obj, "__doc__", "")).startswith("Alias for field number")
    return True if bare else None


def readable_signature(app, what, name, obj, options, signature, returns):
    """Arrays by the name that the code gives them."""
    return _as_written(signature), _as_written(returns)


def _as_written(text: str | None) -> str | None:
    for long, short in _NAMES.items():
        text = text and text.replace(long, short)
    return text


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
