"""The command that serves the explorer."""

from pathlib import Path
from typing import Annotated

import typer

from xbayes.cli.options import CATALOGUES
from xbayes.cli.volunteers import default_database

site = typer.Typer()


@site.command(rich_help_panel=CATALOGUES)
def serve(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run directories, or names of ready-made models.", metavar="RUN..."),
    ],
    *,
    catalog: Annotated[
        Path | None,
        typer.Option(help="A catalogue that the run classified, in Parquet; else that of the run."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. Any but 127.0.0.1 needs XBAYES_SECRET_KEY in the "
            "environment."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    products: Annotated[
        str,
        typer.Option(
            help="Folder of spectra and light curves (OGIP FITS), or a template of their paths: "
            "'spectra/{obsid}/*{srcnum}*.FTZ', with columns of the catalogue in braces."
        ),
    ] = "",
    light_curves: Annotated[
        Path | None,
        typer.Option(help="Long-term light curves that `xbayes enhance` wrote beside its table."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never ask a name server for names of sources.")
    ] = False,
    volunteers: Annotated[
        bool,
        typer.Option(
            "--volunteers",
            help="Open the site to volunteers, with the database that `xbayes volunteers` uses.",
        ),
    ] = False,
    suggested: Annotated[
        Path | None,
        typer.Option(help="Table that `xbayes suggest` wrote: volunteers see its sources first."),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            help="Open the site to volunteers, with the database of this URL. For a password, use "
            "--volunteers and XBAYES_DATABASE.",
            metavar="URL",
        ),
    ] = None,
) -> None:
    """Open a site on which the classified catalogue of a run is explored, until Ctrl-C.

    Table, sky map and scatter plot, a page for every source, the scores of the run, and a form that
    classifies a source.

    Examples: `xbayes serve runs/demo`,
    `xbayes serve chandra-sources --catalog classified.parquet`,
    `xbayes serve runs/demo --volunteers`
    """
    from xbayes.cli import commands

    commands.serve(
        runs, catalog=catalog, host=host, port=port, products=products, light_curves=light_curves,
        resolve=not offline, suggested=suggested,
        database=database or (default_database() if volunteers else ""),
    )  # fmt: skip
