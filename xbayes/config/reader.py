"""Read and write config files. Every error names file, line, column and key."""

import difflib
import io
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarbool import ScalarBoolean

from xbayes.config.checks import RENAMED_KEYS, below, other_name
from xbayes.config.known_catalogs import with_known
from xbayes.config.messages import SET, KeyPath, Source, message_of, message_of_point, shorten
from xbayes.config.removal import remove_null, without_removed
from xbayes.config.schema import Config
from xbayes.config.sweep import grid, with_values
from xbayes.errors import InputError

MAX_DEPTH = 20
MOST_SHOWN = 10  # problems of a sweep
# ruamel.yaml also raises these, for some broken scalars, dates and deep nestings.
_BROKEN = (YAMLError, ValueError, TypeError, AttributeError, RecursionError)


def load_config(path: str | Path, overrides: Sequence[str] = (), *, stored: bool = False) -> Config:
    """The config in a file.

    A file may say `extends: other.yaml` (a path relative to its own folder) and give only what
    differs: sections are merged key by key, other values replace those of the other file, and a
    feature, class or other entry with a name of its own that is set to null is removed.

    Parameters
    ----------
    path
        The YAML file.
    overrides
        Texts `key=value`, as given to --set. `key=null` removes a feature, class or other entry
        with a name of its own, and gives a section its defaults back.
    stored
        Whether a run wrote the file. Old names of keys are then read without a warning.

    Raises
    ------
    InputError
        If the file cannot be read or is not a valid config.
    """
    return parse_config(read_text(Path(path)), str(path), overrides, stored=stored)


def parse_config(
    text: str,
    file: str = "config",
    overrides: Sequence[str] = (),
    chain: tuple[Path, ...] = (),
    *,
    stored: bool = False,
) -> Config:
    """A config from its YAML text; arguments and errors as of `load_config`.

    Messages call the text by the name `file`. `chain` holds the files that extend this one, so that
    a circle is found.
    """
    tree = parse_tree(text, file)
    if tree is None:
        raise InputError(f"{file}: is empty; a config needs name, catalog, taxonomy and features")
    if not isinstance(tree, CommentedMap):
        found = shorten(plain_values(tree, file))
        raise InputError(f"{file}:1:1: a config is a mapping of key: value; found {found}")
    with warnings.catch_warnings(action="ignore") if stored else nullcontext():
        plain = plain_values(tree, file)  # warns of old names
    if "catalog" in plain:
        plain["catalog"] = with_known(plain["catalog"])
    if not stored:
        _start_in_folder(plain, file)
    values = _merged_with_base(plain, file, chain or (Path(file).resolve(),))
    source = Source(file, tree, tuple(override(values, text) for text in overrides))
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        problems = sorted(message_of(details, source) for details in error.errors())
        raise InputError("\n".join(dict.fromkeys(text for _, text in problems))) from None
    if config.sweep:
        _check_sweep(config, values, source)
    return config


def parse_mapping(text: str, file: str = "config") -> dict[str, Any]:
    """The plain mapping in a YAML text, which need not be a whole config. Raises InputError."""
    tree = parse_tree(text, file)
    if not isinstance(tree, CommentedMap):
        raise InputError(f"{file}:1:1: a config is a mapping of key: value")
    return plain_values(tree, file)


def config_of(
    given: str | os.PathLike[str] | Mapping | Config,
    overrides: Sequence[str] = (),
    *,
    target: str | os.PathLike[str] | None = None,
) -> Config:
    """The config of a file, a mapping or a `Config`, after the overrides. Raises InputError.

    `target` overrides `target.file`.
    """
    if target is not None:
        overrides = [*overrides, f"target.file={json.dumps(os.fspath(target))}"]
    if isinstance(given, Config):
        return parse_config(dump_config(given), given.name, overrides) if overrides else given
    if isinstance(given, Mapping):
        return parse_config(json.dumps(given), "config", overrides)
    return load_config(Path(given), overrides)


def swept(config: Config) -> dict[str, Config]:
    """The variants of a config by name: one per point of its sweep, or the config itself."""
    if not config.sweep:
        return {config.name: config}
    values = config.model_dump(mode="json")
    return {
        f"{config.name}[{point.label}]": Config.model_validate(with_values(values, point))
        for point in grid(config.sweep)
    }


def _check_sweep(config: Config, values: dict[Any, Any], source: Source) -> None:
    """Raise InputError unless every point of the grid is a valid config."""
    problems = []
    for point in grid(config.sweep):
        try:
            Config.model_validate(with_values(values, point))
        except ValidationError as error:
            problems += [message_of_point(details, point, source) for details in error.errors()]
    if problems:
        texts = list(dict.fromkeys(text for _, text in sorted(problems)))
        more = [f"and {len(texts) - MOST_SHOWN} more"] if len(texts) > MOST_SHOWN else []
        raise InputError("\n".join([*texts[:MOST_SHOWN], *more]))


def _merged_with_base(values: dict[Any, Any], file: str, chain: tuple[Path, ...]) -> dict[Any, Any]:
    """The values, merged with those of the file they extend, which must be valid by itself."""
    base = values.pop("extends", None)
    if base is None:
        return values
    path = Path(file).parent / str(base)
    if path.resolve() in chain:
        raise InputError(f"{file}: extends {base}, which extends it; break the circle")
    below = parse_config(read_text(path), str(path), (), (*chain, path.resolve()))
    merged = _merge(below.model_dump(mode="json"), values)
    _make_way_for_given_weights(merged, values)
    _make_way_for_other_files(merged, values)
    without_removed(merged, below.model_dump(mode="json"))
    return merged


