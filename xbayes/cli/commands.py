"""The commands, once their arguments are parsed: each calls the public API and prints."""

import os
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

import numpy as np
from rich.console import Console

import xbayes
from xbayes.catalog.read import parse_row
from xbayes.catalog.write import check_output, write_catalog
from xbayes.cli import hats, show
from xbayes.cli.outputs import checked_outputs, say, write_outputs, write_table
from xbayes.cli.progress import Reporter
from xbayes.errors import InputError

if TYPE_CHECKING:
    from xbayes.catalog.match import ColumnKeywords
    from xbayes.evaluate.applied_rule import AppliedRule, Asked
    from xbayes.evaluate.label_shift import CheckedEstimate
    from xbayes.tasks.fitted_run import FittedRun

ESTIMATE = "estimate"  # --prior: estimate the class proportions from the catalogue
SUGGESTIONS = 20  # printed rows


def demo(out: Path, seed: int, overwrite: bool, reporter: Reporter) -> None:
    """Simulate a catalogue beside the run directory, and run the demo config on it."""
    from xbayes.output.run_directory import check_run_directory

    catalog = out.with_name(out.name + "-catalog.fits")
    check_run_directory(out, overwrite)
    catalog.parent.mkdir(parents=True, exist_ok=True)
    write_catalog(xbayes.simulate(seed=seed), catalog, overwrite=True)
    with as_file(files("xbayes").joinpath("demo.yaml")) as config:
        try:
            run(config, catalog=catalog, out=out, overwrite=overwrite, reporter=reporter)
        except KeyboardInterrupt as stopped:
            left = str(stopped) or f"only the catalogue was written: {catalog}"
            raise KeyboardInterrupt(left) from None


def init(catalog: Path, *, out: Path | None, overwrite: bool) -> None:
    """Write a starter config and print what is left to do."""
    stem = catalog.name.partition(".")[0] or "catalogue"
    out = Path(f"{stem}.yaml") if out is None else out
    starter = xbayes.init(catalog, out=out, overwrite=overwrite)
    say(f"written: {out} ({len(starter.labels)} labels, {len(starter.features)} features)")
    for number, step in enumerate(starter.steps, start=1):
        say(f"{number}. {step}")


def run(config: Path, *, reporter: Reporter, strict: bool = False, **options) -> None:
    """Run the experiment of a config file; print its scores and the path of its report."""
    from xbayes.config.schema import gives_proportions

    with reporter:
        fitted = xbayes.run(config, progress=reporter, **options)
    metrics = fitted.metrics
    reweighted, split = gives_proportions(fitted.config), fitted.config.validation.split
    show.print_metrics(metrics, fitted.config.name, reweighted, split=split)
    report = fitted.folder / "report.html"
    Console().print(f"report: [bold]{report}[/bold]", highlight=False, soft_wrap=True)
    chain_warnings = metrics.get("posterior", {}).get("warnings", [])
    if strict and chain_warnings:
        raise InputError(f"{chain_warnings[0]} (the run is in {fitted.folder})")


def plan(config: Path, **options) -> None:
    """Check a config and a catalogue, and print what a run would do."""
    print(xbayes.plan(config, **options))


def models(name: str | None) -> None:
    """Print the list of ready-made models, or the card of one."""
    from xbayes.tasks.ready_made import card_of

    if name is None:
        show.print_models(xbayes.models())
    else:
        print(card_of(name))


def report(run: Path, figures: list[str]) -> None:
    """Draw the report of a run again."""
    print(f"report: {xbayes.load(run).report(figures)}")


def classify_row(
    run: Path, pairs: list[str], *, out: Path | None, prior: str | None, decision: str | None,
    overwrite: bool, **columns: Unpack["ColumnKeywords"],
) -> None:  # fmt: skip
    """Classify one source given as column=value pairs, print it, and write it if asked for."""
    if prior == ESTIMATE:
        raise InputError("--prior estimate needs a catalogue; one source has no proportions")
    if out is not None:
        check_output(out, overwrite)
    row, proportions = parse_row(pairs), _parse_prior(prior)
    table = xbayes.load(run).classify(
        row, prior=proportions, decision=_parse_decision(decision), **columns
    )
    show.print_source(table)
    if decision is not None:
        say(f"decision rule: {(table.meta or {})['DECISION']}")
    if out is not None:
        write_catalog(table, out, overwrite)
        say(f"1 sources classified: {out}")


