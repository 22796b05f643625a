"""What each command does, once its arguments are parsed; the rooms do the work."""

import json
import sys
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table as RichTable

from xbayes.catalog.formats import FORMATS
from xbayes.catalog.read import Chunks, open_chunks, read_catalog, read_row
from xbayes.catalog.write import catalog_writer, check_output, check_place, write_catalog
from xbayes.cli.progress import Reporter
from xbayes.config.reader import load_config
from xbayes.config.schema import Config
from xbayes.simulate.catalog import simulate_catalog, simulate_detections
from xbayes.types import InputError

BLOCKS = {
    "in_sample": "in sample (optimistic)",
    "cross_validated": "held out",
    "prior_weighted": "held out, re-weighted",
}

ESTIMATE = "estimate"  # --prior: the proportions of the catalogue itself
SIMULATED = 3000  # sources, where nobody says how many


def demo(out: Path, seed: int, overwrite: bool, reporter: Reporter) -> None:
    """Simulate next to the run, run the demo config on it."""
    from xbayes.tasks.run import check_folder

    with as_file(files("xbayes").joinpath("demo.yaml")) as path:
        config = load_config(str(path))
    catalog = out.with_name(out.name + "-catalog.fits")
    catalog.parent.mkdir(parents=True, exist_ok=True)
    check_folder(out, overwrite)
    write_catalog(simulate_catalog(SIMULATED, seed), catalog, overwrite=True)
    _experiment(config, catalog, out, overwrite, reporter)


def run(
    config: Path,
    catalog: Path | None,
    out: Path | None,
    settings: list[str],
    overwrite: bool,
    strict: bool,
    reporter: Reporter,
    target: Path | None = None,
) -> None:
    """Run the experiment of a config file, for the catalogue `target` where there is one."""
    settings = [*settings, f"target.file={json.dumps(str(target))}"] if target else settings
    folder, metrics = _experiment(load_config(config, settings), catalog, out, overwrite, reporter)
    doubts = metrics.get("posterior", {}).get("warnings", [])
    if strict and doubts:
        raise InputError(f"{doubts[0]} (the run is in {folder})")


def classify(
    run: Path,
    catalog: list[str],
    out: Path | None,
    row: list[str],
    prior: str | None,
    overwrite: bool,
) -> None:
    """Classify a table into a file, or one row onto the screen."""
    from xbayes.classifier.store import load_model
    from xbayes.features.build import needed_columns
    from xbayes.output.table import passed_columns
    from xbayes.tasks.classify import CHUNK, classify_catalog, classify_chunks
    from xbayes.tasks.training import use_precision

    if not row and len(catalog) != 1:
        raise InputError("give one catalogue to classify, or one source with --row key=value ...")
    if row and prior == ESTIMATE:
        raise InputError("--prior estimate needs a catalogue; one source tells no proportions")
    if not row and out is None:
        raise InputError("say where the classified catalogue goes: --out FILE")
    if out is not None:
        check_output(out, overwrite)
    config, *_ = load_model(run)
    use_precision(config)
    proportions = None if prior == ESTIMATE else _parse_prior(prior)
    if not row and out is not None:
        chunks = open_chunks(catalog[0], CHUNK, text=[config.catalog.id])
        if prior == ESTIMATE:
            proportions = _estimated(run, chunks)
        with catalog_writer(out, overwrite) as append:
            for table in classify_chunks(run, chunks, proportions, tell=warn):
                append(table)
        n_rows = chunks.n_rows
    else:
        source = read_row([*row, *catalog])
        roles, needed = config.catalog, frozenset(needed_columns(config))
        _refuse_unknown(source.colnames, [*needed, *passed_columns(roles)])
        absent = needed - set(source.colnames)
        table = classify_catalog(run, source, proportions, absent)
        _print_source(table)
        n_rows = len(table)
        if out is not None:
            write_catalog(table, out, overwrite)
    if out is not None:
        Console(stderr=True).print(f"{n_rows} sources classified: {out}", highlight=False)


def sources(
    catalog: Path,
    by: str,
    out: Path,
    run: Path | None,
    rho: str,
    prior: str | None,
    overwrite: bool,
) -> None:
    """Write the table of sources of a classified catalogue of detections."""
    from xbayes.classifier.store import load_model
    from xbayes.tasks.pool_detections import pool_detections
    from xbayes.tasks.training import use_precision

    check_output(out, overwrite)
    correlation, proportions = _parse_rho(rho), _parse_prior(prior)
    if run is not None:
        config, *_ = load_model(run)
        use_precision(config)
    table = read_catalog(catalog, text=[by])
    pooled = pool_detections(table, by, run, proportions, correlation)
    for doubt in pooled.doubts:
        warn(doubt)
    write_catalog(pooled.table, out, overwrite)
    told = f"{len(table)} detections of {len(pooled.table)} sources: {out}"
    told += f"\nrho = {pooled.rho:.3g}, {pooled.origin}"
    Console(stderr=True).print(told, highlight=False, markup=False, soft_wrap=True)


