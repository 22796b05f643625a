"""Arguments and options shared by several commands."""

from pathlib import Path
from typing import Annotated

import typer

EXPERIMENTS, CATALOGUES = "Experiments", "Catalogues"
Config = Annotated[Path, typer.Argument(help="Config of the experiment, a YAML file.")]
Catalog = Annotated[
    Path | None, typer.Option(help="Catalogue to use instead of catalog.file of the config.")
]
Run = Annotated[Path, typer.Argument(help="Run directory of a fitted experiment.")]
Table = Annotated[Path, typer.Option(help="Table to write: .fits .vot .xml .ecsv .csv .parquet.")]
Outputs = Annotated[
    list[Path] | None,
    typer.Option(
        help="Figure (.png .pdf .svg) or table (.fits .vot .ecsv .csv .parquet) to write; "
        "may be given more than once."
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