def _start_in_folder(values: dict[Any, Any], file: str) -> None:
    """Let relative paths start in the folder of the config, wherever the command is typed.

    For one release a path that is only right from the working directory is still found, with a
    warning. ${VAR} is left as it is, and expanded when the file is read.
    """
    folder = Path(file).parent
    for key, given, name in _files_in(values):
        text = given.get(name)
        if not isinstance(text, str) or not text or text.startswith(("~", "${")):
            continue
        here, there = Path(text), folder / text
        if here.is_absolute() or _same_place(here, there):
            continue
        found = here if here.exists() and not there.exists() else there
        if found is here:
            warnings.warn(
                f"{file}: {key}.{name}: {text!r} is relative to the working directory; write it "
                f"relative to the folder of the config, {folder}, for the next release looks only "
                "there",
                FutureWarning,
                stacklevel=3,
            )
        given[name] = os.path.abspath(found)


def _files_in(values: dict[Any, Any]) -> list[tuple[str, dict[Any, Any], str]]:
    """The sections that name a file: their dotted names, their values and the key of the file."""
    sections = [(name, values.get(name), "file") for name in ("catalog", "target")]
    sections.append(("catalog", values.get("catalog"), "crowd"))
    files = values["catalog"].get("files") if isinstance(values.get("catalog"), dict) else None
    for number, file in enumerate(files if isinstance(files, list) else []):
        sections.append((f"catalog.files.{number}", file, "file"))
    return [(name, given, key) for name, given, key in sections if isinstance(given, dict)]


def _same_place(here: Path, there: Path) -> bool:
    return os.path.abspath(here) == os.path.abspath(there)


def _make_way_for_given_weights(merged: dict[Any, Any], values: dict[Any, Any]) -> None:
    """Remove the kind of weights of the file below where the file above gives `model.alpha`.

    The file below holds every default, which would contradict `alpha` although nobody set it.
    """
    model = values.get("model")
    if isinstance(model, dict) and model.get("alpha") is not None:
        for key in {"weights", "offsets"} - set(model):
            merged["model"].pop(key, None)


def _make_way_for_other_files(merged: dict[Any, Any], values: dict[Any, Any]) -> None:
    """Remove the file of the file below where the file above gives several, and vice versa."""
    catalog = values.get("catalog")
    if not isinstance(catalog, dict) or (catalog.get("file") and catalog.get("files")):
        return
    if catalog.get("files"):
        for key in {"file", "table", "block"} - set(catalog):
            merged["catalog"].pop(key, None)
    elif catalog.get("file"):
        merged["catalog"].pop("files", None)


def _merge(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _merge(below.get(key), value) for key, value in above.items()}
    return above


def dump_config(config: Config) -> str:
    """YAML that loads back to an equal config. It holds every default, and ${VAR} as written."""
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.width = 10_000  # folding a long text would change its blanks
    stream = io.StringIO()
    yaml.dump(config.model_dump(mode="json"), stream)
    return stream.getvalue()


class _Representer(RoundTripRepresenter):
    def represent_none(self, _: None) -> Any:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_none)


def read_text(path: Path) -> str:
    """The text of a config file. Raises InputError."""
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


def parse_tree(text: str, file: str) -> Any:
    """The YAML of a config file, with line numbers. Raises InputError."""
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


def plain_values(node: Any, file: str, dotted: str = "", depth: int = 0) -> Any:
    """The node, at a dotted key, as plain Python values; old names of keys become the new ones."""
    if depth > MAX_DEPTH:
        raise InputError(f"{file}: is nested deeper than {MAX_DEPTH}; a config is flatter")
    if isinstance(node, CommentedMap):
        named = {_new_name(node, key, file, dotted): value for key, value in node.items()}
        return {k: plain_values(v, file, below(dotted, k), depth + 1) for k, v in named.items()}
    if isinstance(node, CommentedSeq):
        return [plain_values(value, file, dotted, depth + 1) for value in node]
    if isinstance(node, bool | ScalarBoolean):
        return bool(node)
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _new_name(node: CommentedMap, key: Any, file: str, dotted: str) -> Any:
    """The key, or its new name, with a warning, if it was renamed. Raises InputError for both."""
    name = other_name(dotted, key, RENAMED_KEYS)
    if name == key:
        return key
    mark = (node.lc.data or {}).get(key)
    where = f"{file}:{mark[0] + 1}:{mark[1] + 1}:" if mark and file != SET else file
    old, new = below(dotted, key), below(dotted, name)
    if name in node:
        raise InputError(
            f"{where} {old}: is the old name of {new}, which is given too; remove {old}"
        )
    text = f"{where} {old}: is now called {new}; rename it, for the next release refuses {old}"
    warnings.warn(text, FutureWarning, stacklevel=2)
    return name


def override(values: dict[Any, Any], text: str, root: type[BaseModel] = Config) -> KeyPath:
    """Put key=value of --set into the values of a record; gives the path of the key."""
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
            found = f"{above} holds {shorten(inner)}, which has no keys"
            raise InputError(f"--set {key}: {found}; set {above} as a whole")
        section = inner
    try:
        # A lone * would be the start of a YAML alias; here it is the "*" of taxonomy.unlabelled.
        plain = value if value.strip() == "*" else YAML().load(value)
        given = CommentedMap({path[-1]: plain})
    except _BROKEN as error:
        raise InputError(f"--set {key}: {value!r} is not YAML: {_reason(error)}") from None
    renamed = plain_values(given, SET, ".".join(path[:-1]))
    known, path = [*section], (*path[:-1], *renamed)
    section.update(renamed)
    if section[path[-1]] is None:
        remove_null(values, path, known, root)
    return path
