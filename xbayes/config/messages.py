"""The messages of a config error: file, line, column, key, and what is wrong."""

from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails
from ruamel.yaml.comments import CommentedMap

from xbayes.config.checks import RENAMED_KEYS, below, did_you_mean, other_name
from xbayes.config.schema import Config
from xbayes.config.sweep import Point

SET = "--set"  # in messages, the place of a key that no file holds
OLD_NAMES = {new: old for old, new in RENAMED_KEYS.items()}
# The wanted type, by the type of pydantic's error.
_WANTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text; put it in quotes",
    "tuple_type": "a list [a, b]",
    "dict_type": "a section of key: value",
    "model_type": "a section of key: value",
    "invalid_key": "text; put the key in quotes",
}
KeyPath = tuple[str | int, ...]


class Source(NamedTuple):
    """Where the values of a config come from."""

    file: str
    tree: CommentedMap  # as read, with line numbers
    overrides: tuple[KeyPath, ...]  # keys given by --set
    root: type[BaseModel] = Config  # the record of the whole file


def message_of(details: ErrorDetails, source: Source) -> tuple[tuple[int, int], str]:
    """The position in the file, for sorting, and the message."""
    path = _path_of(details)
    line, column, depth = _position(source.tree, path)
    present = path[:-1] if details["type"] == "missing" else path
    by_set = any(
        path[: len(key)] == key or (depth < len(present) and key[: len(present)] == present)
        for key in source.overrides
    )
    where = SET if by_set else f"{source.file}:{line}:{column}:"
    return (line, column), f"{where} {_dotted(path)}: {_problem(details, path, source.root)}"


def message_of_point(
    details: ErrorDetails, point: Point, source: Source
) -> tuple[tuple[int, int], str]:
    """As `message_of`, at the value of the sweep that causes the problem, if a single one does."""
    path = _path_of(details)
    problem = _problem(details, path, source.root)
    place: KeyPath = ("sweep",)
    unknown_key = details["type"] == "extra_forbidden"
    for key, i in point.index.items():
        parts = tuple(key.split("."))
        if path[: len(parts)] == parts or parts[: len(path)] == path:
            place = ("sweep", key) if unknown_key else ("sweep", key, i)
    if len(place) < 3 and not unknown_key:
        problem = f"{point.label} is not a valid combination: {_dotted(path)}: {problem}"
    line, column, _ = _position(source.tree, place)
    by_set = any(key[0] == "sweep" for key in source.overrides)
    where = SET if by_set else f"{source.file}:{line}:{column}:"
    return (line, column), f"{where} {_dotted(place)}: {problem}"


def _path_of(details: ErrorDetails) -> KeyPath:
    # pydantic adds [key] if the key itself is wrong.
    return tuple(part for part in details["loc"] if part != "[key]")


def _position(tree: CommentedMap, path: KeyPath) -> tuple[int, int, int]:
    """Line and column, from 1, of the deepest key on the path that the file holds; its depth."""
    line, column, node, dotted = 0, 0, tree, ""
    for depth, key in enumerate(path):
        marks = (node.lc.data if hasattr(node, "lc") else None) or {}
        name = key if key in marks else other_name(dotted, key, OLD_NAMES)
        if name not in marks:
            return line + 1, column + 1, depth
        line, column = marks[name][:2]
        node = node[name]
        dotted = dotted if isinstance(key, int) else below(dotted, key)
    return line + 1, column + 1, len(path)


def _dotted(path: KeyPath) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _problem(details: ErrorDetails, path: KeyPath, root: type[BaseModel]) -> str:
    """The message: what is wrong, what was found, what to do."""
    kind, found = details["type"], shorten(details["input"])
    if kind == "config":
        return details["msg"]
    if kind == "extra_forbidden":
        known = _model(path[:-1], root).model_fields
        return f"unknown key{did_you_mean(str(path[-1]), known, 'keys here are')}"
    if kind == "missing":
        wanted = _model(path[:-1], root).model_fields[str(path[-1])].description
        return f"missing key; add it: {wanted}"
    if kind == "literal_error":
        known = get_args(_model(path[:-1], root).model_fields[str(path[-1])].annotation)
        near = did_you_mean(str(details["input"]), known)
        hint = near if "did you mean" in near else ""
        return f"must be {details.get('ctx', {})['expected']}; found {found}{hint}"
    if kind in _WANTED:
        return f"must be {_WANTED[kind]}; found {found}"
    if kind == "string_too_short":
        return "must not be empty; found ''"
    return f"must be {details['msg'].removeprefix('Input should be ')}; found {found}"


def _model(path: KeyPath, root: type[BaseModel]) -> type[BaseModel]:
    """The record that the keys on the path lead to, from the record of the whole file."""
    kind: Any = root
    for key in path:
        if _is_record(kind):
            kind = kind.model_fields[str(key)].annotation
        else:
            kind = [part for part in get_args(kind) if part is not ...][-1]
        # A section that may also be null, or have another form.
        kind = next(filter(_is_record, get_args(kind)), kind) if _is_union(kind) else kind
    return kind


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


def shorten(value: object) -> str:
    """A value as messages show it."""
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
