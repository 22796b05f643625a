"""The commands that run or plan an experiment."""

from pathlib import Path
from typing import Annotated

import typer

from xbayes.cli.options import (
    EXPERIMENTS,
    Catalog,
    Config,
    Figures,
    Outputs,
    Overwrite,
    Run,
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
    """Simulate a catalogue, run an experiment on it and print the results.

    Example: `xbayes demo`
    """
    from xbayes.cli import commands

    commands.demo(out, seed, overwrite, Reporter())


@experiments.command(rich_help_panel=EXPERIMENTS)
def init(
    catalog: Annotated[Path, typer.Argument(help="Labelled catalogue to start from.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Config to write, a YAML file; NAME-OF-CATALOGUE.yaml if not given."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a starter config for a catalogue: roles of its columns, labels, candidate features.

    Columns of 4XMM, CSC 2.1, 2SXPS, eRASS1, Gaia, 2MASS and AllWISE are recognised. Name the
    classes in the config, then run it.

    Example: `xbayes init my_sources.fits --out my.yaml`
    """
    from xbayes.cli import commands

    commands.init(catalog, out=out, overwrite=overwrite)


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
        typer.Option(
            help="Catalogue that the run will be applied to: features that it lacks are left out."
        ),
    ] = None,
    set_: Settings = None,
    overwrite: Overwrite = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Exit with code 2 if the chains did not converge (variant: bayes)."
        ),
    ] = False,
    figures: Figures = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check everything and print the plan; write nothing."),
    ] = False,
) -> None:
    """Run one experiment: cross-validate, fit on all labels, classify, write a report.

    Examples: `xbayes run configs/chandra_sources.yaml --set model.weights=property`,
    `xbayes run configs/chandra_sources_bayes.yaml --strict` (adds an interval to every
    probability, as do the other `configs/*_bayes.yaml`),
    `xbayes run my.yaml --target new.fits --out runs/new` (then `xbayes classify runs/new new.fits`)
    """
    from xbayes.cli import commands

    options = {
        "catalog": catalog,
        "out": out,
        "target": target,
        "set": set_ or [],
        "overwrite": overwrite,
        "figures": figures or [],
    }
    if dry_run:
        commands.plan(config, **options)
    else:
        commands.run(config, reporter=Reporter(), strict=strict, **options)


@experiments.command(rich_help_panel=EXPERIMENTS)
def report(run: Run, figures: Figures = None) -> None:
    """Draw the figures and the report of a run again, from what the run directory holds.

    Example: `xbayes report runs/mine --figures pdf`
    """
    from xbayes.cli import commands

    commands.report(run, figures or [])


@experiments.command(rich_help_panel=EXPERIMENTS)
def compare(
    items: Annotated[
        list[Path],
        typer.Argument(help="Configs (one may contain a sweep) and run directories."),
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
            help="Third-party classifier to add: random_forest, hist_gradient_boosting, lightgbm, "
            "explainable_boosting, hard_rules; or all.",
            metavar="NAME",
        ),
    ] = None,
    peers_on: Annotated[
        Path | None,
        typer.Option(help="Config whose features the peers use; the first one by default."),
    ] = None,
    peer_calibration: Annotated[
        str | None,
        typer.Option(
            help="Calibration of the peers: none, auto, temperature, vector or dirichlet; by "
            "default that of the config."
        ),
    ] = None,
    set_: Settings = None,
    overwrite: Overwrite = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish an interrupted comparison.")
    ] = False,
) -> None:
    """Compare variants on the same folds, in one table and one report.

    All variants use the same decision rule, tuned on inner folds for the F1 of one class (XRB, or
    f1_class). A best value is bold only if its paired difference to every other one is significant.
    Configs are cross-validated; for run directories the out-of-fold predictions are read.

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
    largest: Annotated[int, typer.Option(help="Largest number of components.")] = 20,
    runs: Annotated[int, typer.Option(help="EM runs for each number, from random starts.")] = 10,
    set_: Settings = None,
    overwrite: Overwrite = False,
) -> None:
    """Select the number of mixture components: BIC, its gradient, silhouette, K = 2, 3, ...

    Example: `xbayes select-k configs/chandra_detections_plain.yaml --out bic.png --out bic.csv`
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
            help="Shares of the labelled sources to train on; by default from the smallest usable "
            "share to 1.",
            metavar="0.1,0.3,1",
        ),
    ] = None,
    out: Outputs = None,
    set_: Settings = None,
    overwrite: Overwrite = False,
) -> None:
    """Learning curve: held-out F1 and log loss of each class against the number of labels.

    Models are trained on random subsamples of each outer training fold. The test sources stay the
    same.

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
