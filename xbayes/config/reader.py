"""Read and write the config file: every refusal says file, line, column and key."""

import difflib
import io
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarbool import ScalarBoolean

from xbayes.config.checks import did_you_mean
from xbayes.config.schema import Config
from xbayes.config.sweep import Point, grid, with_values
from xbayes.types import InputError

MAX_DEPTH = 20
MOST_TOLD = 10  # problems of a sweep
# What a value of the wrong type should have been, by the type of pydantic's error.
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
# Not only YAMLError: ruamel lets these out on some broken scalars, dates and deep nestings.
_BROKEN = (YAMLError, ValueError, TypeError, AttributeError, RecursionError)
KeyPath = tuple[str | int, ...]


class _Source(NamedTuple):
    """Where the values of a config came from."""

    file: str
    tree: CommentedMap  # as read, with line numbers
    overrides: tuple[KeyPath, ...]  # keys given by --set


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config file; overrides are the key=value of --set. Raises InputError.

    A file may say `extends: other.yaml` (beside it) and give only what differs: sections merge key
    by key, other values replace, and a feature or class set to null is taken out.
    """
    return parse_config(_read(Path(path)), str(path), overrides)


def parse_config(
    text: str,
    file: str = "config",
    overrides: Sequence[str] = (),
    chain: tuple[Path, ...] = (),
) -> Config:
    """A config from its YAML text; file is what the messages call it. Raises InputError.

    `chain` holds the files that extend this one, to find circles.
    """
    tree = _parse(text, file)
    if tree is None:
        raise InputError(f"{file}: is empty; a config needs name, catalog, taxonomy and features")
    if not isinstance(tree, CommentedMap):
        found = _shorten(_plain(tree, file))
        raise InputError(f"{file}:1:1: a config is a mapping of key: value; found {found}")
    values = _merged_with_base(_plain(tree, file), file, chain or (Path(file).resolve(),))
    source = _Source(file, tree, tuple(_override(values, text) for text in overrides))
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        problems = sorted(_message(details, source) for details in error.errors())
        raise InputError("\n".join(dict.fromkeys(text for _, text in problems))) from None
    if config.sweep:
        _check_sweep(config, values, source)
    return config


def swept(config: Config) -> dict[str, Config]:
    """The variants of a config by name: those of its sweep, or the config itself."""
    if not config.sweep:
        return {config.name: config}
    values = config.model_dump(mode="json")
    return {
        f"{config.name}[{point.label}]": Config.model_validate(with_values(values, point))
        for point in grid(config.sweep)
    }


def _check_sweep(config: Config, values: dict[Any, Any], source: _Source) -> None:
    """Every point of the grid is a config; what is wrong stands at the value that brings it in."""
    problems = []
    for point in grid(config.sweep):
        try:
            Config.model_validate(with_values(values, point))
        except ValidationError as error:
            problems += [_message_of_point(details, point, source) for details in error.errors()]
    if problems:
        texts = list(dict.fromkeys(text for _, text in sorted(problems)))
        more = [f"and {len(texts) - MOST_TOLD} more"] if len(texts) > MOST_TOLD else []
        raise InputError("\n".join([*texts[:MOST_TOLD], *more]))


def _message_of_point(
    details: ErrorDetails, point: Point, source: _Source
) -> tuple[tuple[int, int], str]:
    """As `_message`, for a value of the sweep; a combination that does not go is told as such."""
    path = tuple(part for part in details["loc"] if part != "[key]")
    problem = _problem(details, path)
    place: KeyPath = ("sweep",)
    for key, at in point.index.items():
        parts = tuple(key.split("."))
        if path[: len(parts)] == parts or parts[: len(path)] == path:
            unknown = details["type"] == "extra_forbidden"
            place = ("sweep", key) if unknown else ("sweep", key, at)
    if len(place) < 3 and details["type"] != "extra_forbidden":
        problem = f"{point.label} does not go: {_dotted(path)}: {problem}"
    line, column, _ = _position(source.tree, place)
    by_set = any(key[0] == "sweep" for key in source.overrides)
    where = "--set " if by_set else f"{source.file}:{line}:{column}: "
    return (line, column), f"{where}{_dotted(place)}: {problem}"


def _merged_with_base(values: dict[Any, Any], file: str, chain: tuple[Path, ...]) -> dict[Any, Any]:
    """The values on top of those of the file they extend; that file is checked by itself first."""
    base = values.pop("extends", None)
    if base is None:
        return values
    path = Path(file).parent / str(base)
    if path.resolve() in chain:
        raise InputError(f"{file}: extends {base}, which extends it; break the circle")
    below = parse_config(_read(path), str(path), (), (*chain, path.resolve()))
    merged = _merge(below.model_dump(mode="json"), values)
    _take_out(merged.get("features"), below.features)
    taxonomy = merged.get("taxonomy")
    if isinstance(taxonomy, dict):
        _take_out(taxonomy.get("classes"), below.taxonomy.classes)
    return merged


def _take_out(section: Any, below: Collection[str]) -> None:
    """Remove what is null now and was there below; any other null is refused later."""
    if isinstance(section, dict):
        for name in [name for name in below if section.get(name, ...) is None]:
            del section[name]


def _merge(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _merge(below.get(key), value) for key, value in above.items()}
    return above


def dump_config(config: Config) -> str:
    """YAML that loads back to an equal config, defaults written out, ${VAR} kept."""
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.width = 10_000  # folding a long text changes its blanks
    stream = io.StringIO()
    yaml.dump(config.model_dump(mode="json"), stream)
    return stream.getvalue()


class _Representer(RoundTripRepresenter):
    def represent_none(self, _: None) -> Any:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_none)


def _read(path: Path) -> str:
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give a config file, such as {path / 'demo.yaml'}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such config file{_neighbours(path)}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not YAML: not a text file; give a config file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def _neighbours(path: Path) -> str:
    known = [file.name for file in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, known, n=1)
    return f" (did you mean {str(path.parent / near[0])!r}?)" if near else "; check the path"


def _parse(text: str, file: str) -> Any:
    try:
        return YAML().load(text)
    except _BROKEN as error:
        raise InputError(f"{file}{_where(error)}: is not YAML: {_reason(error)}") from None


def _where(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""


def _reason(error: Exception) -> str:
    if isinstance(error, MarkedYAMLError):
        return str(error.problem or error.context).splitlines()[0]
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return (str(error) or type(error).__name__).splitlines()[0]


def _plain(node: Any, file: str, depth: int = 0) -> Any:
    """The node as plain Python values, which pydantic takes for what they are."""
    if depth > MAX_DEPTH:
        raise InputError(f"{file}: is nested deeper than {MAX_DEPTH}; a config is flatter")
    if isinstance(node, CommentedMap):
        return {key: _plain(value, file, depth + 1) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value, file, depth + 1) for value in node]
    if isinstance(node, bool | ScalarBoolean):
        return bool(node)
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _override(values: dict[Any, Any], text: str) -> KeyPath:
    """Put key=value of --set into the values; gives the path of the key."""
    key, sign, value = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not sign or not all(path):
        raise InputError(f"--set needs key=value; got {text!r}; such as --set model.starts=8")
    section = values
    for depth, part in enumerate(path[:-1], start=1):
        inner = section.get(part)
        if inner is None:
            inner = section[part] = {}
        if not isinstance(inner, dict):
            above = ".".join(path[:depth])
            found = f"{above} holds {_shorten(inner)}, which has no keys"
            raise InputError(f"--set {key}: {found}; set {above} as a whole")
        section = inner
    try:
        section[path[-1]] = YAML(typ="safe", pure=True).load(value)
    except _BROKEN as error:
        raise InputError(f"--set {key}: {value!r} is not YAML: {_reason(error)}") from None
    return path


def _message(details: ErrorDetails, source: _Source) -> tuple[tuple[int, int], str]:
    """Position, to sort by, and the line of the message."""
    # pydantic says [key] where the key itself is at fault.
    path = tuple(part for part in details["loc"] if part != "[key]")
    missing = details["type"] == "missing"
    line, column, held = _position(source.tree, path)
    looked = path[:-1] if missing else path
    by_set = any(
        path[: len(key)] == key or (held < len(looked) and key[: len(looked)] == looked)
        for key in source.overrides
    )
    where = "--set " if by_set else f"{source.file}:{line}:{column}: "
    return (line, column), f"{where}{_dotted(path)}: {_problem(details, path)}"


def _position(tree: CommentedMap, path: KeyPath) -> tuple[int, int, int]:
    """Line and column, from 1, of the deepest key the file holds, and how deep that is."""
    line, column, node = 0, 0, tree
    for depth, key in enumerate(path):
        marks = getattr(node, "lc", None)
        mark = ((marks and marks.data) or {}).get(key)
        if mark is None:
            return line + 1, column + 1, depth
        line, column = mark[:2]
        node = node[key]
    return line + 1, column + 1, len(path)


def _dotted(path: KeyPath) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _problem(details: ErrorDetails, path: KeyPath) -> str:
    """What is wrong, what was found, what to do."""
    kind, found = details["type"], _shorten(details["input"])
    if kind == "config":
        return details["msg"]
    if kind == "extra_forbidden":
        known = _model(path[:-1]).model_fields
        return f"unknown key{did_you_mean(str(path[-1]), known, 'keys here are')}"
    if kind == "missing":
        wanted = _model(path[:-1]).model_fields[str(path[-1])].description
        return f"missing key; add it: {wanted}"
    if kind == "literal_error":
        known = get_args(_model(path[:-1]).model_fields[str(path[-1])].annotation)
        near = did_you_mean(str(details["input"]), known)
        hint = near if "did you mean" in near else ""
        return f"must be {details.get('ctx', {})['expected']}; found {found}{hint}"
    if kind in _WANTED:
        return f"must be {_WANTED[kind]}; found {found}"
    if kind == "string_too_short":
        return "must not be empty; found ''"
    return f"must be {details['msg'].removeprefix('Input should be ')}; found {found}"


def _model(path: KeyPath) -> type[BaseModel]:
    """The record that the keys on the path lead to."""
    kind: Any = Config
    for key in path:
        is_record = isinstance(kind, type) and issubclass(kind, BaseModel)
        kind = kind.model_fields[str(key)].annotation if is_record else get_args(kind)[-1]
    return kind


def _shorten(value: object) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