def classify_file(
    run: Path, catalog: list[str], *, out: Path | None, prior: str | None, decision: str | None,
    overwrite: bool, scheduler: str | None = None, workers: int | None = None,
    **columns: Unpack["ColumnKeywords"],
) -> None:  # fmt: skip
    """Classify a catalogue and write a file, or a HATS catalogue."""
    if len(catalog) != 1:
        raise InputError(
            "give one catalogue to classify, or one source with --row COLUMN=VALUE ..."
        )
    if out is None:
        raise InputError("give the file for the classified catalogue: --out FILE")
    hats.check_dask_options(catalog[0], scheduler, workers)
    proportions = prior if prior == ESTIMATE else _parse_prior(prior)
    fitted, rule = xbayes.load(run), _parse_decision(decision)
    told = {
        "estimated": lambda estimate: _say_proportions(fitted, estimate),
        "decided": lambda applied: None if decision is None else _say_rule(applied),
    }
    if hats.is_hats(catalog[0]):
        hats.classify(
            fitted, catalog[0], out, scheduler=scheduler, workers=workers, prior=proportions,
            decision=rule, overwrite=overwrite, **told, **columns,
        )  # fmt: skip
        return
    check_output(out, overwrite)
    n_rows = fitted.classify_file(
        catalog[0], out, prior=proportions, overwrite=overwrite, decision=rule, **told, **columns
    )
    say(f"{n_rows} sources classified: {out}")


def sources(
    catalog: Path, by: str, *, out: Path, run: Path | None, rho: str, prior: str | None,
    overwrite: bool,
) -> None:  # fmt: skip
    """Pool the classified detections of each source and write the table of sources."""
    proportions, number = _parse_prior(prior), _parse_rho(rho)
    if hats.is_hats(catalog):
        hats.sources(
            catalog, by, out=out, run=run, rho=None if number == "auto" else number,
            prior=proportions, overwrite=overwrite,
        )  # fmt: skip
        return
    check_output(out, overwrite)
    table = xbayes.sources(catalog, by, run=run, rho=number, prior=proportions)
    write_catalog(table, out, overwrite)
    meta, n_detections = table.meta or {}, int(np.asarray(table["n_detections"]).sum())
    say(f"{n_detections} detections of {len(table)} sources: {out}")
    say(f"rho = {meta['RHO']:.3g}, {meta['RHO_FROM']}")


def explain(
    run: Path, catalog: Path, name: str, *, outs: list[Path], prior: str | None, overwrite: bool,
    **columns: Unpack["ColumnKeywords"],
) -> None:  # fmt: skip
    """Print the explanation of one prediction; write it as figure and table."""
    from xbayes.report.track_table import print_track

    outs, proportions = checked_outputs(outs, overwrite), _parse_prior(prior)
    explained = xbayes.load(run).explain(catalog, name, prior=proportions, **columns)
    print_track(explained.track, Console(highlight=False))
    write_outputs(outs, explained, overwrite)


def select_k(config: Path, *, outs: list[Path], overwrite: bool, **options) -> None:
    """Print the selected number of components; write figure and table."""
    outs = checked_outputs(outs, overwrite)
    search = xbayes.select_k(config, **options)
    show.print_components(search.table, search.reason)
    write_outputs(outs, search, overwrite)


def simulate(
    out: Path, *, n: int | None, preset: str | None, seed: int, hosts: bool = False,
    detections: Path | None, overwrite: bool,
) -> None:  # fmt: skip
    """Write a simulated catalogue and, if asked for, its detections."""
    for path in filter(None, (out, detections)):
        check_output(path, overwrite)
    if detections == out:
        raise InputError(f"--out and --detections both name {out}; give two files")
    catalog = xbayes.simulate(n, seed=seed, preset=preset, hosts=hosts)
    write_catalog(catalog, out, overwrite)
    if detections is not None:
        from xbayes.simulate.catalog import simulate_detections

        write_catalog(simulate_detections(catalog, seed), detections, overwrite)


def enhance(
    catalog: Path, config: str, out: Path, *, settings: list[str], again: list[str],
    reporter: Reporter, **options,
) -> None:  # fmt: skip
    """Enhance a catalogue, write it, and print what was done."""
    from xbayes.tasks.enhance import enhance as run_enhance
    from xbayes.tasks.enhance import further_path

    with reporter:
        made = run_enhance(
            catalog, config, out=out, settings=settings, again=again, progress=reporter, **options
        )
    for note in made.notes:
        say(note)
    done = f"; done before: {', '.join(made.skipped)}" if made.skipped else ""
    say(f"steps: {', '.join(made.ran) or 'none'}{done}")
    for name, part in made.tables.items():
        if len(part):
            say(f"{name}: {len(part)} rows: {further_path(out.expanduser(), name)}")
    say(f"{len(made.table)} rows, {len(made.table.colnames)} columns: {out}")


