"""The commands that apply a fitted run to a catalogue, or make a catalogue."""

from pathlib import Path
from typing import Annotated

import typer

from xbayes.cli.options import (
    CATALOGUES,
    Outputs,
    Overwrite,
    Prior,
    Run,
    Table,
    TableOrNone,
)

catalogues = typer.Typer()


@catalogues.command(rich_help_panel=CATALOGUES)
def classify(
    run: Run,
    catalog: Annotated[
        list[str] | None,
        typer.Argument(
            help="Catalogue to classify (or the rest of --row's key=value).", metavar="[CATALOG]"
        ),
    ] = None,
    out: TableOrNone = None,
    row: Annotated[
        list[str] | None,
        typer.Option(
            help="One source by hand: --row ra=83.6 dec=22.0 flux=1e-12 ...", metavar="KEY=VALUE"
        ),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            help="Class proportions expected in this catalogue: AGN=0.66,Star=0.25,...; "
            "or estimate: those that its own sources tell."
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Apply a fitted run to a catalogue, or to one source.

    Columns that are not needed pass through. With `--row`, what is not given counts as not
    measured; `key=` (empty) says that one looked and found nothing.

    Examples: `xbayes classify runs/demo new.fits --out classified.fits`,
    `xbayes classify runs/demo --row ra=266.4 dec=-29.0 flux_hard=2e-13 flux_soft=1e-14`
    """
    from xbayes.cli import commands

    commands.classify(run, catalog or [], row=row or [], out=out, prior=prior, overwrite=overwrite)


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
        typer.Option(help="Run that classified it: for labels, and for CSV files."),
    ] = None,
    rho: Annotated[
        str,
        typer.Option(
            help="Correlation of a source's detections: 0 independent, 1 copies; auto: learned.",
            metavar="auto|NUMBER",
        ),
    ] = "auto",
    prior: Annotated[
        str | None,
        typer.Option(help="Class proportions it was classified under, where the file is CSV."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Detections to sources: soft and hard votes, and the posterior that all detections give.

    The posterior counts n detections as n / (1 + (n - 1) rho) independent ones. `auto` learns rho
    on the held-out sources of RUN if its config names `catalog.source`, else on labels in the
    catalogue; where there are none it is 1: many detections tell as much as one.

    Example: `xbayes sources classified.fits --by name --out sources.fits --run runs/mine`
    """
    from xbayes.cli import commands

    commands.sources(catalog, by, out=out, run=run, rho=rho, prior=prior, overwrite=overwrite)


@catalogues.command(rich_help_panel=CATALOGUES)
def explain(
    run: Run,
    catalog: Annotated[Path, typer.Argument(help="Catalogue that holds the source.")],
    name: Annotated[str, typer.Argument(help="Its id, as in the id column of the catalogue.")],
    out: Outputs = None,
    prior: Prior = None,
    overwrite: Overwrite = False,
) -> None:
    """Why one source got its class: what each property adds, as a table and a figure.

    Each column sums to the ln odds of a class against the predicted one. Beside it stands which
    share of each class lies below the value.

    Example: `xbayes explain runs/demo runs/demo-catalog.fits "SIM 000007" --out track.pdf`
    """
    from xbayes.cli import commands

    commands.explain(run, catalog, name, outs=out or [], prior=prior, overwrite=overwrite)


@catalogues.command(rich_help_panel=CATALOGUES)
def simulate(
    out: Table,
    n: Annotated[
        int | None,
        typer.Option("-n", help="Number of sources; 3000 without --preset."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="The class counts of a published sample: 4xmm, 2sxps or csc."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 1,
    detections: Annotated[
        Path | None,
        typer.Option(help="Second table: the detections of the sources."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Simulate a catalogue of labelled sources, one row each, with known truth.

    Examples: `xbayes simulate --out sky.fits -n 10000 --detections detections.fits`,
    `xbayes simulate --out sky.fits --preset 4xmm`
    """
    from xbayes.cli import commands

    commands.simulate(
        out, n=n, preset=preset, seed=seed, detections=detections, overwrite=overwrite
    )


@catalogues.command(rich_help_panel=CATALOGUES)
def counts(
    run: Run,
    catalog: Annotated[Path, typer.Argument(help="Catalogue whose sources are counted.")],
    out: TableOrNone = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Count all sources, not only those without a label.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """How many sources of each class a catalogue holds, corrected for the classifier's errors.

    Two corrections, with 90 % intervals: by the held-out confusion of RUN, which needs no
    probability to be right, and by the posteriors of the catalogue, re-calibrated. Both take it
    that the sources of a class look as the labelled ones do, that only the proportions differ, and
    that every source is of one of the classes; a warning says where the two disagree.

    Example: `xbayes counts runs/mine new.fits --out counts.csv`
    """
    from xbayes.cli import commands

    commands.counts(run, catalog, out=out, all=all_, overwrite=overwrite)


@catalogues.command(rich_help_panel=CATALOGUES)
def suggest(
    run: Run,
    catalog: Annotated[Path, typer.Argument(help="Catalogue to choose from.")],
    n: Annotated[int, typer.Option("-n", help="How many sources to choose.")] = 100,
    out: TableOrNone = None,
    overwrite: Overwrite = False,
) -> None:
    """What to label next: the sources whose labels would teach the classifier most, together.

    The gain of a label is its expected information about densities and weights, in nats, beside
    the labels before it, so that alike sources are not all chosen. RUN needs draws of its
    posterior (`variant: bayes`).

    Examples: `xbayes run configs/chandra_sources_bayes.yaml --out runs/bayes`,
    `xbayes suggest runs/bayes new.fits -n 100 --out next.csv`
    """
    from xbayes.cli import commands

    commands.suggest(run, catalog, n=n, out=out, overwrite=overwrite)
