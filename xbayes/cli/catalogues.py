"""The commands that apply a fitted run to a catalogue, or simulate a catalogue."""

from pathlib import Path
from typing import Annotated

import typer

from xbayes.cli.options import (
    CATALOGUES,
    ColumnMap,
    ColumnUnit,
    IdColumn,
    MeasuredValue,
    MissingValue,
    OptionalColumn,
    Outputs,
    Overwrite,
    Prior,
    Run,
    Table,
    TableName,
    TableOrNone,
    column_keywords,
)

catalogues = typer.Typer()


@catalogues.command(rich_help_panel=CATALOGUES)
def classify(
    run: Run,
    catalog: Annotated[
        list[str] | None,
        typer.Argument(
            help="Catalogue to classify (or further COLUMN=VALUE after --row).", metavar="[CATALOG]"
        ),
    ] = None,
    *,
    out: TableOrNone = None,
    row: Annotated[
        list[str] | None,
        typer.Option(
            help="One source instead: --row COLUMN=VALUE COLUMN=VALUE ...", metavar="COLUMN=VALUE"
        ),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            help="Class proportions expected in this catalogue: AGN=0.66,Star=0.25,...; "
            "or estimate: estimated from its sources. They replace a prior that depends on the "
            "source."
        ),
    ] = None,
    decision: Annotated[
        str | None,
        typer.Option(
            help="How the class is chosen instead: argmax, f1, expected_f1 or precision=0.9, "
            "learned on the run; or catalogue: its threshold learned on this catalogue.",
            metavar="RULE",
        ),
    ] = None,
    id_: IdColumn = None,
    map_: ColumnMap = None,
    optional: OptionalColumn = None,
    units: ColumnUnit = None,
    missing_values: MissingValue = None,
    measured_values: MeasuredValue = None,
    table: TableName = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler, whose workers classify a HATS catalogue.",
            metavar="URL",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes of this machine that classify a HATS catalogue; 2 by default.",
            metavar="N",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Apply a fitted run to a catalogue, or to one source.

    A catalogue larger than memory is a HATS catalogue: CATALOG is then its folder or its address,
    and FILE the folder of another. The same command goes on where it was stopped.

    Other columns pass through. With `--row`, omitted values are not available; `COLUMN=` (empty)
    means not detected. A warning names each given value that changes nothing.

    Examples: `xbayes classify runs/demo new.fits --out classified.fits`,
    `xbayes classify runs/demo other.csv --out classified.csv --id srcid --map g_mag=Gmag`,
    `xbayes classify runs/demo sky.hats --out classified.hats --workers 8`,
    `xbayes classify runs/demo --row ra=266.4 dec=-29.0 flux_soft=1e-15 flux_medium=5e-15
    flux_hard=2e-13`
    """
    from xbayes.cli import commands

    columns = column_keywords(
        id_=id_,
        map_=map_,
        optional=optional,
        units=units,
        missing_values=missing_values,
        measured_values=measured_values,
        table=table,
    )
    if row:
        commands.classify_row(
            run, [*row, *(catalog or [])], out=out, prior=prior, decision=decision,
            overwrite=overwrite, **columns,
        )  # fmt: skip
    else:
        commands.classify_file(
            run, catalog or [], out=out, prior=prior, decision=decision, overwrite=overwrite,
            scheduler=scheduler, workers=workers, **columns,
        )  # fmt: skip


@catalogues.command(rich_help_panel=CATALOGUES)
def models(
    name: Annotated[
        str | None, typer.Argument(help="Print the card of this model: its scores and limits.")
    ] = None,
) -> None:
    """List the ready-made models, which need no training sample of your own.

    Each name can stand where a command takes a run directory:
    `xbayes classify chandra-sources new.fits --out classified.fits`

    Example: `xbayes models chandra-sources`
    """
    from xbayes.cli import commands

    commands.models(name)


@catalogues.command(rich_help_panel=CATALOGUES)
def sources(
    catalog: Annotated[
        Path,
        typer.Argument(help="Detections classified by 'xbayes classify'.", metavar="CLASSIFIED"),
    ],
    by: Annotated[
        str, typer.Option(help="Column that names the source of each detection.", metavar="COLUMN")
    ],
    *,
    out: Table,
    run: Annotated[
        Path | None,
        typer.Option(help="Run that classified it; needed for labels and for CSV files."),
    ] = None,
    rho: Annotated[
        str,
        typer.Option(
            help="Correlation between detections of a source: 0 independent, 1 copies; auto: "
            "learned.",
            metavar="auto|NUMBER",
        ),
    ] = "auto",
    prior: Annotated[
        str | None,
        typer.Option(help="Class proportions used by classify; needed for CSV files."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Pool detections into sources: soft and hard votes, and the combined posterior.

    CLASSIFIED may be a HATS catalogue; the detections of a source may then be in any partitions.

    The combined posterior counts n detections as n / (1 + (n - 1) rho) independent ones. `auto`
    learns rho from the out-of-fold predictions of RUN if its config sets `catalog.source`, or else
    from labels in the catalogue. Without either rho is 1: n detections count as one.

    Example: `xbayes sources classified.fits --by name --out sources.fits --run runs/mine`
    """
    from xbayes.cli import commands

    commands.sources(catalog, by, out=out, run=run, rho=rho, prior=prior, overwrite=overwrite)


