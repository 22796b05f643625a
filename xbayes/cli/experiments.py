"""The commands that make or plan an experiment."""

from pathlib import Path
from typing import Annotated

import typer

from xbayes.cli.options import (
    EXPERIMENTS,
    Catalog,
    Config,
    Outputs,
    Overwrite,
    Settings,
)
from xbayes.cli.progress import Reporter

experiments = typer.Typer()


@experiments.command(rich_help_panel=EXPERIMENTS)
def demo(
    out: Annotated[Path, typer.Option(help="Run directory to make.")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(help="Seed of the simulated catalogue.")] = 1,
    overwrite: Overwrite = False,
) -> None:
    """Simulate a catalogue, run an experiment on it, print the results.

    Example: `xbayes demo`
    """
    from xbayes.cli import commands

    commands.demo(out, seed, overwrite, Reporter())


@experiments.command(rich_help_panel=EXPERIMENTS)
def run(
    config: Config,
    *,
    catalog: Catalog = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Run directory to make; runs/NAME-TIME if not given."),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option(help="Catalogue to learn for: what it never measured is left out."),
    ] = None,
    set_: Settings = None,
    overwrite: Overwrite = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit with 2 if chains did not converge (variant: bayes)."),
    ] = False,
) -> None:
    """Run one experiment: cross-validate, fit on all, classify the catalogue, report.

    Examples: `xbayes run configs/chandra_sources.yaml --set model.weights=property`,
    `xbayes run configs/chandra_sources_bayes.yaml --strict` (with an interval for every
    probability; the other `configs/*_bayes.yaml` are like it),
    `xbayes run my.yaml --target new.fits --out runs/new` (then `xbayes classify runs/new new.fits`)
    """
    from xbayes.cli import commands

    commands.run(
        config,
        reporter=Reporter(),
        strict=strict,
        catalog=catalog,
        out=out,
        target=target,
        set=set_ or [],
        overwrite=overwrite,
    )


@experiments.command(rich_help_panel=EXPERIMENTS)
def compare(
    items: Annotated[
        list[Path],
        typer.Argument(help="Configs (one may hold a sweep) and run directories."),
    ],
    *,
    catalog: Catalog = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to make; runs/compare-NAME-TIME if not given."),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            help="A classifier of others: random_forest, hist_gradient_boosting, lightgbm, "
            "explainable_boosting, hard_rules; or all.",
            metavar="NAME",
        ),
    ] = None,
    peers_on: Annotated[
        Path | None,
        typer.Option(help="Config whose properties the peers get; the first if not given."),
    ] = None,
    peer_calibration: Annotated[
        str | None,
        typer.Option(
            help="none, auto, temperature, vector or dirichlet; that of the config if not given."
        ),
    ] = None,
    set_: Settings = None,
    overwrite: Overwrite = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Do only what a stopped comparison has not done.")
    ] = False,
) -> None:
    """Variants side by side on the same folds: one table, one report.

    Every variant decides by the same rule, tuned on inner folds for the F1 of one class (XRB, or
    f1_class). Best is bold only where the paired difference to every other one is real. Configs are
    cross-validated here; of run directories the held-out predictions are read.

    Examples: `xbayes compare configs/chandra_sources.yaml configs/chandra_sources_bayes.yaml
    --peer all`, `xbayes compare my_sweep.yaml --out runs/sweep --resume`
    """
    from xbayes.cli.compare import compare as run_comparison

    run_comparison(
        items,
        reporter=Reporter(),
        catalog=catalog,
        out=out,
        peer=peer or [],
        peers_on=peers_on,
        peer_calibration=peer_calibration,
        set=set_ or [],
        overwrite=overwrite,
        resume=resume,
    )


@experiments.command("select-k", rich_help_panel=EXPERIMENTS)
def select_k(
    config: Config,
    *,
    catalog: Catalog = None,
    out: Outputs = None,
    largest: Annotated[int, typer.Option(help="Most clusters to try; the least is 2.")] = 20,
    runs: Annotated[int, typer.Option(help="EM runs for each number, from random starts.")] = 10,
    set_: Settings = None,
    overwrite: Overwrite = False,
) -> None:
    """How many clusters: BIC, its gradient and the silhouette for K = 2, 3, ...

    Example: `xbayes select-k configs/chandra_detections.yaml --out bic.png --out bic.csv`
    """
    from xbayes.cli import commands

    commands.select_k(
        config,
        outs=out or [],
        overwrite=overwrite,
        catalog=catalog,
        largest=largest,
        runs=runs,
        set=set_ or [],
    )


@experiments.command("learning-curve", rich_help_panel=EXPERIMENTS)
def learning_curve(
    config: Config,
    catalog: Catalog = None,
    sizes: Annotated[
        str | None,
        typer.Option(
            help="Shares of the labelled sources to learn from; the smallest possible to 1 if not "
            "given.",
            metavar="0.1,0.3,1",
        ),
    ] = None,
    out: Outputs = None,
    set_: Settings = None,
    overwrite: Overwrite = False,
) -> None:
    """What more labels are worth: held-out F1 and log loss of each class by its labelled members.

    Random parts of each outer training part are learned from; the test sources are the same.

    Example: `xbayes learning-curve configs/chandra_sources.yaml --out curve.png --out curve.csv`
    """
    from xbayes.cli import commands

    commands.learning_curve(
        config,
        sizes=sizes,
        outs=out or [],
        overwrite=overwrite,
        reporter=Reporter(),
        catalog=catalog,
        set=set_ or [],
    )
