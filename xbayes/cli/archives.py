"""The commands that talk to archives."""

from pathlib import Path
from typing import Annotated

import typer

from xbayes.cli.options import (
    CATALOGUES,
    ColumnUnit,
    Overwrite,
    Table,
    TableName,
    distinct_pairs,
)
from xbayes.cli.progress import Reporter

archives = typer.Typer()

Cache = Annotated[
    Path | None,
    typer.Option(help="Folder of the answers of archives; ~/.cache/xbayes/answers by default."),
]
Offline = Annotated[bool, typer.Option("--offline", help="Use only answers that are in the cache.")]
AllowPartial = Annotated[
    bool,
    typer.Option("--allow-partial", help="Take an answer that a service cut off, with a warning."),
]


@archives.command(rich_help_panel=CATALOGUES)
def fetch(
    source: Annotated[
        str,
        typer.Argument(
            help="Catalogue to fetch (csc21, 4xmm, 2sxps, erass1, tranin2022), or a file with a "
            "query.",
            metavar="CATALOGUE|QUERY.adql",
        ),
    ],
    *,
    out: Table,
    cone: Annotated[
        str | None,
        typer.Option(
            help='Circle on the sky: "M31 0.5deg", or "10.68 41.27 0.5" in degrees.',
            metavar="'NAME|RA DEC RADIUS'",
        ),
    ] = None,
    moc: Annotated[
        Path | None, typer.Option(help="Region of the sky: a MOC in FITS, JSON or text.")
    ] = None,
    service: Annotated[
        str | None,
        typer.Option(help="TAP service of a query: a known name or an address.", metavar="URL"),
    ] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask again for what is kept.")] = False,
    cache: Cache = None,
    offline: Offline = False,
    allow_partial: AllowPartial = False,
    overwrite: Overwrite = False,
) -> None:
    """Fetch a catalogue from its archive, or the answer of a TAP service to a query.

    It is fetched in parts by sky region, and each part is kept: after Ctrl-C, or when a service is
    down, the same command goes on. The number of rows is compared with the count of the service. In
    a query, `REGION(ra, dec)` stands for the condition of the region.

    Examples: `xbayes fetch 4xmm --cone "M31 0.5deg" --out field.fits`,
    `xbayes fetch csc21 --out detections.parquet`,
    `xbayes fetch query.adql --service vizier --out rows.fits`
    """
    from xbayes.cli import commands

    commands.fetch(
        source, out=out, reporter=Reporter(), cone=cone, moc=moc, service=service, refresh=refresh,
        cache=cache, offline=offline, allow_partial=allow_partial, overwrite=overwrite,
    )  # fmt: skip


@archives.command(rich_help_panel=CATALOGUES)
def enhance(
    catalog: Annotated[Path, typer.Argument(help="Catalogue of X-ray sources or detections.")],
    config: Annotated[
        str,
        typer.Option(help="Steps: a YAML file, or one that ships with xbayes: xmm, chandra."),
    ],
    out: Table,
    *,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a key of the config: --set catalog.ra=RAJ2000; --set hosts=null leaves "
            "a step out.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    again: Annotated[
        list[str] | None,
        typer.Option(help="Make the columns of this step anew; may be repeated.", metavar="STEP"),
    ] = None,
    refresh: Annotated[
        list[str] | None,
        typer.Option(
            help="Ask the archives of this step again, such as SIMBAD for identifications, and "
            "make its columns anew; may be repeated.",
            metavar="STEP",
        ),
    ] = None,
    cache: Cache = None,
    offline: Offline = False,
    allow_partial: AllowPartial = False,
    table: TableName = None,
    units: ColumnUnit = None,
    overwrite: Overwrite = False,
) -> None:
    """Add columns: identifications, coverage, long-term variability, host galaxies and more.

    Existing columns stay as they are. Steps that are done are skipped. If the command is stopped,
    or a service is down, the same command goes on later.

    Example: `xbayes enhance field.fits --config xmm --out rich.fits`
    """
    from xbayes.cli import commands

    commands.enhance(
        catalog, config, out, units=distinct_pairs("--units", "COLUMN=UNIT", units),
        settings=set_ or [], again=again or [], refresh=refresh or [], cache=cache,
        offline=offline, allow_partial=allow_partial, table=table, overwrite=overwrite,
        reporter=Reporter(),
    )  # fmt: skip
