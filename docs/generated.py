"""Pages made from the code whenever the site is built, so that they agree with it."""

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from astropy.table import Column, Table
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

ITEM = "[N]"  # stands for the place in a list
NAMED = "NAME"  # stands for a name that the config gives, of a feature or a category


# Of each function: its arguments, its meaning, an example, and the values of the example's columns.
FUNCTIONS: dict[str, tuple[str, str, str, dict[str, float | str | None]]] = {
    "log10": ("x", "decimal logarithm; undefined for x <= 0", "log10(flux)", {"flux": 2e-14}),
    "log": ("x", "natural logarithm; undefined for x <= 0", "log(ratio)", {"ratio": 10.0}),
    "exp": ("x", "exponential function", "exp(-tau)", {"tau": 0.5}),
    "sqrt": (
        "x",
        "square root; undefined for x < 0",
        "sqrt(pmra ** 2 + pmdec ** 2)",
        {"pmra": 3.0, "pmdec": -4.0},
    ),
    "abs": ("x", "absolute value", "abs(glat)", {"glat": -12.5}),
    "clip": ("x, low, high", "x, at least low and at most high", "clip(p, 0.01, 0.99)", {"p": 1.0}),
    "where": (
        "condition, a, b",
        "a where the condition holds, else b; without b missing there",
        "where(sep < 1, gmag, rmag)",
        {"sep": 1.7, "gmag": 18.2, "rmag": 17.1},
    ),
    "min": (
        "a, b, ...",
        "smallest argument",
        "min(flux_1, flux_2)",
        {"flux_1": 3.0, "flux_2": 2.0},
    ),
    "max": (
        "a, b, ...",
        "largest argument",
        "log10(max(flux_1, flux_2) / min(flux_1, flux_2))",
        {"flux_1": 3e-13, "flux_2": 3e-14},
    ),
    "coalesce": (
        "a, b, ...",
        "first argument that is not missing",
        "coalesce(gmag, rmag)",
        {"gmag": None, "rmag": 17.1},
    ),
    "hardness": (
        "soft, hard",
        "hardness ratio (hard - soft) / (hard + soft)",
        "hardness(flux_soft, flux_hard)",
        {"flux_soft": 1e-14, "flux_hard": 3e-14},
    ),
    "hardness_mean": (
        "soft, hard, soft_error, hard_error",
        "mean of the hardness ratio of positive fluxes, given measurements with errors",
        "hardness_mean(flux_soft, flux_hard, e_soft, e_hard)",
        {"flux_soft": 1e-14, "flux_hard": 0.0, "e_soft": 5e-15, "e_hard": 5e-15},
    ),
    "hardness_error": (
        "soft, hard, soft_error, hard_error",
        "its standard deviation, also for fluxes near zero",
        "hardness_error(flux_soft, flux_hard, e_soft, e_hard)",
        {"flux_soft": 1e-14, "flux_hard": 0.0, "e_soft": 5e-15, "e_hard": 5e-15},
    ),
    "galactic_l": (
        "ra, dec",
        "galactic longitude in degrees, from ICRS coordinates",
        "galactic_l(ra, dec)",
        {"ra": 83.633, "dec": 22.014},
    ),
    "galactic_b": (
        "ra, dec",
        "galactic latitude in degrees, from ICRS coordinates",
        "abs(galactic_b(ra, dec))",
        {"ra": 192.859, "dec": 27.128},
    ),
    "observed": (
        "x",
        "condition: x has a value",
        "where(observed(gmag), gmag - jmag)",
        {"gmag": 18.0, "jmag": 16.5},
    ),
    "detected": (
        "x",
        "condition: x has a value; in the condition of a class unknown where x is not available",
        "not detected(host)",
        {"host": "M 31"},
    ),
    "isfinite": ("x", "the same as observed", "isfinite(gmag)", {"gmag": None}),
    "is_missing": ("x", "condition: x has no value", "is_missing(gmag)", {"gmag": None}),
}


class Key(NamedTuple):
    """A key of a config, as a row of the table."""

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
        "functions.md": functions_page(),
        "enhance_keys.md": enhance_keys_page(),
        "enhance_columns.md": enhance_columns_page(),
    }
    pages |= {f"notebook_{path.stem}.ipynb": notebook_page(path) for path in listed(notebooks)}
    for name, text in pages.items():
        path = folder / name
        if not path.is_file() or path.read_text() != text:  # an unchanged page is not built again
            path.write_text(text)


def listed(notebooks: Path) -> list[Path]:
    """The notebooks in their order."""
    return sorted(notebooks.glob("[0-9]_*.py"))


def config_keys(record: type[BaseModel] | None = None, prefix: str = "") -> Iterator[Key]:
    """Every key that a config may have, from the schema."""
    if record is None:
        from xbayes.config.schema import Config

        record = Config
    for name, field in record.model_fields.items():
        path = f"{prefix}{name}"
        inner, place = _record_of(field.annotation)
        value = field.get_default(call_default_factory=True)
        if inner is None:
            kind = _kind(field.annotation)
        else:
            kind = {"": "section", ITEM: "list of sections"}.get(place, "section, by name")
        default = "" if inner else _value(value)
        if value is PydanticUndefined:
            default = "required"
        yield Key(path=path, kind=kind, default=default, description=field.description or "")
        if inner is not None:
            yield from config_keys(inner, f"{path}{place}.")