def counts(
    run: Path, catalog: Path, *, out: Path | None, all: bool, overwrite: bool,
    **columns: Unpack["ColumnKeywords"],
) -> None:  # fmt: skip
    """Print the number of sources of each class; write the table."""
    if out is not None:
        check_output(out, overwrite)
    table = xbayes.load(run).counts(catalog, all=all, **columns)
    show.print_counts(table, "sources" if all else "sources without a label")
    write_table(out, table, overwrite)


def learning_curve(
    config: Path, *, sizes: str | None, outs: list[Path], overwrite: bool, reporter: Reporter,
    **options,
) -> None:  # fmt: skip
    """Print F1 and log loss for each number of labelled sources; write figure and table."""
    from xbayes.tasks.learning_curve import ALL

    outs, chosen = checked_outputs(outs, overwrite), _parse_sizes(sizes)
    with reporter:
        curve = xbayes.learning_curve(config, sizes=chosen, progress=reporter, **options)
    show.print_learning(curve.table, ALL)
    write_outputs(outs, curve, overwrite)


def suggest(
    run: Path, catalog: Path, *, n: int, out: Path | None, overwrite: bool,
    **columns: Unpack["ColumnKeywords"],
) -> None:  # fmt: skip
    """Print the sources to label first; write the whole list."""
    if out is not None:
        check_output(out, overwrite)
    fitted = xbayes.load(run)
    table = fitted.suggest(catalog, n=n, **columns)
    show.print_suggestions(table, table.colnames[0], SUGGESTIONS)
    write_table(out, table, overwrite, hint="for the whole list: --out FILE")


def send(run: Path | None, *, catalog: Path | None, to: list[str]) -> None:
    """Send a catalogue by SAMP and print who loaded it."""
    for name in xbayes.send(run, catalog=catalog, to=to):
        say(f"loaded by {name}")


def fetch(source: str, *, out: Path, reporter: Reporter, **options) -> None:
    """Fetch a catalogue and write it."""
    with reporter:
        table = xbayes.fetch(source, out=out, progress=reporter, **options)
    meta = table.meta or {}
    say(f"{len(table)} rows of {meta['CATALOG']}, queried {meta['QUERIED']}: {out}")
    if "REFERENC" in meta:
        say(f"please cite {meta['REFERENC']}")


def serve(
    runs: list[Path], *, catalog: Path | None, host: str, port: int, products: str,
    light_curves: Path | None, resolve: bool, suggested: Path | None = None, database: str = "",
) -> None:  # fmt: skip
    """Serve the explorer until it is stopped."""
    try:
        from xbayes.app.serve import serve_site
        from xbayes.app.site import SiteOptions, aladin_folder, open_site
    except ImportError as error:
        raise InputError(
            f"the explorer needs further packages ({error}); install them: pip install "
            "'xbayes[app]'"
        ) from None
    options = SiteOptions(
        host=host,
        port=port,
        secret_key=os.environ.get("XBAYES_SECRET_KEY", ""),
        products=products,
        light_curves=light_curves,
        resolve=resolve,
        aladin=aladin_folder(),
        suggested=suggested,
        database=database,
    )
    serve_site(open_site(runs, catalog, options), say)


def _say_proportions(fitted: "FittedRun", estimate: "CheckedEstimate") -> None:
    """Print an estimate; that one is declined is a warning."""
    from xbayes.evaluate.label_shift import DECLINED

    if estimate.verdict != DECLINED:
        say(estimate.text(fitted.classes))


def _say_rule(applied: "AppliedRule") -> None:
    say(f"decision rule: {applied.text}")


def _parse_decision(text: str | None) -> "Asked | None":
    """The rule named by --decision; `precision=0.9` becomes a mapping."""
    if text is None or "=" not in text:
        return text
    name, _, value = (part.strip() for part in text.partition("="))
    return {name: _number(value)}


def _parse_prior(text: str | None) -> Mapping[str, float] | None:
    if text is None:
        return None
    proportions: dict[str, float] = {}
    for pair in text.split(","):
        name, equals, value = pair.partition("=")
        number = _number(value)
        if not equals or not number > 0 or name.strip() in proportions:
            raise InputError(
                f"--prior needs CLASS=proportion,... with positive numbers, each class once; "
                f"found {pair!r} (classify also takes --prior estimate)"
            )
        proportions[name.strip()] = number
    return proportions


def _parse_rho(text: str) -> float | Literal["auto"]:
    if text == "auto":
        return "auto"
    rho = _number(text)
    if not 0 <= rho <= 1:
        raise InputError(f"--rho must be auto or a number from 0 to 1; found {text!r}")
    return rho


def _parse_sizes(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    sizes = tuple(_number(part) for part in text.split(","))
    if any(size != size for size in sizes):
        raise InputError(f"--sizes needs shares such as 0.1,0.3,1; found {text!r}")
    return sizes


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
