"""Arguments and options shared by several commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xbayes.errors import InputError

if TYPE_CHECKING:
    from xbayes.catalog.match import ColumnKeywords

EXPERIMENTS, CATALOGUES = "Experiments", "Catalogues"
Config = Annotated[Path, typer.Argument(help="Config of the experiment, a YAML file.")]
Catalog = Annotated[
    Path | None,
    typer.Option(help="Catalogue to use instead of catalog.file (or all of catalog.files)."),
]
Run = Annotated[
    Path, typer.Argument(help="Run directory of an experiment, or the name of a ready-made model.")
]
Table = Annotated[Path, typer.Option(help="Table to write: .fits .vot .xml .ecsv .csv .parquet.")]
Outputs = Annotated[
    list[Path] | None,
    typer.Option(
        help="Figure (.png .pdf .svg) or table (.fits .vot .ecsv .csv .parquet) to write; "
        "may be given more than once."
    ),
]
Figures = Annotated[
    list[str] | None,
    typer.Option(
        help="Format of the figures besides PNG: pdf or svg; may be repeated.", metavar="FORMAT"
    ),
]
Prior = Annotated[
    str | None,
    typer.Option(help="Class proportions expected in this catalogue: AGN=0.66,Star=0.25,..."),
]
TableOrNone = Annotated[
    Path | None, typer.Option(help="Table to write: .fits .vot .xml .ecsv .csv .parquet.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Change a key of the config: --set model.weights=property.",
        metavar="KEY=VALUE",
    ),
]
IdColumn = Annotated[
    str | None,
    typer.Option(
        "--id", help="Column with the ids; row: number the rows of a catalogue without ids.",
        metavar="COLUMN",
    ),
]  # fmt: skip
ColumnMap = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="A column NEW of the run is called OLD in this catalogue; may be repeated.",
        metavar="NEW=OLD",
    ),
]
OptionalColumn = Annotated[
    list[str] | None,
    typer.Option(
        "--optional",
        help="A column of the run that this catalogue lacks: its values are not available; may be "
        "repeated.",
        metavar="COLUMN",
    ),
]
ColumnUnit = Annotated[
    list[str] | None,
    typer.Option(
        "--units",
        help="The unit of a column, where the file names none or a wrong one; may be repeated.",
        metavar="COLUMN=UNIT",
    ),
]
MissingValue = Annotated[
    list[str] | None,
    typer.Option(
        "--missing-values",
        help="A value that stands for an empty cell in a column of this catalogue, such as "
        "g_mag=-99; may be repeated.",
        metavar="COLUMN=VALUE",
    ),
]
MeasuredValue = Annotated[
    list[str] | None,
    typer.Option(
        "--measured-values",
        help="A value of a column that looks like a stand-in for no value, but was measured; may "
        "be repeated.",
        metavar="COLUMN=VALUE",
    ),
]
TableName = Annotated[
    str | None,
    typer.Option(
        "--table",
        help="Name or number of the table, if a FITS file or VOTable holds several.",
        metavar="NAME",
    ),
]


def column_keywords(
    *,
    id_: str | None,
    map_: list[str] | None,
    optional: list[str] | None,
    units: list[str] | None,
    missing_values: list[str] | None,
    measured_values: list[str] | None,
    table: str | None,
) -> "ColumnKeywords":
    """The options on columns as keywords of `FittedRun.classify`. Raises InputError."""
    return {
        "id": id_,
        "map": distinct_pairs("--map", "NEW=OLD", map_),
        "optional": optional or [],
        "units": distinct_pairs("--units", "COLUMN=UNIT", units),
        "missing_values": _several("--missing-values", missing_values),
        "measured_values": _numbers("--measured-values", measured_values),
        "table": table,
    }


def _several(option: str, given: list[str] | None) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in _pairs(option, "COLUMN=VALUE", given):
        values.setdefault(name, []).append(value)
    return values


def _numbers(option: str, given: list[str] | None) -> dict[str, list[float]]:
    try:
        texts = _several(option, given)
        return {name: [float(text) for text in listed] for name, listed in texts.items()}
    except ValueError:
        raise InputError(f"{option} needs COLUMN=NUMBER; found {given!r}") from None


def _pairs(option: str, form: str, given: list[str] | None) -> list[tuple[str, str]]:
    pairs = []
    for text in given or ():
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise InputError(f"{option} needs {form}; found {text!r}")
        pairs.append((name, value))
    return pairs


def distinct_pairs(option: str, form: str, given: list[str] | None) -> dict[str, str]:
    """The pairs NAME=TEXT of an option by name. Raises InputError for another form or a repeat."""
    pairs = dict(_pairs(option, form, given))
    if len(pairs) < len(given or ()):
        raise InputError(f"{option} names a column twice: {' '.join(given or ())}; keep one")
    return pairs