def explain(
    run: Path, catalog: Path, name: str, outs: list[Path], prior: str | None, overwrite: bool
) -> None:
    """Print why one source got its class; write it as figure and as table where asked for."""
    from xbayes.classifier.store import load_model
    from xbayes.figures.all_figures import draw_track
    from xbayes.figures.style import FIGURE_ENDINGS
    from xbayes.report.track_table import print_track, track_table
    from xbayes.tasks.explain import explain_source
    from xbayes.tasks.training import use_precision

    outs = checked_outputs(outs, FIGURE_ENDINGS, overwrite)
    proportions = _parse_prior(prior)
    config, *_ = load_model(run)
    use_precision(config)
    whole = read_catalog(catalog, text=[config.catalog.id])
    track = explain_source(run, whole, name, proportions, tell=warn)
    print_track(track, Console(highlight=False))
    write_outputs(outs, lambda: draw_track(track), lambda: track_table(track), overwrite)


def select_k(
    config: Path,
    catalog: Path | None,
    outs: list[Path],
    largest: int,
    runs: int,
    settings: list[str],
    overwrite: bool,
) -> None:
    """Print how many clusters the catalogue asks for; draw it where asked for."""
    from xbayes.config.schema import catalog_path
    from xbayes.figures.all_figures import draw_criterion
    from xbayes.figures.style import FIGURE_ENDINGS
    from xbayes.tasks.select_components import reason, select_components
    from xbayes.tasks.training import use_precision

    outs = checked_outputs(outs, FIGURE_ENDINGS, overwrite)
    loaded = load_config(config, settings)
    use_precision(loaded)
    found, table = select_components(loaded, catalog or catalog_path(loaded), largest, runs, warn)
    shown = RichTable("K", "BIC", "spread", "gradient", "silhouette")
    forms = {"bic": ",.0f", "bic_sd": ",.0f", "bic_gradient": ",.0f", "silhouette": ".3f"}
    for line in table:
        texts = ["" if np.ma.is_masked(line[c]) else f"{line[c]:{forms[c]}}" for c in forms]
        shown.add_row(str(line["n_components"]), *texts)
    console = Console(highlight=False)
    console.print(shown)
    console.print(reason(found))
    write_outputs(outs, lambda: draw_criterion(*found[:2], found.taken), lambda: table, overwrite)


def checked_outputs(outs: list[Path], figures: tuple[str, ...], overwrite: bool) -> list[Path]:
    """Figures and tables to write, refused before the long work if they cannot be."""
    outs = [out.expanduser() for out in outs]
    for out in outs:
        _check_track_output(out, figures, overwrite)
    if len({out.resolve() for out in outs}) < len(outs):
        raise InputError("--out names the same file twice; give a figure and a table")
    return outs


def write_outputs(outs: list[Path], draw, table, overwrite: bool) -> None:
    """To each file `draw()`, a figure, or `table()`, as its ending says."""
    from xbayes.figures.style import FIGURE_ENDINGS, figure_bytes
    from xbayes.output.files import write_whole

    for out in outs:
        if out.suffix.lower() in FIGURE_ENDINGS:
            write_whole(out, figure_bytes(draw(), out.suffix.lower()))
        else:
            write_catalog(table(), out, overwrite)
    told = f"written: {', '.join(map(str, outs))}" if outs else "for the figure: --out FILE.pdf"
    Console(stderr=True).print(told, highlight=False, markup=False, soft_wrap=True)


def _check_track_output(out: Path, figures: tuple[str, ...], overwrite: bool) -> None:
    if out.suffix.lower() in figures:
        check_place(out, overwrite)
        return
    if not out.name.lower().endswith(tuple(FORMATS)):
        raise InputError(
            f"--out {out}: the ending says what to write: {' '.join(figures)} for the figure, "
            f"{' '.join(FORMATS)} for the table; found {out.suffix or 'no ending'!r}"
        )
    check_output(out, overwrite)


def simulate(
    out: Path,
    n: int | None,
    preset: str | None,
    seed: int,
    detections: Path | None,
    overwrite: bool,
) -> None:
    """Write a simulated catalogue, and its detections where asked for."""
    for path in filter(None, (out, detections)):
        check_output(path, overwrite)
    if detections == out:
        raise InputError(f"--out and --detections both name {out}; give two files")
    if n is None and preset is None:
        n = SIMULATED
    catalog = simulate_catalog(n, seed, preset)
    write_catalog(catalog, out, overwrite)
    if detections is not None:
        write_catalog(simulate_detections(catalog, seed), detections, overwrite)