def _record_of(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The record that is the value of a key, if any, and its place: one, one per name, a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    parts = typing.get_args(annotation)
    if typing.get_origin(annotation) is Annotated:
        return _record_of(parts[0])
    if typing.get_origin(annotation) is dict:
        if typing.get_origin(parts[1]) in (typing.Union, types.UnionType):
            return None, ""  # a list, or a section that the description explains
        return _record_of(parts[1])[0], f".{NAMED}"
    if typing.get_origin(annotation) is tuple:
        return _record_of(parts[0])[0], ITEM
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        found = [record for part in parts if (record := _record_of(part)[0])]
        return (found[0] if found else None), ""
    return None, ""


def _kind(annotation: Any) -> str:
    """A type in the words of YAML."""
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
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
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
    """The page with the table of every key."""
    head = [
        "# Every key of a config",
        "",
        f"`{NAMED}` stands for a name that you choose. Any other key is an error, whose message "
        "gives its place in the file and the nearest known key. `--set KEY=VALUE` (in Python "
        "`set=[...]`) changes a key for one run. [When does an option help?](../howto/options.md) "
        "lists measured gains.",
        "",
    ]
    return "\n".join([*head, *_key_table(config_keys()), ""])


def enhance_keys_page() -> str:
    """The page with every key of a config of `xbayes enhance`."""
    from xbayes.config.enhance import EnhanceConfig

    head = [
        "# Every key of a config of `xbayes enhance`",
        "",
        f"`{NAMED}` stands for a name that you choose. A section other than `catalog` and "
        "`services` is a [step](../howto/enhance.md). Where a column is asked for, a list of "
        "names means the first that the table has.",
        "",
    ]
    return "\n".join([*head, *_key_table(config_keys(EnhanceConfig)), ""])


def enhance_columns_page() -> str:
    """The page with the columns that each step adds with the shipped config `xmm`."""
    from xbayes.config.enhance_reader import enhance_config_of
    from xbayes.enhance.every_step import steps_of

    parts = [
        "# Columns that `xbayes enhance` adds",
        "",
        "With the shipped config `xmm`. The files contain units, UCDs and descriptions.",
        "",
    ]
    for step in steps_of(enhance_config_of("xmm")):
        parts += [f"## {step.name}", "", "| column | meaning | unit | UCD |", "|---|---|---|---|"]
        for added in step.columns():
            ucd = f"`{added.ucd}`" if added.ucd else ""
            parts.append(f"| `{added.name}` | {_cell(added.description)} | {added.unit} | {ucd} |")
        parts.append("")
    return "\n".join(parts)


def _key_table(keys: Iterator[Key]) -> list[str]:
    rows = [
        f"| `{key.path}` | {_cell(key.kind)} | {_cell(key.default)} | {_cell(key.description)} |"
        for key in keys
    ]
    return ["| key | type | default | meaning |", "|---|---|---|---|", *rows]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def commands_page() -> str:
    """The page with the help of every command, as `xbayes COMMAND --help` prints it."""
    import typer

    from xbayes.cli.app import app

    group: Any = typer.main.get_command(app)
    parts = ["# The command line", "", f"{group.help}", ""]
    for name in group.list_commands(None):
        command = group.commands[name]
        inner = getattr(command, "commands", {})
        if inner:
            links = (f"- [xbayes {name} {part}](#xbayes-{name}-{part})" for part in inner)
            parts += [f"## xbayes {name}", "", command.help or "", "", *links, ""]
        else:
            parts += _command(name, command)
        for part, each in inner.items():
            parts += _command(f"{name} {part}", each)
    return "\n".join(parts)


def _command(name: str, command: Any) -> list[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join(["xbayes", name, *(_argument(p) for p in arguments), "[OPTIONS]"])
    lines = [f"## xbayes {name}", "", "```text", usage, "```", "", command.help or "", ""]
    lines += ["| argument or option | meaning |", "|---|---|"]
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            shown = f"`{_argument(parameter)}`"
        else:
            value = "" if parameter.is_flag else f" {parameter.metavar or 'VALUE'}"
            shown = ", ".join(f"`{option}{value}`".replace("|", "\\|") for option in parameter.opts)
        default = parameter.default
        plain = isinstance(default, int | str | Path) and not isinstance(default, bool)
        default_text = f" Default: `{default}`." if plain else ""
        lines.append(f"| {shown} | {_cell(parameter.help or '')}{default_text} |")
    return [*lines, ""]


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name.upper()).strip("[]")
    name += "..." if parameter.nargs == -1 and parameter.required else ""
    return name if parameter.required else f"[{name}]"


def functions_page() -> str:
    """The page with the functions of expressions, each with an example that is computed here."""
    head = [
        "# Functions of expressions",
        "",
        "An expression has numbers, columns, `pi`, `+ - * / **`, comparisons, `and`, `or`, `not`, "
        'and these functions. `col("odd name")` is a column whose name is not a plain word. A '
        "result is missing where an argument is missing, unless the table says otherwise; it is "
        "undefined where the arguments are there but the result is not a finite number.",
        "",
        "| function | result | example | with | gives |",
        "|---|---|---|---|---|",
    ]
    rows = [
        f"| `{name}({arguments})` | {meaning} | `{example}` | {_given(columns)} "
        f"| {computed(example, columns)} |"
        for name, (arguments, meaning, example, columns) in FUNCTIONS.items()
    ]
    return "\n".join([*head, *rows, ""])


def _given(columns: dict[str, float | str | None]) -> str:
    return ", ".join(f"{k} = {'(empty)' if v is None else v}" for k, v in columns.items())


def computed(expression: str, columns: dict[str, float | str | None]) -> str:
    """The value of an expression for one row, as text."""
    from xbayes.catalog.read import row_table
    from xbayes.features.expression import parse

    result = parse(expression).evaluate(row_table(columns))
    if result.missing[0]:
        return "(empty)"
    is_condition = expression.startswith(("isfinite", "is_missing"))
    return str(bool(result.value[0])).lower() if is_condition else f"{result.value[0]:.4g}"


def columns_page() -> str:
    """The page with the columns of every output table, from the code that writes them."""
    parts = [
        "# Output columns",
        "",
        "For two classes, A with the subclasses A1 and A2, and B, their group AB, one category of "
        "features, `spectrum`, and a prior that depends on the source. FITS and VOTable files "
        "contain the descriptions and UCDs.",
        "",
    ]
    for title, text, table in (
        (
            "Classified sources",
            "`xbayes run` (only it writes `true_class`) and `xbayes classify`, after the columns "
            "of the catalogue",
            _classified(),
        ),
        ("Sources pooled from detections", "`xbayes sources`, one row per source", _pooled()),
    ):
        parts += [f"## {title}", "", f"Written by {text}.", ""]
        parts += ["| column | meaning | UCD |", "|---|---|---|"]
        for name in table.colnames:
            column = table[name]
            ucd = f"`{column.meta['ucd']}`" if "ucd" in column.meta else ""
            parts.append(f"| `{name}` | {_cell(column.description or '')} | {ucd} |")
        parts.append("")
    return "\n".join(parts)


def _classified() -> Table:
    """A classified catalogue of one source."""
    from xbayes.classifier.predict import Products
    from xbayes.output.table import output_table
    from xbayes.types import Names

    number, index = np.zeros(1), np.zeros(1, int)
    products = Products(
        posterior=np.full((1, 2), 0.5),
        prediction=index,
        margin=number,
        entropy=number,
        alternative=index,
        outlier=number,
        outlier_p=number,
        n_missing=index,
        n_not_available=index,
        track=np.full((1, 1, 2), 0.5),
        subclass=index,
        prediction_set=np.full((1, 2), True),
        set_flag=np.zeros(1, bool),
        posterior_interval=np.zeros((1, 2, 2)),
        group_interval=np.zeros((1, 1, 2)),
        outlier_interval=np.zeros((1, 2)),
        unusual_feature=np.zeros((1, 0, 3), int),
        unusual_number=np.zeros((1, 0, 3)),
        prior=np.full((1, 2), 0.5),
    )
    names = Names(
        features=("hardness",),
        categories=("spectrum",),
        category=(0,),
        classes=("A", "B"),
        subclasses=("A1", "A2", "B"),
        subclass_of=(0, 0, 1),
        groups=(("AB", (0, 1)),),
    )
    resolution = np.full(3, 0.5)
    return output_table(Table(), products, names, resolution, index, novelty_why=[""])


def _pooled() -> Table:
    """A table of one source, pooled from one detection."""
    from xbayes.evaluate.votes import group_votes, vote
    from xbayes.output.source_table import source_table

    index = np.zeros(1, int)
    posterior = np.full((1, 2), 0.5)
    votes = vote(posterior, index, index, np.log([0.5, 0.5]), rho=1.0)
    groups = group_votes(votes, posterior, index, {"AB": (0, 1)})
    return source_table(Column(["x"], "name", description="the source"), votes, ("A", "B"), groups)


def notebook_page(path: Path) -> str:
    """A Python file in percent format as a notebook, which runs from the root of the repository."""
    import jupytext
    from nbformat.v4 import new_code_cell, new_markdown_cell

    notebook = jupytext.read(path)
    start = new_code_cell("%cd -q ../..", id="start", metadata={"tags": ["remove-cell"]})
    source = f"*Source: `{path.parent.name}/{path.name}`. `make notebooks` writes all notebooks.*"
    notebook.cells = [start, *notebook.cells, new_markdown_cell(source, id="source")]
    for number, cell in enumerate(notebook.cells):  # random by default
        cell.id = f"cell-{number}"
    return jupytext.writes(notebook, "ipynb")