@catalogues.command(rich_help_panel=CATALOGUES)
def explain(
    run: Run,
    catalog: Annotated[Path, typer.Argument(help="Catalogue that holds the source.")],
    name: Annotated[str, typer.Argument(help="Id of the source, as in the id column.")],
    *,
    out: Outputs = None,
    prior: Prior = None,
    id_: IdColumn = None,
    map_: ColumnMap = None,
    optional: OptionalColumn = None,
    units: ColumnUnit = None,
    missing_values: MissingValue = None,
    measured_values: MeasuredValue = None,
    table: TableName = None,
    overwrite: Overwrite = False,
) -> None:
    """Explain one prediction: the contribution of each feature, as a table and a figure.

    Each column sums to the log-odds of a class against the predicted class. A second set of columns
    gives the share of each class that lies below the value.

    Example: `xbayes explain runs/demo runs/demo-catalog.fits "SIM 000007" --out track.pdf`
    """
    from xbayes.cli import commands

    columns = column_keywords(
        id_=id_,
        map_=map_,
        optional=optional,
        units=units,
        missing_values=missing_values,
        measured_values=measured_values,
        table=table,
    )
    commands.explain(
        run, catalog, name, outs=out or [], prior=prior, overwrite=overwrite, **columns
    )


@catalogues.command(rich_help_panel=CATALOGUES)
def simulate(
    out: Table,
    n: Annotated[
        int | None,
        typer.Option("-n", help="Number of sources; 3000 by default."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Class counts of a published sample: 4xmm, 2sxps or csc."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 1,
    *,
    hosts: Annotated[
        bool,
        typer.Option(
            "--hosts", help="Add nearby galaxies, the sources inside them, and extended sources."
        ),
    ] = False,
    detections: Annotated[
        Path | None,
        typer.Option(help="Second table to write: the detections of the sources."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Simulate a catalogue of labelled sources, one row each, with known truth.

    Examples: `xbayes simulate --out sky.fits -n 10000 --detections detections.fits`,
    `xbayes simulate --out sky.fits --preset 4xmm`
    """
    from xbayes.cli import commands

    commands.simulate(
        out,
        n=n,
        preset=preset,
        seed=seed,
        hosts=hosts,
        detections=detections,
        overwrite=overwrite,
    )


@catalogues.command(rich_help_panel=CATALOGUES)
def counts(
    run: Run,
    catalog: Annotated[Path, typer.Argument(help="Catalogue whose sources are counted.")],
    *,
    out: TableOrNone = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Count all sources, not only those without a label.")
    ] = False,
    id_: IdColumn = None,
    map_: ColumnMap = None,
    optional: OptionalColumn = None,
    units: ColumnUnit = None,
    missing_values: MissingValue = None,
    measured_values: MeasuredValue = None,
    table: TableName = None,
    overwrite: Overwrite = False,
) -> None:
    """Count the sources of each class in a catalogue, corrected for misclassification.

    There are two corrections, with 90 % intervals: by the out-of-fold confusion matrix of RUN,
    which does not rely on calibration, and by the recalibrated posteriors of the catalogue. Both
    assume that only the class proportions differ from the training sample (label shift), and that
    every source belongs to one of the classes. A warning names the classes for which the two
    disagree.

    Example: `xbayes counts runs/mine new.fits --out counts.csv`
    """
    from xbayes.cli import commands

    columns = column_keywords(
        id_=id_,
        map_=map_,
        optional=optional,
        units=units,
        missing_values=missing_values,
        measured_values=measured_values,
        table=table,
    )
    commands.counts(run, catalog, out=out, all=all_, overwrite=overwrite, **columns)


@catalogues.command(rich_help_panel=CATALOGUES)
def suggest(
    run: Run,
    catalog: Annotated[Path, typer.Argument(help="Catalogue to choose from.")],
    *,
    n: Annotated[int, typer.Option("-n", help="How many sources to choose.")] = 100,
    out: TableOrNone = None,
    id_: IdColumn = None,
    map_: ColumnMap = None,
    optional: OptionalColumn = None,
    units: ColumnUnit = None,
    missing_values: MissingValue = None,
    measured_values: MeasuredValue = None,
    table: TableName = None,
    overwrite: Overwrite = False,
) -> None:
    """Suggest the sources to label next: those whose labels together are most informative.

    The gain of a label is its expected information about densities and weights, in nats, given the
    labels ranked before it, so that the suggestions are diverse. RUN needs posterior samples
    (`variant: bayes`).

    Examples: `xbayes run configs/chandra_sources_bayes.yaml --out runs/bayes`,
    `xbayes suggest runs/bayes new.fits -n 100 --out next.csv`
    """
    from xbayes.cli import commands

    columns = column_keywords(
        id_=id_,
        map_=map_,
        optional=optional,
        units=units,
        missing_values=missing_values,
        measured_values=measured_values,
        table=table,
    )
    commands.suggest(run, catalog, n=n, out=out, overwrite=overwrite, **columns)


@catalogues.command(rich_help_panel=CATALOGUES)
def send(
    run: Annotated[
        Path | None, typer.Argument(help="Run whose classified catalogue is sent.")
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option(help="Another catalogue to send, instead of that of a run.")
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            help="Program to send to, such as TOPCAT or Aladin (may be given more than once); by "
            "default all that take tables.",
            metavar="NAME",
        ),
    ] = None,
) -> None:
    """Send a classified catalogue to TOPCAT, Aladin and other programs on this machine, by SAMP.

    A program with a SAMP hub must run: TOPCAT and Aladin start one.

    Examples: `xbayes send runs/demo`, `xbayes send --catalog classified.fits --to TOPCAT`
    """
    from xbayes.cli import commands

    commands.send(run, catalog=catalog, to=to or [])