def _experiment(
    config: Config, catalog: Path | None, out: Path | None, overwrite: bool, reporter: Reporter
) -> tuple[Path, dict]:
    from xbayes.tasks.run import run_experiment
    from xbayes.tasks.training import use_precision

    use_precision(config)
    with reporter:
        folder = run_experiment(config, catalog, out, overwrite, reporter)
    for warning in json.loads((folder / "provenance.json").read_text())["warnings"]:
        warn(warning)
    metrics = json.loads((folder / "metrics.json").read_text())
    print_metrics(metrics, config.name)
    Console().print(
        f"report: [bold]{folder / 'report.html'}[/bold]", highlight=False, soft_wrap=True
    )
    return folder, metrics


def print_metrics(metrics: dict, name: str) -> None:
    """The scores of `metrics.json` on the screen, the held-out ones beside the others."""
    _print_scores(f"{name}: value (90 % interval)", metrics, metrics["classes"], BLOCKS)
    if "aggregated" in metrics:
        coarse = list(metrics["aggregated"]["f1"])
        _print_scores("aggregated classes", metrics, coarse, {"aggregated": "held out"})


def _print_scores(title: str, metrics: dict, classes: list[str], blocks: dict[str, str]) -> None:
    table = RichTable(title=title, title_justify="left")
    table.add_column("score")
    for heading in blocks.values():
        table.add_column(heading, justify="right")
    rows = {f"F1 of {c}": ("f1", c) for c in classes}
    rows |= {
        "macro F1": ("macro_f1",),
        "log loss": ("log_loss",),
        "Brier": ("brier",),
        "ECE": ("ece",),
    }
    for name, path in rows.items():
        table.add_row(name, *(_interval(metrics[block], path) for block in blocks))
    Console().print(table)


def _interval(block: dict, path: tuple[str, ...]) -> str:
    for key in path:
        block = block[key]
    if block["value"] is None:
        return "-"
    if block["lo"] is None:
        return f"{block['value']:.3f}"
    return f"{block['value']:.3f} ({block['lo']:.3f}-{block['hi']:.3f})"


def _print_source(table) -> None:
    """One classified source: the posterior, its intervals and its track; the prediction set."""
    row, classes = table[0], table.meta["CLASSES"].split(",")
    shown = RichTable(title=f"{row[table.colnames[0]]}: {row['prediction']}", title_justify="left")
    shown.add_column("evidence")
    for label in classes:
        shown.add_column(label, justify="right")
    shown.add_row("all", *(f"{row[f'p_{c}']:.4f}" for c in classes), style="bold")
    if all(f"p_{c}_lo" in table.colnames for c in classes):
        ends = (f"{row[f'p_{c}_lo']:.3f}-{row[f'p_{c}_hi']:.3f}" for c in classes)
        shown.add_row("90 % interval", *ends)
    for category in table.meta["CATEGS"].split(","):
        shown.add_row(f"{category} alone", *(f"{row[f'p_{category}_{c}']:.4f}" for c in classes))
    console = Console()
    console.print(shown)
    told = row["prediction_set"] or "empty, unlike every class"
    console.print(f"prediction set (90 %): {told}", highlight=False, markup=False)
    console.print(
        f"margin {row['margin']:.3f}, outlier_p {row['outlier_p']:.3g}, "
        f"{row['n_missing']} properties missing",
        highlight=False,
    )


def warn(message: str) -> None:
    """One line on standard error."""
    print(f"warning: {message}", file=sys.stderr)


def _parse_rho(text: str) -> float | None:
    """None for auto."""
    if text == "auto":
        return None
    try:
        rho = float(text)
    except ValueError:
        rho = float("nan")
    if not 0 <= rho <= 1:
        raise InputError(f"--rho must be auto or a number from 0 to 1; found {text!r}")
    return rho


def _estimated(run: Path, chunks: Chunks) -> dict[str, float]:
    """The proportions of the catalogue itself, told with their intervals."""
    from xbayes.tasks.classify import estimate_prior

    classes, found = estimate_prior(run, chunks)
    low, high = found.interval()
    told = [
        f"{name} {share:.3f} ({low[c]:.3f}-{high[c]:.3f})"
        for c, (name, share) in enumerate(zip(classes, found.proportions, strict=True))
    ]
    text = f"class proportions estimated from the catalogue (90 % intervals): {', '.join(told)}"
    Console(stderr=True).print(text, highlight=False)
    return dict(zip(classes, found.proportions.tolist(), strict=True))


def _parse_prior(text: str | None) -> dict[str, float] | None:
    if text is None:
        return None
    proportions: dict[str, float] = {}
    for pair in text.split(","):
        name, equals, value = pair.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not equals or not number > 0 or name.strip() in proportions:
            raise InputError(
                f"--prior needs CLASS=proportion,... with positive numbers, each class once; "
                f"got {pair!r} (classify also takes --prior estimate)"
            )
        proportions[name.strip()] = number
    return proportions


def _refuse_unknown(given: list[str], known: list[str]) -> None:
    import difflib

    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the run reads {sorted(known)}"
            raise InputError(f"--row: no property needs a column {name!r}; {hint}")
