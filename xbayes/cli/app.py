"""The command line. Heavy libraries are imported by the commands that use them."""

import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from xbayes.cli.progress import Reporter
from xbayes.errors import InputError

app = typer.Typer(
    name="xbayes",
    help="From an X-ray catalogue to calibrated, explainable class posteriors.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

EXPERIMENTS, CATALOGUES = "Experiments", "Catalogues"
Config = Annotated[Path, typer.Argument(help="The experiment, a YAML file.")]
Catalog = Annotated[Path | None, typer.Option(help="Catalogue, instead of catalog.file.")]
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
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Change a key of the config: --set model.weights=property.",
        metavar="KEY=VALUE",
    ),
]


@app.command(rich_help_panel=EXPERIMENTS)
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


@app.command(rich_help_panel=EXPERIMENTS)
def run(
    config: Config,
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

    commands.run(config, catalog, out, set_ or [], overwrite, strict, Reporter(), target)


@app.command(rich_help_panel=EXPERIMENTS)
def compare(
    items: Annotated[
        list[Path],
        typer.Argument(help="Configs (one may hold a sweep) and run directories."),
    ],
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
    from xbayes.cli import compare as commands_compare
    from xbayes.compare.plan import Request

    request = Request(
        tuple(items), tuple(set_ or ()), catalog, tuple(peer or ()), peers_on, peer_calibration
    )
    commands_compare.compare(request, out, overwrite, resume, Reporter())


@app.command("select-k", rich_help_panel=EXPERIMENTS)
def select_k(
    config: Config,
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

    commands.select_k(config, catalog, out or [], largest, runs, set_ or [], overwrite)


@app.command(rich_help_panel=CATALOGUES)
def classify(
    run: Run,
    catalog: Annotated[
        list[str] | None,
        typer.Argument(
            help="Catalogue to classify (or the rest of --row's key=value).", metavar="[CATALOG]"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Table to write: .fits .vot .xml .ecsv .csv .parquet."),
    ] = None,
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

    commands.classify(run, catalog or [], out, row or [], prior, overwrite)


@app.command(rich_help_panel=CATALOGUES)
def sources(
    catalog: Annotated[
        Path,
        typer.Argument(help="Detections classified by 'xbayes classify'.", metavar="CLASSIFIED"),
    ],
    by: Annotated[
        str, typer.Option(help="Column that names the source of each detection.", metavar="COLUMN")
    ],
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

    commands.sources(catalog, by, out, run, rho, prior, overwrite)


@app.command(rich_help_panel=CATALOGUES)
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

    commands.explain(run, catalog, name, out or [], prior, overwrite)


@app.command(rich_help_panel=CATALOGUES)
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

    commands.simulate(out, n, preset, seed, detections, overwrite)


@app.command(rich_help_panel=CATALOGUES)
def counts(
    run: Run,
    catalog: Annotated[Path, typer.Argument(help="Catalogue whose sources are counted.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Table to write: .fits .vot .xml .ecsv .csv .parquet."),
    ] = None,
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
    from xbayes.cli import planning as commands_planning

    commands_planning.counts(run, catalog, out, all_, overwrite)


@app.command("learning-curve", rich_help_panel=EXPERIMENTS)
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
    from xbayes.cli import planning as commands_planning

    arguments = (config, catalog, sizes, out or [], set_ or [], overwrite)
    commands_planning.learning_curve(*arguments, Reporter())


@app.command(rich_help_panel=CATALOGUES)
def suggest(
    run: Run,
    catalog: Annotated[Path, typer.Argument(help="Catalogue to choose from.")],
    n: Annotated[int, typer.Option("-n", help="How many sources to choose.")] = 100,
    out: Annotated[
        Path | None,
        typer.Option(help="Table to write: .fits .vot .xml .ecsv .csv .parquet."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """What to label next: the sources whose labels would teach the classifier most, together.

    The gain of a label is its expected information about densities and weights, in nats, beside
    the labels before it, so that alike sources are not all chosen. RUN needs draws of its
    posterior (`variant: bayes`).

    Examples: `xbayes run configs/chandra_sources_bayes.yaml --out runs/bayes`,
    `xbayes suggest runs/bayes new.fits -n 100 --out next.csv`
    """
    from xbayes.cli import planning as commands_planning

    commands_planning.suggest(run, catalog, n, out, overwrite)


def _stop(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: wrong use or input is one message and exit code 2."""
    # Being told to stop unwinds the stack, so that half-written output is cleared away.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    try:
        app(args=arguments)
    except InputError as error:
        print(f"xbayes: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("xbayes: interrupted; nothing was written", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
