"""Read the config of `xbayes enhance`. Every error names file, line, column and key."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xbayes.config.checks import did_you_mean
from xbayes.config.enhance import EnhanceConfig
from xbayes.config.messages import Source, message_of
from xbayes.config.reader import override, parse_tree, plain_values, read_text
from xbayes.errors import InputError

_IN_REPOSITORY = Path("configs/enhance")
_PATHS = ("file", "depth_map")  # keys whose values are paths


def enhance_config_of(
    given: str | os.PathLike[str] | Mapping[str, object] | EnhanceConfig,
    overrides: Sequence[str] = (),
) -> EnhanceConfig:
    """The config in a file, of a shipped name (xmm, chandra), or of a mapping.

    Relative paths in a file start in its folder. `overrides` are texts key=value, as of --set.

    Raises
    ------
    InputError
        If there is no such file or name, or it is not a valid config.
    """
    if isinstance(given, EnhanceConfig):
        if not overrides:
            return given
        given = given.model_dump(mode="json")
    if isinstance(given, Mapping):
        import json

        return _parse(json.dumps(given), "config", None, overrides)
    path = Path(given).expanduser()
    # The path in the repository names a shipped config wherever xbayes is installed.
    name = path.stem if path.parent == _IN_REPOSITORY else str(given)
    if not path.exists() and name in shipped_configs():
        text = files("xbayes").joinpath("enhance_configs", f"{name}.yaml").read_text("utf-8")
        return _parse(text, name, None, overrides)
    try:
        text = read_text(path)
    except InputError as error:
        raise InputError(
            f"{error}{did_you_mean(str(given), shipped_configs(), 'shipped configs are')}"
        ) from None
    return _parse(text, str(path), path.parent, overrides)


def shipped_configs() -> list[str]:
    """The names of the configs that ship with xbayes."""
    folder = files("xbayes").joinpath("enhance_configs")
    return sorted(file.name[:-5] for file in folder.iterdir() if file.name.endswith(".yaml"))


def local_file(text: str, key: str) -> Path:
    """The path that a config gives, with ~ and ${VAR} expanded. Raises InputError if none is there.

    The variable is expanded here, so that a stored config still says ${VAR}.
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if not found:
            raise InputError(
                f"{key} is {text!r}, but the variable {match[1]} is not set; set it, as in export "
                f"{match[1]}=/folder/of/the/file"
            )
        return found

    path = Path(re.sub(r"\$\{(\w+)\}", value, text)).expanduser()
    if not path.is_file():
        near = f"; there is no folder {path.parent}"
        if path.parent.is_dir():
            near = did_you_mean(path.name, sorted(os.listdir(path.parent)), "it has")
        raise InputError(f"{key}: no file {path}{near}; correct the path in the config")
    return path


def is_set(text: str) -> bool:
    """Whether every ${VAR} in a path has a value."""
    return all(os.environ.get(name) for name in re.findall(r"\$\{(\w+)\}", text))


def _parse(text: str, file: str, folder: Path | None, overrides: Sequence[str]) -> EnhanceConfig:
    tree: Any = parse_tree(text, file)
    if not isinstance(tree, Mapping):
        raise InputError(
            f"{file}:1:1: a config of xbayes enhance is a mapping of key: value, with name, "
            "catalog and a section for each step"
        )
    values: Any = plain_values(tree, file)
    if folder is not None:
        _start_in_folder(values, folder)
    given = tuple(override(values, text, EnhanceConfig) for text in overrides)
    try:
        return EnhanceConfig.model_validate(values)
    except ValidationError as error:
        source = Source(file=file, tree=tree, overrides=given, root=EnhanceConfig)
        problems = sorted(message_of(details, source) for details in error.errors())
        raise InputError("\n".join(dict.fromkeys(text for _, text in problems))) from None


def _start_in_folder(values: object, folder: Path) -> None:
    """Let relative paths start in the folder of the config, wherever the command is typed."""
    for section in _sections(values):
        for key in _PATHS:
            path = section.get(key)
            if isinstance(path, str) and path and not path.startswith(("~", "${")):
                section[key] = os.path.abspath(folder / path)


def _sections(values: object) -> Iterator[dict[str, object]]:
    """Every mapping in the values."""
    if isinstance(values, dict):
        yield values
        for value in values.values():
            yield from _sections(value)
    elif isinstance(values, list):
        for value in values:
            yield from _sections(value)
