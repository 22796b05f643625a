"""Pages made from the code each time the site is built: they cannot fall behind it."""

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

NAMED = "NAME"  # stands for the names that a config gives: of features and of categories


class Key(NamedTuple):
    """A key of a config, as the table shows it."""

    path: str
    kind: str
    default: str
    description: str


def write_all(folder: Path, notebooks: Path) -> None:
    """Write every generated page."""
    folder.mkdir(exist_ok=True)
    pages = {
        "config_keys.md": config_page(),
        "commands.md": commands_page(),
        "columns.md": columns_page(),
    }
    pages |= {f"notebook_{path.stem}.md": notebook_page(path) for path in listed(notebooks)}
    for name, text in pages.items():
        path = folder / name
        if not path.is_file() or path.read_text() != text:  # else Sphinx builds it again
            path.write_text(text)


def listed(notebooks: Path) -> list[Path]:
    """The notebooks in their order."""
    return sorted(notebooks.glob("[0-9]_*.py"))


def config_keys(record: type[BaseModel] | None = None, prefix: str = "") -> Iterator[Key]:
    """Every key that a config may have, from the schema that reads it."""
    if record is None:
        from xbayes.config.schema import Config

        record = Config
    for name, field in record.model_fields.items():
        path = f"{prefix}{name}"
        inner, named = _record_of(field.annotation)
        given = field.get_default(call_default_factory=True)
        if inner is None:
            kind = _kind(field.annotation)
        else:
            kind = "section, by name" if named else "section"
        shown = "required" if given is PydanticUndefined else _value(given)
        yield Key(
            path, kind, "" if inner and shown != "required" else shown, field.description or ""
        )
        if inner is not None:
            yield from config_keys(inner, f"{path}.{NAMED}." if named else f"{path}.")


def _record_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The record that a key holds, and whether it holds one a name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    parts = typing.get_args(annotation)
    if typing.get_origin(annotation) is dict:
        return _record_of(parts[1])[0], True
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        found = [record for part in parts if (record := _record_of(part)[0])]
        return (found[0], False) if found else (None, False)
    return None, False


def _kind(annotation: Any) -> str:
    """A type in words that a reader of YAML knows."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _kind(parts[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_kind(part) for part in parts))
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin is tuple:
        return "list of " + _kind(parts[0])
    if origin is dict:
        return f"{_kind(parts[1])} by name"
    words = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return words.get(annotation, "null" if annotation is type(None) else "any value")


def _value(value: Any) -> str:
    if isinstance(value, BaseModel):
        return ""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if value in ({}, (), ""):
        return {"dict": "{}", "tuple": "[]", "str": "empty"}[type(value).__name__]
    return str(value)


def config_page() -> str:
    """The table of every key."""
    rows = [
        f"| `{key.path}` | {_cell(key.kind)} | {_cell(key.default)} | {_cell(key.description)} |"
        for key in config_keys()
    ]
    head = [
        "# Every key of a config",
        "",
        f"Made from the schema that reads configs. `{NAMED}` stands for a name that you give. A "
        "key that is not here is refused, with its place in the file and the nearest key there is. "
        "`--set KEY=VALUE` changes any of them for one command.",
        "",
        "| key | type | default | what it says |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *rows, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def commands_page() -> str:
    """The help of every command, as `xbayes COMMAND --help` gives it."""
    import typer

    from xbayes.cli.app import app

    group: Any = typer.main.get_command(app)
    parts = ["# The command line", "", f"{group.help}", ""]
    for name in group.list_commands(None):
        parts += _command(name, group.commands[name])
    return "\n".join(parts)


def _command(name: str, command: Any) -> list[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join(["xbayes", name, *(_argument(p) for p in arguments), "[OPTIONS]"])
    lines = [f"## xbayes {name}", "", "```text", usage, "```", "", command.help or "", ""]
    lines += ["| argument or option | what it says |", "|---|---|"]
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            shown = f"`{_argument(parameter)}`"
        else:
            value = "" if parameter.is_flag else f" {parameter.metavar or 'VALUE'}"
            shown = ", ".join(f"`{option}{value}`".replace("|", "\\|") for option in parameter.opts)
        default = parameter.default
        plain = isinstance(default, int | str | Path) and not isinstance(default, bool)
        told = f" Default: `{default}`." if plain else ""
        lines.append(f"| {shown} | {_cell(parameter.help or '')}{told} |")
    return [*lines, ""]


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name.upper()).strip("[]")
    name += "..." if parameter.nargs == -1 and parameter.required else ""
    return name if parameter.required else f"[{name}]"


def columns_page() -> str:
    """The columns of every output table, from the code that makes them."""
    parts = [
        "# Output columns",
        "",
        "Made from the code that writes the tables, for two classes A and B, A of the "
        "subclasses A1 and A2, and one category of evidence, `spectrum`. Descriptions and UCDs "
        "are in FITS and VOTable files too.",
        "",
    ]
    for title, text, table in (
        (
            "Of a classified source",
            "`xbayes run` and `xbayes classify`, after the columns that pass through",
            _classified(),
        ),
        ("Of a source pooled from detections", "`xbayes sources`, a row a source", _pooled()),
    ):
        parts += [f"## {title}", "", f"Written by {text}.", ""]
        parts += ["| column | what it is | UCD |", "|---|---|---|"]
        for name in table.colnames:
            about = table[name]
            ucd = f"`{about.meta['ucd']}`" if "ucd" in about.meta else ""
            parts.append(f"| `{name}` | {_cell(about.description or '')} | {ucd} |")
        parts.append("")
    return "\n".join(parts)


def _classified():
    from astropy.table import Table

    from xbayes.classifier.predict import Products
    from xbayes.output.table import output_table
    from xbayes.types import Names

    half, one, none = np.full((1, 2), 0.5), np.zeros(1), np.zeros(1, int)
    interval = np.zeros((1, 2, 2))
    products = Products(
        *(half, none, one, one, none, one, one, none, half[:, None], none),
        *(half > 0, interval, np.zeros((1, 2))),
    )
    kinds = (("A1", "A2", "B"), (0, 0, 1))
    properties = Names(("hardness",), ("spectrum",), (0,), ("A", "B"), *kinds)
    return output_table(Table(), products, properties, np.array([0.5, 0.5, 0.5]), none)


def _pooled():
    from astropy.table import Column

    from xbayes.evaluate.votes import vote
    from xbayes.output.source_table import source_table

    none = np.zeros(1, int)
    votes = vote(np.full((1, 2), 0.5), none, none, np.log([0.5, 0.5]), 1.0)
    return source_table(Column(["x"], "name", description="the source"), votes, ("A", "B"))


def notebook_page(path: Path) -> str:
    """A notebook as a page: its story and its code, without the outputs."""
    import jupytext

    read = jupytext.read(path)
    parts = []
    for cell in read.cells:
        is_code = cell.cell_type == "code"
        parts += ["```python", cell.source, "```", ""] if is_code else [cell.source, ""]
    parts += [
        f"*This is `notebooks/{path.name}`; `make notebooks` makes it a Jupyter notebook.*",
        "",
    ]
    return "\n".join(parts)
